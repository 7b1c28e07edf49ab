//! Who was given what, what was refused, and what was changed: each is written down, and can be read by
//! those whom it concerns.

use std::time::Duration;

use box_token_broker::crypto::sha256_hex;
use serde_json::{Value, json};

use crate::database::Hand;
use crate::harness::{ADA, Harness};
use crate::tampering_fixture::Scene;
use crate::token_requests::{acme, any_token};

/// The records that fit, the newest first, once everything that was counted is written.
async fn records(harness: &Harness, query: &str) -> Vec<Value> {
    harness.broker().write_counts().await;
    let reply = harness.get(&harness.admin, &format!("/v1/audit?limit=200&{query}")).await.is(200);
    reply["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_token_that_is_found_somewhere_names_its_story() {
    let (harness, key) = acme().await;
    let body = json!({ "preset": "preview", "resource": { "type": "file", "id": "30000001001" } });
    let token = harness.downscoped(&key, "acme", body.clone()).await.token();
    for _ in 0..4 {
        assert_eq!(harness.downscoped(&key, "acme", body.clone()).await.token(), token);
    }
    let fingerprint = sha256_hex(token.as_bytes());
    let story = records(&harness, &format!("fingerprint={}", fingerprint.to_uppercase())).await;
    let [released, minted] = &story[..] else { panic!("{story:#?}") };
    assert_eq!(
        (&minted["action"], &minted["outcome"], &minted["count"]),
        (&json!("token.downscope"), &json!("done"), &json!(1))
    );
    assert_eq!((&released["action"], &released["count"]), (&json!("token.release"), &json!(5)));
    for record in [minted, released] {
        assert_eq!(record["caller"]["name"], "portal", "{record}");
        assert_eq!(record["credential"]["type"], "api_key");
        assert!(record["credential"]["id"].as_str().unwrap().starts_with("key_"));
        assert_eq!(record["subject"], json!({ "type": "enterprise" }));
        assert_eq!(record["resource"], json!({ "type": "file", "id": "30000001001" }));
        assert!(record["scopes"].as_array().unwrap().contains(&json!("base_preview")), "{record}");
        assert_eq!(record["fingerprint"], json!(fingerprint));
        assert!(record["request_id"].as_str().unwrap().starts_with("req_"));
        assert!(record["generation"].as_i64().unwrap() > 0);
        assert!(record["tenant"].as_str().unwrap().starts_with("ten_"));
    }
    let everything = records(&harness, "").await;
    assert!(everything.iter().all(|record| !record.to_string().contains(&token)), "never the token itself");
    harness.end().await;
}

#[tokio::test]
async fn invariant_8_what_is_repeated_is_written_at_once_and_then_once_a_window_with_how_often() {
    let (harness, key) = acme().await;
    let counts = async |query: &str| -> Vec<u64> {
        let mut found = records(&harness, query).await;
        found.reverse();
        found.iter().map(|record| record["count"].as_u64().unwrap()).collect()
    };
    let (releases, refusals) = ("action=token.release&outcome=done", "action=token.release&outcome=refused");
    for round in 0..3_u64 {
        for _ in 0..=round {
            harness.token(&key, "acme").await.token();
            harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
        }
    }
    assert_eq!(counts(releases).await, [6], "the first time they are looked at they are written");
    assert_eq!(counts(refusals).await, [6]);
    for _ in 0..5 {
        harness.token(&key, "acme").await.token();
        harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
        harness.clock.advance(Duration::from_secs(10));
        assert_eq!(counts(releases).await, [6], "repeats wait for the window's end");
        assert_eq!(counts(refusals).await, [6]);
    }
    harness.clock.advance(Duration::from_secs(10));
    assert_eq!(counts(releases).await, [6, 5]);
    assert_eq!(counts(refusals).await, [6, 5]);
    // After a window without any, the next is new again.
    harness.clock.advance(Duration::from_secs(61));
    assert_eq!(counts(releases).await, [6, 5]);
    harness.token(&key, "acme").await.token();
    assert_eq!(counts(releases).await, [6, 5, 1]);
    harness.end().await;
}

#[tokio::test]
async fn refusals_tell_who_asked_for_what_and_which_rule_refused() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let acme = Scene::id(&scene.acme);
    harness.token(&scene.narrow, "acme").await.refuses(403, "forbidden");
    harness.token(&scene.bystander, "acme").await.refuses(404, "not_found");
    harness.token(&scene.bystander, "no-such-tenant").await.refuses(404, "not_found");
    harness.get(&scene.narrow, "/v1/callers").await.refuses(403, "forbidden");
    harness
        .patch(&scene.strong, "/v1/tenants/acme", json!({ "display_name": "x" }))
        .await
        .refuses(403, "forbidden");
    harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
    // What makes no sense is nobody's refusal.
    harness
        .post(&scene.strong, "/v1/tenants/acme/token", json!({ "min_ttl": 5000 }))
        .await
        .refuses(422, "invalid");
    let refused = records(harness, "outcome=refused").await;
    let told = |action: &str, caller: &str| -> &Value {
        let is_it = |record: &&Value| {
            record["action"] == action && record["caller"]["name"].as_str().unwrap_or_default() == caller
        };
        refused.iter().find(is_it).unwrap_or_else(|| panic!("{action} by {caller} in {refused:#?}"))
    };
    let narrow = told("token.release", "narrow");
    assert_eq!(narrow["reason"], "grant.permission");
    assert_eq!((&narrow["tenant"], &narrow["subject"]["type"]), (&json!(acme), &json!("enterprise")));
    assert_eq!(told("caller.read", "narrow")["reason"], "no grant gives callers:write");
    assert_eq!(told("tenant.update", "strong")["tenant"], acme);
    let unknown = told("token.release", "");
    assert_eq!((&unknown["actor"], &unknown["reason"]), (&json!("unknown"), &json!("unauthenticated")));
    assert_eq!(unknown["tenant"], json!(null), "nobody has said whether there is such a tenant");
    let foreign: Vec<_> = refused.iter().filter(|record| record["caller"]["name"] == "bystander").collect();
    assert_eq!(foreign.len(), 2, "{foreign:#?}");
    // A tenant's story is its own: whoever has no grant on it is no part of it.
    assert!(foreign.iter().all(|record| record["tenant"] == json!(null)), "{foreign:#?}");
    let asked = json!(format!("asked for {acme}"));
    assert!(foreign.iter().any(|record| record["detail"] == asked), "{foreign:#?}");
    assert!(foreign.iter().all(|record| record["reason"] == "not_found"), "{foreign:#?}");
    assert_eq!(refused.len(), 6, "{refused:#?}");
    scene.end().await;
}

#[tokio::test]
async fn the_audit_is_read_by_those_whom_it_concerns() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let (acme, globex) = (Scene::id(&scene.acme), Scene::id(&scene.globex));
    scene.fresh().await.token();
    harness.token(&scene.bystander, "globex").await.token();
    harness.broker().write_counts().await;
    let auditor = harness
        .caller("auditor", "admin", json!([{ "tenant": "acme", "permissions": ["audit:read"] }]))
        .await;
    let all = harness.get(&auditor, "/v1/audit").await.refuses(422, "invalid");
    assert_eq!(all["errors"][0]["pointer"], "/tenant", "{all}");
    harness.get(&auditor, "/v1/audit/checkpoint").await.refuses(403, "forbidden");
    for tenant in ["acme", acme] {
        let read = harness.get(&auditor, &format!("/v1/audit?tenant={tenant}")).await.is(200);
        let items = read["items"].as_array().unwrap();
        assert!(items.len() > 2 && items.iter().all(|item| item["tenant"] == acme), "{read:#}");
    }
    for foreign in ["globex", globex, "no-such-tenant", "ten_nobody"] {
        harness.get(&auditor, &format!("/v1/audit?tenant={foreign}")).await.refuses(404, "not_found");
    }
    harness.get(&scene.strong, "/v1/audit?tenant=acme").await.refuses(403, "forbidden");
    harness.get(&scene.strong, "/v1/audit").await.refuses(403, "forbidden");
    // Page by page it is the same as at once.
    let at_once = harness.get(&harness.admin, "/v1/audit?limit=200").await.is(200);
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = harness.get(&harness.admin, &format!("/v1/audit?limit=3{cursor}")).await.is(200);
        pages.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(pages), at_once["items"]);
    let times: Vec<_> = pages.iter().map(|record| record["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "the newest first");
    for (query, pointer) in [
        ("tenant=..", "/tenant"),
        ("caller=A", "/caller"),
        ("action=token.steal", "/action"),
        ("outcome=maybe", "/outcome"),
        ("on_behalf_of=%00", "/on_behalf_of"),
        ("fingerprint=abc", "/fingerprint"),
        ("since=yesterday", "/since"),
        ("limit=0", "/limit"),
        ("cursor=x", "/cursor"),
    ] {
        let refused =
            harness.get(&harness.admin, &format!("/v1/audit?{query}")).await.refuses(422, "invalid");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{query}");
    }
    let of_caller = records(harness, "caller=strong&action=token.release").await;
    assert_eq!(of_caller.len(), 1);
    let gone = harness.get(&harness.admin, "/v1/audit?caller=nobody").await.refuses(422, "invalid");
    assert_eq!(gone["errors"][0]["pointer"], "/caller", "{gone}");
    let later = records(harness, "since=2026-01-02T03:04:06Z").await;
    assert_eq!(later.len(), 0, "{later:#?}");
    scene.end().await;
}

#[tokio::test]
async fn s13_while_the_audit_cannot_be_written_mints_are_refused_warm_tokens_go_on_and_counts_are_kept() {
    let (harness, key) = acme().await;
    let warm = harness.token(&key, "acme").await.token();
    harness.broker().write_counts().await;
    let mints = harness.mints().await;
    harness.hand().does("ALTER TABLE audit RENAME TO hidden_audit").await;
    for _ in 0..5 {
        assert_eq!(harness.token(&key, "acme").await.token(), warm);
        harness.user_token(&key, "acme", ADA).await.refuses(503, "store_unavailable");
        harness.token("btb_nobody", "acme").await.refuses(401, "unauthenticated");
        harness.broker().write_counts().await;
    }
    assert!(
        harness.mints().await <= mints + 1,
        "what cannot be recorded is not asked of Box again and again"
    );
    harness.hand().does("ALTER TABLE hidden_audit RENAME TO audit").await;
    harness.clock.advance(Duration::from_mins(2));
    harness.user_token(&key, "acme", ADA).await.token();
    let counted = async |query: &str| -> u64 {
        records(&harness, query).await.iter().map(|record| record["count"].as_u64().unwrap()).sum()
    };
    assert_eq!(counted("outcome=done&action=token.release").await, 7, "and none is lost");
    assert_eq!(counted("outcome=refused&action=token.release").await, 5);
    assert_eq!(counted("outcome=failed&action=token.release").await, 5);
    harness.end().await;
}

#[tokio::test]
async fn s13_a_hanging_audit_refuses_mints_within_a_second_and_hangs_nobody() {
    let (harness, key) = acme().await;
    let warm = harness.token(&key, "acme").await.token();
    harness.broker().write_counts().await;
    // Somebody holds the table, and does not let go.
    let hand = harness.hand();
    match hand {
        Hand::Sqlite(_) => hand.does("BEGIN IMMEDIATE").await,
        Hand::Postgres(_) => {
            hand.does("BEGIN").await;
            hand.does("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE").await
        }
    };
    let asked = harness.user_token(&key, "acme", ADA);
    let refused = tokio::time::timeout(2 * Duration::from_secs(1), asked).await.expect("within a second");
    refused.refuses(503, "store_unavailable");
    assert_eq!(harness.token(&key, "acme").await.token(), warm);
    hand.does("ROLLBACK").await;
    harness.clock.advance(Duration::from_mins(2));
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn an_erased_tenants_story_stays_and_the_next_of_its_name_inherits_none_of_it() {
    let (harness, key) = acme().await;
    harness.token(&key, "acme").await.token();
    harness.broker().write_counts().await;
    let id = harness.get(&harness.admin, "/v1/tenants/acme").await.is(200)["id"].as_str().unwrap().to_owned();
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    harness.get(&harness.admin, "/v1/audit?tenant=acme").await.refuses(404, "not_found");
    let story = records(&harness, &format!("tenant={id}")).await;
    assert!(story.iter().any(|record| record["action"] == "token.release"), "{story:#?}");
    assert_eq!(story[0]["action"], "tenant.purge");
    harness.register("acme", &harness.apps.acme).await;
    let other = harness.service("other", any_token("acme")).await;
    harness.token(&other, "acme").await.token();
    let of_name = records(&harness, "tenant=acme").await;
    assert!(
        !of_name.is_empty() && of_name.iter().all(|record| record["tenant"] != json!(id)),
        "{of_name:#?}"
    );
    harness.end().await;
}

#[tokio::test]
async fn a_tenant_is_known_however_its_name_is_written_and_one_who_makes_up_differences_hides_nobody() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    harness.token(&scene.narrow, "%61cme").await.refuses(403, "forbidden");
    let refused = records(harness, "outcome=refused&caller=narrow").await;
    assert_eq!(refused[0]["tenant"], json!(Scene::id(&scene.acme)), "{refused:#?}");
    assert_eq!(refused[0]["peer"], "127.0.0.1");
    for number in 0..1500 {
        let body = json!({ "on_behalf_of": format!("nobody-{number}") });
        harness.post(&scene.strong, "/v1/tenants/acme/token", body).await.token();
    }
    harness.token(&scene.bystander, "globex").await.token();
    let loud = records(harness, "caller=strong&action=token.release").await;
    assert!(loud.len() <= 200);
    let quiet = records(harness, "caller=bystander&action=token.release").await;
    assert!(quiet[0]["fingerprint"].is_string(), "{quiet:#?}");
    let counted = harness.hand().reads("SELECT doc FROM audit WHERE action = 'token.release'").await;
    assert!(counted.len() < 1200, "{} records", counted.len());
    scene.end().await;
}

#[tokio::test]
async fn a_change_is_told_as_it_was_and_as_it_is() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let grants = json!({ "grants": [{ "tenant": "*", "permissions": ["tokens:mint"] }] });
    harness.patch(&harness.admin, "/v1/callers/narrow", grants).await.is(200);
    let policy = json!({ "policy": { "full_tokens": false }, "labels": { "team": "a" } });
    harness.patch(&harness.admin, "/v1/tenants/acme", policy).await.is(200);
    let told =
        async |action: &str| records(harness, &format!("action={action}")).await[0]["detail"].to_string();
    let caller = told("caller.update").await;
    assert!(
        caller.contains("tokens:downscope") && caller.contains(" -> ") && caller.contains("tokens:mint"),
        "{caller}"
    );
    let tenant = told("tenant.update").await;
    assert!(tenant.contains("full_tokens") && tenant.contains("labels: {} -> "), "{tenant}");
    scene.end().await;
}
