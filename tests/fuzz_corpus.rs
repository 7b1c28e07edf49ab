//! The seeds of the fuzz targets, each through what its target asserts; without a fuzzer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

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
fn the_one_export_that_is_whole_is_a_seed() {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/audit_line/whole");
    assert_eq!(std::fs::read_to_string(seed).unwrap(), targets::audit_line::export());
}
