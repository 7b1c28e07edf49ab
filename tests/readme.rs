//! What the README says of settings and errors is what the code does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use box_token_broker::config::markdown_rows;
use box_token_broker::domain::refusal::BoxRefusal;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_settings_table_is_the_codes() {
    let readme = readme();
    let (_, behind) = readme.split_once("| setting | default | meaning |\n|---|---|---|\n").unwrap();
    let table = behind.split("\n\n").next().unwrap();
    assert_eq!(table, markdown_rows().trim_end(), "put these rows there:\n{}", markdown_rows());
}

#[test]
fn the_elements_that_readers_get_are_those_that_were_tried() {
    let package = include_str!("browser/package.json");
    let package: serde_json::Value = serde_json::from_str(package).unwrap();
    let version = package["dependencies"]["box-ui-elements"].as_str().unwrap();
    let get = format!("npm pack box-ui-elements@{version} && tar xzf box-ui-elements-{version}.tgz");
    assert!(readme().contains(&get), "{get}");
    let told = include_str!("../src/cli/sandbox/demo_page.rs");
    assert!(told.contains(&format!("const TRIED: &str = \"{version}\";")));
}

#[test]
fn every_refusal_of_boxs_is_listed() {
    let readme = readme();
    for refusal in BoxRefusal::ALL {
        assert!(readme.contains(&format!("`{}`", refusal.code())), "{}", refusal.code());
    }
}
