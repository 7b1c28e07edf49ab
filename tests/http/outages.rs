//! Where Box fails, it is asked once a second and no more, and whoever is not concerned does not
//! notice. What Box refuses is remembered for a while.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::asking::{acme, any_token, eventually, user};
use crate::ground::{ADA, GLOBEX, GRACE, Ground, NORTH, SOUTH};

/// Users of the second, third and fourth enterprise.
const GLOBEXS_ADA: &str = "10000002001";
const NORTHS_ADA: &str = "10000003001";
const SOUTHS_ADA: &str = "10000004001";

/// A broker with tenants of apps of their own, and two of one shared app.
async fn four() -> (Ground, String) {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    ground.register("globex", &ground.apps.globex).await;
    let config: Value = serde_json::from_str(&ground.apps.portal.json).unwrap();
    ground.post(&ground.admin, "/v1/apps", json!({ "app": "vendor", "config": config })).await.is(201);
    for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
        let body = json!({ "tenant": tenant, "app": "vendor", "enterprise_id": enterprise });
        ground.post(&ground.admin, "/v1/tenants", body).await.is(201);
    }
    let key = ground.service("all", any_token("*")).await;
    (ground, key)
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
        let (ground, key) = acme().await;
        let warm = ground.token(&key, "acme").await.token();
        ground.fault(json!({ "effect": effect })).await;
        let refused = ground.user_token(&key, "acme", ADA).await;
        assert_eq!(refused.status, 503, "{effect}: {refused:?}");
        assert!(refused.body["retry_after"].as_u64() >= Some(1), "{effect}");
        // From here on Box is left alone until the second is over.
        let tries = ground.count("path=/oauth2/token").await;
        for _ in 0..20 {
            let refused = ground.user_token(&key, "acme", ADA).await;
            assert_eq!((refused.status, refused.body["scope"].as_str()), (503, Some("subject")), "{effect}");
            assert_eq!(ground.token(&key, "acme").await.token(), warm, "{effect}");
        }
        assert_eq!(ground.count("path=/oauth2/token").await, tries, "{effect}");

        ground.heal().await;
        ground.clock.advance(seconds(3));
        ground.user_token(&key, "acme", ADA).await.token();
        ground.end().await;
    }
}

#[tokio::test]
async fn r4_a_hanging_box_is_answered_for_within_five_seconds_and_then_at_once() {
    let (ground, key) = acme().await;
    ground.fault(json!({ "effect": { "hang": true } })).await;
    let asked = ground.user_token(&key, "acme", ADA);
    let refused = tokio::time::timeout(seconds(10), asked).await.expect("five seconds, and as much slack");
    refused.refuses(503, "upstream_unavailable");
    let tries = ground.mints().await;
    join_all(
        (0..50).map(|_| async {
            ground.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable")
        }),
    )
    .await;
    assert_eq!(ground.mints().await, tries);
    ground.end().await;
}

#[tokio::test]
async fn r4_a_line_that_is_down_is_probed_once_a_second() {
    let (ground, key) = acme().await;
    ground.fault(json!({ "effect": { "status": 503 } })).await;
    ground.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable");
    for _ in 0..5 {
        let before = ground.mints().await;
        ground.clock.advance(seconds(1));
        join_all((0..20).map(|_| ground.user_token(&key, "acme", ADA))).await;
        assert_eq!(ground.mints().await, before + 1, "a probe is tried once");
    }
    ground.end().await;
}

#[tokio::test]
async fn invariant_11_one_tenants_outage_costs_the_others_nothing() {
    let (ground, key) = four().await;
    let select = json!({ "client_id": ground.apps.acme.client_id });
    ground.fault(json!({ "select": select, "effect": { "status": 503 } })).await;
    for id in [ADA, GRACE] {
        ground.user_token(&key, "acme", id).await.refuses(503, "upstream_unavailable");
    }
    // Its second subject takes the whole tenant down: others of its users are not tried.
    let before = ground.mints().await;
    let third = ground.user_token(&key, "acme", "10000001004").await.refuses(503, "upstream_unavailable");
    assert_eq!(third["scope"], "tenant");
    assert_eq!(ground.mints().await, before);
    ground.user_token(&key, "globex", GLOBEXS_ADA).await.token();
    ground.user_token(&key, "north", NORTHS_ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn invariant_11_on_a_shared_app_one_tenants_outage_costs_the_others_nothing() {
    let (ground, key) = four().await;
    ground
        .fault(json!({ "select": { "subject": format!("user:{NORTHS_ADA}") }, "effect": { "status": 503 } }))
        .await;
    for _ in 0..3 {
        ground.user_token(&key, "north", NORTHS_ADA).await.refuses(503, "upstream_unavailable");
        ground.clock.advance(seconds(1));
    }
    ground.user_token(&key, "south", SOUTHS_ADA).await.token();
    ground.user_token(&key, "north", "10000003002").await.token();
    ground.end().await;
}

#[tokio::test]
async fn an_apps_outage_takes_its_tenants_down_and_they_probe_in_turn() {
    let (ground, key) = four().await;
    let select = json!({ "client_id": ground.apps.portal.client_id });
    ground.fault(json!({ "select": select, "effect": { "status": 503 } })).await;
    ground.user_token(&key, "north", NORTHS_ADA).await.refuses(503, "upstream_unavailable");
    ground.user_token(&key, "south", SOUTHS_ADA).await.refuses(503, "upstream_unavailable");
    let before = ground.mints().await;
    let refused = ground.user_token(&key, "north", "10000003002").await.refuses(503, "upstream_unavailable");
    assert_eq!(refused["scope"], "app");
    assert_eq!(ground.mints().await, before);
    ground.user_token(&key, "globex", GLOBEXS_ADA).await.token();
    // Whoever probed last lets the others come first.
    ground.clock.advance(seconds(1));
    let probes = async |id: &str| ground.count(&format!("subject=user:{id}")).await;
    let (north, south) = (probes(NORTHS_ADA).await, probes(SOUTHS_ADA).await);
    ground.user_token(&key, "north", NORTHS_ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(probes(NORTHS_ADA).await, north + 1);
    ground.clock.advance(seconds(1));
    ground.user_token(&key, "north", NORTHS_ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(probes(NORTHS_ADA).await, north + 1);
    ground.user_token(&key, "south", SOUTHS_ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(probes(SOUTHS_ADA).await, south + 1);
    // One that works brings the app up for all.
    ground.heal().await;
    ground.clock.advance(seconds(1));
    ground.user_token(&key, "north", NORTHS_ADA).await.token();
    ground.user_token(&key, "south", "10000004002").await.token();
    ground.end().await;
}

#[tokio::test]
async fn r4_when_three_tenants_fail_box_is_down_and_probed_once_in_all() {
    let (ground, key) = four().await;
    ground.fault(json!({ "effect": { "status": 503 } })).await;
    for (tenant, id) in [("acme", ADA), ("globex", GLOBEXS_ADA), ("north", NORTHS_ADA)] {
        ground.user_token(&key, tenant, id).await.refuses(503, "upstream_unavailable");
    }
    let before = ground.mints().await;
    let refused = ground.user_token(&key, "south", SOUTHS_ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(refused["scope"], "broker");
    assert_eq!(ground.mints().await, before);
    ground.clock.advance(seconds(1));
    let all = [("acme", ADA), ("globex", GLOBEXS_ADA), ("north", NORTHS_ADA), ("south", SOUTHS_ADA)];
    join_all(all.map(|(tenant, id)| ground.user_token(&key, tenant, id))).await;
    assert_eq!(ground.mints().await, before + 1, "one probe in all");

    ground.heal().await;
    for _ in 0..5 {
        ground.clock.advance(seconds(1));
        join_all(all.map(|(tenant, id)| ground.user_token(&key, tenant, id))).await;
    }
    for (tenant, id) in all {
        ground.user_token(&key, tenant, id).await.token();
    }
    ground.end().await;
}

#[tokio::test]
async fn what_is_down_for_long_does_not_keep_taking_its_neighbours_with_it() {
    let (ground, key) = four().await;
    for app in [&ground.apps.acme, &ground.apps.globex] {
        let select = json!({ "client_id": app.client_id });
        ground.fault(json!({ "select": select, "effect": { "status": 503 } })).await;
    }
    ground
        .fault(
            json!({ "select": { "subject": format!("enterprise:{GLOBEX}") }, "effect": { "status": 503 } }),
        )
        .await;
    ground
        .fault(json!({ "select": { "subject": format!("user:{NORTHS_ADA}") }, "effect": { "status": 503 } }))
        .await;
    let failing = [("acme", ADA), ("globex", GLOBEXS_ADA), ("north", NORTHS_ADA)];
    for (tenant, id) in failing {
        ground.user_token(&key, tenant, id).await.refuses(503, "upstream_unavailable");
    }
    // South's first success shows that Box is up; the three stay down, each by itself.
    ground.clock.advance(seconds(1));
    ground.user_token(&key, "south", SOUTHS_ADA).await.token();
    for user in 2..5 {
        ground.clock.advance(seconds(1));
        for (tenant, id) in failing {
            ground.user_token(&key, tenant, id).await.refuses(503, "upstream_unavailable");
        }
        let cold = format!("1000000400{user}");
        let reply = ground.user_token(&key, "south", &cold).await;
        assert_ne!(reply.status, 503, "{reply:?}");
    }
    ground.end().await;
}

#[tokio::test]
async fn invariant_11_a_hanging_tenant_takes_no_turns_of_the_others() {
    let ground = Ground::with(&[("BTB_LIMITS__MINTS_IN_FLIGHT", "8")], |_, _| {}).await;
    ground.register("acme", &ground.apps.acme).await;
    ground.register("globex", &ground.apps.globex).await;
    let key = ground.service("all", any_token("*")).await;
    let select = json!({ "client_id": ground.apps.acme.client_id });
    ground.fault(json!({ "select": select, "effect": { "hang": true } })).await;
    let hanging = join_all((0..20).map(|number| {
        let (ground, key) = (&ground, &key);
        async move { ground.user_token(key, "acme", &(70_000 + number).to_string()).await }
    }));
    let others = async {
        eventually("acme hangs", async || {
            ground.count(&format!("client_id={}", ground.apps.acme.client_id)).await > 3
        })
        .await;
        ground.user_token(&key, "globex", GLOBEXS_ADA).await.token();
    };
    tokio::select! {
        () = others => {}
        replies = hanging => panic!("globex waited for {replies:?}"),
    }
    ground.end().await;
}

#[tokio::test]
async fn r4_whoever_waited_for_a_turn_does_not_ask_where_a_line_went_down_meanwhile() {
    let ground = Ground::with(&[("BTB_LIMITS__MINTS_IN_FLIGHT", "4")], |_, _| {}).await;
    ground.register("acme", &ground.apps.acme).await;
    let key = ground.service("portal", any_token("acme")).await;
    ground.fault(json!({ "effect": { "latency_ms": 50, "status": 503 } })).await;
    let before = ground.mints().await;
    let ids = ["10000001001", "10000001002", "10000001003", "10000001004"];
    let replies = join_all(ids.map(|id| ground.user_token(&key, "acme", id))).await;
    assert!(replies.iter().all(|reply| reply.status == 503), "{replies:?}");
    // The second subject takes the tenant down. Each of the two is tried twice.
    assert!(ground.mints().await <= before + 4, "the others asked too");
    ground.end().await;
}

#[tokio::test]
async fn a_refusal_is_remembered_as_far_as_it_reaches() {
    let (ground, key) = four().await;
    // One user's, for ten seconds: it says nothing of the tenant.
    ground.user_token(&key, "acme", "99").await.refuses(424, "subject_invalid");
    let before = ground.mints().await;
    ground.user_token(&key, "acme", "99").await.refuses(424, "subject_invalid");
    assert_eq!(ground.mints().await, before);
    ground.user_token(&key, "acme", ADA).await.token();
    ground.clock.advance(seconds(10));
    ground.user_token(&key, "acme", "99").await.refuses(424, "subject_invalid");
    assert_eq!(ground.mints().await, before + 2);

    // The app's, for a minute, for all its tenants and users.
    ground
        .change_app(&ground.apps.portal, json!({ "client_secret": "another-secret-of-32-characters00" }))
        .await;
    let refused = ground.user_token(&key, "north", NORTHS_ADA).await.refuses(424, "credentials_invalid");
    assert_eq!(refused["scope"], "app");
    assert_eq!(refused["retry"], "admin");
    let before = ground.mints().await;
    ground.user_token(&key, "south", SOUTHS_ADA).await.refuses(424, "credentials_invalid");
    ground.clock.advance(seconds(59));
    ground.user_token(&key, "north", NORTHS_ADA).await.refuses(424, "credentials_invalid");
    assert_eq!(ground.mints().await, before);
    ground.clock.advance(seconds(1));
    ground.user_token(&key, "north", NORTHS_ADA).await.refuses(424, "credentials_invalid");
    assert_eq!(ground.mints().await, before + 1);
    ground.end().await;
}

#[tokio::test]
async fn another_customers_user_speaks_for_nobody_but_themselves() {
    let (ground, key) = four().await;
    // Box says of this user that the app is not authorised: in that user's enterprise.
    ground.user_token(&key, "north", ADA).await.refuses(424, "app_not_authorized");
    ground.user_token(&key, "north", NORTHS_ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn a_refusal_ends_with_a_passing_test_or_a_change() {
    let (ground, key) = acme().await;
    let good = json!({ "authorized": ["1001"] });
    for mend in ["test", "patch"] {
        ground.change_app(&ground.apps.acme, json!({ "authorized": [] })).await;
        ground.clock.advance(seconds(3600));
        ground.token(&key, "acme").await.refuses(424, "app_not_authorized");
        ground.change_app(&ground.apps.acme, good.clone()).await;
        ground.token(&key, "acme").await.refuses(424, "app_not_authorized");
        match mend {
            "test" => drop(ground.call(&ground.admin, "POST", "/v1/tenants/acme/test", None).await.is(200)),
            _ => drop(ground.change_tenant("acme", json!({ "display_name": "Acme again" })).await),
        }
        ground.token(&key, "acme").await.token();
    }
    // What is refused to a tenant's own app ends with them too, as it does when the same credentials
    // are sent again.
    let secret = ground.apps.acme.client_secret.clone();
    for mend in ["patch", "put"] {
        ground
            .change_app(&ground.apps.acme, json!({ "client_secret": "another-secret-of-32-characters00" }))
            .await;
        ground.clock.advance(seconds(3600));
        ground.token(&key, "acme").await.refuses(424, "credentials_invalid");
        ground.change_app(&ground.apps.acme, json!({ "client_secret": secret })).await;
        ground.token(&key, "acme").await.refuses(424, "credentials_invalid");
        match mend {
            "patch" => drop(ground.change_tenant("acme", json!({ "display_name": "Acme anew" })).await),
            _ => {
                let config: Value = serde_json::from_str(&ground.apps.acme.json).unwrap();
                let path = "/v1/tenants/acme/credentials";
                ground.call(&ground.admin, "PUT", path, Some(&json!({ "config": config }))).await.is(200);
            }
        }
        ground.token(&key, "acme").await.token();
    }
    let body = json!({ "subject": user(ADA), "scopes": ["item_preview"], "resource": { "type": "folder", "id": "404" } });
    ground.downscoped(&key, "acme", body.clone()).await.refuses(424, "resource_not_visible");
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn r4_what_box_wants_of_one_does_not_keep_the_others_waiting() {
    let (ground, key) = four().await;
    let effect = json!({ "status": 429, "retry_after": 3600 });
    ground.fault(json!({ "effect": effect })).await;
    for (tenant, id) in [("acme", ADA), ("globex", GLOBEXS_ADA), ("north", NORTHS_ADA)] {
        ground.user_token(&key, tenant, id).await.refuses(503, "upstream_rate_limited");
    }
    let before = ground.mints().await;
    ground.user_token(&key, "south", SOUTHS_ADA).await.refuses(503, "upstream_rate_limited");
    assert_eq!(ground.mints().await, before, "Box is let alone");
    ground.heal().await;
    ground.clock.advance(seconds(3));
    ground.user_token(&key, "south", SOUTHS_ADA).await.token();
    // Those that it was said to wait a minute, and not an hour.
    ground.user_token(&key, "acme", ADA).await.refuses(503, "upstream_rate_limited");
    ground.clock.advance(seconds(57));
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}
