//! Where Box fails, it is asked once a second and no more, and whoever is not concerned does not
//! notice. What Box refuses is remembered for a while.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{ADA, GLOBEX, GRACE, Harness, NORTH, SOUTH};
use crate::token_requests::{acme, any_token, eventually, user};

/// Users of the second, third and fourth enterprise.
const GLOBEXS_ADA: &str = "10000002001";
const NORTHS_ADA: &str = "10000003001";
const SOUTHS_ADA: &str = "10000004001";

/// A broker with tenants of apps of their own, and two of one shared app.
async fn four() -> (Harness, String) {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    harness.register("globex", &harness.apps.globex).await;
    let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "vendor", "config": config })).await.is(201);
    for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
        let body = json!({ "tenant": tenant, "app": "vendor", "enterprise_id": enterprise });
        harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
    }
    let key = harness.service("all", any_token("*")).await;
    (harness, key)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// How Box fails, one way after the other.
fn outages() -> [Value; 6] {
    [
        json!({ "status": 503 }),
        json!({ "status": 500 }),
        json!({ "drop": true }),
        json!({ "garbage": true }),
        json!({ "huge_body": true }),
        json!({ "status": 429, "retry_after": 3 }),
    ]
}

#[tokio::test]
async fn r4_whatever_box_does_warm_keys_are_served_and_cold_ones_told_when_to_come_back() {
    for effect in outages() {
        let (harness, key) = acme().await;
        let warm = harness.token(&key, "acme").await.token();
        harness.fault(json!({ "effect": effect })).await;
        let refused = harness.user_token(&key, "acme", ADA).await;
        assert_eq!(refused.status, 503, "{effect}: {refused:?}");
        assert!(refused.body["retry_after"].as_u64() >= Some(1), "{effect}");
        // From here on Box is left alone until the second is over.
        let tries = harness.count("path=/oauth2/token").await;
        for _ in 0..20 {
            let refused = harness.user_token(&key, "acme", ADA).await;
            assert_eq!((refused.status, refused.body["scope"].as_str()), (503, Some("subject")), "{effect}");
            assert_eq!(harness.token(&key, "acme").await.token(), warm, "{effect}");
        }
        assert_eq!(harness.count("path=/oauth2/token").await, tries, "{effect}");

        harness.heal().await;
        harness.clock.advance(seconds(3));
        harness.user_token(&key, "acme", ADA).await.token();
        harness.end().await;
    }
}

#[tokio::test]
async fn r4_a_hanging_box_is_answered_for_within_five_seconds_and_then_at_once() {
    let (harness, key) = acme().await;
    harness.fault(json!({ "effect": { "hang": true } })).await;
    let asked = harness.user_token(&key, "acme", ADA);
    let refused = tokio::time::timeout(seconds(10), asked).await.expect("five seconds, and as much slack");
    refused.refuses(503, "upstream_unavailable");
    let tries = harness.mints().await;
    join_all(
        (0..50).map(|_| async {
            harness.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable")
        }),
    )
    .await;
    assert_eq!(harness.mints().await, tries);
    harness.end().await;
}

#[tokio::test]
async fn r4_a_line_that_is_down_is_probed_once_a_second() {
    let (harness, key) = acme().await;
    harness.fault(json!({ "effect": { "status": 503 } })).await;
    harness.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable");
    for _ in 0..5 {
        let before = harness.mints().await;
        harness.clock.advance(seconds(1));
        join_all((0..20).map(|_| harness.user_token(&key, "acme", ADA))).await;
        assert_eq!(harness.mints().await, before + 1, "a probe is tried once");
    }
    harness.end().await;
}

#[tokio::test]
async fn invariant_11_one_tenants_outage_costs_the_others_nothing() {
    let (harness, key) = four().await;
    let select = json!({ "client_id": harness.apps.acme.client_id });
    harness.fault(json!({ "select": select, "effect": { "status": 503 } })).await;
    for id in [ADA, GRACE] {
        harness.user_token(&key, "acme", id).await.refuses(503, "upstream_unavailable");
    }
    // Its second subject takes the whole tenant down: others of its users are not tried.
    let before = harness.mints().await;
    let third = harness.user_token(&key, "acme", "10000001004").await.refuses(503, "upstream_unavailable");
    assert_eq!(third["scope"], "tenant");
    assert_eq!(harness.mints().await, before);
    harness.user_token(&key, "globex", GLOBEXS_ADA).await.token();
    harness.user_token(&key, "north", NORTHS_ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn invariant_11_on_a_shared_app_one_tenants_outage_costs_the_others_nothing() {
    let (harness, key) = four().await;
    harness
        .fault(json!({ "select": { "subject": format!("user:{NORTHS_ADA}") }, "effect": { "status": 503 } }))
        .await;
    for _ in 0..3 {
        harness.user_token(&key, "north", NORTHS_ADA).await.refuses(503, "upstream_unavailable");
        harness.clock.advance(seconds(1));
    }
    harness.user_token(&key, "south", SOUTHS_ADA).await.token();
    harness.user_token(&key, "north", "10000003002").await.token();
    harness.end().await;
}

#[tokio::test]
async fn an_apps_outage_takes_its_tenants_down_and_they_probe_in_turn() {
    let (harness, key) = four().await;
    let select = json!({ "client_id": harness.apps.portal.client_id });
    harness.fault(json!({ "select": select, "effect": { "status": 503 } })).await;
    harness.user_token(&key, "north", NORTHS_ADA).await.refuses(503, "upstream_unavailable");
    harness.user_token(&key, "south", SOUTHS_ADA).await.refuses(503, "upstream_unavailable");
    let before = harness.mints().await;
    let refused = harness.user_token(&key, "north", "10000003002").await.refuses(503, "upstream_unavailable");
    assert_eq!(refused["scope"], "app");
    assert_eq!(harness.mints().await, before);
    harness.user_token(&key, "globex", GLOBEXS_ADA).await.token();
    // Whoever probed last lets the others come first.
    harness.clock.advance(seconds(1));
    let probes = async |id: &str| harness.count(&format!("subject=user:{id}")).await;
    let (north, south) = (probes(NORTHS_ADA).await, probes(SOUTHS_ADA).await);
    harness.user_token(&key, "north", NORTHS_ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(probes(NORTHS_ADA).await, north + 1);
    harness.clock.advance(seconds(1));
    harness.user_token(&key, "north", NORTHS_ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(probes(NORTHS_ADA).await, north + 1);
    harness.user_token(&key, "south", SOUTHS_ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(probes(SOUTHS_ADA).await, south + 1);
    // One that works brings the app up for all.
    harness.heal().await;
    harness.clock.advance(seconds(1));
    harness.user_token(&key, "north", NORTHS_ADA).await.token();
    harness.user_token(&key, "south", "10000004002").await.token();
    harness.end().await;
}

#[tokio::test]
async fn r4_when_three_tenants_fail_box_is_down_and_probed_once_in_all() {
    let (harness, key) = four().await;
    harness.fault(json!({ "effect": { "status": 503 } })).await;
    for (tenant, id) in [("acme", ADA), ("globex", GLOBEXS_ADA), ("north", NORTHS_ADA)] {
        harness.user_token(&key, tenant, id).await.refuses(503, "upstream_unavailable");
    }
    let before = harness.mints().await;
    let refused = harness.user_token(&key, "south", SOUTHS_ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(refused["scope"], "broker");
    assert_eq!(harness.mints().await, before);
    harness.clock.advance(seconds(1));
    let all = [("acme", ADA), ("globex", GLOBEXS_ADA), ("north", NORTHS_ADA), ("south", SOUTHS_ADA)];
    join_all(all.map(|(tenant, id)| harness.user_token(&key, tenant, id))).await;
    assert_eq!(harness.mints().await, before + 1, "one probe in all");

    harness.heal().await;
    for _ in 0..5 {
        harness.clock.advance(seconds(1));
        join_all(all.map(|(tenant, id)| harness.user_token(&key, tenant, id))).await;
    }
    for (tenant, id) in all {
        harness.user_token(&key, tenant, id).await.token();
    }
    harness.end().await;
}

#[tokio::test]
async fn what_is_down_for_long_does_not_keep_taking_its_neighbours_with_it() {
    let (harness, key) = four().await;
    for app in [&harness.apps.acme, &harness.apps.globex] {
        let select = json!({ "client_id": app.client_id });
        harness.fault(json!({ "select": select, "effect": { "status": 503 } })).await;
    }
    harness
        .fault(
            json!({ "select": { "subject": format!("enterprise:{GLOBEX}") }, "effect": { "status": 503 } }),
        )
        .await;
    harness
        .fault(json!({ "select": { "subject": format!("user:{NORTHS_ADA}") }, "effect": { "status": 503 } }))
        .await;
    let failing = [("acme", ADA), ("globex", GLOBEXS_ADA), ("north", NORTHS_ADA)];
    for (tenant, id) in failing {
        harness.user_token(&key, tenant, id).await.refuses(503, "upstream_unavailable");
    }
    // South's first success shows that Box is up; the three stay down, each by itself.
    harness.clock.advance(seconds(1));
    harness.user_token(&key, "south", SOUTHS_ADA).await.token();
    for user in 2..5 {
        harness.clock.advance(seconds(1));
        for (tenant, id) in failing {
            harness.user_token(&key, tenant, id).await.refuses(503, "upstream_unavailable");
        }
        let cold = format!("1000000400{user}");
        let reply = harness.user_token(&key, "south", &cold).await;
        assert_ne!(reply.status, 503, "{reply:?}");
    }
    harness.end().await;
}

#[tokio::test]
async fn invariant_11_a_hanging_tenant_takes_no_turns_of_the_others() {
    let harness = Harness::with(&[("BTB_LIMITS__MINTS_IN_FLIGHT", "8")], |_, _| {}).await;
    harness.register("acme", &harness.apps.acme).await;
    harness.register("globex", &harness.apps.globex).await;
    let key = harness.service("all", any_token("*")).await;
    let select = json!({ "client_id": harness.apps.acme.client_id });
    harness.fault(json!({ "select": select, "effect": { "hang": true } })).await;
    let hanging = join_all((0..20).map(|number| {
        let (harness, key) = (&harness, &key);
        async move { harness.user_token(key, "acme", &(70_000 + number).to_string()).await }
    }));
    let others = async {
        eventually("acme hangs", async || {
            harness.count(&format!("client_id={}", harness.apps.acme.client_id)).await > 3
        })
        .await;
        harness.user_token(&key, "globex", GLOBEXS_ADA).await.token();
    };
    tokio::select! {
        () = others => {}
        replies = hanging => panic!("globex waited for {replies:?}"),
    }
    harness.end().await;
}

#[tokio::test]
async fn r4_whoever_waited_for_a_turn_does_not_ask_where_a_line_went_down_meanwhile() {
    let harness = Harness::with(&[("BTB_LIMITS__MINTS_IN_FLIGHT", "4")], |_, _| {}).await;
    harness.register("acme", &harness.apps.acme).await;
    let key = harness.service("portal", any_token("acme")).await;
    harness.fault(json!({ "effect": { "latency_ms": 50, "status": 503 } })).await;
    let before = harness.mints().await;
    let ids = ["10000001001", "10000001002", "10000001003", "10000001004"];
    let replies = join_all(ids.map(|id| harness.user_token(&key, "acme", id))).await;
    assert!(replies.iter().all(|reply| reply.status == 503), "{replies:?}");
    // The second subject takes the tenant down. Each of the two is tried twice.
    assert!(harness.mints().await <= before + 4, "the others asked too");
    harness.end().await;
}

#[tokio::test]
async fn a_refusal_is_remembered_as_far_as_it_reaches() {
    let (harness, key) = four().await;
    // One user's, for ten seconds: it says nothing of the tenant.
    harness.user_token(&key, "acme", "99").await.refuses(424, "subject_invalid");
    let before = harness.mints().await;
    harness.user_token(&key, "acme", "99").await.refuses(424, "subject_invalid");
    assert_eq!(harness.mints().await, before);
    harness.user_token(&key, "acme", ADA).await.token();
    harness.clock.advance(seconds(10));
    harness.user_token(&key, "acme", "99").await.refuses(424, "subject_invalid");
    assert_eq!(harness.mints().await, before + 2);

    // The app's, for a minute, for all its tenants and users.
    harness
        .change_app(&harness.apps.portal, json!({ "client_secret": "another-secret-of-32-characters00" }))
        .await;
    let refused = harness.user_token(&key, "north", NORTHS_ADA).await.refuses(424, "credentials_invalid");
    assert_eq!(refused["scope"], "app");
    assert_eq!(refused["retry"], "admin");
    let before = harness.mints().await;
    harness.user_token(&key, "south", SOUTHS_ADA).await.refuses(424, "credentials_invalid");
    harness.clock.advance(seconds(59));
    harness.user_token(&key, "north", NORTHS_ADA).await.refuses(424, "credentials_invalid");
    assert_eq!(harness.mints().await, before);
    harness.clock.advance(seconds(1));
    harness.user_token(&key, "north", NORTHS_ADA).await.refuses(424, "credentials_invalid");
    assert_eq!(harness.mints().await, before + 1);
    harness.end().await;
}

#[tokio::test]
async fn another_customers_user_speaks_for_nobody_but_themselves() {
    let (harness, key) = four().await;
    // Box says of this user that the app is not authorised: in that user's enterprise.
    harness.user_token(&key, "north", ADA).await.refuses(424, "app_not_authorized");
    harness.user_token(&key, "north", NORTHS_ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_refusal_ends_with_a_passing_test_or_a_change() {
    let (harness, key) = acme().await;
    let good = json!({ "authorized": ["1001"] });
    for mend in ["test", "patch"] {
        harness.change_app(&harness.apps.acme, json!({ "authorized": [] })).await;
        harness.clock.advance(seconds(3600));
        harness.token(&key, "acme").await.refuses(424, "app_not_authorized");
        harness.change_app(&harness.apps.acme, good.clone()).await;
        harness.token(&key, "acme").await.refuses(424, "app_not_authorized");
        match mend {
            "test" => drop(harness.call(&harness.admin, "POST", "/v1/tenants/acme/test", None).await.is(200)),
            _ => drop(harness.change_tenant("acme", json!({ "display_name": "Acme again" })).await),
        }
        harness.token(&key, "acme").await.token();
    }
    // What is refused to a tenant's own app ends with them too, as it does when the same credentials
    // are sent again.
    let secret = harness.apps.acme.client_secret.clone();
    for mend in ["patch", "put"] {
        harness
            .change_app(&harness.apps.acme, json!({ "client_secret": "another-secret-of-32-characters00" }))
            .await;
        harness.clock.advance(seconds(3600));
        harness.token(&key, "acme").await.refuses(424, "credentials_invalid");
        harness.change_app(&harness.apps.acme, json!({ "client_secret": secret })).await;
        harness.token(&key, "acme").await.refuses(424, "credentials_invalid");
        match mend {
            "patch" => drop(harness.change_tenant("acme", json!({ "display_name": "Acme anew" })).await),
            _ => {
                let config: Value = serde_json::from_str(&harness.apps.acme.json).unwrap();
                let path = "/v1/tenants/acme/credentials";
                harness.call(&harness.admin, "PUT", path, Some(&json!({ "config": config }))).await.is(200);
            }
        }
        harness.token(&key, "acme").await.token();
    }
    let body = json!({ "subject": user(ADA), "scopes": ["item_preview"], "resource": { "type": "folder", "id": "404" } });
    harness.downscoped(&key, "acme", body.clone()).await.refuses(424, "resource_not_visible");
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn r4_what_box_wants_of_one_does_not_keep_the_others_waiting() {
    let (harness, key) = four().await;
    let effect = json!({ "status": 429, "retry_after": 3600 });
    harness.fault(json!({ "effect": effect })).await;
    for (tenant, id) in [("acme", ADA), ("globex", GLOBEXS_ADA), ("north", NORTHS_ADA)] {
        harness.user_token(&key, tenant, id).await.refuses(503, "upstream_rate_limited");
    }
    let before = harness.mints().await;
    harness.user_token(&key, "south", SOUTHS_ADA).await.refuses(503, "upstream_rate_limited");
    assert_eq!(harness.mints().await, before, "Box is let alone");
    harness.heal().await;
    harness.clock.advance(seconds(3));
    harness.user_token(&key, "south", SOUTHS_ADA).await.token();
    // Those that it was said to wait a minute, and not an hour.
    harness.user_token(&key, "acme", ADA).await.refuses(503, "upstream_rate_limited");
    harness.clock.advance(seconds(57));
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}
