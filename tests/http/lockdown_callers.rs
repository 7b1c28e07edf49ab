//! Lockdown of callers: their keys open nothing, what they could have is dead, and others mint anew.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::{acme, any_token, eventually, meanwhile, user};
use crate::ground::{ADA, FILE, FOLDER, GRACE, Ground};
use crate::lockdown::all_dead;

async fn lock_caller(ground: &Ground, name: &str) -> Value {
    ground.lock_down(&ground.admin, &format!("callers/{name}")).await.is(200)
}

#[tokio::test]
async fn s15_a_locked_callers_key_opens_nothing_and_others_mint_anew() {
    let (mut ground, key) = acme().await;
    let other = ground.service("other", any_token("acme")).await;
    let narrow = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    let old = [
        ground.token(&key, "acme").await.token(),
        ground.user_token(&other, "acme", GRACE).await.token(),
        ground.downscoped(&key, "acme", narrow.clone()).await.token(),
    ];
    // The restricted one was made from a full one of that user.
    assert_eq!(lock_caller(&ground, "portal").await, all_dead(4));
    for token in &old {
        assert!(!ground.is_alive(token).await);
    }
    // A later process does not take what was minted since for what was there before.
    ground.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        ground.token(&key, "acme").await.refuses(401, "unauthenticated");
        ground.get(&key, "/v1/whoami").await.refuses(401, "unauthenticated");
        let new = [
            ground.token(&other, "acme").await.token(),
            ground.user_token(&other, "acme", GRACE).await.token(),
            ground.downscoped(&other, "acme", narrow.clone()).await.token(),
        ];
        for (new, old) in new.iter().zip(&old) {
            assert!(new != old && ground.is_alive(new).await);
        }
        ground.restart().await;
    }
    let shown = ground.get(&ground.admin, "/v1/callers/portal").await.is(200);
    assert_eq!(shown["state"], "locked");

    // With another key it is back once the lock is lifted.
    let made = ground.post(&ground.admin, "/v1/callers/portal/keys", json!({})).await.is(201);
    let next = made["key"].as_str().unwrap();
    ground.token(next, "acme").await.refuses(401, "unauthenticated");
    let leaked = shown["keys"][0]["id"].as_str().unwrap();
    ground.delete(&ground.admin, &format!("/v1/callers/portal/keys/{leaked}")).await.is(204);
    let lifted =
        ground.patch(&ground.admin, "/v1/callers/portal", json!({ "state": "active" })).await.is(200);
    assert_eq!(lifted["state"], "active");
    ground.token(next, "acme").await.token();
    ground.token(&key, "acme").await.refuses(401, "unauthenticated");
    ground.end().await;
}

#[tokio::test]
async fn s15_a_lockdown_reaches_what_the_grants_give_and_nothing_else() {
    let (ground, key) = acme().await;
    ground.register("globex", &ground.apps.globex).await;
    let globex = ground.service("globexs", any_token("globex")).await;
    let file = json!({ "type": "file", "id": FILE });
    let bound = json!([{
        "tenant": "acme", "permissions": ["tokens:downscope"], "subjects": [format!("user:{ADA}")],
        "scopes": ["item_preview", "item_download"], "resources": [file],
    }]);
    let bound = ground.service("bound", bound).await;
    let ask = |subject: &str, scopes: &[&str], resource: Value| json!({ "subject": user(subject), "scopes": scopes, "resource": resource });
    let theirs = ground.downscoped(&bound, "acme", ask(ADA, &["item_preview"], file.clone())).await.token();
    let reached =
        [theirs, ground.downscoped(&key, "acme", ask(ADA, &["item_download"], file.clone())).await.token()];
    let folder = json!({ "type": "folder", "id": FOLDER });
    let spared = [
        ground.user_token(&key, "acme", ADA).await.token(),
        ground.token(&key, "acme").await.token(),
        ground.downscoped(&key, "acme", ask(GRACE, &["item_preview"], file.clone())).await.token(),
        ground.downscoped(&key, "acme", ask(ADA, &["item_preview"], folder)).await.token(),
        ground.downscoped(&key, "acme", ask(ADA, &["item_upload"], file)).await.token(),
        ground.token(&globex, "globex").await.token(),
    ];
    assert_eq!(lock_caller(&ground, "bound").await, all_dead(2));
    for token in &reached {
        assert!(!ground.is_alive(token).await);
    }
    for token in &spared {
        assert!(ground.is_alive(token).await);
    }
    assert_eq!(ground.user_token(&key, "acme", ADA).await.token(), spared[0]);
    assert_eq!(ground.token(&globex, "globex").await.token(), spared[5]);
    ground.end().await;
}

#[tokio::test]
async fn s15_grants_by_labels_and_on_every_tenant_reach_those_tenants() {
    let ground = Ground::new().await;
    let [north, south] = ground.two_on_one_app().await;
    ground.change_tenant("north", json!({ "labels": { "tier": "gold" } })).await;
    let grants = |selector: Value| {
        let mut grant = selector;
        grant["permissions"] = json!(["tokens:mint"]);
        json!([grant])
    };
    ground.service("golden", grants(json!({ "labels": { "tier": "gold" } }))).await;
    ground.service("every", grants(json!({ "tenant": "*" }))).await;
    let (one, two) =
        (ground.token(&north, "north").await.token(), ground.token(&south, "south").await.token());
    assert_eq!(lock_caller(&ground, "golden").await, all_dead(1));
    assert!(!ground.is_alive(&one).await && ground.is_alive(&two).await);
    let anew = ground.token(&north, "north").await.token();
    assert_eq!(lock_caller(&ground, "every").await, all_dead(2));
    assert!(!ground.is_alive(&anew).await && !ground.is_alive(&two).await);
    ground.end().await;
}

#[tokio::test]
async fn s15_a_mint_that_a_callers_lockdown_overtakes_is_served_to_nobody() {
    let of_ada = format!("grant=jwt-bearer&subject=user:{ADA}");
    let (ground, key) = acme().await;
    let other = ground.service("other", any_token("acme")).await;
    // Both wait for the same mint.
    let both = async {
        let (locked, free) =
            tokio::join!(ground.user_token(&key, "acme", ADA), ground.user_token(&other, "acme", ADA));
        locked.refuses(401, "unauthenticated");
        free
    };
    let change = async { drop(lock_caller(&ground, "portal").await) };
    let token = meanwhile(&ground, "jwt-bearer", both, change).await.token();
    let issued = ground.issued(&of_ada).await;
    assert_eq!(issued.len(), 2);
    eventually("the first is dead", async || ground.known_by_sha256(&issued[0]).await["live"] == false).await;
    assert!(ground.is_alive(&token).await);
    assert_eq!(ground.user_token(&other, "acme", ADA).await.token(), token);
    ground.end().await;
}

#[tokio::test]
async fn locking_a_caller_again_ends_what_was_minted_since() {
    let (ground, _) = acme().await;
    let other = ground.service("other", any_token("acme")).await;
    let first = ground.token(&other, "acme").await.token();
    assert_eq!(lock_caller(&ground, "portal").await, all_dead(1));
    let second = ground.token(&other, "acme").await.token();
    assert_eq!(lock_caller(&ground, "portal").await, all_dead(1));
    assert!(!ground.is_alive(&first).await && !ground.is_alive(&second).await);
    ground.token(&other, "acme").await.token();
    ground.end().await;
}

#[tokio::test]
async fn a_locked_caller_can_be_read_renamed_and_deleted() {
    let (ground, key) = acme().await;
    lock_caller(&ground, "portal").await;
    ground.patch(&ground.admin, "/v1/callers/portal", json!({ "name": "gone" })).await.is(200);
    ground.token(&key, "acme").await.refuses(401, "unauthenticated");
    for wrong in ["locked", "suspended", ""] {
        let change = json!({ "state": wrong });
        ground.patch(&ground.admin, "/v1/callers/gone", change).await.refuses(422, "invalid");
    }
    // What is active already is so.
    ground.patch(&ground.admin, "/v1/callers/root", json!({ "state": "active" })).await.is(200);
    ground.delete(&ground.admin, "/v1/callers/gone").await.is(204);
    ground.token(&key, "acme").await.refuses(401, "unauthenticated");
    ground.end().await;
}
