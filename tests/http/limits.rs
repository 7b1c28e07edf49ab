//! How often callers may ask, and how often tenants may be asked about.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::issuer_fixture::Scene;
use crate::response::Reply;
use crate::token_requests::any_token;

/// How many of twelve requests are served, the others being told to come back after `wait` seconds.
async fn served(scope: &str, wait: u64, ask: impl AsyncFn() -> Reply) -> usize {
    let mut served = 0;
    for _ in 0..12 {
        let reply = ask().await;
        if reply.status == 429 {
            assert_eq!(reply.header("retry-after"), wait.to_string(), "{reply:?}");
            let problem = reply.refuses(429, "rate_limited");
            assert_eq!((&problem["scope"], &problem["retry"]), (&json!(scope), &json!("after")));
        } else {
            reply.ok();
            served += 1;
        }
    }
    served
}

impl Harness {
    /// How many of twelve requests of a caller are served.
    async fn served_to(&self, key: &str) -> usize {
        served("request", 1, async || self.get(key, "/v1/whoami").await).await
    }

    /// How many of twelve requests for a tenant's token are served.
    async fn served_of(&self, key: &str, tenant: &str) -> usize {
        served("tenant", 1, async || self.token(key, tenant).await).await
    }

    /// Changes a caller, as the admin.
    async fn change_caller(&self, caller: &str, change: Value) -> Value {
        self.patch(&self.admin, &format!("/v1/callers/{caller}"), change).await.is(200)
    }

    async fn second_key(&self, caller: &str) -> String {
        let key = self.post(&self.admin, &format!("/v1/callers/{caller}/keys"), json!({})).await.is(201);
        key["key"].as_str().unwrap().to_owned()
    }

    fn passes(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// A broker with ACME and GLOBEX, and the keys of a service of each.
async fn two_tenants(settings: &[(&str, &str)]) -> (Harness, String, String) {
    let harness = Harness::with(settings, |_, _| {}).await;
    harness.register("acme", &harness.apps.acme).await;
    harness.register("globex", &harness.apps.globex).await;
    let portal = harness.service("portal", any_token("acme")).await;
    let bystander = harness.service("bystander", any_token("globex")).await;
    (harness, portal, bystander)
}

#[tokio::test]
async fn a_caller_has_a_limit_of_its_own_whichever_key_it_comes_with() {
    let (harness, portal, bystander) = two_tenants(&[]).await;
    let other = harness.second_key("portal").await;
    assert_eq!(harness.served_to(&portal).await, 12, "nobody is limited where nothing is set");
    let caller =
        harness.change_caller("portal", json!({ "rate_limit": { "per_second": 2, "burst": 5 } })).await;
    assert_eq!(caller["rate_limit"], json!({ "per_second": 2, "burst": 5 }));
    assert_eq!(harness.served_to(&portal).await, 5);
    assert_eq!(harness.served_to(&other).await, 0, "the caller counts, not the key");
    assert_eq!(harness.served_to(&bystander).await, 12);
    harness.passes(1);
    assert_eq!(harness.served_to(&other).await, 2);
    harness.passes(60);
    assert_eq!(harness.served_to(&portal).await, 5);
    // Nothing is done for whoever is over it: not even a tenant that is absent is told of.
    harness.token(&portal, "nobody").await.refuses(429, "rate_limited");
    harness.end().await;
}

#[tokio::test]
async fn a_limit_is_given_at_the_beginning_merged_and_taken_away() {
    let (harness, ..) = two_tenants(&[]).await;
    let limited = json!({ "per_second": 1 });
    let body =
        json!({ "name": "slow", "kind": "service", "grants": any_token("acme"), "rate_limit": limited });
    let made = harness.post(&harness.admin, "/v1/callers", body).await.is(201);
    assert_eq!(made["rate_limit"], limited);
    let slow = harness.second_key("slow").await;
    assert_eq!(harness.served_to(&slow).await, 1);
    // A merge patch changes what it names (RFC 7396).
    harness.change_caller("slow", json!({ "rate_limit": { "burst": 3 } })).await;
    assert_eq!(harness.served_to(&slow).await, 3);
    let now = harness.change_caller("slow", json!({ "rate_limit": { "per_second": 4 } })).await;
    assert_eq!(now["rate_limit"], json!({ "per_second": 4, "burst": 3 }));
    let now = harness.change_caller("slow", json!({ "rate_limit": { "burst": null } })).await;
    assert_eq!(now["rate_limit"], json!({ "per_second": 4 }));
    assert_eq!(harness.served_to(&slow).await, 4);
    let now = harness.change_caller("slow", json!({ "rate_limit": null })).await;
    assert_eq!(now["rate_limit"], Value::Null);
    assert_eq!(harness.served_to(&slow).await, 12);
    harness.end().await;
}

#[tokio::test]
async fn a_callers_limit_outlives_the_broker_and_is_what_the_list_shows() {
    let (mut harness, portal, _) = two_tenants(&[]).await;
    harness.change_caller("portal", json!({ "rate_limit": { "per_second": 7 } })).await;
    harness.restart().await;
    assert_eq!(harness.served_to(&portal).await, 7);
    let list = harness.get(&harness.admin, "/v1/callers").await.is(200);
    let limits: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| (&item["name"], &item["rate_limit"])).collect();
    assert!(limits.contains(&(&json!("portal"), &json!({ "per_second": 7 }))), "{limits:?}");
    assert!(limits.contains(&(&json!("bystander"), &Value::Null)), "{limits:?}");
    harness.end().await;
}

#[tokio::test]
async fn the_settings_limit_whoever_has_no_limit_of_their_own() {
    let settings = [("BTB_LIMITS__REQUESTS_PER_CALLER", "10"), ("BTB_LIMITS__REQUESTS_PER_TENANT", "4")];
    let (harness, portal, bystander) = two_tenants(&settings).await;
    harness.passes(60);
    assert_eq!(harness.served_to(&portal).await, 10);
    let tokens_before_the_limit = async |limit| {
        harness.passes(60);
        for _ in 0..limit {
            harness.token(&portal, "acme").await.token();
        }
        assert_eq!(harness.token(&portal, "acme").await.refuses(429, "rate_limited")["scope"], "tenant");
    };
    tokens_before_the_limit(4).await;
    harness.change_caller("portal", json!({ "rate_limit": { "per_second": 1, "burst": 11 } })).await;
    harness.change_tenant("acme", json!({ "policy": { "rate_limit": { "per_second": 6 } } })).await;
    assert_eq!(harness.served_to(&portal).await, 11);
    tokens_before_the_limit(6).await;
    assert_eq!(harness.served_to(&bystander).await, 10);
    harness.end().await;
}

#[tokio::test]
async fn a_tenants_limit_is_all_its_callers_together() {
    let (harness, portal, bystander) = two_tenants(&[]).await;
    let reports = harness.service("reports", any_token("acme")).await;
    let limit = json!({ "policy": { "rate_limit": { "per_second": 2, "burst": 8 } } });
    let acme = harness.change_tenant("acme", limit).await;
    assert_eq!(acme["policy"]["rate_limit"], json!({ "per_second": 2, "burst": 8 }));
    let id = acme["id"].as_str().unwrap();
    for _ in 0..3 {
        harness.token(&portal, "acme").await.token();
        harness.token(&reports, id).await.token();
    }
    assert_eq!(harness.served_of(&reports, "acme").await, 2, "by its name and by its id it is one tenant");
    assert_eq!(harness.served_of(&portal, id).await, 0);
    // Each route of a tenant's tokens counts.
    let body = json!({ "preset": "preview" });
    harness.downscoped(&portal, "acme", body).await.refuses(429, "rate_limited");
    assert_eq!(harness.served_of(&bystander, "globex").await, 12);
    assert_eq!(harness.served_to(&portal).await, 12, "what names no tenant does not count");
    harness.passes(1);
    assert_eq!(harness.served_of(&portal, "acme").await, 2);
    let open = harness.change_tenant("acme", json!({ "policy": { "rate_limit": null } })).await;
    assert_eq!(open["policy"]["rate_limit"], Value::Null);
    assert_eq!(harness.served_of(&portal, "acme").await, 12);
    harness.end().await;
}

#[tokio::test]
async fn a_stranger_to_a_tenant_neither_uses_its_limit_up_nor_hears_of_it() {
    let (harness, portal, bystander) = two_tenants(&[]).await;
    harness.change_tenant("acme", json!({ "policy": { "rate_limit": { "per_second": 3 } } })).await;
    for _ in 0..12 {
        harness.token(&bystander, "acme").await.refuses(404, "not_found");
    }
    assert_eq!(harness.served_of(&portal, "acme").await, 3);
    let without_id = |reply: Reply| {
        let mut problem = reply.refuses(404, "not_found");
        problem["request_id"].take();
        problem
    };
    let spent = without_id(harness.token(&bystander, "acme").await);
    assert_eq!(spent, without_id(harness.token(&bystander, "nobody").await));
    harness.end().await;
}

#[tokio::test]
async fn a_flood_of_a_tenant_does_not_keep_its_admin_out() {
    let (harness, portal, _) = two_tenants(&[]).await;
    harness.change_tenant("acme", json!({ "policy": { "rate_limit": { "per_second": 1 } } })).await;
    assert_eq!(harness.served_of(&portal, "acme").await, 1);
    harness.token(&harness.admin, "acme").await.refuses(429, "rate_limited");
    harness.get(&harness.admin, "/v1/tenants/acme").await.is(200);
    harness.change_tenant("acme", json!({ "state": "suspended" })).await;
    harness.passes(1);
    harness.token(&portal, "acme").await.refuses(403, "tenant_suspended");
    harness.end().await;
}

#[tokio::test]
async fn nobody_changes_the_limit_that_is_on_themselves() {
    let (harness, ..) = two_tenants(&[]).await;
    let grants = json!([{ "tenant": "acme", "permissions": ["callers:write", "tokens:mint"] }]);
    let narrow = harness.caller("narrow", "admin", grants.clone()).await;
    let peer = harness.caller("peer", "admin", grants).await;
    harness.change_caller("narrow", json!({ "rate_limit": { "per_second": 9 } })).await;
    for change in [json!({ "rate_limit": null }), json!({ "rate_limit": { "per_second": 10 } })] {
        harness.patch(&narrow, "/v1/callers/narrow", change).await.refuses(403, "forbidden");
    }
    let own = harness.patch(&harness.admin, "/v1/callers/root", json!({ "rate_limit": { "per_second": 1 } }));
    own.await.refuses(403, "forbidden");
    // What changes nothing, or something else, is no change of it.
    let same = json!({ "name": "narrower", "rate_limit": { "per_second": 9 } });
    harness.patch(&narrow, "/v1/callers/narrow", same).await.is(200);
    // Whoever could have made the caller may change it, as with everything else of it.
    let changed = harness.patch(&peer, "/v1/callers/narrower", json!({ "rate_limit": null })).await.is(200);
    assert_eq!(changed["rate_limit"], Value::Null);
    harness.end().await;
}

#[tokio::test]
async fn what_is_no_limit_is_refused_where_it_stands() {
    let (harness, ..) = two_tenants(&[]).await;
    let limit = |limit: &Value| json!({ "rate_limit": limit });
    for (wrong, place) in [
        (json!({ "per_second": 0 }), "/per_second"),
        (json!({ "per_second": 1_000_001 }), "/per_second"),
        (json!({ "per_second": 1.5 }), "/per_second"),
        (json!({ "per_second": 1, "burst": 0 }), "/burst"),
        (json!({ "burst": 1 }), ""),
        (json!({ "per_second": 1, "per_minute": 1 }), "/per_minute"),
        (json!(5), ""),
    ] {
        let mut body = json!({ "name": "new", "kind": "service", "grants": [] });
        body["rate_limit"] = wrong.clone();
        let tenant = json!({ "policy": limit(&wrong) });
        for (method, path, body, whole) in [
            ("POST", "/v1/callers", body, "/rate_limit"),
            ("PATCH", "/v1/callers/portal", limit(&wrong), "/rate_limit"),
            ("PATCH", "/v1/tenants/acme", tenant, "/policy/rate_limit"),
        ] {
            let reply = harness.call(&harness.admin, method, path, Some(&body)).await;
            let problem = reply.refuses(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], format!("{whole}{place}"), "{path} {wrong}");
        }
    }
    harness.end().await;
}

#[tokio::test]
async fn of_many_at_once_exactly_so_many_are_served_as_may() {
    let (harness, portal, _) = two_tenants(&[]).await;
    harness.token(&portal, "acme").await.token();
    harness.change_caller("portal", json!({ "rate_limit": { "per_second": 40 } })).await;
    harness.change_tenant("acme", json!({ "policy": { "rate_limit": { "per_second": 25 } } })).await;
    let replies = join_all((0..100).map(|_| harness.token(&portal, "acme"))).await;
    let count =
        |scope: Option<&str>| replies.iter().filter(|reply| reply.body["scope"].as_str() == scope).count();
    assert_eq!((count(None), count(Some("tenant")), count(Some("request"))), (25, 15, 60));
    harness.end().await;
}

#[tokio::test]
async fn whoever_is_told_to_wait_is_served_after_that_long() {
    let (harness, portal, _) = two_tenants(&[]).await;
    harness.change_caller("portal", json!({ "rate_limit": { "per_second": 3, "burst": 1 } })).await;
    harness.get(&portal, "/v1/whoami").await.is(200);
    let told = harness.get(&portal, "/v1/whoami").await;
    let wait: u64 = told.header("retry-after").parse().unwrap();
    told.refuses(429, "rate_limited");
    harness.passes(wait);
    harness.get(&portal, "/v1/whoami").await.is(200);
    // The house is kept meanwhile; nobody's limit is forgotten by that.
    harness.broker().run_housekeeping().await;
    harness.get(&portal, "/v1/whoami").await.refuses(429, "rate_limited");
    harness.end().await;
}

#[tokio::test]
async fn of_those_whom_a_token_opens_whoever_asked_too_often_is_left_out() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    harness.register("globex", &harness.apps.globex).await;
    harness.service("other", any_token("globex")).await;
    scene.trust("other", json!({})).await.is(201);
    harness.change_caller("job", json!({ "rate_limit": { "per_second": 2 } })).await;
    let token = scene.token(json!({}));
    for _ in 0..2 {
        harness.token(&token, "acme").await.token();
    }
    // The one who has a grant there has to wait; nobody hears that the tenant were absent.
    assert_eq!(harness.token(&token, "acme").await.refuses(429, "rate_limited")["scope"], "request");
    // To the other caller that is nothing.
    for _ in 0..6 {
        harness.token(&token, "globex").await.token();
    }
    harness.change_caller("other", json!({ "rate_limit": { "per_second": 1 } })).await;
    harness.token(&token, "globex").await.token();
    harness.token(&token, "globex").await.refuses(429, "rate_limited");
    harness.token(&token, "nobody").await.refuses(429, "rate_limited");
    harness.passes(1);
    harness.token(&token, "globex").await.token();
    harness.token(&token, "acme").await.token();
    scene.harness.end().await;
}
