//! The order of the modules and the homes of the heavy crates, as `ARCHITECTURE.md` tells them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
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
        ("cli/sandbox/demo/mod.rs", "use box_sandbox::World; use crate::page::Settings;", 0),
        ("cli/token.rs", "use box_sandbox::World; use crate::page::Settings;", 2),
        ("broker/cache.rs", "use moka::sync::Cache; let adversarial = rsa_like;", 0),
    ] {
        assert_eq!(complaints(path, line).len(), wrong, "{path}: {line}");
    }
}

/// Returns the paths that a text names behind `crate::`, `self::` or `super::`, from the root of `src`.
fn named_paths(file: &str, source: &str) -> Vec<Vec<String>> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let own: Vec<String> = file.split('/').map(str::to_owned).collect();
    let mut paths = Vec::new();
    for root in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(root) {
            if code[..at].ends_with(is_word) || code[..at].ends_with("::") {
                continue;
            }
            let mut base = if root == "crate::" { Vec::new() } else { own.clone() };
            base.truncate(base.len().saturating_sub(usize::from(root == "super::")));
            let mut rest = &code[at + root.len()..];
            while let Some(further) = rest.strip_prefix("super::") {
                (rest, _) = (further, base.pop());
            }
            while let Some((word, further)) =
                rest.split_once("::").filter(|(word, _)| word.chars().all(is_word))
            {
                base.push(word.to_owned());
                rest = further;
            }
            let group = rest.strip_prefix('{').and_then(|group| group.split(';').next());
            let heads =
                group.map_or_else(|| vec![rest], |group| group.split(['{', '}', ',', '\n']).collect());
            for head in heads {
                let word = head.trim_start().split(|character| !is_word(character)).next().unwrap();
                paths.push(base.iter().cloned().chain([word.to_owned()]).collect());
            }
        }
    }
    paths
}

/// Returns the files that each file imports. A `mod.rs` and its children count as one: neither imports the other.
fn imports(sources: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeSet<&str>> {
    let parent = |file: &str| file.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let found = |path: &[String]| {
        let prefixes = (1..=path.len()).rev().map(|length| path[..length].join("/"));
        prefixes.into_iter().find_map(|prefix| sources.get_key_value(&prefix)).map(|(file, _)| file.as_str())
    };
    let mut graph = BTreeMap::new();
    for (file, source) in sources {
        let is_family = |other: &str| {
            other == file || parent(other).as_deref() == Some(file) || parent(file).as_deref() == Some(other)
        };
        let targets =
            named_paths(file, source).iter().filter_map(|path| found(path)).collect::<BTreeSet<_>>();
        graph.insert(file.as_str(), targets.into_iter().filter(|other| !is_family(other)).collect());
    }
    graph
}

/// Returns the circles: the sets of files each of which reaches every other.
fn circles(sources: &BTreeMap<String, String>) -> BTreeSet<Vec<String>> {
    let graph = imports(sources);
    let reached = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = graph[start].iter().copied().collect();
        while let Some(file) = open.pop() {
            if seen.insert(file) {
                open.extend(&graph[file]);
            }
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> = graph.keys().map(|file| (*file, reached(file))).collect();
    let on_circles = reach.iter().filter(|(file, reached)| reached.contains(*file));
    let circle = |(file, reached): (&&str, &BTreeSet<&str>)| {
        reached.iter().filter(|other| reach[*other].contains(file)).map(|other| (*other).to_owned()).collect()
    };
    on_circles.map(circle).collect()
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |file: &Path| {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        path.strip_suffix("/mod").map_or(path.clone(), str::to_owned)
    };
    let is_code = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "rs");
    let sources = files(&src).into_iter().filter(is_code);
    let sources = sources.map(|file| (name(&file), std::fs::read_to_string(&file).unwrap()));
    let found = circles(&sources.filter(|(file, _)| file != "lib" && file != "main").collect());
    assert!(found.is_empty(), "move what these files both need below them: {found:#?}");
}

#[test]
fn a_planted_circle_is_found() {
    let planted = [
        ("domain", "mod a; pub use self::a::A;"),
        ("domain/a", "use crate::domain::{b::B, c};"),
        ("domain/b", "use super::c::C;\n// use super::a::A;"),
        ("domain/c", "fn c() -> super::a::A {}"),
        ("domain/d", "use super::a::A; use crate::domain::D;"),
    ];
    let sources = planted.map(|(file, source)| (file.to_owned(), source.to_owned())).into();
    let circle = ["a", "b", "c"].map(|file| format!("domain/{file}")).to_vec();
    assert_eq!(circles(&sources), BTreeSet::from([circle]));
}
