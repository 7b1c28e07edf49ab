//! The order of the modules, as the documentation of the crate lists them, and the absence of circles within a module.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the modules in the order of the table in `lib.rs`.
fn documented_order() -> Vec<String> {
    let text = fs::read_to_string(src().join("lib.rs")).unwrap();
    let (_, table) = text.split_once("//! | module | content |\n//! |---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with("//! |"));
    rows.flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|cell| cell.trim().trim_matches('`').to_owned())
        .collect()
}

/// Returns the code of each file, without comments, by its path in `src`: `api/files`, say.
fn code() -> BTreeMap<String, String> {
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }
    let src = src();
    let sources =
        files(&src).into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "rs"));
    sources
        .map(|file| {
            let name = file.strip_prefix(&src).unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            (name, lines.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

/// Returns the words that follow `prefix` in a code, one level of a `{…}` group included.
fn words_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let word = |text: &str| text.chars().take_while(|&character| is_word(character)).collect::<String>();
    let mut words = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                words.extend(group.split('}').next().unwrap().split(',').map(|one| word(one.trim())))
            }
            None => _ = words.insert(word(rest)),
        }
    }
    words
}

#[test]
fn the_documentation_lists_every_module() {
    let modules: BTreeSet<_> =
        code().into_keys().map(|file| file.split('/').next().unwrap().to_owned()).collect();
    let mut documented: BTreeSet<_> = documented_order().into_iter().collect();
    documented.insert("lib".to_owned());
    assert_eq!(modules, documented);
}

#[test]
fn every_module_uses_only_modules_that_the_documentation_lists_above_it() {
    let order = documented_order();
    let rank = |module: &str| order.iter().position(|one| one == module);
    for (file, code) in code() {
        let own = rank(file.split('/').next().unwrap());
        for used in words_after(&code, "crate::") {
            let is_above = rank(&used).is_none_or(|used| own.is_none_or(|own| used <= own));
            assert!(is_above, "{file} uses `{used}`, which is below it");
        }
    }
}

#[test]
fn the_files_of_a_module_do_not_use_each_other_in_circles() {
    let code = code();
    let siblings = |file: &str| -> BTreeSet<String> {
        let Some((module, _)) = file.rsplit_once('/') else { return BTreeSet::new() };
        let used = words_after(&code[file], "super::").into_iter().map(|word| format!("{module}/{word}"));
        used.filter(|sibling| sibling != file && code.contains_key(sibling)).collect()
    };
    // Files whose siblings are all settled are settled too, until none is left.
    let mut open: BTreeMap<_, _> = code.keys().map(|file| (file.clone(), siblings(file))).collect();
    assert!(open["api/files"].contains("api/context"));
    loop {
        let settled: Vec<_> = open
            .iter()
            .filter(|(_, used)| !used.iter().any(|file| open.contains_key(file)))
            .map(|(file, _)| file.clone())
            .collect();
        if settled.is_empty() {
            break;
        }
        settled.iter().for_each(|file| _ = open.remove(file));
    }
    assert!(open.is_empty(), "these files use each other in circles: {:?}", open.keys());
}
