//! Lockdown of callers: their keys open nothing, what they could have is dead, and others mint anew.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, FILE, FOLDER, GRACE, Harness};
use crate::lockdown::all_dead;
use crate::token_requests::{acme, any_token, eventually, meanwhile, user};

async fn lock_caller(harness: &Harness, name: &str) -> Value {
    harness.lock_down(&harness.admin, &format!("callers/{name}")).await.is(200)
}

#[tokio::test]
async fn s15_a_locked_callers_key_opens_nothing_and_others_mint_anew() {
    let (mut harness, key) = acme().await;
    let other = harness.service("other", any_token("acme")).await;
    let narrow = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    let old = [
        harness.token(&key, "acme").await.token(),
        harness.user_token(&other, "acme", GRACE).await.token(),
        harness.downscoped(&key, "acme", narrow.clone()).await.token(),
    ];
    // The restricted one was made from a full one of that user.
    assert_eq!(lock_caller(&harness, "portal").await, all_dead(4));
    for token in &old {
        assert!(!harness.is_alive(token).await);
    }
    // A later process does not take what was minted since for what was there before.
    harness.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        harness.token(&key, "acme").await.refuses(401, "unauthenticated");
        harness.get(&key, "/v1/whoami").await.refuses(401, "unauthenticated");
        let new = [
            harness.token(&other, "acme").await.token(),
            harness.user_token(&other, "acme", GRACE).await.token(),
            harness.downscoped(&other, "acme", narrow.clone()).await.token(),
        ];
        for (new, old) in new.iter().zip(&old) {
            assert!(new != old && harness.is_alive(new).await);
        }
        harness.restart().await;
    }
    let shown = harness.get(&harness.admin, "/v1/callers/portal").await.is(200);
    assert_eq!(shown["state"], "locked");

    // With another key it is back once the lock is lifted.
    let made = harness.post(&harness.admin, "/v1/callers/portal/keys", json!({})).await.is(201);
    let next = made["key"].as_str().unwrap();
    harness.token(next, "acme").await.refuses(401, "unauthenticated");
    let leaked = shown["keys"][0]["id"].as_str().unwrap();
    harness.delete(&harness.admin, &format!("/v1/callers/portal/keys/{leaked}")).await.is(204);
    let lifted =
        harness.patch(&harness.admin, "/v1/callers/portal", json!({ "state": "active" })).await.is(200);
    assert_eq!(lifted["state"], "active");
    harness.token(next, "acme").await.token();
    harness.token(&key, "acme").await.refuses(401, "unauthenticated");
    harness.end().await;
}

#[tokio::test]
async fn s15_a_lockdown_reaches_what_the_grants_give_and_nothing_else() {
    let (harness, key) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let globex = harness.service("globexs", any_token("globex")).await;
    let file = json!({ "type": "file", "id": FILE });
    let bound = json!([{
        "tenant": "acme", "permissions": ["tokens:downscope"], "subjects": [format!("user:{ADA}")],
        "scopes": ["item_preview", "item_download"], "resources": [file],
    }]);
    let bound = harness.service("bound", bound).await;
    let ask = |subject: &str, scopes: &[&str], resource: Value| json!({ "subject": user(subject), "scopes": scopes, "resource": resource });
    let theirs = harness.downscoped(&bound, "acme", ask(ADA, &["item_preview"], file.clone())).await.token();
    let reached =
        [theirs, harness.downscoped(&key, "acme", ask(ADA, &["item_download"], file.clone())).await.token()];
    let folder = json!({ "type": "folder", "id": FOLDER });
    let spared = [
        harness.user_token(&key, "acme", ADA).await.token(),
        harness.token(&key, "acme").await.token(),
        harness.downscoped(&key, "acme", ask(GRACE, &["item_preview"], file.clone())).await.token(),
        harness.downscoped(&key, "acme", ask(ADA, &["item_preview"], folder)).await.token(),
        harness.downscoped(&key, "acme", ask(ADA, &["item_upload"], file)).await.token(),
        harness.token(&globex, "globex").await.token(),
    ];
    assert_eq!(lock_caller(&harness, "bound").await, all_dead(2));
    for token in &reached {
        assert!(!harness.is_alive(token).await);
    }
    for token in &spared {
        assert!(harness.is_alive(token).await);
    }
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), spared[0]);
    assert_eq!(harness.token(&globex, "globex").await.token(), spared[5]);
    harness.end().await;
}

#[tokio::test]
async fn s15_grants_by_labels_and_on_every_tenant_reach_those_tenants() {
    let harness = Harness::new().await;
    let [north, south] = harness.two_on_one_app().await;
    harness.change_tenant("north", json!({ "labels": { "tier": "gold" } })).await;
    let grants = |selector: Value| {
        let mut grant = selector;
        grant["permissions"] = json!(["tokens:mint"]);
        json!([grant])
    };
    harness.service("golden", grants(json!({ "labels": { "tier": "gold" } }))).await;
    harness.service("every", grants(json!({ "tenant": "*" }))).await;
    let (one, two) =
        (harness.token(&north, "north").await.token(), harness.token(&south, "south").await.token());
    assert_eq!(lock_caller(&harness, "golden").await, all_dead(1));
    assert!(!harness.is_alive(&one).await && harness.is_alive(&two).await);
    let anew = harness.token(&north, "north").await.token();
    assert_eq!(lock_caller(&harness, "every").await, all_dead(2));
    assert!(!harness.is_alive(&anew).await && !harness.is_alive(&two).await);
    harness.end().await;
}

#[tokio::test]
async fn s15_a_mint_that_a_callers_lockdown_overtakes_is_served_to_nobody() {
    let of_ada = format!("grant=jwt-bearer&subject=user:{ADA}");
    let (harness, key) = acme().await;
    let other = harness.service("other", any_token("acme")).await;
    // Both wait for the same mint.
    let both = async {
        let (locked, free) =
            tokio::join!(harness.user_token(&key, "acme", ADA), harness.user_token(&other, "acme", ADA));
        locked.refuses(401, "unauthenticated");
        free
    };
    let change = async { drop(lock_caller(&harness, "portal").await) };
    let token = meanwhile(&harness, "jwt-bearer", both, change).await.token();
    let issued = harness.issued(&of_ada).await;
    assert_eq!(issued.len(), 2);
    eventually("the first is dead", async || harness.known_by_sha256(&issued[0]).await["live"] == false)
        .await;
    assert!(harness.is_alive(&token).await);
    assert_eq!(harness.user_token(&other, "acme", ADA).await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn locking_a_caller_again_ends_what_was_minted_since() {
    let (harness, _) = acme().await;
    let other = harness.service("other", any_token("acme")).await;
    let first = harness.token(&other, "acme").await.token();
    assert_eq!(lock_caller(&harness, "portal").await, all_dead(1));
    let second = harness.token(&other, "acme").await.token();
    assert_eq!(lock_caller(&harness, "portal").await, all_dead(1));
    assert!(!harness.is_alive(&first).await && !harness.is_alive(&second).await);
    harness.token(&other, "acme").await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_locked_caller_can_be_read_renamed_and_deleted() {
    let (harness, key) = acme().await;
    lock_caller(&harness, "portal").await;
    harness.patch(&harness.admin, "/v1/callers/portal", json!({ "name": "gone" })).await.is(200);
    harness.token(&key, "acme").await.refuses(401, "unauthenticated");
    for wrong in ["locked", "suspended", ""] {
        let change = json!({ "state": wrong });
        harness.patch(&harness.admin, "/v1/callers/gone", change).await.refuses(422, "invalid");
    }
    // What is active already is so.
    harness.patch(&harness.admin, "/v1/callers/root", json!({ "state": "active" })).await.is(200);
    harness.delete(&harness.admin, "/v1/callers/gone").await.is(204);
    harness.token(&key, "acme").await.refuses(401, "unauthenticated");
    harness.end().await;
}
