//! A pending tenant reserves nothing but its name: who is verified first holds client ID and
//! enterprise.

use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::store::{Conflict, StoreError};
use serde_json::{Value, json};

use crate::asking::{any_token, eventually, side_by_side};
use crate::beside::{another, by_name, event};
use crate::ground::{Ground, NORTH, by_config};
use crate::pending::{calm, later};
use crate::registration::{post, shared_app};
use crate::rotation::read;

fn on_portal(tenant: &str) -> Value {
    json!({ "tenant": tenant, "app": "portal", "enterprise_id": NORTH })
}

/// Two pending tenants that cannot both come into service.
async fn rivals(shared: bool) -> (Ground, String) {
    let ground = calm().await;
    shared_app(&ground).await;
    for tenant in ["first", "second"] {
        let body = if shared { on_portal(tenant) } else { by_config(tenant, &ground.apps.acme) };
        later(&ground, body).await.is(201);
    }
    let key = ground.service("portal", any_token("*")).await;
    (ground, key)
}

async fn stays_pending_and_says_why(ground: &Ground, tenant: &str) {
    let loser = read(ground, tenant).await;
    let health = &loser["health"];
    assert_eq!((&loser["state"], &health["state"]), (&json!("pending"), &json!("failing")), "{loser}");
    assert_eq!(health["code"], "conflict");
    assert!(health["fix"].is_string());
}

#[tokio::test]
async fn the_first_to_be_verified_holds_client_id_and_enterprise() {
    for shared in [false, true] {
        let (ground, key) = rivals(shared).await;
        let token = ground.token(&key, "second").await.token();
        ground.token(&key, "first").await.refuses(409, "conflict");
        stays_pending_and_says_why(&ground, "first").await;
        ground.broker().run_housekeeping().await;
        stays_pending_and_says_why(&ground, "first").await;
        // Its trials leave no token behind, and the holder goes on.
        let issued = ground.issued("grant=jwt-bearer").await;
        for sha256 in issued {
            let held = sha256 == box_token_broker::crypto::sha256_hex(token.as_bytes());
            eventually("the trial's token dies", async || {
                held || ground.known_by_sha256(&sha256).await["live"] == false
            })
            .await;
        }
        assert_eq!(ground.token(&key, "second").await.token(), token);
        // Once the holder is gone its rival comes into service.
        ground.delete(&ground.admin, "/v1/tenants/second?purge=now").await.is(204);
        ground.token(&key, "first").await.token();
        assert_eq!(read(&ground, "first").await["health"]["state"], "ok");
        ground.end().await;
    }
}

#[tokio::test]
async fn of_two_trials_at_the_same_moment_one_wins() {
    for shared in [false, true] {
        let (ground, key) = rivals(shared).await;
        let (first, second) = (ground.token(&key, "first"), ground.token(&key, "second"));
        let (one, two) = side_by_side(&ground, "/2.0/users/me", first, second).await;
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
        let loser = if one.status == 409 { "first" } else { "second" };
        stays_pending_and_says_why(&ground, loser).await;
        eventually("the loser's token dies", async || {
            ground.count("path=/oauth2/revoke&status=200").await > 0
        })
        .await;
        ground.delete(&ground.admin, &format!("/v1/tenants/{loser}")).await.is(204);
        let winner = if loser == "first" { "second" } else { "first" };
        ground.token(&key, winner).await.token();
        ground.end().await;
    }
}

#[tokio::test]
async fn a_tested_registration_overtakes_a_pending_one() {
    for shared in [false, true] {
        let (ground, key) = rivals(shared).await;
        let body = if shared { on_portal("third") } else { by_config("third", &ground.apps.acme) };
        post(&ground, body).await.is(201);
        for tenant in ["first", "second"] {
            ground.token(&key, tenant).await.refuses(409, "conflict");
            stays_pending_and_says_why(&ground, tenant).await;
        }
        ground.token(&key, "third").await.token();
        // A deleted holder holds on until it is erased.
        ground.delete(&ground.admin, "/v1/tenants/third").await.is(204);
        ground.token(&key, "first").await.refuses(409, "conflict");
        ground.end().await;
    }
}

#[tokio::test]
async fn a_deletion_that_took_it_for_pending_erases_nothing_that_serves() {
    let (ground, key) = rivals(false).await;
    let store = another(&ground).await;
    let stale = store.tenant(&by_name("first")).await.unwrap().unwrap();
    let token = ground.token(&key, "first").await.token();
    let purged = store.purge_pending_tenant(&stale, &event(&ground, AuditAction::TenantPurge)).await;
    assert_eq!(purged, Err(StoreError::Conflict(Conflict::Version)));
    assert_eq!(ground.token(&key, "first").await.token(), token);
    ground.end().await;
}

#[tokio::test]
async fn a_pending_name_is_taken() {
    let (ground, _) = rivals(false).await;
    post(&ground, by_config("first", &ground.apps.globex)).await.refuses(409, "conflict");
    later(&ground, on_portal("first")).await.refuses(409, "conflict");
    ground.end().await;
}
