//! What pages repeat from elsewhere is the same there.

use crate::markdown::Document;
use crate::page::{all, read, root};

#[test]
fn the_ui_elements_that_readers_get_are_those_that_were_tried() {
    let package: serde_json::Value = serde_json::from_str(include_str!("../browser/package.json")).unwrap();
    let version = package["dependencies"]["box-ui-elements"].as_str().unwrap();
    let get = format!("npm pack box-ui-elements@{version} && tar xzf box-ui-elements-{version}.tgz");
    assert!(read("docs/guides/ui-elements.md").contains(&get), "{get}");
    let demo = include_str!("../../src/cli/sandbox/demo/page.rs");
    assert!(demo.contains(&format!("const TESTED_VERSION: &str = \"{version}\";")));
}

#[test]
fn the_readme_has_at_most_150_lines() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}

#[test]
fn every_page_begins_with_its_title() {
    for page in all() {
        assert!(read(&page).starts_with("# "), "{page}");
    }
}

#[test]
fn files_that_pages_name_exist() {
    let folders =
        ["tests/", "src/", "clients/", "benches/", "fuzz/", "docs/", "crates/", "openapi/", "migrations/"];
    let mut missing = Vec::new();
    for page in all() {
        for (line, text) in Document::parse(&read(&page)).prose {
            for name in text.split('`').skip(1).step_by(2) {
                let names_a_file = folders.iter().any(|folder| name.starts_with(folder));
                if names_a_file && !name.contains([' ', '*', '{', '…', 'T']) && !root().join(name).exists()
                {
                    missing.push(format!("{page}:{line}: {name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_fuzz_target_is_described() {
    let text = read("CONTRIBUTING.md");
    for entry in std::fs::read_dir(root().join("fuzz/corpus")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn lines_are_at_most_120_columns_wide() {
    // Tables, lines that are one piece of code, and texts shown exactly as they are have no line breaks of their own.
    for page in all() {
        let document = Document::parse(&read(&page));
        let is_one_piece =
            |line: &str| line.starts_with('|') || (line.starts_with('`') && line.ends_with('`'));
        let prose = document.prose.into_iter().filter(|(_, line)| !is_one_piece(line));
        let blocks = document.blocks.into_iter().filter(|block| block.language != "text");
        let code = blocks.flat_map(|block| {
            let lines: Vec<_> = block.text.lines().map(str::to_owned).collect();
            lines.into_iter().enumerate().map(move |(number, line)| (block.line + number, line))
        });
        for (number, line) in prose.chain(code) {
            assert!(line.chars().count() <= 120, "{page}:{number}");
        }
    }
}

#[test]
fn ratios_of_instructions_in_the_readme_are_those_that_were_recorded() {
    let readme = read("README.md");
    let recorded = read("benches/bench_gate.txt");
    for line in recorded.lines().filter(|line| !line.starts_with('#')) {
        let per_thousand: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        let ratio = format!("| {:.1} × | `bash tests/run.sh bench_gate` |", per_thousand / 1000.0);
        assert!(readme.contains(&ratio), "{ratio}");
    }
}
