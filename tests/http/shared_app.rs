//! Two enterprises on one vendor's app: neither gets a token of the other's user.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Harness, NORTH, SOUTH};
use crate::token_requests::{any_token, eventually, user};

const NORTHS_ADA: &str = "10000003001";
const NORTHS_GRACE: &str = "10000003002";
const SOUTHS_ADA: &str = "10000004001";

const MEMBERSHIP: &str = "path=/2.0/users/me";

/// Both enterprises as tenants of the shared app, and the keys of a service of each.
async fn portal() -> (Harness, String, String) {
    let harness = Harness::new().await;
    let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "vendor", "config": config })).await.is(201);
    for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
        let body = json!({ "tenant": tenant, "app": "vendor", "enterprise_id": enterprise });
        harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
    }
    let north = harness.service("north", any_token("north")).await;
    let south = harness.service("south", any_token("south")).await;
    (harness, north, south)
}

fn of(user: &str) -> String {
    format!("subject=user:{user}")
}

#[tokio::test]
async fn s14_each_enterprise_of_a_shared_app_is_refused_the_others_user() {
    let (harness, north, south) = portal().await;
    let own = [(&north, "north", NORTHS_ADA), (&south, "south", SOUTHS_ADA)];
    let foreign = [(&north, "north", SOUTHS_ADA), (&south, "south", NORTHS_ADA)];
    // Before, and when the other has the token already.
    for _ in 0..2 {
        for (key, tenant, id) in foreign {
            let reply = harness.user_token(key, tenant, id).await;
            assert!(!reply.body.to_string().contains("access_token"));
            reply.refuses(424, "subject_invalid");
            let sha256 = harness.issued(&of(id)).await.pop().unwrap();
            eventually("what Box gave dies", async || {
                harness.known_by_sha256(&sha256).await["live"] == false
            })
            .await;
        }
        for (key, tenant, id) in own {
            let token = harness.user_token(key, tenant, id).await.token();
            assert_eq!(harness.known_at_box(&token).await["live"], true);
        }
        harness.clock.advance(Duration::from_secs(10));
    }
    harness.end().await;
}

#[tokio::test]
async fn s14_no_downscoped_token_of_the_others_user_leaves() {
    let (harness, north, south) = portal().await;
    harness.user_token(&south, "south", SOUTHS_ADA).await.token();
    let exchanges = harness.exchanges().await;
    let body = json!({ "subject": user(SOUTHS_ADA), "scopes": ["item_preview"] });
    harness.downscoped(&north, "north", body.clone()).await.refuses(424, "subject_invalid");
    assert_eq!(harness.exchanges().await, exchanges);
    harness.downscoped(&south, "south", body).await.token();
    harness.end().await;
}

#[tokio::test]
async fn s14_a_refused_user_does_not_come_back_from_the_store() {
    let (mut harness, north, _) = portal().await;
    harness.user_token(&north, "north", SOUTHS_ADA).await.refuses(424, "subject_invalid");
    harness.restart().await;
    harness.user_token(&north, "north", SOUTHS_ADA).await.refuses(424, "subject_invalid");
    harness.end().await;
}

#[tokio::test]
async fn invariant_13_a_user_without_an_enterprise_or_an_answer_gets_no_token() {
    let (harness, north, _) = portal().await;
    for (status, body, refusal) in [
        (200, json!({ "type": "user", "id": NORTHS_ADA, "enterprise": null }), (424, "subject_invalid")),
        (200, json!({ "type": "user", "id": NORTHS_ADA }), (424, "subject_invalid")),
        (200, json!({ "enterprise": { "type": "enterprise", "id": SOUTH } }), (424, "subject_invalid")),
        (200, json!([]), (502, "upstream_protocol")),
        (503, json!(null), (503, "upstream_unavailable")),
    ] {
        let effect = json!({ "status": status, "body": body });
        harness.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": effect })).await;
        harness.user_token(&north, "north", NORTHS_ADA).await.refuses(refusal.0, refusal.1);
        harness.all_die_at_box(&of(NORTHS_ADA)).await;
        harness.heal().await;
        harness.clock.advance(Duration::from_secs(10));
    }
    harness.user_token(&north, "north", NORTHS_ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn invariant_13_membership_is_asked_once_per_user_and_generation() {
    let (harness, north, _) = portal().await;
    let before = harness.count(MEMBERSHIP).await;
    let first = harness.user_token(&north, "north", NORTHS_ADA).await.token();
    assert_eq!(harness.count(MEMBERSHIP).await, before + 1);
    // A new mint asks no more.
    harness.clock.advance(Duration::from_secs(3600));
    assert_ne!(harness.user_token(&north, "north", NORTHS_ADA).await.token(), first);
    assert_eq!(harness.count(MEMBERSHIP).await, before + 1);
    harness.user_token(&north, "north", NORTHS_GRACE).await.token();
    assert_eq!(harness.count(MEMBERSHIP).await, before + 2);
    // A new generation asks again.
    harness.delete(&harness.admin, "/v1/tenants/north").await.is(204);
    harness.change_tenant("north", json!({ "state": "active" })).await;
    harness.user_token(&north, "north", NORTHS_ADA).await.token();
    assert_eq!(harness.count(MEMBERSHIP).await, before + 3);
    harness.end().await;
}

#[tokio::test]
async fn invariant_13_service_accounts_and_apps_of_one_tenant_need_no_proof() {
    let (harness, north, _) = portal().await;
    harness.register("acme", &harness.apps.acme).await;
    let before = harness.count(MEMBERSHIP).await;
    harness.clock.advance(Duration::from_secs(3600));
    harness.token(&north, "north").await.token();
    harness.user_token(&harness.admin, "acme", crate::harness::ADA).await.token();
    assert_eq!(harness.count(MEMBERSHIP).await, before);
    harness.end().await;
}

#[tokio::test]
async fn the_tokens_of_two_tenants_of_one_app_are_two() {
    let (harness, north, south) = portal().await;
    let (a, b) = (harness.token(&north, "north").await.token(), harness.token(&south, "south").await.token());
    assert_ne!(a, b);
    assert_eq!(harness.known_at_box(&a).await["enterprise"], NORTH);
    assert_eq!(harness.known_at_box(&b).await["enterprise"], SOUTH);
    harness.token(&north, "south").await.refuses(404, "not_found");
    harness.end().await;
}
