//! What goes wrong with secrets at hand: people who put them in the wrong place, and a Box that
//! repeats them.

use box_token_broker::auth::api_key;
use box_token_broker::domain::id::KeyId;
use box_token_broker::entropy::{SystemEntropy, random_base62};
use serde_json::{Value, json};

use crate::api_client::Visitor;
use crate::customers::{Cast, parsed};
use crate::process::Serving;

const REGISTER: (&str, &str) = ("POST", "/v1/tenants");

/// A fresh secret, remembered.
fn secret(visitor: &Visitor, name: &str) -> String {
    let secret = random_base62(&SystemEntropy, 32);
    visitor.keeps(name, &secret);
    secret
}

/// Credentials that open nothing: a typing error, and a key that nobody was given.
pub(crate) async fn wrong_keys(visitor: &Visitor, serving: &Serving, admin: &str) {
    let call = ("GET", "/v1/whoami");
    let mut mistyped = admin.to_owned();
    mistyped.replace_range(admin.len() - 20..admin.len() - 19, "-");
    let unknown = api_key::generate(&KeyId::generate(&SystemEntropy), &SystemEntropy);
    visitor.keeps("an unknown key", unknown.expose().rsplit('_').next().unwrap());
    for key in [mistyped.as_str(), unknown.expose(), &secret(visitor, "a credential of another kind")] {
        visitor.fails(serving, key, call, &Value::Null, "unauthenticated").await;
    }
}

/// Bodies with a secret where none belongs, and credentials that do not fit.
pub(crate) async fn wrong_places(visitor: &Visitor, serving: &Serving, admin: &str, cast: &Cast) {
    let app = &cast.customers[0].app;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({ "tenant": "newcomer", "config": parsed(app) });
        change(&mut body);
        body
    };
    let misplaced = secret(visitor, "a misplaced secret");
    let bodies = [
        with(&|body| body["tenant"] = json!(format!("NEW {misplaced}"))),
        with(&|body| body["auth"] = json!(misplaced)),
        with(&|body| body["labels"] = json!(misplaced)),
        with(&|body| body["display_name"] = json!([misplaced])),
        with(&|body| body["policy"] = json!({ "subjects": [misplaced] })),
        with(&|body| body["policy"] = json!({ "full_tokens": misplaced })),
        with(&|body| body["config"]["boxAppSettings"]["clientSecret"] = json!([misplaced])),
        with(&|body| body["config"]["boxAppSettings"]["appAuth"] = json!(misplaced)),
        with(&|body| body["config"]["boxAppSettings"]["clientID"] = json!(format!("{misplaced}!"))),
        with(&|body| body["config"]["enterpriseID"] = json!(misplaced)),
        with(&|body| body["config"] = json!(misplaced)),
        with(&|body| body["credentials"] = json!({ "client_id": misplaced, "auth": misplaced })),
        json!([misplaced]),
    ];
    for body in bodies {
        let (status, answer) = visitor.asks(serving, admin, REGISTER, &body).await;
        assert!((400..500).contains(&status), "{status} {answer}");
    }
    let tokens = ("POST", "/v1/tenants/customer-1/token");
    for body in [
        json!({ "subject": { "type": misplaced } }),
        json!({ "subject": { "type": "user", "id": misplaced } }),
        json!({ "subject": misplaced }),
        json!({ "min_ttl": misplaced }),
    ] {
        let (status, answer) = visitor.asks(serving, admin, tokens, &body).await;
        assert!((400..500).contains(&status), "{status} {answer}");
    }
    let broken = format!("{{\"tenant\": \"newcomer\", \"config\": {{\"clientSecret\": \"{misplaced}\" ");
    let (status, answer) = visitor.sends(serving, admin, REGISTER, broken).await;
    assert_eq!((status, answer["code"].as_str()), (400, Some("malformed")));

    let passphrase = secret(visitor, "a wrong passphrase");
    let body = with(&|body| body["config"]["boxAppSettings"]["appAuth"]["passphrase"] = json!(passphrase));
    visitor.fails(serving, admin, REGISTER, &body, "wrong_passphrase").await;
    let no_key = secret(visitor, "what is no private key");
    let body = with(&|body| body["config"]["boxAppSettings"]["appAuth"]["privateKey"] = json!(no_key));
    visitor.fails(serving, admin, REGISTER, &body, "invalid_private_key").await;
}

/// Box repeats what it was sent, in errors and in answers that make no sense.
pub(crate) async fn echoes(visitor: &Visitor, serving: &Serving, key: &str, cast: &Cast) {
    for (at, effect) in [
        json!({ "status": 400, "body": { "error": "invalid_grant", "error_description": "you sent SECRET" } }),
        json!({ "status": 400, "body": { "error": "SECRET", "error_description": "client_secret=SECRET&" } }),
        json!({ "status": 401, "body": { "code": "unauthorized", "message": "SECRET", "request_id": "SECRET" } }),
        json!({ "status": 403, "body": "<html>SECRET</html>" }),
        json!({ "status": 500, "body": { "error": "SECRET" }, "retry_after": "SECRET" }),
        json!({ "status": 429, "body": "SECRET", "retry_after": 1 }),
        json!({ "status": 200, "body": { "access_token": ["SECRET"], "expires_in": "SECRET" } }),
        json!({ "status": 200, "body": "SECRET" }),
        json!({ "garbage": true }),
        json!({ "huge_body": true }),
        json!({ "drop": true }),
    ]
    .into_iter()
    .enumerate()
    {
        let customer = &cast.customers[at * 8];
        let effect = effect.to_string().replace("SECRET", &customer.app.client_secret);
        let effect: Value = serde_json::from_str(&effect).unwrap();
        fault(cast, &json!({ "select": { "client_id": customer.app.client_id }, "effect": effect })).await;
        let body = json!({ "subject": { "type": "user", "id": customer.user(2) } });
        let call = ("POST", format!("/v1/tenants/{}/token", customer.name));
        let (status, answer) = visitor.asks(serving, key, (call.0, &call.1), &body).await;
        assert!(status >= 400, "{effect}: {answer}");
    }
    // A parent token, repeated by the exchange that it was sent to.
    let customer = &cast.customers[1];
    let path = format!("/v1/tenants/{}/token", customer.name);
    let token = visitor.gets(serving, key, ("POST", &path), &Value::Null).await;
    let words = format!("the token {} is bad", token["access_token"].as_str().unwrap());
    let body = json!({ "error": "invalid_grant", "error_description": words });
    let effect = json!({ "status": 400, "body": body });
    fault(cast, &json!({ "select": { "grant": "token-exchange" }, "effect": effect })).await;
    let body = json!({ "scopes": ["item_upload"] });
    let (status, answer) = visitor.asks(serving, key, ("POST", &format!("{path}/downscoped")), &body).await;
    assert!(status >= 400, "{answer}");
    let url = format!("{}/sandbox/faults", cast.sandbox.url());
    client().delete(url).send().await.unwrap().error_for_status().unwrap();
}

async fn fault(cast: &Cast, order: &Value) {
    let url = format!("{}/sandbox/faults", cast.sandbox.url());
    client().post(url).json(order).send().await.unwrap().error_for_status().unwrap();
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
