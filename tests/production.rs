//! The production build, `--no-default-features`: it lacks the sandbox, the demo's page, their commands and every crate
//! that only they bring.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that only the feature `sandbox` brings.
const ONLY_WITH_SANDBOX: [&str; 6] =
    ["box-sandbox", "core_detect", "encoding_rs", "multer", "multiversion_no_op", "simdutf8"];

/// Returns the names of the packages that a build with these arguments links.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let lines = String::from_utf8(tree.stdout).unwrap();
    lines.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn production_lacks_every_crate_that_only_the_sandbox_brings() {
    let (all, production) = (packages(&[]), packages(&["--no-default-features"]));
    assert!(production.contains("sqlx") && production.is_subset(&all));
    let missing: Vec<&str> = all.difference(&production).map(String::as_str).collect();
    assert_eq!(missing, ONLY_WITH_SANDBOX, "a crate came or went with the sandbox: correct the list");
}

#[test]
fn the_broker_itself_depends_on_no_crate_of_the_sandbox() {
    let own = packages(&["--no-default-features", "--depth", "1"]);
    assert!(own.contains("axum"));
    for name in ONLY_WITH_SANDBOX.into_iter().chain(["rand", "sha1"]) {
        assert!(!own.contains(name), "{name}");
    }
}

/// Needs a build without the feature: `bash tests/run.sh production`.
#[cfg(not(feature = "sandbox"))]
#[test]
fn the_production_binary_refuses_the_sandboxs_commands() {
    let run = |argument| Command::new(env!("CARGO_BIN_EXE_box-token-broker")).arg(argument).output().unwrap();
    let help = String::from_utf8(run("--help").stdout).unwrap();
    assert!(help.contains("\n  serve "), "{help}");
    for command in ["demo", "sandbox"] {
        assert!(!help.contains(&format!("\n  {command} ")), "{help}");
        let refused = run(command);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{error}");
        assert!(error.contains("unrecognized subcommand") && error.contains("feature `sandbox`"), "{error}");
    }
}
