//! Invariants of `docs/internals/invariants.md` that hold for the text of the code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Which files look into a secret, and what for.
const EXPOSING: [(&str, &[&str]); 11] = [
    ("the types themselves", &["secret"]),
    (
        "sealing, opening, hashing",
        &[
            "crypto/aead",
            "crypto/key_file",
            "crypto/key_set/document",
            "crypto/mac_keys",
            "crypto/audit_signer",
        ],
    ),
    (
        "sealing, opening, hashing",
        &["crypto/vault", "crypto/key_wrapper", "domain/app", "broker/token_store/sealed_token"],
    ),
    ("reading a key and what came with it", &["domain/signing_key/mod", "domain/signing_key/pbes2"]),
    (
        "reading a key and what came with it",
        &["domain/signing_key/pem_encryption", "registry/credential_input"],
    ),
    (
        "requests to Box",
        &["box_api/request", "box_api/assertion", "box_api/token_response", "box_api/transport"],
    ),
    (
        "digests, sizes, and how the database is reached",
        &[
            "broker/token_store/mod",
            "broker/revocation/retirement",
            "broker/revocation/caller_request",
            "broker/cache/token",
            "registry/callers/api_keys",
            "store/sql/postgres",
            "broker/subject_token",
        ],
    ),
    (
        "webhooks' signatures, and what comes in OAuth's forms",
        &["broker/credentials/webhook_keys", "http/oauth/client", "http/oauth/exchange"],
    ),
    (
        "token answers and keys that are shown once",
        &["http/routes/tokens", "http/token_release", "http/oauth/mod", "http/routes/callers", "cli/"],
    ),
    ("the demo's page calls the broker with its key", &["page/sessions"]),
    (
        "what pages get, and sessions that are shown once",
        &["http/routes/browser_tokens/mod", "http/routes/browser_sessions"],
    ),
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of `src` and their code, without comments and unit tests; `broker/cache`, say.
fn code() -> Vec<(String, String)> {
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }
    let src = src();
    let is_code = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "rs");
    let named = files(&src).into_iter().filter(is_code).map(|file| {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        (name, lines.collect::<Vec<_>>().join("\n"))
    });
    named.filter(|(name, _)| !name.ends_with("/tests")).collect()
}

#[test]
fn invariant_7_secrets_are_looked_into_where_it_is_said_and_nowhere_else() {
    let listed: BTreeSet<&str> = EXPOSING.iter().flat_map(|(_, files)| files.iter().copied()).collect();
    let exposing: Vec<String> =
        code().into_iter().filter(|(_, code)| code.contains("expose(")).map(|(name, _)| name).collect();
    let covers = |entry: &str, name: &str| name == entry || entry.ends_with('/') && name.starts_with(entry);
    for name in &exposing {
        assert!(listed.iter().any(|entry| covers(entry, name)), "{name} looks into a secret: why?");
    }
    for entry in listed {
        assert!(exposing.iter().any(|name| covers(entry, name)), "{entry} exposes nothing any more");
    }
}

#[test]
fn invariant_9_http_alone_knows_what_a_status_is() {
    let mut seen = 0;
    for (name, code) in code() {
        // The commands and the demo's page are clients: they read a status, with their client's own type.
        let may = ["http/", "cli/", "page/"].iter().any(|room| name.starts_with(room));
        let knows = code.contains("StatusCode") || code.contains("IntoResponse");
        assert!(may || !knows, "{name} knows of HTTP's statuses");
        seen += usize::from(knows);
    }
    assert!(seen > 0);
    let maps = |code: &str| code.contains("StatusCode::INTERNAL") || code.contains("StatusCode::SERVICE");
    let mapping: Vec<_> =
        code().into_iter().filter(|(name, code)| name.starts_with("http/") && maps(code)).collect();
    assert!(mapping.iter().all(|(name, _)| name.starts_with("http/error")), "{mapping:?}");
}

#[test]
fn invariant_10_each_shortcut_is_banned_with_its_reason() {
    let text = std::fs::read_to_string(src().with_file_name("clippy.toml")).unwrap();
    let lints: toml::Table = text.parse().unwrap();
    let banned: BTreeSet<&str> = lints["disallowed-methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(entry["reason"].as_str().unwrap().contains(' '), "{entry} has no reason");
            entry["path"].as_str().unwrap()
        })
        .collect();
    for path in [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "tokio::time::Instant::now",
        "jiff::Timestamp::now",
        "rand::random",
        "rand::rng",
        "std::env::var",
        "std::env::vars",
        "reqwest::Client::new",
    ] {
        assert!(banned.contains(path), "{path} is not banned");
    }
}
