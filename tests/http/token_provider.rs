//! The module that pages load: public, cacheable, usable from every origin.

use std::collections::BTreeSet;

use box_token_broker::http::token_provider::{integrity, versioned_path};
use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::harness::Harness;

const NEWEST: &str = "/v1/browser/token-provider.js";

/// Each version of the module, the latest one last, with its hash: pages pin both. The last line may change until a
/// release of the broker has served it; from then on a change of the module is a new version, and a new line.
const VERSIONS: [(&str, &str); 1] = [("1.0.0", "sha256-6xY4mi4d2rmgBGI8xiLR3ife2HnpqValw6HXC22eSHo=")];

async fn get(harness: &Harness, method: Method, path: &str, tag: &str) -> (u16, HeaderMap, String) {
    let request = harness.http.request(method, harness.url(path)).header("origin", "https://any.example");
    let request = if tag.is_empty() { request } else { request.header("if-none-match", tag) };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.headers().clone(), response.text().await.unwrap())
}

#[tokio::test]
async fn the_module_is_for_everybody_from_everywhere() {
    let harness = Harness::new().await;
    let file = include_str!("../../clients/browser/token-provider.js");
    for (path, caching) in
        [(NEWEST, "public, max-age=300"), (versioned_path(), "public, max-age=31536000, immutable")]
    {
        let (status, headers, text) = get(&harness, Method::GET, path, "").await;
        assert_eq!((status, text.as_str()), (200, file));
        for (name, value) in [
            ("content-type", "text/javascript; charset=utf-8"),
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", caching),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
        let tag = headers["etag"].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let (status, headers, text) = get(&harness, Method::GET, path, &known).await;
            assert_eq!((status, text.as_str()), (304, ""), "{known}");
            assert_eq!(headers["etag"].to_str().unwrap(), tag);
            assert_eq!(headers["cache-control"], caching);
            assert_eq!(headers["access-control-allow-origin"], "*");
        }
        assert_eq!(get(&harness, Method::GET, path, "\"other\"").await.0, 200);
        let (status, headers, text) = get(&harness, Method::HEAD, path, "").await;
        assert_eq!((status, text.as_str()), (200, ""));
        assert_eq!(headers["content-length"], file.len().to_string());
        harness.call(&harness.admin, "POST", path, None).await.refuses(405, "method_not_allowed");
    }
    harness.get(&harness.admin, "/v1/browser/token-provider-0.0.1.js").await.refuses(404, "not_found");
    harness.end().await;
}

#[test]
fn a_version_is_one_text() {
    let (version, hash) = VERSIONS.last().unwrap();
    assert_eq!(versioned_path(), format!("/v1/browser/token-provider-{version}.js"));
    assert_eq!(integrity(), *hash, "the module's text is another one than {version}'s");
    let distinct = |names: Vec<&str>| names.iter().collect::<BTreeSet<_>>().len() == VERSIONS.len();
    assert!(distinct(VERSIONS.map(|(version, _)| version).to_vec()));
    assert!(distinct(VERSIONS.map(|(_, hash)| hash).to_vec()));
}

#[test]
fn one_version_stands_everywhere() {
    let package = include_str!("../../clients/browser/package.json");
    let package: serde_json::Value = serde_json::from_str(package).unwrap();
    let version = package["version"].as_str().unwrap();
    assert_eq!(versioned_path(), format!("/v1/browser/token-provider-{version}.js"));
    let module = include_str!("../../clients/browser/token-provider.js");
    assert!(module.contains(&format!("export const version = \"{version}\";")));
}

#[test]
fn what_readers_are_told_to_paste_is_what_is_served() {
    let policy = include_str!("../../clients/browser/content-security-policy.txt").trim_end();
    for (name, text) in [
        ("docs/guides/ui-elements.md", include_str!("../../docs/guides/ui-elements.md")),
        ("clients/browser/README.md", include_str!("../../clients/browser/README.md")),
    ] {
        assert!(text.contains(&integrity()), "{name}: the hash is {}", integrity());
        assert!(text.contains(versioned_path()), "{name}: the path is {}", versioned_path());
        assert!(text.contains(policy), "{name} has another Content-Security-Policy");
    }
}
