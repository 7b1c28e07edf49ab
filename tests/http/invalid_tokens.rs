//! Tokens that open nothing, of every kind, and what whoever brings one is told.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::hidden_tenants::without_ids;
use crate::issuer::{Signer, token};
use crate::issuer_fixture::{AUDIENCE, SUBJECT, Scene};

fn header(change: Value) -> Value {
    let mut header = json!({ "alg": "RS256", "kid": "k1" });
    header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    header
}

#[tokio::test]
async fn what_a_token_lacks_or_says_wrongly_opens_nothing() {
    let scene = Scene::new().await;
    let now = scene.now();
    scene.ask(&scene.token(json!({}))).await.token();
    for change in [
        json!({ "exp": null }),
        json!({ "exp": now }),
        json!({ "exp": now - 1 }),
        json!({ "exp": (now + 600).to_string() }),
        json!({ "exp": 1e300 }),
        json!({ "exp": -1e300 }),
        json!({ "exp": [now + 600] }),
        json!({ "iss": null }),
        json!({ "iss": format!("{}/", scene.issuer.url()) }),
        json!({ "iss": scene.issuer.url().to_uppercase() }),
        json!({ "iss": [scene.issuer.url()] }),
        json!({ "iss": "https://accounts.google.com" }),
        json!({ "aud": null }),
        json!({ "aud": "" }),
        json!({ "aud": [] }),
        json!({ "aud": "another" }),
        json!({ "aud": ["another", "third"] }),
        json!({ "aud": format!("{AUDIENCE}x") }),
        json!({ "aud": AUDIENCE.to_uppercase() }),
        json!({ "aud": [AUDIENCE, 7] }),
        json!({ "aud": { "a": AUDIENCE } }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": [SUBJECT] }),
        json!({ "iat": now + 61 }),
        json!({ "iat": "now" }),
        json!({ "nbf": now + 61 }),
        json!({ "nbf": true }),
        json!({ "jti": 7 }),
    ] {
        scene.refused(&change.to_string(), &scene.token(change.clone())).await;
    }
    for change in [
        json!({ "iat": now + 60, "nbf": now + 60 }),
        json!({ "iat": null, "nbf": null, "jti": null }),
        json!({ "exp": now as f64 + 600.5 }),
        json!({ "aud": ["another", AUDIENCE] }),
    ] {
        scene.ask(&scene.token(change)).await.token();
    }
    scene.harness.end().await;
}

#[tokio::test]
async fn a_token_that_its_issuer_did_not_sign_so_opens_nothing() {
    let scene = Scene::new().await;
    let claims = scene.claims(json!({}));
    let public = scene.signer.jwk("k1");
    let modulus = public["n"].as_str().unwrap();
    let rsa = &scene.signer;
    for (what, header, signer) in [
        ("no algorithm", header(json!({ "alg": "none" })), Signer::None),
        ("None", header(json!({ "alg": "None" })), Signer::None),
        ("an empty one", header(json!({ "alg": "" })), rsa.clone()),
        ("null", header(json!({ "alg": null })), rsa.clone()),
        ("no signature", header(json!({})), Signer::None),
        ("another's key", header(json!({})), Signer::rsa(1)),
        ("the public key as a secret", header(json!({ "alg": "HS256" })), Signer::Secret(modulus.into())),
        (
            "the public key's bytes as a secret",
            header(json!({ "alg": "HS256" })),
            Signer::Secret(BASE64URL_NOPAD.decode(modulus.as_bytes()).unwrap()),
        ),
        ("another hash than it says", header(json!({ "alg": "RS384" })), Signer::None),
        ("an algorithm that nobody verifies", header(json!({ "alg": "PS256" })), rsa.clone()),
        ("an algorithm of other keys", header(json!({ "alg": "ES256" })), Signer::p256()),
        ("an algorithm in small letters", header(json!({ "alg": "rs256" })), rsa.clone()),
        ("no such key", header(json!({ "kid": "k2" })), rsa.clone()),
        ("a key id that is no text", header(json!({ "kid": 1 })), rsa.clone()),
        (
            "keys from elsewhere",
            header(json!({ "jku": format!("{}/jwks", scene.issuer.url()) })),
            rsa.clone(),
        ),
        ("a certificate from elsewhere", header(json!({ "x5u": scene.issuer.url() })), rsa.clone()),
        ("a certificate", header(json!({ "x5c": ["MII"] })), rsa.clone()),
        ("its own key", header(json!({ "jwk": Signer::rsa(1).jwk("k1") })), Signer::rsa(1)),
        ("its own right key", header(json!({ "jwk": public })), rsa.clone()),
        ("an extension", header(json!({ "crit": ["b64"], "b64": true })), rsa.clone()),
    ] {
        scene.refused(what, &token(&header, &claims, &signer)).await;
    }
    scene.ask(&token(&header(json!({})), &claims, rsa)).await.token();
    // With one key nobody has to name it.
    scene.ask(&token(&json!({ "alg": "RS256" }), &claims, rsa)).await.token();
    scene.harness.end().await;
}

#[tokio::test]
async fn what_is_no_token_at_all_opens_nothing() {
    let scene = Scene::new().await;
    let good = scene.token(json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let [head, claims, signature] = parts[..] else { panic!("{good}") };
    let forged = BASE64URL_NOPAD.encode(scene.claims(json!({ "sub": "root" })).to_string().as_bytes());
    let twice = r#"{"alg":"none","alg":"RS256","kid":"k1"}"#;
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let long = scene.token(json!({ "more": "x".repeat(8 * 1024) }));
    for (what, text) in [
        ("two parts", format!("{head}.{claims}")),
        ("four parts", format!("{good}.{signature}")),
        ("no header", format!(".{claims}.{signature}")),
        ("no claims", format!("{head}..{signature}")),
        ("no signature", format!("{head}.{claims}.")),
        ("dots", "..".to_owned()),
        ("five parts", "a.b.c.d.e".to_owned()),
        ("other claims", format!("{head}.{forged}.{signature}")),
        ("a signature cut", format!("{head}.{claims}.{}", &signature[..signature.len() - 4])),
        ("padding", format!("{head}=.{claims}.{signature}")),
        ("an array", format!("{head}.{}.{signature}", encode("[]"))),
        ("no JSON", format!("{head}.{}.{signature}", encode("{"))),
        ("an algorithm twice", format!("{}.{claims}.{signature}", encode(twice))),
        ("too long", long),
    ] {
        scene.refused(what, &text).await;
    }
    scene.ask(&good).await.token();
    scene.harness.end().await;
}

#[tokio::test]
async fn whoever_is_refused_is_not_told_why() {
    let scene = Scene::new().await;
    let now = scene.now();
    let url = scene.harness.url("/v1/tenants/acme/token");
    let none = crate::response::Reply::of(scene.harness.http.post(url).send().await.unwrap()).await;
    let none = without_ids(none);
    for text in [
        scene.token(json!({ "exp": now - 1 })),
        scene.token(json!({ "sub": "another" })),
        scene.token(json!({ "iss": "https://accounts.google.com" })),
        token(&header(json!({})), &scene.claims(json!({})), &Signer::rsa(1)),
        token(&header(json!({ "kid": "k2" })), &scene.claims(json!({})), &scene.signer),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(without_ids(scene.ask(&text).await), none);
    }
    scene.harness.end().await;
}
