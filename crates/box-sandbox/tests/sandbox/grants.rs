//! Full tokens: each rule of the two grants, and each refusal that Box has words for.

use box_sandbox::AppAuthMethod;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::bench::{
    ADA, APOLLO, Bench, ENTERPRISE, JWT, KEY, OTHER_ADA, OTHER_ENTERPRISE, OTHER_KEY, TESS, sign,
};

const SUB_INVALID: &str = "'sub' specified is invalid";
const CANNOT_OBTAIN: &str = "Cannot obtain user token based on the enterprise configuration for your app";

#[tokio::test]
async fn a_good_assertion_gives_a_token_for_the_service_account() {
    let bench = Bench::new().await;
    let reply = bench.mint("enterprise", ENTERPRISE).await;
    assert_eq!(reply.body["expires_in"], 3600);
    assert_eq!(reply.body["restricted_to"], json!([]));
    assert_eq!(reply.body["token_type"], "bearer");
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 03:04:05 GMT");
    let me = bench.read("/2.0/users/me", &reply.token()).await;
    assert!(me["login"].as_str().unwrap().starts_with("AutomationUser_"));
    assert!(me["login"].as_str().unwrap().ends_with("@boxdevedition.com"));
}

#[tokio::test]
async fn every_signature_algorithm_of_box_is_taken_and_no_other() {
    let bench = Bench::new().await;
    let kid = Some(bench.app.public_key_id.as_str());
    for algorithm in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512] {
        let claims = bench.claims("enterprise", ENTERPRISE);
        bench.grant(&sign(&KEY, algorithm, kid, &claims)).await.token();
    }
    let claims = bench.claims("enterprise", ENTERPRISE);
    bench.grant(&sign(&KEY, Algorithm::PS256, kid, &claims)).await.refuses("invalid_grant", "'alg'");
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let unsigned = format!("{}.{}.", part(json!({ "alg": "none", "kid": kid })), part(claims));
    bench.grant(&unsigned).await.refuses("invalid_grant", "'alg'");
    bench.grant("no.jwt").await.refuses("invalid_grant", "not a signed JWT");
}

#[tokio::test]
async fn a_jti_is_good_for_one_grant() {
    let bench = Bench::new().await;
    let assertion = bench.sign(&bench.claims("enterprise", ENTERPRISE));
    bench.grant(&assertion).await.token();
    bench.grant(&assertion).await.refuses("invalid_grant", "A unique 'jti' value is required");
    for jti in [json!("x".repeat(15)), json!("x".repeat(129)), json!(1_234_567_890_123_456_u64), Value::Null]
    {
        bench.grant_with(|claims| claims["jti"] = jti).await.refuses("invalid_grant", "'jti'");
    }
    for length in [16, 128] {
        bench.grant_with(|claims| claims["jti"] = json!("x".repeat(length))).await.token();
    }
}

#[tokio::test]
async fn an_assertion_expires_within_a_minute_and_not_before_now() {
    let bench = Bench::new().await;
    let now = bench.now();
    bench.grant_with(|claims| claims["exp"] = json!(now + 60)).await.token();
    let reply = bench.grant_with(|claims| claims["exp"] = json!(now + 61)).await;
    reply.refuses("invalid_grant", "'exp' value exceeds the maximum");
    for exp in [now, now - 1] {
        let reply = bench.grant_with(|claims| claims["exp"] = json!(exp)).await;
        reply.refuses("invalid_grant", "MUST be before the expiration");
    }
    bench.grant_with(|claims| claims["exp"] = json!("soon")).await.refuses("invalid_grant", "'exp'");
    for claim in ["iat", "nbf"] {
        bench.grant_with(|claims| claims[claim] = json!(now)).await.token();
        bench.grant_with(|claims| claims[claim] = json!(now + 1)).await.refuses("invalid_grant", claim);
    }
}

#[tokio::test]
async fn the_claims_must_be_spelled_as_box_spells_them() {
    let bench = Bench::new().await;
    let number: u64 = ENTERPRISE.parse().unwrap();
    bench.grant_with(|claims| claims["sub"] = json!(number)).await.refuses("invalid_grant", SUB_INVALID);
    let own_host = format!("{}/oauth2/token", bench.sandbox.url());
    for audience in [
        json!(own_host),
        json!("https://api.box.com/oauth2/token/"),
        json!(["https://api.box.com/oauth2/token"]),
    ] {
        bench.grant_with(|claims| claims["aud"] = audience).await.refuses("invalid_grant", "'aud'");
    }
    bench
        .grant_with(|claims| claims["iss"] = json!("x"))
        .await
        .refuses("invalid_grant", "check the 'iss' claim");
    bench
        .grant_with(|claims| claims["box_sub_type"] = json!("group"))
        .await
        .refuses("invalid_grant", "'box_sub_type'");
}

#[tokio::test]
async fn the_key_is_the_one_that_the_kid_names() {
    let bench = Bench::new().await;
    let claims = || bench.claims("enterprise", ENTERPRISE);
    let kid = bench.app.public_key_id.as_str();
    let reply = bench.grant(&sign(&OTHER_KEY, Algorithm::RS256, Some(kid), &claims())).await;
    reply.refuses("invalid_grant", "Signature verification error. The public key identified by 'kid'");
    let unknown = bench.grant(&sign(&KEY, Algorithm::RS256, Some("gone"), &claims())).await;
    unknown.refuses("invalid_grant", "'kid' invalid, unable to lookup correct key");
    bench.grant(&sign(&KEY, Algorithm::RS256, None, &claims())).await.token();

    let second = json!({ "add_keys": [{ "kid": "second", "public_key": OTHER_KEY.public_pem() }] });
    bench.patch_app(&bench.app.client_id, second).await;
    bench
        .grant(&sign(&KEY, Algorithm::RS256, None, &claims()))
        .await
        .refuses("invalid_grant", "'kid' invalid");
    bench.grant(&sign(&OTHER_KEY, Algorithm::RS256, Some("second"), &claims())).await.token();
    bench.patch_app(&bench.app.client_id, json!({ "remove_keys": [kid] })).await;
    bench.grant(&bench.sign(&claims())).await.refuses("invalid_grant", "'kid' invalid");
}

#[tokio::test]
async fn the_clients_own_credentials_and_method_decide_first() {
    let bench = Bench::new().await;
    let assertion = bench.sign(&bench.claims("enterprise", ENTERPRISE));
    for (field, value) in [(1, "nobody"), (2, "wrong")] {
        let mut fields = bench.grant_fields(&assertion);
        fields[field].1 = value;
        bench
            .form("/oauth2/token", &fields)
            .await
            .refuses("invalid_client", "client credentials are invalid");
    }
    let fields = [
        ("grant_type", JWT),
        ("client_id", bench.ccg.client_id.as_str()),
        ("client_secret", bench.ccg.client_secret.as_str()),
        ("assertion", assertion.as_str()),
    ];
    let wrong_method = "grant type is unauthorized for this client_id";
    bench.form("/oauth2/token", &fields).await.refuses("invalid_request", wrong_method);
    bench.patch_app(&bench.ccg.client_id, json!({ "auth": "jwt" })).await;
    let secret = bench.ccg.client_secret.as_str();
    bench.ccg(secret, "enterprise", ENTERPRISE).await.refuses("invalid_request", wrong_method);
    bench.form("/oauth2/token", &[("grant_type", "password")]).await.refuses("unsupported_grant_type", "");
    let twice = [("grant_type", JWT), ("client_id", "a"), ("client_id", "b")];
    bench.form("/oauth2/token", &twice).await.refuses("invalid_request", "more than once");
}

#[tokio::test]
async fn the_subject_must_exist_and_its_admin_must_have_approved() {
    let bench = Bench::new().await;
    for (kind, id) in [("enterprise", "0"), ("enterprise", ADA), ("user", ENTERPRISE), ("user", "1")] {
        bench.mint(kind, id).await.refuses("invalid_grant", SUB_INVALID);
    }
    bench.mint("enterprise", OTHER_ENTERPRISE).await.token();
    bench.mint("user", OTHER_ADA).await.token();
    bench.patch_app(&bench.app.client_id, json!({ "authorized": [ENTERPRISE] })).await;
    for (kind, id) in [("enterprise", OTHER_ENTERPRISE), ("user", OTHER_ADA)] {
        let reply = bench.mint(kind, id).await;
        reply.refuses("unauthorized_client", "This app is not authorized by the enterprise admin");
    }
}

#[tokio::test]
async fn user_tokens_need_the_apps_settings() {
    let bench = Bench::new().await;
    let client_id = &bench.app.client_id;
    bench.mint("user", ADA).await.token();
    bench.mint("user", TESS).await.refuses("terms_of_service_required", "");
    let own = bench.read("/2.0/users/me", &bench.service_token().await).await;
    bench.mint("user", own["id"].as_str().unwrap()).await.refuses("invalid_request", CANNOT_OBTAIN);

    bench.patch_app(client_id, json!({ "enterprise_access": false })).await;
    bench.mint("user", ADA).await.refuses("invalid_request", CANNOT_OBTAIN);
    bench.mint("user", APOLLO).await.token();
    bench.patch_app(client_id, json!({ "user_tokens": false })).await;
    bench.mint("user", APOLLO).await.refuses("invalid_request", CANNOT_OBTAIN);
    bench.service_token().await;
}

#[tokio::test]
async fn client_credentials_give_tokens_or_box_s_own_refusals() {
    let bench = Bench::new().await;
    let secret = bench.ccg.client_secret.as_str();
    bench.ccg(secret, "enterprise", ENTERPRISE).await.token();
    bench.ccg(secret, "user", ADA).await.token();
    let invalid = "Grant credentials are invalid";
    bench.ccg("wrong", "enterprise", ENTERPRISE).await.refuses("invalid_grant", invalid);
    bench.ccg(secret, "enterprise", "0").await.refuses("invalid_grant", invalid);
    bench.ccg(secret, "enterprise", OTHER_ENTERPRISE).await.refuses("invalid_grant", invalid);
    bench.ccg(secret, "user", OTHER_ADA).await.refuses("invalid_grant", invalid);
    bench.ccg(secret, "user", TESS).await.refuses("terms_of_service_required", "");
    bench.patch_app(&bench.ccg.client_id, json!({ "user_tokens": false })).await;
    let reply = bench.ccg(secret, "user", ADA).await;
    reply.refuses("unauthorized_client", "\"box_subject_type\" value is unauthorized");
}

#[tokio::test]
async fn a_config_without_keys_makes_an_app_for_client_credentials() {
    Bench::with(|world, app| assert_eq!(world.app(&app.client_id).unwrap().auth, AppAuthMethod::Jwt)).await;
    let bench = Bench::new().await;
    let shown = bench.control("GET", &format!("/apps/{}", bench.ccg.client_id), None).await;
    assert_eq!(shown.body["auth"], "ccg");
}
