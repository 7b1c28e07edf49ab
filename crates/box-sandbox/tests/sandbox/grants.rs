//! Full tokens: the rules of the two grants, and their errors.

use box_sandbox::AppAuthMethod;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::harness::{
    ADA, APOLLO, ENTERPRISE, JWT, KEY, OTHER_ADA, OTHER_ENTERPRISE, OTHER_KEY, TESS, TestSandbox, sign,
};

const SUB_INVALID: &str = "'sub' specified is invalid";
const CANNOT_OBTAIN: &str = "Cannot obtain user token based on the enterprise configuration for your app";

#[tokio::test]
async fn a_valid_assertion_yields_a_token_of_the_service_account() {
    let sandbox = TestSandbox::new().await;
    let reply = sandbox.mint("enterprise", ENTERPRISE).await;
    assert_eq!(reply.body["expires_in"], 3600);
    assert_eq!(reply.body["restricted_to"], json!([]));
    assert_eq!(reply.body["token_type"], "bearer");
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 03:04:05 GMT");
    let me = sandbox.read("/2.0/users/me", &reply.token()).await;
    assert!(me["login"].as_str().unwrap().starts_with("AutomationUser_"));
    assert!(me["login"].as_str().unwrap().ends_with("@boxdevedition.com"));
}

#[tokio::test]
async fn only_the_signature_algorithms_of_box_are_accepted() {
    let sandbox = TestSandbox::new().await;
    let kid = Some(sandbox.app.public_key_id.as_str());
    for algorithm in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512] {
        let claims = sandbox.claims("enterprise", ENTERPRISE);
        sandbox.grant(&sign(&KEY, algorithm, kid, &claims)).await.token();
    }
    let claims = sandbox.claims("enterprise", ENTERPRISE);
    sandbox.grant(&sign(&KEY, Algorithm::PS256, kid, &claims)).await.refuses("invalid_grant", "'alg'");
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let unsigned = format!("{}.{}.", part(json!({ "alg": "none", "kid": kid })), part(claims));
    sandbox.grant(&unsigned).await.refuses("invalid_grant", "'alg'");
    sandbox.grant("no.jwt").await.refuses("invalid_grant", "not a signed JWT");
}

#[tokio::test]
async fn a_jti_is_accepted_once() {
    let sandbox = TestSandbox::new().await;
    let assertion = sandbox.sign(&sandbox.claims("enterprise", ENTERPRISE));
    sandbox.grant(&assertion).await.token();
    sandbox.grant(&assertion).await.refuses("invalid_grant", "A unique 'jti' value is required");
    for jti in [json!("x".repeat(15)), json!("x".repeat(129)), json!(1_234_567_890_123_456_u64), Value::Null]
    {
        sandbox.grant_with(|claims| claims["jti"] = jti).await.refuses("invalid_grant", "'jti'");
    }
    for length in [16, 128] {
        sandbox.grant_with(|claims| claims["jti"] = json!("x".repeat(length))).await.token();
    }
}

#[tokio::test]
async fn an_assertion_must_expire_within_a_minute_from_now() {
    let sandbox = TestSandbox::new().await;
    let now = sandbox.now();
    sandbox.grant_with(|claims| claims["exp"] = json!(now + 60)).await.token();
    let reply = sandbox.grant_with(|claims| claims["exp"] = json!(now + 61)).await;
    reply.refuses("invalid_grant", "'exp' value exceeds the maximum");
    for exp in [now, now - 1] {
        let reply = sandbox.grant_with(|claims| claims["exp"] = json!(exp)).await;
        reply.refuses("invalid_grant", "MUST be before the expiration");
    }
    sandbox.grant_with(|claims| claims["exp"] = json!("soon")).await.refuses("invalid_grant", "'exp'");
    for claim in ["iat", "nbf"] {
        sandbox.grant_with(|claims| claims[claim] = json!(now)).await.token();
        sandbox.grant_with(|claims| claims[claim] = json!(now + 1)).await.refuses("invalid_grant", claim);
    }
}

#[tokio::test]
async fn each_claim_must_have_the_form_that_box_requires() {
    let sandbox = TestSandbox::new().await;
    let number: u64 = ENTERPRISE.parse().unwrap();
    sandbox.grant_with(|claims| claims["sub"] = json!(number)).await.refuses("invalid_grant", SUB_INVALID);
    let own_host = format!("{}/oauth2/token", sandbox.server.url());
    for audience in [
        json!(own_host),
        json!("https://api.box.com/oauth2/token/"),
        json!(["https://api.box.com/oauth2/token"]),
    ] {
        sandbox.grant_with(|claims| claims["aud"] = audience).await.refuses("invalid_grant", "'aud'");
    }
    sandbox
        .grant_with(|claims| claims["iss"] = json!("x"))
        .await
        .refuses("invalid_grant", "check the 'iss' claim");
    sandbox
        .grant_with(|claims| claims["box_sub_type"] = json!("group"))
        .await
        .refuses("invalid_grant", "'box_sub_type'");
}

#[tokio::test]
async fn the_kid_selects_the_key() {
    let sandbox = TestSandbox::new().await;
    let claims = || sandbox.claims("enterprise", ENTERPRISE);
    let kid = sandbox.app.public_key_id.as_str();
    let reply = sandbox.grant(&sign(&OTHER_KEY, Algorithm::RS256, Some(kid), &claims())).await;
    reply.refuses("invalid_grant", "Signature verification error. The public key identified by 'kid'");
    let unknown = sandbox.grant(&sign(&KEY, Algorithm::RS256, Some("gone"), &claims())).await;
    unknown.refuses("invalid_grant", "'kid' invalid, unable to lookup correct key");
    sandbox.grant(&sign(&KEY, Algorithm::RS256, None, &claims())).await.token();

    let second = json!({ "add_keys": [{ "kid": "second", "public_key": OTHER_KEY.public_pem() }] });
    sandbox.patch_app(&sandbox.app.client_id, second).await;
    sandbox
        .grant(&sign(&KEY, Algorithm::RS256, None, &claims()))
        .await
        .refuses("invalid_grant", "'kid' invalid");
    sandbox.grant(&sign(&OTHER_KEY, Algorithm::RS256, Some("second"), &claims())).await.token();
    sandbox.patch_app(&sandbox.app.client_id, json!({ "remove_keys": [kid] })).await;
    sandbox.grant(&sandbox.sign(&claims())).await.refuses("invalid_grant", "'kid' invalid");
}

#[tokio::test]
async fn client_credentials_and_grant_type_are_checked_first() {
    let sandbox = TestSandbox::new().await;
    let assertion = sandbox.sign(&sandbox.claims("enterprise", ENTERPRISE));
    for (field, value) in [(1, "nobody"), (2, "wrong")] {
        let mut fields = sandbox.grant_fields(&assertion);
        fields[field].1 = value;
        sandbox
            .form("/oauth2/token", &fields)
            .await
            .refuses("invalid_client", "client credentials are invalid");
    }
    let fields = [
        ("grant_type", JWT),
        ("client_id", sandbox.ccg.client_id.as_str()),
        ("client_secret", sandbox.ccg.client_secret.as_str()),
        ("assertion", assertion.as_str()),
    ];
    let wrong_method = "grant type is unauthorized for this client_id";
    sandbox.form("/oauth2/token", &fields).await.refuses("invalid_request", wrong_method);
    sandbox.patch_app(&sandbox.ccg.client_id, json!({ "auth": "jwt" })).await;
    let secret = sandbox.ccg.client_secret.as_str();
    sandbox.ccg(secret, "enterprise", ENTERPRISE).await.refuses("invalid_request", wrong_method);
    sandbox.form("/oauth2/token", &[("grant_type", "password")]).await.refuses("unsupported_grant_type", "");
    let twice = [("grant_type", JWT), ("client_id", "a"), ("client_id", "b")];
    sandbox.form("/oauth2/token", &twice).await.refuses("invalid_request", "more than once");
}

#[tokio::test]
async fn the_subject_must_exist_in_an_enterprise_that_authorised_the_app() {
    let sandbox = TestSandbox::new().await;
    for (kind, id) in [("enterprise", "0"), ("enterprise", ADA), ("user", ENTERPRISE), ("user", "1")] {
        sandbox.mint(kind, id).await.refuses("invalid_grant", SUB_INVALID);
    }
    sandbox.mint("enterprise", OTHER_ENTERPRISE).await.token();
    sandbox.mint("user", OTHER_ADA).await.token();
    sandbox.patch_app(&sandbox.app.client_id, json!({ "authorized": [ENTERPRISE] })).await;
    for (kind, id) in [("enterprise", OTHER_ENTERPRISE), ("user", OTHER_ADA)] {
        let reply = sandbox.mint(kind, id).await;
        reply.refuses("unauthorized_client", "This app is not authorized by the enterprise admin");
    }
}

#[tokio::test]
async fn user_tokens_require_the_settings_of_the_app() {
    let sandbox = TestSandbox::new().await;
    let client_id = &sandbox.app.client_id;
    sandbox.mint("user", ADA).await.token();
    sandbox.mint("user", TESS).await.refuses("terms_of_service_required", "");
    let own = sandbox.read("/2.0/users/me", &sandbox.service_token().await).await;
    sandbox.mint("user", own["id"].as_str().unwrap()).await.refuses("invalid_request", CANNOT_OBTAIN);

    sandbox.patch_app(client_id, json!({ "enterprise_access": false })).await;
    sandbox.mint("user", ADA).await.refuses("invalid_request", CANNOT_OBTAIN);
    sandbox.mint("user", APOLLO).await.token();
    sandbox.patch_app(client_id, json!({ "user_tokens": false })).await;
    sandbox.mint("user", APOLLO).await.refuses("invalid_request", CANNOT_OBTAIN);
    sandbox.service_token().await;
}

#[tokio::test]
async fn client_credentials_yield_a_token_or_boxs_own_error() {
    let sandbox = TestSandbox::new().await;
    let secret = sandbox.ccg.client_secret.as_str();
    sandbox.ccg(secret, "enterprise", ENTERPRISE).await.token();
    sandbox.ccg(secret, "user", ADA).await.token();
    let invalid = "Grant credentials are invalid";
    sandbox.ccg("wrong", "enterprise", ENTERPRISE).await.refuses("invalid_grant", invalid);
    sandbox.ccg(secret, "enterprise", "0").await.refuses("invalid_grant", invalid);
    sandbox.ccg(secret, "enterprise", OTHER_ENTERPRISE).await.refuses("invalid_grant", invalid);
    sandbox.ccg(secret, "user", OTHER_ADA).await.refuses("invalid_grant", invalid);
    sandbox.ccg(secret, "user", TESS).await.refuses("terms_of_service_required", "");
    sandbox.patch_app(&sandbox.ccg.client_id, json!({ "user_tokens": false })).await;
    let reply = sandbox.ccg(secret, "user", ADA).await;
    reply.refuses("unauthorized_client", "\"box_subject_type\" value is unauthorized");
}

#[tokio::test]
async fn a_config_without_a_key_makes_a_client_credentials_app() {
    TestSandbox::with(|world, app| assert_eq!(world.app(&app.client_id).unwrap().auth, AppAuthMethod::Jwt))
        .await;
    let sandbox = TestSandbox::new().await;
    let shown = sandbox.control("GET", &format!("/apps/{}", sandbox.ccg.client_id), None).await;
    assert_eq!(shown.body["auth"], "ccg");
}
