//! Tokens that Box does not take back at once: they wait, over restarts too, and die once it is back.

use std::time::Duration;

use box_token_broker::clock::Clock as _;
use serde_json::json;

use crate::harness::{ADA, GRACE, Harness};
use crate::killed_broker::{Reached, Stop, crash, step, today};
use crate::lockdown::all_dead;
use crate::token_requests::{acme, any_token, eventually, user};

async fn box_takes_nothing_back(harness: &Harness) {
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
}

/// Lets the longest pause pass, and the keeper come by.
async fn later(harness: &Harness) {
    harness.clock.advance(Duration::from_secs(60));
    harness.broker().run_housekeeping().await;
}

#[tokio::test]
async fn s15_what_waits_for_box_is_dead_once_it_is_back_without_another_call() {
    let (harness, key) = acme().await;
    let tokens =
        [harness.token(&key, "acme").await.token(), harness.user_token(&key, "acme", ADA).await.token()];
    box_takes_nothing_back(&harness).await;
    let toll = harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    assert_eq!(toll, json!({ "tokens": 2, "revoked": 0, "queued": 2, "sessions": 0 }));
    harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    later(&harness).await;
    assert!(harness.is_alive(&tokens[0]).await);
    harness.heal().await;
    later(&harness).await;
    for token in &tokens {
        assert!(!harness.is_alive(token).await);
    }
    assert!(harness.hand().reads("SELECT id FROM tokens").await.is_empty());
    harness.end().await;
}

#[tokio::test]
async fn s15_a_box_that_hangs_holds_no_lockdown_up() {
    let (harness, key) = acme().await;
    let token = harness.token(&key, "acme").await.token();
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "hang": true } })).await;
    let toll = harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    assert_eq!(toll, json!({ "tokens": 1, "revoked": 0, "queued": 1, "sessions": 0 }));
    harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    harness.heal().await;
    // What hung may fail only now, and have the app left alone once more.
    eventually("it is dead", async || {
        harness.clock.advance(Duration::from_secs(1));
        harness.broker().run_housekeeping().await;
        !harness.is_alive(&token).await
    })
    .await;
    let ended_by_itself = harness.known_at_box(&token).await["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(harness.clock.wall() < ended_by_itself);
    harness.end().await;
}

#[tokio::test]
async fn s15_a_new_process_revokes_what_an_earlier_one_could_not() {
    let (mut harness, key) = acme().await;
    let token = harness.token(&key, "acme").await.token();
    box_takes_nothing_back(&harness).await;
    harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    harness.stop().await;
    harness.heal().await;
    harness.start().await;
    eventually("it is dead", async || !harness.is_alive(&token).await).await;
    harness.end().await;
}

#[tokio::test]
async fn s15_a_process_that_was_killed_amid_a_lockdown_is_finished_by_the_next() {
    for (what, kind) in [("tenants/acme", "tenant"), ("callers/portal", "caller")] {
        let mut harness = today().await;
        harness.register("acme", &harness.apps.acme).await;
        let key = harness.service("portal", any_token("acme")).await;
        let other = harness.service("other", any_token("acme")).await;
        let token = harness.user_token(&key, "acme", ADA).await.token();
        let spared = harness.token(&other, "acme").await.token();
        // The lock stands, and the rows are not marked yet.
        let locked = format!("SELECT action FROM audit WHERE action = '{kind}.lockdown'");
        let locked: &'static str = locked.leak();
        let amid = step(what, Stop::Row("UPDATE ON tokens"), Reached::Rows(locked, 1), true);
        crash(&mut harness, &amid, "POST", &format!("/v1/{what}/lockdown"), None).await;
        eventually("all are dead", async || {
            !harness.is_alive(&token).await && !harness.is_alive(&spared).await
        })
        .await;
        match kind {
            "tenant" => drop(harness.token(&other, "acme").await.refuses(403, "tenant_suspended")),
            _ => {
                harness.token(&key, "acme").await.refuses(401, "unauthenticated");
                let anew = harness.user_token(&other, "acme", ADA).await.token();
                assert_ne!(anew, token);
                later(&harness).await;
                assert!(harness.is_alive(&anew).await, "what was minted since then is nobody's leak");
            }
        }
        harness.end().await;
    }
}

#[tokio::test]
async fn one_apps_trouble_keeps_no_other_apps_tokens_alive() {
    let (harness, acmes) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let globexs = harness.service("globexs", any_token("globex")).await;
    let (one, two) =
        (harness.token(&acmes, "acme").await.token(), harness.token(&globexs, "globex").await.token());
    box_takes_nothing_back(&harness).await;
    harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    harness.lock_down(&harness.admin, "tenants/globex").await.is(200);
    harness.heal().await;
    let client_id = &harness.apps.acme.client_id;
    harness
        .fault(json!({ "select": { "path": "/oauth2/revoke", "client_id": client_id }, "effect": { "status": 503 } }))
        .await;
    later(&harness).await;
    assert!(harness.is_alive(&one).await && !harness.is_alive(&two).await);
    harness.heal().await;
    later(&harness).await;
    assert!(!harness.is_alive(&one).await);
    harness.end().await;
}

#[tokio::test]
async fn a_token_that_was_discarded_while_box_was_away_is_revoked_later() {
    let (harness, _) = acme().await;
    box_takes_nothing_back(&harness).await;
    harness.post(&harness.admin, "/v1/tenants/acme/test", json!({ "user": GRACE })).await.is(200);
    let alive = async || {
        let mut alive = 0;
        for sha256 in harness.issued("path=/oauth2/token").await {
            alive += u32::from(harness.known_by_sha256(&sha256).await["live"] == true);
        }
        alive
    };
    assert!(alive().await > 1);
    harness.heal().await;
    later(&harness).await;
    // The tenant's own first token is in use.
    eventually("the tests' tokens are dead", async || alive().await <= 1).await;
    harness.end().await;
}

#[tokio::test]
async fn s15_more_tokens_than_one_stretch_holds_are_all_reached() {
    let (harness, key) = acme().await;
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
            harness.downscoped(&key, "acme", json!({ "subject": subject, "scopes": some })).await.token();
            asked += 1;
        }
    }
    // Four times as many stand before them that nobody can open.
    let more = "INSERT INTO tokens SELECT id || '{}', tenant_id, app_id, generation, subject, key_digest, \
                fingerprint, minted_at, expires_at - 3000000, discarded, sealed, mac_key, mac FROM tokens WHERE \
                length(id) = (SELECT MIN(length(id)) FROM tokens)";
    for suffix in ["a", "b", "c", "d"] {
        harness.hand().does(&more.replace("{}", suffix)).await;
    }
    let rows = harness.hand().reads("SELECT id FROM tokens").await.len();
    assert!(rows > 900, "{rows}");
    let toll = harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    assert_eq!(toll["tokens"], rows);
    harness.all_die_at_box("grant=token-exchange").await;
    assert_eq!(harness.issued("grant=token-exchange").await.len(), asked + 1, "and the registration's test");
    harness.end().await;
}

#[tokio::test]
async fn an_empty_broker_locks_down_to_nothing() {
    let (harness, _) = acme().await;
    harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    assert_eq!(harness.lock_down(&harness.admin, "tenants/acme").await.is(200), all_dead(0));
    harness.lock_down(&harness.admin, "tenants/nobody").await.refuses(404, "not_found");
    harness.end().await;
}
