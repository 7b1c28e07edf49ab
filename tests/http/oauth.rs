//! Tokens for clients that speak Box's client credentials grant.

use std::time::Duration;

use data_encoding::BASE64;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{ACME, ADA, GLOBEX, Harness};
use crate::oauth_clients::{client_id, credentials};
use crate::response::Reply;
use crate::token_requests::{acme, any_token, events};

const LOOKS: &str = "path=/2.0/users/me";

/// What the audit's records of an action say of how it ended and why.
async fn outcomes(harness: &Harness, action: &str) -> Vec<(Value, Value)> {
    harness.broker().write_counts().await;
    let records = events(harness, action).await;
    records.into_iter().map(|record| (record["outcome"].clone(), record["reason"].clone())).collect()
}

#[tokio::test]
async fn a_key_is_worth_a_token_of_the_enterprise_or_of_a_user_in_boxs_own_shape() {
    let (harness, key) = acme().await;
    let acme = harness.get(&harness.admin, "/v1/tenants/acme").await.is(200);
    let id = acme["id"].as_str().unwrap();
    let body = harness.ccg(&key, Some("acme"), &[]).await.is(200);
    let token = body["access_token"].as_str().unwrap();
    let fields: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["access_token", "expires_in", "restricted_to", "token_type"]);
    assert_eq!((&body["token_type"], &body["restricted_to"]), (&json!("bearer"), &json!([])));
    assert!((3500..=3600).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
    assert_eq!(harness.known_at_box(token).await["subject"], format!("enterprise:{ACME}"));
    assert_eq!(
        harness.token(&key, "acme").await.token(),
        token,
        "one token for all who ask, however they do"
    );

    let enterprise = [("box_subject_type", "enterprise"), ("box_subject_id", ACME)];
    for (tenant, more) in [
        (None, &[][..]),
        (Some("acme"), &enterprise),
        (Some(id), &enterprise),
        (None, &[("box_subject_type", "enterprise")]),
        (None, &[("box_subject_type", ""), ("box_subject_id", ""), ("scope", ""), ("unknown", "1")]),
    ] {
        assert_eq!(harness.ccg(&key, tenant, more).await.token(), token, "{tenant:?} {more:?}");
    }
    let as_user = [("box_subject_type", "user"), ("box_subject_id", ADA)];
    let of_user = harness.ccg(&key, None, &as_user).await.token();
    assert_eq!(harness.known_at_box(&of_user).await["subject"], format!("user:{ADA}"));
    harness.clock.advance(Duration::from_secs(100));
    let later = harness.ccg(&key, None, &[]).await.is(200);
    assert!(later["expires_in"].as_u64().unwrap() <= body["expires_in"].as_u64().unwrap() - 100);
    harness.end().await;
}

#[tokio::test]
async fn http_basic_is_as_good_as_the_form_and_not_beside_another() {
    let (harness, key) = acme().await;
    let basic =
        |id: &str, secret: &str| format!("Basic {}", BASE64.encode(format!("{id}:{secret}").as_bytes()));
    let id = client_id(&key, Some("acme"));
    let ask = async |headers: &[String], more: Vec<(&str, String)>| {
        let request = headers
            .iter()
            .fold(harness.oauth("token"), |request, line| request.header("authorization", line));
        let form = [vec![("grant_type", "client_credentials".to_owned())], more].concat();
        Reply::of(request.form(&form).send().await.unwrap()).await
    };
    let good = basic(&id, &key);
    ask(std::slice::from_ref(&good), Vec::new()).await.token();
    ask(std::slice::from_ref(&good), credentials(&key, Some("acme"))).await.token();
    ask(std::slice::from_ref(&good), vec![("client_id", id.clone())]).await.token();
    ask(std::slice::from_ref(&good), credentials(&key, None)).await.refuses_as_box(400, "invalid_request");
    for headers in [
        vec![basic(&id, "wrong")],
        vec![basic("root", &key)],
        vec![format!("Basic {key}")],
        vec![good.clone(), good.clone()],
        vec!["Basic".to_owned()],
        vec![good.clone(), format!("Bearer {key}"), basic(&id, "wrong")],
    ] {
        let reply = ask(&headers, Vec::new()).await;
        assert_eq!(reply.header("www-authenticate"), "Basic realm=\"box-token-broker\"", "{headers:?}");
        reply.refuses_as_box(401, "invalid_client");
    }
    // A bearer's token is no client's credential. Some SDKs send one along, which is nobody's fault.
    let bearer = [format!("Bearer {key}")];
    ask(&bearer, Vec::new()).await.refuses_as_box(400, "invalid_client");
    ask(&bearer, credentials(&key, Some("acme"))).await.token();
    ask(&[bearer[0].clone(), good], Vec::new()).await.token();
    harness.end().await;
}

#[tokio::test]
async fn credentials_that_open_nothing_are_an_invalid_client_and_count_against_their_address() {
    let (harness, key) = acme().await;
    let other = harness.service("other", any_token("acme")).await;
    let ask = async |form: Vec<(&'static str, String)>| {
        let form = [vec![("grant_type", "client_credentials".to_owned())], form].concat();
        harness.form("token", &form).await
    };
    let pair = |id: String, secret: &str| vec![("client_id", id), ("client_secret", secret.to_owned())];
    let mut texts = Vec::new();
    for form in [
        Vec::new(),
        pair(client_id(&key, Some("acme")), &other),
        pair(client_id(&key, None), "wrong"),
        pair("acme".to_owned(), &key),
        pair(key.clone(), &key),
        pair(format!("{}-Not A Name", client_id(&key, None)), &key),
        vec![("client_id", client_id(&key, None))],
        vec![("client_secret", key.clone())],
    ] {
        let reply = ask(form.clone()).await;
        assert_eq!(reply.header("www-authenticate"), "", "{form:?}");
        let told = reply.refuses_as_box(400, "invalid_client");
        assert_eq!(told["code"], "unauthenticated");
        texts.push(told["error_description"].clone());
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    assert_eq!(outcomes(&harness, "token.release").await[0], (json!("refused"), json!("unauthenticated")));
    let mut limited = None;
    for _ in 0..60 {
        let reply = ask(pair(client_id(&key, None), "wrong")).await;
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
    }
    limited.expect("a limit").refuses_as_box(429, "rate_limit_exceeded");
    // Whoever is known is not kept out.
    harness.ccg(&key, None, &[]).await.token();
    harness.end().await;
}

#[tokio::test]
async fn forms_that_say_nothing_or_too_much_are_invalid_requests() {
    let (harness, key) = acme().await;
    let send = async |kind: &str, body: String| {
        let request = harness.oauth("token").header("content-type", kind).body(body);
        Reply::of(request.send().await.unwrap()).await
    };
    let form = "application/x-www-form-urlencoded";
    let known = format!("client_id={}&client_secret={key}", client_id(&key, None));
    let good = format!("{known}&grant_type=client_credentials");
    send(form, good.clone()).await.token();
    send("application/x-www-form-urlencoded; charset=utf-8", good.clone()).await.token();
    for (body, error) in [
        (format!("{good}&grant_type=client_credentials"), "invalid_request"),
        (format!("{good}&client_id=x"), "invalid_request"),
        (format!("{known}&grant_type=%ff"), "invalid_request"),
        (known.clone(), "invalid_request"),
        (String::new(), "invalid_client"),
        (format!("{known}&grant_type=refresh_token"), "unsupported_grant_type"),
        (format!("{known}&grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer"), "unsupported_grant_type"),
        (format!("{good}&box_subject_type=user"), "invalid_request"),
        (format!("{good}&box_subject_id={ADA}"), "invalid_request"),
        (format!("{good}&box_subject_type=group&box_subject_id=1"), "invalid_request"),
        (format!("{good}&box_subject_type=user&box_subject_id=ada"), "invalid_request"),
        (format!("{good}&box_subject_type=enterprise&box_subject_id={GLOBEX}"), "invalid_grant"),
    ] {
        let reply = send(form, body.clone()).await;
        assert!(!reply.body.to_string().contains(&key), "{reply:?}");
        if body.is_empty() {
            assert_eq!(reply.status, 400, "{reply:?}");
            continue;
        }
        reply.refuses_as_box(400, error);
    }
    send("application/json", good.clone()).await.refuses_as_box(415, "invalid_request");
    send(form, format!("{good}&x={}", "y".repeat(70_000))).await.refuses_as_box(413, "invalid_request");
    // What nobody knows may stand there as often as it likes.
    send(form, format!("{good}&x=1&x=2&&=&")).await.token();
    harness.end().await;
}

#[tokio::test]
async fn where_there_is_no_path_or_another_method_clients_hear_so_in_boxs_shape() {
    let (harness, _) = acme().await;
    let lost = Reply::of(harness.oauth("tokens").send().await.unwrap()).await;
    assert_eq!(lost.header("content-type"), "application/json");
    assert_eq!(lost.refuses_as_box(404, "invalid_request")["code"], "not_found");
    let read = Reply::of(harness.http.get(harness.url("/oauth2/token")).send().await.unwrap()).await;
    assert_eq!(read.refuses_as_box(405, "invalid_request")["code"], "method_not_allowed");
    // Elsewhere it is told as everything is.
    harness.get(&harness.admin, "/v1/oauth2/tokens").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn a_client_names_the_tenant_unless_all_its_grants_name_one() {
    let (harness, _) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let two = json!([any_token("acme")[0], any_token("globex")[0]]);
    let twice = json!([any_token("acme")[0], { "tenant": "acme", "permissions": ["tokens:revoke"] }]);
    let labels = json!([{ "labels": { "tier": "gold" }, "permissions": ["tokens:mint"] }]);
    for (name, grants, expected) in [
        ("two", two, "invalid_request"),
        ("every", any_token("*"), "invalid_request"),
        ("labels", labels, "invalid_request"),
        ("none", json!([]), "invalid_request"),
        ("twice", twice, ""),
    ] {
        let key = harness.service(name, grants).await;
        let reply = harness.ccg(&key, None, &[]).await;
        if expected.is_empty() {
            reply.token();
        } else {
            let told = reply.refuses_as_box(400, expected);
            assert!(told["error_description"].as_str().unwrap().contains("client_id"), "{told}");
        }
    }
    // A deleted one counts as well: what a client id means does not change by a deletion.
    let key = harness.service("both", json!([any_token("acme")[0], any_token("globex")[0]])).await;
    harness.ccg(&key, Some("acme"), &[]).await.token();
    harness.delete(&harness.admin, "/v1/tenants/globex").await.is(204);
    harness.ccg(&key, None, &[]).await.refuses_as_box(400, "invalid_request");
    harness.ccg(&key, Some("acme"), &[]).await.token();
    harness.ccg(&key, Some("globex"), &[]).await.refuses_as_box(400, "invalid_client");
    harness.end().await;
}

#[tokio::test]
async fn grants_policy_and_states_decide_and_a_foreign_tenant_is_none() {
    let (harness, key) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let narrow = json!([{ "tenant": "acme", "permissions": ["tokens:downscope"] }]);
    let narrow = harness.service("narrow", narrow).await;
    harness.ccg(&narrow, None, &[]).await.refuses_as_box(400, "unauthorized_client");
    let enterprise = json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }]);
    let enterprise = harness.service("enterprise", enterprise).await;
    let as_user = [("box_subject_type", "user"), ("box_subject_id", ADA)];
    harness.ccg(&enterprise, None, &as_user).await.refuses_as_box(400, "unauthorized_client");

    // A tenant that is not the client's is like none, even for whoever knows its enterprise.
    let of = |id: &'static str| [("box_subject_type", "enterprise"), ("box_subject_id", id)];
    let mut told = Vec::new();
    for (tenant, enterprise) in [("globex", GLOBEX), ("globex", ACME), ("nobody", GLOBEX)] {
        let mut body =
            harness.ccg(&key, Some(tenant), &of(enterprise)).await.refuses_as_box(400, "invalid_client");
        body["request_id"] = Value::Null;
        told.push(body);
    }
    assert!(told.iter().all(|body| *body == told[0]), "{told:#?}");
    assert_eq!(told[0]["code"], "not_found");

    harness.change_tenant("acme", json!({ "policy": { "full_tokens": false } })).await;
    harness.ccg(&key, None, &[]).await.refuses_as_box(400, "unauthorized_client");
    harness.change_tenant("acme", json!({ "policy": null, "state": "suspended" })).await;
    let told = harness.ccg(&key, None, &[]).await.refuses_as_box(400, "unauthorized_client");
    assert_eq!(told["code"], "tenant_suspended");
    let reasons: Vec<_> =
        outcomes(&harness, "token.release").await.into_iter().map(|(_, reason)| reason).collect();
    for reason in
        ["grant.permission", "grant.subjects", "not_found", "policy.full_tokens", "tenant_suspended"]
    {
        assert!(reasons.contains(&json!(reason)), "{reason} in {reasons:?}");
    }
    harness.end().await;
}

#[tokio::test]
async fn limits_hold_and_what_box_refuses_or_does_not_answer_is_told_as_box_tells_it() {
    let (harness, key) = acme().await;
    harness
        .patch(&harness.admin, "/v1/callers/portal", json!({ "rate_limit": { "per_second": 1 } }))
        .await
        .is(200);
    harness.ccg(&key, None, &[]).await.token();
    let limited = harness.ccg(&key, None, &[]).await;
    assert_eq!(limited.header("retry-after"), "1");
    limited.refuses_as_box(429, "rate_limit_exceeded");
    harness.patch(&harness.admin, "/v1/callers/portal", json!({ "rate_limit": null })).await.is(200);
    harness.change_tenant("acme", json!({ "policy": { "rate_limit": { "per_second": 1 } } })).await;
    harness.ccg(&key, None, &[]).await.token();
    let limited = harness.ccg(&key, None, &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    assert!(limited["message"].as_str().unwrap().contains("tenant"), "{limited}");
    harness.change_tenant("acme", json!({ "policy": { "rate_limit": null } })).await;

    let of = |id: &'static str| [("box_subject_type", "user"), ("box_subject_id", id)];
    let told = harness.ccg(&key, None, &of("404404")).await.refuses_as_box(400, "invalid_grant");
    assert_eq!(told["code"], "subject_invalid");
    harness.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "status": 503 } })).await;
    let down = harness.ccg(&key, None, &of(ADA)).await;
    assert!(!down.header("retry-after").is_empty());
    down.refuses_as_box(503, "temporarily_unavailable");
    harness.end().await;
}

/// Asks with each of these keys at the same time.
async fn all_at_once(harness: &Harness, keys: &[&String]) -> Vec<Reply> {
    join_all(keys.iter().map(|key| harness.ccg(key, None, &[]))).await
}

/// How many looks and mints Box saw.
async fn seen(harness: &Harness) -> (u64, u64) {
    (harness.count(LOOKS).await, harness.mints().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn askers_who_saw_a_401_cost_one_look_and_one_mint_however_many_they_are() {
    let (harness, _) = acme().await;
    let mut keys = Vec::new();
    for number in 0..20 {
        keys.push(harness.service(&format!("worker-{number}"), any_token("acme")).await);
    }
    let all = async || {
        let asked = keys.iter().chain(&keys).map(|key| harness.ccg(key, None, &[]));
        join_all(asked).await.into_iter().map(Reply::token).collect::<Vec<_>>()
    };
    let first = all().await;
    assert!(first.iter().all(|token| *token == first[0]));
    harness.clock.advance(Duration::from_secs(60));
    harness.kill(&first[0]).await;
    let (looks, mints) = seen(&harness).await;
    let second = all().await;
    assert!(second.iter().all(|token| *token == second[0] && *token != first[0]), "{second:?}");
    assert_eq!(seen(&harness).await, (looks + 1, mints + 1));
    // It is young and was never seen dead: whoever asks again is given it again.
    assert!(all().await.iter().all(|token| *token == second[0]));
    assert_eq!(seen(&harness).await, (looks + 1, mints + 1));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_workers_that_start_together_cost_no_mint_and_few_looks() {
    let (harness, key) = acme().await;
    let token = harness.ccg(&key, None, &[]).await.token();
    let (looks, mints) = seen(&harness).await;
    let start = async |asking: Vec<&String>| {
        for reply in all_at_once(&harness, &asking).await {
            assert_eq!(reply.token(), token);
        }
    };
    // With one key, now and a while later.
    start(vec![&key; 300]).await;
    assert_eq!(seen(&harness).await, (looks, mints), "a token of this moment is not doubted");
    harness.clock.advance(Duration::from_secs(60));
    start(vec![&key; 300]).await;
    assert_eq!(seen(&harness).await, (looks + 1, mints));
    harness.clock.advance(Duration::from_secs(4));
    start(vec![&key; 300]).await;
    assert_eq!(seen(&harness).await, (looks + 1, mints));
    harness.clock.advance(Duration::from_secs(1));
    start(vec![&key; 300]).await;
    assert_eq!(seen(&harness).await, (looks + 2, mints));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_a_key_each_that_ask_once_are_not_doubted() {
    let (harness, key) = acme().await;
    let token = harness.ccg(&key, None, &[]).await.token();
    let mut keys = Vec::new();
    for number in 0..150 {
        let name = format!("worker-{number}");
        keys.push(harness.service(&name, any_token("acme")).await);
        let second =
            harness.post(&harness.admin, &format!("/v1/callers/{name}/keys"), json!({})).await.is(201);
        keys.push(second["key"].as_str().unwrap().to_owned());
    }
    harness.clock.advance(Duration::from_secs(60));
    let before = seen(&harness).await;
    for reply in all_at_once(&harness, &keys.iter().collect::<Vec<_>>()).await {
        assert_eq!(reply.token(), token);
    }
    assert_eq!(seen(&harness).await, before, "none of 300 keys was given it before");
    harness.end().await;
}

#[tokio::test]
async fn who_asks_again_late_or_while_box_is_away_is_given_what_there_is() {
    let (harness, key) = acme().await;
    let token = harness.ccg(&key, None, &[]).await.token();
    harness.clock.advance(Duration::from_secs(60));
    for effect in [json!({ "status": 503 }), json!({ "hang": true }), json!({ "status": 500 })] {
        harness.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": effect })).await;
        assert_eq!(harness.ccg(&key, None, &[]).await.token(), token, "a doubt is no verdict");
        harness.heal().await;
        harness.clock.advance(Duration::from_secs(10));
    }
    // Close to its end everybody asks again, dead or not.
    harness.clock.advance(Duration::from_secs(3600 - 90 - 590));
    let looks = harness.count(LOOKS).await;
    harness.ccg(&key, None, &[]).await.token();
    assert_eq!(harness.count(LOOKS).await, looks);
    harness.end().await;
}

#[tokio::test]
async fn after_a_restart_it_is_known_who_asks_again() {
    let (mut harness, key) = acme().await;
    let first = harness.service("first", any_token("acme")).await;
    let token = harness.ccg(&key, None, &[]).await.token();
    harness.restart().await;
    harness.clock.advance(Duration::from_secs(60));
    let (looks, mints) = seen(&harness).await;
    assert_eq!(harness.ccg(&first, None, &[]).await.token(), token);
    assert_eq!(seen(&harness).await, (looks, mints), "it was never given this one");
    harness.kill(&token).await;
    assert_ne!(harness.ccg(&key, None, &[]).await.token(), token);
    assert_eq!(seen(&harness).await, (looks + 1, mints + 1));
    harness.end().await;
}

#[tokio::test]
async fn a_token_that_dies_again_at_once_is_not_replaced_for_a_while() {
    let (harness, key) = acme().await;
    let first = harness.ccg(&key, None, &[]).await.token();
    harness.clock.advance(Duration::from_secs(10));
    harness.kill(&first).await;
    let second = harness.ccg(&key, None, &[]).await.token();
    assert_ne!(second, first);
    harness.clock.advance(Duration::from_secs(10));
    harness.kill(&second).await;
    let held = harness.ccg(&key, None, &[]).await;
    assert_eq!(held.header("retry-after"), "20");
    held.refuses_as_box(503, "temporarily_unavailable");
    harness.clock.advance(Duration::from_secs(20));
    harness.ccg(&key, None, &[]).await.token();
    harness.end().await;
}
