//! A pending tenant reserves nothing but its name: who is verified first holds client ID and
//! enterprise.

use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::store::{Conflict, StoreError};
use serde_json::{Value, json};

use crate::harness::{Harness, NORTH, by_config};
use crate::other_processes::{another, by_name, event};
use crate::pending::{calm, later};
use crate::registration::{post, shared_app};
use crate::rotation::read;
use crate::token_requests::{any_token, eventually, side_by_side};

fn on_portal(tenant: &str) -> Value {
    json!({ "tenant": tenant, "app": "portal", "enterprise_id": NORTH })
}

/// Two pending tenants that cannot both come into service.
async fn rivals(shared: bool) -> (Harness, String) {
    let harness = calm().await;
    shared_app(&harness).await;
    for tenant in ["first", "second"] {
        let body = if shared { on_portal(tenant) } else { by_config(tenant, &harness.apps.acme) };
        later(&harness, body).await.is(201);
    }
    let key = harness.service("portal", any_token("*")).await;
    (harness, key)
}

async fn stays_pending_and_says_why(harness: &Harness, tenant: &str) {
    let loser = read(harness, tenant).await;
    let health = &loser["health"];
    assert_eq!((&loser["state"], &health["state"]), (&json!("pending"), &json!("failing")), "{loser}");
    assert_eq!(health["code"], "conflict");
    assert!(health["fix"].is_string());
}

#[tokio::test]
async fn the_first_to_be_verified_holds_client_id_and_enterprise() {
    for shared in [false, true] {
        let (harness, key) = rivals(shared).await;
        let token = harness.token(&key, "second").await.token();
        harness.token(&key, "first").await.refuses(409, "conflict");
        stays_pending_and_says_why(&harness, "first").await;
        harness.broker().run_housekeeping().await;
        stays_pending_and_says_why(&harness, "first").await;
        // Its trials leave no token behind, and the holder goes on.
        let issued = harness.issued("grant=jwt-bearer").await;
        for sha256 in issued {
            let held = sha256 == box_token_broker::crypto::sha256_hex(token.as_bytes());
            eventually("the trial's token dies", async || {
                held || harness.known_by_sha256(&sha256).await["live"] == false
            })
            .await;
        }
        assert_eq!(harness.token(&key, "second").await.token(), token);
        // Once the holder is gone its rival comes into service.
        harness.delete(&harness.admin, "/v1/tenants/second?purge=now").await.is(204);
        harness.token(&key, "first").await.token();
        assert_eq!(read(&harness, "first").await["health"]["state"], "ok");
        harness.end().await;
    }
}

#[tokio::test]
async fn of_two_trials_at_the_same_moment_one_wins() {
    for shared in [false, true] {
        let (harness, key) = rivals(shared).await;
        let (first, second) = (harness.token(&key, "first"), harness.token(&key, "second"));
        let (one, two) = side_by_side(&harness, "/2.0/users/me", first, second).await;
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
        let loser = if one.status == 409 { "first" } else { "second" };
        stays_pending_and_says_why(&harness, loser).await;
        eventually("the loser's token dies", async || {
            harness.count("path=/oauth2/revoke&status=200").await > 0
        })
        .await;
        harness.delete(&harness.admin, &format!("/v1/tenants/{loser}")).await.is(204);
        let winner = if loser == "first" { "second" } else { "first" };
        harness.token(&key, winner).await.token();
        harness.end().await;
    }
}

#[tokio::test]
async fn a_tested_registration_overtakes_a_pending_one() {
    for shared in [false, true] {
        let (harness, key) = rivals(shared).await;
        let body = if shared { on_portal("third") } else { by_config("third", &harness.apps.acme) };
        post(&harness, body).await.is(201);
        for tenant in ["first", "second"] {
            harness.token(&key, tenant).await.refuses(409, "conflict");
            stays_pending_and_says_why(&harness, tenant).await;
        }
        harness.token(&key, "third").await.token();
        // A deleted holder holds on until it is erased.
        harness.delete(&harness.admin, "/v1/tenants/third").await.is(204);
        harness.token(&key, "first").await.refuses(409, "conflict");
        harness.end().await;
    }
}

#[tokio::test]
async fn a_deletion_that_took_it_for_pending_erases_nothing_that_serves() {
    let (harness, key) = rivals(false).await;
    let store = another(&harness).await;
    let stale = store.tenant(&by_name("first")).await.unwrap().unwrap();
    let token = harness.token(&key, "first").await.token();
    let purged = store.purge_pending_tenant(&stale, &event(&harness, AuditAction::TenantPurge)).await;
    assert_eq!(purged, Err(StoreError::Conflict(Conflict::Version)));
    assert_eq!(harness.token(&key, "first").await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn a_pending_name_is_taken() {
    let (harness, _) = rivals(false).await;
    post(&harness, by_config("first", &harness.apps.globex)).await.refuses(409, "conflict");
    later(&harness, on_portal("first")).await.refuses(409, "conflict");
    harness.end().await;
}
