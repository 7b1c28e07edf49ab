//! The seeds of the fuzz targets, each through what its target asserts; without a fuzzer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use box_token_broker::http::{openapi, request_parsers as readers};
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
            let input = std::fs::read(&seed).unwrap();
            let passes = std::panic::catch_unwind(|| run(&input)).is_ok();
            assert!(passes, "{}", seed.display());
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
    let (bodies, forms, mut queries) = declared();
    // It stands for all that take no query.
    queries.insert("mint_token".to_owned());
    assert_eq!(bodies, readers::bodies().map(str::to_owned).collect());
    assert_eq!(forms, readers::forms().map(str::to_owned).collect());
    assert_eq!(queries, readers::queries().map(str::to_owned).collect());
    let seeds: Vec<_> = corpus("request_body").iter().map(|seed| std::fs::read(seed).unwrap()).collect();
    let bodies = bodies.iter().map(|name| format!("body {name}\n"));
    let bodies = bodies.chain(forms.iter().map(|name| format!("form {name}\n")));
    for line in bodies.chain(queries.iter().map(|name| format!("query {name}\n"))) {
        assert!(seeds.iter().any(|seed| seed.starts_with(line.as_bytes())), "{line}");
    }
}

/// The operations that have a JSON body, a form, and a query, as the OpenAPI document tells them.
fn declared() -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    let document: Value = serde_json::from_str(&openapi(None)).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations: Vec<&Value> = paths.flat_map(|path| path.as_object().unwrap().values()).collect();
    let has_query = |operation: &Value| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["in"] == "query"))
    };
    let named = |which: &dyn Fn(&Value) -> bool| {
        let chosen = operations.iter().filter(|operation| which(operation));
        chosen.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
    };
    let has_form = |operation: &Value| {
        operation["requestBody"]["content"]["application/x-www-form-urlencoded"].is_object()
    };
    let has_body = |operation: &Value| operation["requestBody"].is_object() && !has_form(operation);
    (named(&has_body), named(&has_form), named(&has_query))
}
