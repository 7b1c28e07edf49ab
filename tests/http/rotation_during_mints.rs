//! Credentials that change while tokens are minted with the old ones.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{ACME, ADA, Harness};
use crate::registration::with;
use crate::rotation::{next_key, put};
use crate::token_requests::{acme, any_token, eventually, meanwhile, user};

/// How many mints are at Box when the credentials change, and of them how many come back at once.
const MINTS: usize = 200;
const BATCH: usize = 25;

/// A broker whose enterprise has many users, and room for all of their mints at once.
async fn crowd() -> (Harness, String, Vec<String>) {
    let ids: Vec<String> = (0..MINTS).map(|number| (19_000_000_000 + number).to_string()).collect();
    let room = [("BTB_LIMITS__MINTS_IN_FLIGHT", "1000")];
    let harness = Harness::with(&room, |world, _| {
        let mut enterprise = world.enterprises().find(|one| one.id == ACME).unwrap().clone();
        let ada = enterprise.user(ADA).unwrap().clone();
        for id in &ids {
            let mut user = ada.clone();
            (user.id, user.login) = (id.clone(), format!("{id}@acme.example"));
            enterprise.users.push(user);
        }
        world.put_enterprise(enterprise);
    })
    .await;
    harness.register("acme", &harness.apps.acme).await;
    let key = harness.service("portal", any_token("acme")).await;
    (harness, key, ids)
}

#[tokio::test]
async fn invariant_5_a_rotation_amid_200_mints_serves_no_token_of_the_old_generation() {
    let (harness, key, ids) = crowd().await;
    let body = next_key(&harness).await;
    let at_box = "grant=jwt-bearer&client_id=".to_owned() + &harness.apps.acme.client_id;
    let before = harness.count(&at_box).await;
    // They come back after the switch, a few at a time; the rotation's own call is not struck.
    let order = json!({ "select": { "grant": "jwt-bearer" }, "effect": { "hold": true }, "times": BATCH });
    let mut held = Vec::new();
    for _ in 0..MINTS / BATCH {
        held.push(harness.fault(order.clone()).await);
    }
    let asks = ids.iter().map(|id| harness.user_token(&key, "acme", id));
    let rotation = async {
        let all = before + u64::try_from(MINTS).unwrap();
        eventually("all mints are at Box", async || harness.count(&at_box).await >= all).await;
        let rotated = put(&harness, "acme", "", &body).await.is(200);
        let mut again = harness.count(&at_box).await;
        for fault in &held {
            harness.lift(fault).await;
            again += u64::try_from(BATCH).unwrap();
            eventually("they ask anew", async || harness.count(&at_box).await >= again).await;
        }
        rotated
    };
    let (replies, rotated) = tokio::join!(futures::future::join_all(asks), rotation);
    assert_eq!(rotated["key"]["public_key_id"], "next");
    let mut served = BTreeSet::new();
    for reply in replies {
        let token = reply.token();
        assert_eq!(harness.known_at_box(&token).await["live"], true);
        served.insert(box_token_broker::crypto::sha256_hex(token.as_bytes()));
    }
    assert_eq!(served.len(), MINTS);
    // Each was minted anew, and what the old key brought is dead.
    for id in &ids {
        let issued = harness.issued(&format!("grant=jwt-bearer&subject=user:{id}")).await;
        let [old, new] = &issued[..] else { panic!("{id}: {issued:?}") };
        assert!(served.contains(new) && !served.contains(old), "{id}");
        eventually("the old one dies", async || harness.known_by_sha256(old).await["live"] == false).await;
    }
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_with_the_old_key_is_thrown_away_and_revoked() {
    let (harness, key) = acme().await;
    let body = next_key(&harness).await;
    let of_ada = format!("grant=jwt-bearer&subject=user:{ADA}");
    let reply = meanwhile(&harness, "jwt-bearer", harness.user_token(&key, "acme", ADA), async {
        put(&harness, "acme", "", &body).await.is(200);
    })
    .await;
    let token = reply.token();
    let issued = harness.issued(&of_ada).await;
    assert_eq!(issued.len(), 2);
    assert_eq!(box_token_broker::crypto::sha256_hex(token.as_bytes()), issued[1]);
    eventually("it dies", async || harness.known_by_sha256(&issued[0]).await["live"] == false).await;
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_token_found_alive_while_the_credentials_change_is_replaced() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    let body = next_key(&harness).await;
    let looks = "path=/2.0/users/me";
    let before = harness.count(looks).await;
    let order = json!({ "select": { "path": "/2.0/users/me" }, "effect": { "hold": true }, "times": 1 });
    let held = harness.fault(order).await;
    let rejected = json!({ "rejected": old });
    let ask = harness.post(&key, "/v1/tenants/acme/token", rejected);
    let change = async {
        eventually("it is looked at", async || harness.count(looks).await > before).await;
        put(&harness, "acme", "", &body).await.is(200);
        harness.lift(&held).await;
    };
    let (reply, ()) = tokio::join!(ask, change);
    let token = reply.token();
    assert_ne!(token, old);
    assert_eq!(harness.token(&key, "acme").await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn old_tokens_are_revoked_where_that_is_asked() {
    for (another_app, revoked) in [(false, true), (true, true), (false, false), (true, false)] {
        let (harness, key) = acme().await;
        let child = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
        let old = [
            harness.token(&key, "acme").await.token(),
            harness.user_token(&key, "acme", ADA).await.token(),
            harness.downscoped(&key, "acme", child).await.token(),
        ];
        let body = if another_app {
            let config = serde_json::from_str::<serde_json::Value>(&harness.apps.ccg.json).unwrap();
            json!({ "config": config, "auth": "ccg" })
        } else {
            // The secret was reset in Box: the old one revokes nothing any more.
            let body = next_key(&harness).await;
            harness.change_app(&harness.apps.acme, json!({ "client_secret": "reset" })).await;
            with(body, "/credentials/client_secret", json!("reset"))
        };
        let query = if revoked { "?revoke_old=true" } else { "" };
        let after = put(&harness, "acme", query, &body).await.is(200);
        assert_eq!(after["warnings"], json!([]));
        for token in &old {
            assert_eq!(harness.known_at_box(token).await["live"], !revoked, "{another_app} {revoked}");
        }
        let new = harness.token(&key, "acme").await.token();
        assert_eq!(harness.known_at_box(&new).await["live"], true);
        harness.end().await;
    }
}

#[tokio::test]
async fn what_could_not_be_revoked_is_told_and_the_switch_stands() {
    let (harness, key) = acme().await;
    let old = harness.user_token(&key, "acme", ADA).await.token();
    let body = next_key(&harness).await;
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    let after = put(&harness, "acme", "?revoke_old=true", &body).await.is(200);
    assert_eq!(after["warnings"][0]["pointer"], "/revoke_old");
    assert!(after["warnings"][0]["detail"].as_str().unwrap().starts_with("2 older tokens"), "{after}");
    assert_eq!(after["key"]["public_key_id"], "next");
    harness.heal().await;
    assert_ne!(harness.user_token(&key, "acme", ADA).await.token(), old);
    harness.end().await;
}
