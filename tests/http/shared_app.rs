//! Two enterprises on one vendor's app: neither gets a token of the other's user.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::{any_token, eventually, user};
use crate::ground::{Ground, NORTH, SOUTH};

const NORTHS_ADA: &str = "10000003001";
const NORTHS_GRACE: &str = "10000003002";
const SOUTHS_ADA: &str = "10000004001";

const MEMBERSHIP: &str = "path=/2.0/users/me";

/// Both enterprises as tenants of the shared app, and the keys of a service of each.
async fn portal() -> (Ground, String, String) {
    let ground = Ground::new().await;
    let config: Value = serde_json::from_str(&ground.apps.portal.json).unwrap();
    ground.post(&ground.admin, "/v1/apps", json!({ "app": "vendor", "config": config })).await.is(201);
    for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
        let body = json!({ "tenant": tenant, "app": "vendor", "enterprise_id": enterprise });
        ground.post(&ground.admin, "/v1/tenants", body).await.is(201);
    }
    let north = ground.service("north", any_token("north")).await;
    let south = ground.service("south", any_token("south")).await;
    (ground, north, south)
}

fn of(user: &str) -> String {
    format!("subject=user:{user}")
}

#[tokio::test]
async fn s14_each_enterprise_of_a_shared_app_is_refused_the_others_user() {
    let (ground, north, south) = portal().await;
    let own = [(&north, "north", NORTHS_ADA), (&south, "south", SOUTHS_ADA)];
    let foreign = [(&north, "north", SOUTHS_ADA), (&south, "south", NORTHS_ADA)];
    // Before, and when the other has the token already.
    for _ in 0..2 {
        for (key, tenant, id) in foreign {
            let reply = ground.user_token(key, tenant, id).await;
            assert!(!reply.body.to_string().contains("access_token"));
            reply.refuses(424, "subject_invalid");
            let sha256 = ground.issued(&of(id)).await.pop().unwrap();
            eventually("what Box gave dies", async || ground.known_by_sha256(&sha256).await["live"] == false)
                .await;
        }
        for (key, tenant, id) in own {
            let token = ground.user_token(key, tenant, id).await.token();
            assert_eq!(ground.known_at_box(&token).await["live"], true);
        }
        ground.clock.advance(Duration::from_secs(10));
    }
    ground.end().await;
}

#[tokio::test]
async fn s14_no_downscoped_token_of_the_others_user_leaves() {
    let (ground, north, south) = portal().await;
    ground.user_token(&south, "south", SOUTHS_ADA).await.token();
    let exchanges = ground.exchanges().await;
    let body = json!({ "subject": user(SOUTHS_ADA), "scopes": ["item_preview"] });
    ground.downscoped(&north, "north", body.clone()).await.refuses(424, "subject_invalid");
    assert_eq!(ground.exchanges().await, exchanges);
    ground.downscoped(&south, "south", body).await.token();
    ground.end().await;
}

#[tokio::test]
async fn s14_a_refused_user_does_not_come_back_from_the_store() {
    let (mut ground, north, _) = portal().await;
    ground.user_token(&north, "north", SOUTHS_ADA).await.refuses(424, "subject_invalid");
    ground.restart().await;
    ground.user_token(&north, "north", SOUTHS_ADA).await.refuses(424, "subject_invalid");
    ground.end().await;
}

#[tokio::test]
async fn invariant_13_a_user_without_an_enterprise_or_an_answer_gets_no_token() {
    let (ground, north, _) = portal().await;
    for (status, body, refusal) in [
        (200, json!({ "type": "user", "id": NORTHS_ADA, "enterprise": null }), (424, "subject_invalid")),
        (200, json!({ "type": "user", "id": NORTHS_ADA }), (424, "subject_invalid")),
        (200, json!({ "enterprise": { "type": "enterprise", "id": SOUTH } }), (424, "subject_invalid")),
        (200, json!([]), (502, "upstream_protocol")),
        (503, json!(null), (503, "upstream_unavailable")),
    ] {
        let effect = json!({ "status": status, "body": body });
        ground.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": effect })).await;
        ground.user_token(&north, "north", NORTHS_ADA).await.refuses(refusal.0, refusal.1);
        ground.all_die_at_box(&of(NORTHS_ADA)).await;
        ground.heal().await;
        ground.clock.advance(Duration::from_secs(10));
    }
    ground.user_token(&north, "north", NORTHS_ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn invariant_13_membership_is_asked_once_per_user_and_generation() {
    let (ground, north, _) = portal().await;
    let before = ground.count(MEMBERSHIP).await;
    let first = ground.user_token(&north, "north", NORTHS_ADA).await.token();
    assert_eq!(ground.count(MEMBERSHIP).await, before + 1);
    // A new mint asks no more.
    ground.clock.advance(Duration::from_secs(3600));
    assert_ne!(ground.user_token(&north, "north", NORTHS_ADA).await.token(), first);
    assert_eq!(ground.count(MEMBERSHIP).await, before + 1);
    ground.user_token(&north, "north", NORTHS_GRACE).await.token();
    assert_eq!(ground.count(MEMBERSHIP).await, before + 2);
    // A new generation asks again.
    ground.delete(&ground.admin, "/v1/tenants/north").await.is(204);
    ground.change_tenant("north", json!({ "state": "active" })).await;
    ground.user_token(&north, "north", NORTHS_ADA).await.token();
    assert_eq!(ground.count(MEMBERSHIP).await, before + 3);
    ground.end().await;
}

#[tokio::test]
async fn invariant_13_service_accounts_and_apps_of_one_tenant_need_no_proof() {
    let (ground, north, _) = portal().await;
    ground.register("acme", &ground.apps.acme).await;
    let before = ground.count(MEMBERSHIP).await;
    ground.clock.advance(Duration::from_secs(3600));
    ground.token(&north, "north").await.token();
    ground.user_token(&ground.admin, "acme", crate::ground::ADA).await.token();
    assert_eq!(ground.count(MEMBERSHIP).await, before);
    ground.end().await;
}

#[tokio::test]
async fn the_tokens_of_two_tenants_of_one_app_are_two() {
    let (ground, north, south) = portal().await;
    let (a, b) = (ground.token(&north, "north").await.token(), ground.token(&south, "south").await.token());
    assert_ne!(a, b);
    assert_eq!(ground.known_at_box(&a).await["enterprise"], NORTH);
    assert_eq!(ground.known_at_box(&b).await["enterprise"], SOUTH);
    ground.token(&north, "south").await.refuses(404, "not_found");
    ground.end().await;
}
