//! The pages about the inside name types, tests and commands that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::page::{read, root};

#[test]
fn every_type_in_the_glossary_is_defined_in_its_module() {
    let types = types();
    let mut checked = 0;
    for row in rows("docs/internals/glossary.md") {
        let [terms, _, module] = &row[..] else { panic!("{row:?} has not three cells") };
        let module = module.trim_matches('`');
        for term in terms.split(", ").filter_map(|term| term.strip_prefix('`')?.strip_suffix('`')) {
            let homes = types.get(term).unwrap_or_else(|| panic!("there is no type {term}"));
            assert!(homes.iter().any(|home| home == module), "{term} is in {homes:?}, not in {module}");
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} types are in the glossary");
}

#[test]
fn no_public_type_name_is_defined_twice() {
    let twice: Vec<_> = types().into_iter().filter(|(_, homes)| homes.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

#[test]
fn every_guarantee_names_a_command_that_runs_tests() {
    let tests = tests();
    let mut checked = 0;
    for row in rows("docs/internals/guarantees.md") {
        let command = row.last().unwrap().trim_matches('`');
        let words: Vec<_> = command.split(' ').collect();
        let (binary, filter) = match words[..] {
            ["cargo", "test", "--test", binary, filter] => (binary, filter),
            ["cargo", "test", "--test", binary] => (binary, ""),
            ["cargo", "test", "--lib", filter] => ("lib", filter),
            _ => panic!("{command} is not a command of this page"),
        };
        let found = tests.iter().any(|(of, name)| of == binary && name.contains(filter));
        assert!(found, "no test matches {command}");
        checked += 1;
    }
    assert!(checked > 25, "only {checked} guarantees were found");
}

#[test]
fn every_invariant_has_a_test_that_carries_its_number() {
    let tests = tests();
    for number in 1..=13 {
        let name = format!("invariant_{number}_");
        assert!(tests.iter().any(|(_, test)| test.contains(&name)), "no test is named {name}…");
    }
    let listed = read("docs/internals/invariants.md").lines().filter(|line| is_numbered(line)).count();
    assert_eq!(listed, 13);
}

fn is_numbered(line: &str) -> bool {
    line.split_once(". **").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// The cells of each row of a page's tables, without headers and rules.
fn rows(page: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let lines: Vec<_> = text.lines().collect();
    let is_rule = |line: &str| line.starts_with("|---");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines
        .iter()
        .enumerate()
        .filter(|(at, line)| {
            let is_header = lines.get(at + 1).is_some_and(|next| is_rule(next));
            line.starts_with("| ") && !is_rule(line) && !is_header
        })
        .map(|(_, line)| cells(line))
        .collect()
}

/// The modules of `src` that define each public type.
fn types() -> BTreeMap<String, Vec<String>> {
    let mut types = BTreeMap::<String, Vec<String>>::new();
    for (path, text) in sources("src") {
        let module = path.split(['/', '.']).next().unwrap().to_owned();
        for line in text.lines().map(str::trim_start).filter(|line| line.starts_with("pub")) {
            let mut words = line.split([' ', '<', '(', ';', ':', '{']).filter(|word| !word.is_empty());
            let kind =
                words.find(|word| matches!(*word, "struct" | "enum" | "trait" | "fn" | "type" | "use"));
            if let (Some("struct" | "enum" | "trait"), Some(name)) = (kind, words.next()) {
                types.entry(name.to_owned()).or_default().push(module.clone());
            }
        }
    }
    types
}

/// Every test: the binary that it is in (`lib` for the library), and its name behind its modules'.
fn tests() -> BTreeSet<(String, String)> {
    let mut tests = BTreeSet::new();
    for (folder, of_library) in [("tests", false), ("src", true)] {
        for (path, text) in sources(folder) {
            let stem = path.trim_end_matches(".rs").trim_end_matches("/main").replace('/', "::");
            for name in text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next()) {
                let top = stem.split("::").next().unwrap();
                // The store's tests are one suite for both engines.
                let binaries = match top {
                    _ if of_library => vec!["lib"],
                    "store" => vec!["store_sqlite", "store_postgres"],
                    top => vec![top],
                };
                for binary in binaries {
                    tests.insert((binary.to_owned(), format!("{stem}::{name}")));
                }
            }
        }
    }
    tests
}

/// The Rust files below a folder of the project, by their path within it.
fn sources(folder: &str) -> Vec<(String, String)> {
    let top = root().join(folder);
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some("rs".as_ref()) {
                found.push((relative(&path, &top), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

fn relative(path: &Path, top: &Path) -> String {
    path.strip_prefix(top).unwrap().to_str().unwrap().to_owned()
}
