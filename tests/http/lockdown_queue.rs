//! Tokens that Box does not take back at once: they wait, over restarts too, and die once it is back.

use std::time::Duration;

use box_token_broker::clock::Clock as _;
use serde_json::json;

use crate::asking::{acme, any_token, eventually, user};
use crate::crashes::{Reached, Stop, crash, step, today};
use crate::ground::{ADA, GRACE, Ground};
use crate::lockdown::all_dead;

async fn box_takes_nothing_back(ground: &Ground) {
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
}

/// Lets the longest pause pass, and the keeper come by.
async fn later(ground: &Ground) {
    ground.clock.advance(Duration::from_secs(60));
    ground.broker().run_housekeeping().await;
}

#[tokio::test]
async fn s15_what_waits_for_box_is_dead_once_it_is_back_without_another_call() {
    let (ground, key) = acme().await;
    let tokens =
        [ground.token(&key, "acme").await.token(), ground.user_token(&key, "acme", ADA).await.token()];
    box_takes_nothing_back(&ground).await;
    let toll = ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    assert_eq!(toll, json!({ "tokens": 2, "revoked": 0, "queued": 2, "sessions": 0 }));
    ground.token(&key, "acme").await.refuses(403, "tenant_suspended");
    later(&ground).await;
    assert!(ground.is_alive(&tokens[0]).await);
    ground.heal().await;
    later(&ground).await;
    for token in &tokens {
        assert!(!ground.is_alive(token).await);
    }
    assert!(ground.hand().reads("SELECT id FROM tokens").await.is_empty());
    ground.end().await;
}

#[tokio::test]
async fn s15_a_box_that_hangs_holds_no_lockdown_up() {
    let (ground, key) = acme().await;
    let token = ground.token(&key, "acme").await.token();
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "hang": true } })).await;
    let toll = ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    assert_eq!(toll, json!({ "tokens": 1, "revoked": 0, "queued": 1, "sessions": 0 }));
    ground.token(&key, "acme").await.refuses(403, "tenant_suspended");
    ground.heal().await;
    // What hung may fail only now, and have the app left alone once more.
    eventually("it is dead", async || {
        ground.clock.advance(Duration::from_secs(1));
        ground.broker().run_housekeeping().await;
        !ground.is_alive(&token).await
    })
    .await;
    let ended_by_itself = ground.known_at_box(&token).await["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(ground.clock.wall() < ended_by_itself);
    ground.end().await;
}

#[tokio::test]
async fn s15_a_new_process_revokes_what_an_earlier_one_could_not() {
    let (mut ground, key) = acme().await;
    let token = ground.token(&key, "acme").await.token();
    box_takes_nothing_back(&ground).await;
    ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    ground.stop().await;
    ground.heal().await;
    ground.start().await;
    eventually("it is dead", async || !ground.is_alive(&token).await).await;
    ground.end().await;
}

#[tokio::test]
async fn s15_a_process_that_was_killed_amid_a_lockdown_is_finished_by_the_next() {
    for (what, kind) in [("tenants/acme", "tenant"), ("callers/portal", "caller")] {
        let mut ground = today().await;
        ground.register("acme", &ground.apps.acme).await;
        let key = ground.service("portal", any_token("acme")).await;
        let other = ground.service("other", any_token("acme")).await;
        let token = ground.user_token(&key, "acme", ADA).await.token();
        let spared = ground.token(&other, "acme").await.token();
        // The lock stands, and the rows are not marked yet.
        let locked = format!("SELECT action FROM audit WHERE action = '{kind}.lockdown'");
        let locked: &'static str = locked.leak();
        let amid = step(what, Stop::Row("UPDATE ON tokens"), Reached::Rows(locked, 1), true);
        crash(&mut ground, &amid, "POST", &format!("/v1/{what}/lockdown"), None).await;
        eventually("all are dead", async || {
            !ground.is_alive(&token).await && !ground.is_alive(&spared).await
        })
        .await;
        match kind {
            "tenant" => drop(ground.token(&other, "acme").await.refuses(403, "tenant_suspended")),
            _ => {
                ground.token(&key, "acme").await.refuses(401, "unauthenticated");
                let anew = ground.user_token(&other, "acme", ADA).await.token();
                assert_ne!(anew, token);
                later(&ground).await;
                assert!(ground.is_alive(&anew).await, "what was minted since then is nobody's leak");
            }
        }
        ground.end().await;
    }
}

#[tokio::test]
async fn one_apps_trouble_keeps_no_other_apps_tokens_alive() {
    let (ground, acmes) = acme().await;
    ground.register("globex", &ground.apps.globex).await;
    let globexs = ground.service("globexs", any_token("globex")).await;
    let (one, two) =
        (ground.token(&acmes, "acme").await.token(), ground.token(&globexs, "globex").await.token());
    box_takes_nothing_back(&ground).await;
    ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    ground.lock_down(&ground.admin, "tenants/globex").await.is(200);
    ground.heal().await;
    let client_id = &ground.apps.acme.client_id;
    ground
        .fault(json!({ "select": { "path": "/oauth2/revoke", "client_id": client_id }, "effect": { "status": 503 } }))
        .await;
    later(&ground).await;
    assert!(ground.is_alive(&one).await && !ground.is_alive(&two).await);
    ground.heal().await;
    later(&ground).await;
    assert!(!ground.is_alive(&one).await);
    ground.end().await;
}

#[tokio::test]
async fn a_token_that_was_discarded_while_box_was_away_is_revoked_later() {
    let (ground, _) = acme().await;
    box_takes_nothing_back(&ground).await;
    ground.post(&ground.admin, "/v1/tenants/acme/test", json!({ "user": GRACE })).await.is(200);
    let alive = async || {
        let mut alive = 0;
        for sha256 in ground.issued("path=/oauth2/token").await {
            alive += u32::from(ground.known_by_sha256(&sha256).await["live"] == true);
        }
        alive
    };
    assert!(alive().await > 1);
    ground.heal().await;
    later(&ground).await;
    // The tenant's own first token is in use.
    eventually("the tests' tokens are dead", async || alive().await <= 1).await;
    ground.end().await;
}

#[tokio::test]
async fn s15_more_tokens_than_one_stretch_holds_are_all_reached() {
    let (ground, key) = acme().await;
    let scopes = ["item_preview", "item_download", "item_read", "item_upload", "item_share", "item_comment"];
    let mut asked = 0;
    // Each set of scopes is a token of its own.
    for number in 1..1 << scopes.len() {
        let some: Vec<_> = scopes
            .iter()
            .enumerate()
            .filter(|(bit, _)| number >> bit & 1 == 1)
            .map(|(_, scope)| scope)
            .collect();
        for subject in [user(ADA), user(GRACE), json!({ "type": "enterprise" })] {
            ground.downscoped(&key, "acme", json!({ "subject": subject, "scopes": some })).await.token();
            asked += 1;
        }
    }
    // Four times as many stand before them that nobody can open.
    let more = "INSERT INTO tokens SELECT id || '{}', tenant_id, app_id, generation, subject, key_digest, \
                fingerprint, minted_at, expires_at - 3000000, discarded, sealed, mac_key, mac FROM tokens WHERE \
                length(id) = (SELECT MIN(length(id)) FROM tokens)";
    for suffix in ["a", "b", "c", "d"] {
        ground.hand().does(&more.replace("{}", suffix)).await;
    }
    let rows = ground.hand().reads("SELECT id FROM tokens").await.len();
    assert!(rows > 900, "{rows}");
    let toll = ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    assert_eq!(toll["tokens"], rows);
    ground.all_die_at_box("grant=token-exchange").await;
    assert_eq!(ground.issued("grant=token-exchange").await.len(), asked + 1, "and the registration's test");
    ground.end().await;
}

#[tokio::test]
async fn an_empty_broker_locks_down_to_nothing() {
    let (ground, _) = acme().await;
    ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    assert_eq!(ground.lock_down(&ground.admin, "tenants/acme").await.is(200), all_dead(0));
    ground.lock_down(&ground.admin, "tenants/nobody").await.refuses(404, "not_found");
    ground.end().await;
}
