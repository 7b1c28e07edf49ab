//! Token exchange: restrictions and scopes, errors, revocation.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::harness::{
    ACCESS_TOKEN, ADA, ADAS_NOTES, CONTRACT_PDF, CONTRACTS, CONTRACTS_2024, EXCHANGE, INVOICE_PDF, INVOICES,
    OFFER_DOCX, Reply, TestSandbox,
};

fn folder(id: &str) -> String {
    format!("https://api.box.com/2.0/folders/{id}")
}

#[tokio::test]
async fn a_downscoped_token_is_restricted_to_its_folder_and_scopes() {
    let sandbox = TestSandbox::new().await;
    let parent = sandbox.service_token().await;
    let resource = folder(CONTRACTS);
    let reply = sandbox.exchange(&parent, "base_preview item_download", &[("resource", &resource)]).await;
    assert_eq!(reply.body["expires_in"], 4175);
    assert_eq!(reply.body["issued_token_type"], ACCESS_TOKEN);
    let restricted = reply.body["restricted_to"].as_array().unwrap();
    let scopes: Vec<_> = restricted.iter().map(|entry| entry["scope"].as_str().unwrap()).collect();
    assert_eq!(scopes, ["base_preview", "item_download"]);
    assert!(restricted.iter().all(|entry| entry["object"]["id"] == CONTRACTS));
    assert_eq!(restricted[0]["object"]["type"], "folder");

    let child = reply.token();
    for inside in [format!("/2.0/folders/{CONTRACTS}/items"), format!("/2.0/files/{OFFER_DOCX}")] {
        assert_eq!(sandbox.status(&inside, &child).await, 200, "{inside}");
    }
    let outside = [format!("/2.0/files/{INVOICE_PDF}"), format!("/2.0/folders/{INVOICES}")];
    for outside in
        outside.iter().map(String::as_str).chain(["/2.0/folders/0", "/2.0/users/me", "/2.0/files/1"])
    {
        assert_eq!(sandbox.status(outside, &child).await, 403, "{outside}");
    }
    let writing = sandbox.exchange(&parent, "base_upload", &[("resource", &resource)]).await.token();
    assert_eq!(sandbox.status(&format!("/2.0/folders/{CONTRACTS}"), &writing).await, 403);
}

#[tokio::test]
async fn a_downscoped_token_without_resource_sees_what_its_subject_sees() {
    let sandbox = TestSandbox::new().await;
    let parent = sandbox.mint("user", ADA).await.token();
    let reply = sandbox.exchange(&parent, "base_explorer", &[]).await;
    assert_eq!(reply.body["restricted_to"], json!([]));
    let child = reply.token();
    assert_eq!(sandbox.status(&format!("/2.0/folders/{ADAS_NOTES}"), &child).await, 200);
    assert_eq!(sandbox.status(&format!("/2.0/folders/{INVOICES}"), &child).await, 404);
}

#[tokio::test]
async fn an_exchange_accepts_only_resources_that_the_subject_sees() {
    let sandbox = TestSandbox::new().await;
    let ada = sandbox.mint("user", ADA).await.token();
    for resource in [
        folder(INVOICES),
        folder("1"),
        format!("https://api.box.com/2.0/files/{CONTRACTS}"),
        format!("{}/2.0/folders/{CONTRACTS}", sandbox.server.url()),
        format!("{}/", folder(CONTRACTS)),
    ] {
        let reply = sandbox.exchange(&ada, "item_preview", &[("resource", &resource)]).await;
        reply.refuses("invalid_resource", "The target resource is invalid");
    }
    let file = format!("https://api.box.com/2.0/files/{CONTRACT_PDF}");
    sandbox.exchange(&ada, "item_preview", &[("resource", &file)]).await.token();
}

#[tokio::test]
async fn a_token_exchanged_for_a_shared_link_reaches_its_item() {
    let sandbox = TestSandbox::new().await;
    let ada = sandbox.mint("user", ADA).await.token();
    let link = format!("https://app.box.com/s/sandbox-{INVOICE_PDF}");
    let reply = sandbox.exchange(&ada, "item_preview", &[("box_shared_link", &link)]).await;
    assert_eq!(reply.body["restricted_to"][0]["object"]["id"], INVOICE_PDF);
    let child = reply.token();
    assert_eq!(sandbox.status(&format!("/2.0/files/{INVOICE_PDF}"), &child).await, 200);
    assert_eq!(sandbox.status(&format!("/2.0/files/{CONTRACT_PDF}"), &child).await, 403);
    let both = [("box_shared_link", link.as_str()), ("resource", &folder(CONTRACTS))];
    sandbox.exchange(&ada, "item_preview", &both).await.refuses("invalid_request", "Only one");
    let unknown = [("box_shared_link", "https://app.box.com/s/nowhere")];
    sandbox.exchange(&ada, "item_preview", &unknown).await.refuses("invalid_resource", "");
}

#[tokio::test]
async fn requested_scopes_must_be_known_and_granted() {
    let sandbox = TestSandbox::new().await;
    sandbox.patch_app(&sandbox.app.client_id, json!({ "scopes": ["item_preview", "root_readonly"] })).await;
    let parent = sandbox.service_token().await;
    sandbox.exchange(&parent, "item_preview", &[]).await.token();
    sandbox.exchange(&parent, "item_fly", &[]).await.refuses("invalid_scope", "item_fly");
    let reply = sandbox.exchange(&parent, "item_upload", &[]).await;
    assert_eq!((reply.status.as_u16(), &reply.body["error"]), (401, &json!("insufficient_scope")));
    sandbox.exchange(&parent, " ", &[]).await.refuses("invalid_request", "'scope'");
}

#[tokio::test]
async fn a_second_exchange_never_widens_a_token() {
    let sandbox = TestSandbox::new().await;
    let parent = sandbox.service_token().await;
    let child = sandbox.exchange(&parent, "item_preview", &[("resource", &folder(CONTRACTS))]).await.token();
    let inner =
        sandbox.exchange(&child, "item_preview", &[("resource", &folder(CONTRACTS_2024))]).await.token();
    assert_eq!(sandbox.status(&format!("/2.0/files/{CONTRACT_PDF}"), &inner).await, 403);
    let wider = sandbox.exchange(&child, "item_preview", &[("resource", &folder(INVOICES))]).await;
    wider.refuses("invalid_resource", "");
    assert_eq!(sandbox.exchange(&child, "item_upload", &[]).await.status, 401);
    let same = sandbox.exchange(&child, "item_preview", &[]).await.token();
    assert_eq!(sandbox.status(&format!("/2.0/folders/{INVOICES}"), &same).await, 403);
}

#[tokio::test]
async fn only_a_live_token_can_be_exchanged_and_only_by_its_own_client() {
    let sandbox = TestSandbox::new().await;
    sandbox.exchange("made-up", "item_preview", &[]).await.refuses("invalid_grant", "'subject_token'");
    let parent = sandbox.service_token().await;
    let own = [("client_id", sandbox.app.client_id.as_str()), ("client_secret", &sandbox.app.client_secret)];
    sandbox.exchange(&parent, "item_preview", &own).await.token();
    let other =
        [("client_id", sandbox.ccg.client_id.as_str()), ("client_secret", &sandbox.ccg.client_secret)];
    sandbox.exchange(&parent, "item_preview", &other).await.refuses("invalid_client", "");
    let fields = [("grant_type", EXCHANGE), ("subject_token", &parent), ("scope", "item_preview")];
    sandbox.form("/oauth2/token", &fields).await.refuses("invalid_request", "'subject_token_type'");
    sandbox.clock.advance(Duration::from_secs(3600));
    sandbox.exchange(&parent, "item_preview", &[]).await.refuses("invalid_grant", "'subject_token'");
}

#[tokio::test]
async fn an_unsigned_actor_token_names_the_annotator() {
    let sandbox = TestSandbox::new().await;
    let parent = sandbox.service_token().await;
    let claims = json!({
        "iss": sandbox.app.client_id, "sub": "external-7", "name": "A \"B\" C", "box_sub_type": "external",
        "aud": "https://api.box.com/oauth2/token", "jti": "0123456789abcdef", "exp": sandbox.now() + 30,
    });
    let exchange = async |alg: &str, claims: &Value, signature: &str| -> Reply {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let token = format!("{}.{}.{signature}", part(&json!({ "alg": alg })), part(claims));
        let kind = "urn:ietf:params:oauth:token-type:id_token";
        let fields = [("actor_token", token.as_str()), ("actor_token_type", kind)];
        sandbox.exchange(&parent, "annotation_edit", &fields).await
    };
    let child = exchange("none", &claims, "").await.token();
    let sha256 = sha256(&child);
    let shown = sandbox.control("GET", &format!("/tokens/{sha256}"), None).await.body;
    assert_eq!(shown["annotator"], "external-7");
    exchange("none", &claims, "").await.refuses("invalid_grant", "'jti'");
    exchange("RS256", &claims, "").await.refuses("invalid_grant", "unsigned");
    exchange("none", &claims, "c2ln").await.refuses("invalid_grant", "unsigned");
    for (claim, value) in [("iss", "x"), ("box_sub_type", "user"), ("sub", ""), ("aud", "x")] {
        let mut claims = claims.clone();
        claims[claim] = json!(value);
        exchange("none", &claims, "").await.refuses("invalid_grant", "'actor_token'");
    }
}

#[tokio::test]
async fn revocation_spares_descendants_unless_configured_otherwise() {
    for die in [false, true] {
        let sandbox = TestSandbox::with(|world, _| {
            world.revoke_descendants(die);
        })
        .await;
        let parent = sandbox.service_token().await;
        let child = sandbox.exchange(&parent, "item_preview", &[]).await.token();
        let grandchild = sandbox.exchange(&child, "item_preview", &[]).await.token();
        let (id, secret) = (sandbox.app.client_id.as_str(), sandbox.app.client_secret.as_str());
        let revoke = [("client_id", id), ("client_secret", secret), ("token", &parent)];
        for _ in 0..2 {
            let reply = sandbox.form("/oauth2/revoke", &revoke).await;
            assert_eq!((reply.status.as_u16(), &reply.body), (200, &Value::Null));
        }
        let reply = Reply::of(sandbox.get("/2.0/users/me", &parent).send().await.unwrap()).await;
        assert_eq!(reply.status, 401);
        assert!(reply.header("www-authenticate").starts_with("Bearer "));
        let expected = if die { 401 } else { 200 };
        for token in [&child, &grandchild] {
            assert_eq!(sandbox.status("/2.0/folders/0", token).await, expected);
        }
    }
}

#[tokio::test]
async fn a_token_can_be_revoked_with_its_clients_credentials_or_without_any() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let wrong = [("client_id", sandbox.app.client_id.as_str()), ("client_secret", "x"), ("token", &token)];
    sandbox.form("/oauth2/revoke", &wrong).await.refuses("invalid_client", "client credentials are invalid");
    let other = [
        ("client_id", sandbox.ccg.client_id.as_str()),
        ("client_secret", &sandbox.ccg.client_secret),
        ("token", &token),
    ];
    sandbox.form("/oauth2/revoke", &other).await.refuses("unauthorized_client", "not issued to this client");
    let half = [("client_id", sandbox.app.client_id.as_str()), ("token", &token)];
    sandbox.form("/oauth2/revoke", &half).await.refuses("invalid_request", "'client_secret'");
    assert_eq!(sandbox.status("/2.0/users/me", &token).await, 200);
    assert_eq!(sandbox.form("/oauth2/revoke", &[("token", &token)]).await.status, 200);
    assert_eq!(sandbox.status("/2.0/users/me", &token).await, 401);
}

fn sha256(text: &str) -> String {
    use rsa::sha2::{Digest as _, Sha256};
    hex::encode(Sha256::digest(text))
}
