//! The seeds of the fuzz targets, each through what its target asserts; without a fuzzer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use box_token_broker::http::{openapi, readers};
use serde_json::Value;

#[path = "../fuzz/src/lib.rs"]
pub mod targets;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut seeds: Vec<_> = entries.collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_passes_its_target() {
    for (target, run) in targets::TARGETS {
        let seeds = corpus(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for seed in seeds {
            println!("{}", seed.display());
            run(&std::fs::read(&seed).unwrap());
        }
    }
}

#[test]
fn every_target_is_known_to_the_fuzzer() {
    let read = |path: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)).unwrap()
    };
    let manifest = read("Cargo.toml");
    for (target, _) in targets::TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        assert!(read(&format!("fuzz_targets/{target}.rs")).contains(&format!("::{target}::run")), "{target}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), targets::TARGETS.len());
}

#[test]
fn the_one_export_that_is_whole_and_a_token_that_counts_are_seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let read = |seed: &str| std::fs::read_to_string(folder.join(seed)).unwrap_or_default();
    assert_eq!(read("audit_line/whole"), targets::audit_line::export());
    assert_eq!(read("caller_jwt/good_token"), targets::caller_jwt::token());
}

#[test]
fn the_seeds_that_are_meant_to_be_good_are_good() {
    let seeds = corpus("caller_jwt");
    let good = seeds.iter().filter(|seed| seed.file_stem().unwrap().to_str().unwrap().starts_with("good"));
    let mut count = 0;
    for seed in good {
        let text = std::fs::read_to_string(seed).unwrap();
        assert!(targets::caller_jwt::is_believed(&text), "{}", seed.display());
        count += 1;
    }
    assert!(count > 2);
}

#[test]
fn every_body_and_query_of_the_api_is_read_by_a_seed_at_least() {
    let document: Value = serde_json::from_str(&openapi(None)).unwrap();
    let (mut bodies, mut queries) = (BTreeSet::new(), BTreeSet::new());
    for operation in
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap())
    {
        let (_, operation) = operation;
        let name = operation["operationId"].as_str().unwrap().to_owned();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        if parameters.into_iter().any(|parameter| parameter["in"] == "query") {
            queries.insert(name.clone());
        }
        if operation["requestBody"].is_object() {
            bodies.insert(name);
        }
    }
    // It stands for all that take no query.
    queries.insert("mint_token".to_owned());
    assert_eq!(bodies, readers::bodies().map(str::to_owned).collect());
    assert_eq!(queries, readers::queries().map(str::to_owned).collect());
    let seeds: Vec<_> = corpus("request_body").iter().map(|seed| std::fs::read(seed).unwrap()).collect();
    for line in bodies
        .iter()
        .map(|name| format!("body {name}\n"))
        .chain(queries.iter().map(|name| format!("query {name}\n")))
    {
        assert!(seeds.iter().any(|seed| seed.starts_with(line.as_bytes())), "{line}");
    }
}
