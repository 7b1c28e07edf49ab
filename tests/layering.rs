//! The order of the modules and the homes of the heavy crates, as `ARCHITECTURE.md` tells them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

/// A file may use its own module and those that stand before it.
const ORDER: &str = "clock entropy secret domain config crypto flight audit store box_api auth broker registry http app cli main";

/// Which files may name which crate.
const HOMES: [(&str, &[&str]); 9] = [
    ("axum", &["http", "app", "page"]),
    ("sqlx", &["store"]),
    ("moka", &["store/read_through_cache", "auth/oidc", "broker/cache"]),
    ("governor", &["auth/buckets"]),
    ("reqwest", &["auth/jwks", "box_api", "cli", "page"]),
    ("jsonwebtoken", &["auth/jwks", "auth/oidc", "box_api/assertion"]),
    ("aws_lc_rs", &["crypto", "box_api/assertion", "entropy"]),
    ("rsa", &["domain/signing_key"]),
    ("box_sandbox", &["cli/sandbox"]),
];

/// What is wrong in a file of `src`; `path` is `broker/cache.rs`, say.
fn complaints(path: &str, source: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let own = path.split('/').next().unwrap();
    let rank = |module: &str| ORDER.split(' ').position(|one| one == module);
    let may_see = |module: &str| match (own, module) {
        _ if own == "lib" || own == module => true,
        ("page", _) => module == "secret",
        (_, "page") => path.starts_with("cli/sandbox"),
        _ => rank(module).is_none() || rank(module) < rank(own),
    };
    // As many `super`s as the file is deep lead to the root, as `crate` does.
    let roots = ["crate::".to_owned(), "super::".repeat(path.split('/').count())];
    let at_home = |home: &&str| path == *home || path.starts_with(&format!("{home}/"));
    let mut found = Vec::new();
    for line in source.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let named = |name: &str| line.match_indices(name).map(|(at, _)| at).collect::<Vec<_>>();
        for root in &roots {
            for at in named(root).into_iter().filter(|at| !line[..*at].ends_with(is_word)) {
                let module = line[at + root.len()..].split(|character| !is_word(character)).next().unwrap();
                // A group hides what it names from this test: one `use crate::` for each module.
                if !may_see(module) || (module.is_empty() && root == "crate::") {
                    found.push(format!("{path} may not use `{module}`: {line}"));
                }
            }
        }
        for (name, homes) in HOMES.iter().filter(|(_, homes)| !homes.iter().any(at_home)) {
            let is_path = |at: &usize| {
                let (before, behind) = (&line[..*at], &line[at + name.len()..]);
                let begins = !before.ends_with(is_word) && !before.ends_with("::");
                begins
                    && (behind.starts_with("::") || before.ends_with("use ") && !behind.starts_with(is_word))
            };
            if named(name).iter().any(is_path) {
                found.push(format!("{path} names {name}, at home in {homes:?}: {line}"));
            }
        }
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_file_uses_what_stands_earlier_and_every_crate_stays_at_home() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |file: &Path| file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
    let read = |file: &PathBuf| complaints(&name(file), &std::fs::read_to_string(file).unwrap());
    let is_code = |file: &&PathBuf| file.extension().is_some_and(|ending| ending == "rs");
    let found: Vec<_> = files(&src).iter().filter(is_code).flat_map(read).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_planted_violation_is_found_and_nothing_else() {
    for (path, line, wrong) in [
        ("domain/id.rs", "use crate::store::Store;", 1),
        ("domain/id.rs", "fn f() { crate::http::x() + axum::y() }", 2),
        ("domain/id.rs", "use crate::{store, http};", 1),
        ("domain/id.rs", "use super::super::store;", 1),
        ("broker/mod.rs", "use box_sandbox::World;", 1),
        ("page/mod.rs", "use crate::http::integrity;", 1),
        ("http/mod.rs", "use crate::page::Settings;", 1),
        ("broker/cached.rs", "use moka::sync::Cache;", 1),
        ("auth/mod.rs", "use reqwest::Client;", 1),
        ("cli/mod.rs", "use sqlx;", 1),
        ("store/mod.rs", "use crate::crypto::Place; mod tests { use super::*; }", 0),
        ("store/sql/rows.rs", "//! crate::http, as said", 0),
        ("cli/sandbox/demo.rs", "use box_sandbox::World; use crate::page::Settings;", 0),
        ("cli/token.rs", "use box_sandbox::World; use crate::page::Settings;", 2),
        ("broker/cache.rs", "use moka::sync::Cache; let adversarial = rsa_like;", 0),
    ] {
        assert_eq!(complaints(path, line).len(), wrong, "{path}: {line}");
    }
}
