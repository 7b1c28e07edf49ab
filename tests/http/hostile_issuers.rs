//! S10: an issuer, or what answers in its place, cannot make the broker go where it should not.

use serde_json::{Value, json};

use crate::harness::Harness;
use crate::issuer::{Issuer, Manner, Signer, token};
use crate::issuer_fixture::{AUDIENCE, SUBJECT, Scene};
use crate::token_requests::any_token;

/// Whatever the issuer does, the token cannot be judged, and nobody else is asked.
async fn nobody_is_asked(scene: &Scene, elsewhere: &Issuer, what: &str) {
    let problem = scene.ask(&scene.token(json!({}))).await.refuses(503, "upstream_unavailable");
    // What is wrong is the operator's to know.
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(scene.issuer.url()) && !detail.contains("discovery"), "{what}: {detail}");
    assert_eq!(elsewhere.connections(), 0, "{what}");
    scene.harness.clock.advance(std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn s10_a_discovery_document_leads_to_no_forbidden_place() {
    let scene = Scene::new().await;
    let elsewhere = Issuer::start(vec![scene.signer.jwk("k1")]).await;
    let port = elsewhere.url().rsplit(':').next().unwrap().to_owned();
    for url in [
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[fd00:ec2::254]/latest".to_owned(),
        "https://[::ffff:169.254.169.254]/".to_owned(),
        "https://[64:ff9b::a9fe:a9fe]/".to_owned(),
        "http://metadata.google.internal/".to_owned(),
        // What is listened on, by every name but the one that the settings allow.
        format!("http://localhost:{port}/jwks"),
        format!("http://u:p@127.0.0.1:{port}/jwks"),
        format!("http://127.0.0.1:{port}/jwks#x"),
        format!("http://0.0.0.0:{port}/jwks"),
        format!("ftp://127.0.0.1:{port}/jwks"),
        "file:///etc/passwd".to_owned(),
        "data:application/json,{}".to_owned(),
        "/jwks".to_owned(),
        String::new(),
    ] {
        scene.issuer.behave(Manner::Discovery(json!({ "jwks_uri": url })));
        nobody_is_asked(&scene, &elsewhere, &url).await;
    }
    for fields in [
        json!({ "issuer": format!("{}/", scene.issuer.url()) }),
        json!({ "issuer": "https://accounts.google.com" }),
        json!({ "issuer": null }),
        json!({ "jwks_uri": null }),
        json!({ "jwks_uri": [elsewhere.url()] }),
    ] {
        scene.issuer.behave(Manner::Discovery(fields.clone()));
        nobody_is_asked(&scene, &elsewhere, &fields.to_string()).await;
    }
    // Another place within the rules is followed, as the great issuers want it.
    scene.issuer.behave(Manner::Discovery(json!({ "jwks_uri": format!("{}/jwks", elsewhere.url()) })));
    scene.ask(&scene.token(json!({}))).await.token();
    assert_eq!((elsewhere.connections(), scene.issuer.key_sets()), (1, 0));
    scene.harness.end().await;
}

#[tokio::test]
async fn s10_answers_that_lead_away_or_never_end_are_not_taken() {
    let scene = Scene::new().await;
    let elsewhere = Issuer::start(vec![scene.signer.jwk("k1")]).await;
    let good = json!({ "issuer": scene.issuer.url(), "jwks_uri": format!("{}/jwks", scene.issuer.url()),
                       "keys": [scene.signer.jwk("k1")] });
    let long = |length: usize| {
        let mut long = good.clone();
        long["more"] = Value::String("x".repeat(length));
        long.to_string()
    };
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}/jwks\r\n", elsewhere.url());
        scene.issuer.behave(Manner::So(status, location, good.to_string()));
        nobody_is_asked(&scene, &elsewhere, &status.to_string()).await;
    }
    for (what, body) in [
        ("longer than 64 KiB", long(64 * 1024)),
        ("10 MB", long(10_000_000)),
        ("nothing", String::new()),
        ("no JSON", "<html>".to_owned()),
        ("a list", "[]".to_owned()),
        ("deep", "[".repeat(60_000)),
    ] {
        scene.issuer.behave(Manner::So(200, String::new(), body));
        nobody_is_asked(&scene, &elsewhere, what).await;
    }
    for status in [201, 204, 401, 404, 503] {
        scene.issuer.behave(Manner::So(status, String::new(), good.to_string()));
        nobody_is_asked(&scene, &elsewhere, &status.to_string()).await;
    }
    scene.issuer.behave(Manner::So(200, String::new(), long(60_000)));
    scene.ask(&scene.token(json!({}))).await.token();
    scene.harness.end().await;
}

/// A broker whose settings name these issuers, and a caller that trusts each.
async fn with_issuers(issuers: &Value) -> Harness {
    let harness = Harness::with(&[("BTB_AUTH__OIDC", &issuers.to_string())], |_, _| {}).await;
    harness.register("acme", &harness.apps.acme).await;
    harness.service("job", any_token("acme")).await;
    for issuer in issuers.as_array().unwrap() {
        let terms = json!({ "issuer": issuer["issuer"], "audience": AUDIENCE, "subject": SUBJECT });
        harness.post(&harness.admin, "/v1/callers/job/trusts", terms).await.is(201);
    }
    harness
}

#[tokio::test]
async fn s10_a_name_is_judged_by_the_address_that_it_leads_to() {
    let signer = Signer::rsa(0);
    let hidden = Issuer::start(vec![signer.jwk("k1")]).await;
    let port = hidden.url().rsplit(':').next().unwrap();
    // Both are found on this machine, which no name may lead to, private networks allowed or not.
    let near = format!("https://localhost:{port}");
    let issuers = json!([
        { "issuer": near },
        { "issuer": "https://far.example", "jwks_url": format!("https://localhost:{port}/jwks") },
        { "issuer": "https://farther.example", "jwks_url": format!("https://localhost:{port}/jwks"), "allow_private": true },
    ]);
    let harness = with_issuers(&issuers).await;
    for issuer in issuers.as_array().unwrap() {
        let claims =
            json!({ "iss": issuer["issuer"], "aud": AUDIENCE, "sub": SUBJECT, "exp": 4_000_000_000_u64 });
        let text = token(&json!({ "alg": "RS256", "kid": "k1" }), &claims, &signer);
        harness.token(&text, "acme").await.refuses(503, "upstream_unavailable");
    }
    assert_eq!(hidden.connections(), 0);
    harness.end().await;
}

#[tokio::test]
async fn an_issuer_whose_keys_are_elsewhere_is_not_discovered() {
    let signer = Signer::p256();
    let keys = Issuer::start(vec![signer.jwk("k1")]).await;
    let issuer = Issuer::start(vec![]).await;
    let issuers = json!([{
        "issuer": issuer.url(), "jwks_url": format!("{}/jwks", keys.url()), "allow_private": true,
    }]);
    let harness = with_issuers(&issuers).await;
    let claims = json!({ "iss": issuer.url(), "aud": AUDIENCE, "sub": SUBJECT, "exp": 4_000_000_000_u64 });
    let text = token(&json!({ "alg": "ES256", "kid": "k1" }), &claims, &signer);
    harness.token(&text, "acme").await.token();
    assert_eq!((issuer.connections(), keys.connections()), (0, 1));
    harness.end().await;
}
