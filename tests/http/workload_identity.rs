//! Services that come with the token that they have already.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness};
use crate::issuer_fixture::{AUDIENCE, SUBJECT, Scene};
use crate::token_requests::{any_token, meanwhile};

/// Who acted, by the last event of an action.
async fn actor(harness: &Harness, action: &str) -> Value {
    let sql =
        format!("SELECT doc FROM audit WHERE action = '{action}' ORDER BY at DESC, number DESC LIMIT 1");
    let docs = harness.hand().reads(&sql).await;
    // What comes next is later: records of one moment have no order.
    harness.clock.advance(Duration::from_secs(1));
    serde_json::from_str::<Value>(&docs[0]).unwrap()["actor"]["caller"].clone()
}

#[tokio::test]
async fn a_token_of_a_trusted_issuer_does_what_a_key_does() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    let key = harness.service("job", any_token("acme")).await;
    let trust = scene.trust("job", json!({})).await.is(201);
    let text = scene.token(json!({}));
    assert_eq!(scene.ask(&text).await.token(), harness.token(&key, "acme").await.token());
    harness.user_token(&text, "acme", ADA).await.token();
    harness.token(&text, "nobody").await.refuses(404, "not_found");

    let (told, by_key) =
        (harness.get(&text, "/v1/whoami").await.ok(), harness.get(&key, "/v1/whoami").await.ok());
    for field in ["id", "name", "kind", "state", "grants"] {
        assert_eq!(told[field], by_key[field], "{field}");
    }
    let credential = json!({
        "type": "jwt", "issuer": scene.issuer.url(), "subject": SUBJECT, "trust": trust["id"],
        "expires_at": "2026-01-02T03:14:05Z",
    });
    assert_eq!(told["credential"], credential);
    assert_eq!(told.get("others"), None);

    let actor = actor(harness, "token.mint").await;
    assert_eq!((&actor["id"], &actor["name"]), (&told["id"], &json!("job")));
    let recorded = json!({
        "issuer": scene.issuer.url(), "subject": SUBJECT, "token_id": "t-1", "trust": trust["id"],
    });
    assert_eq!(actor["credential"]["jwt"], recorded);
    scene.harness.end().await;
}

#[tokio::test]
async fn a_token_ends_with_its_exp_whichever_way_the_clock_goes() {
    let scene = Scene::new().await;
    let clock = &scene.harness.clock;
    let text = scene.token(json!({}));
    scene.ask(&text).await.token();
    clock.advance(Duration::from_secs(599));
    scene.ask(&text).await.token();
    clock.advance(Duration::from_secs(1));
    scene.refused("its exp", &text).await;
    // Stepped forward, what is remembered does not outlive its end either.
    let text = scene.token(json!({}));
    scene.ask(&text).await.token();
    clock.step(jiff::SignedDuration::from_secs(600));
    scene.refused("its exp, by a step", &text).await;
    // Stepped back, it is judged again once five minutes went by.
    let text = scene.token(json!({ "exp": scene.now() + 60 }));
    scene.ask(&text).await.token();
    clock.advance(Duration::from_secs(59));
    clock.step(jiff::SignedDuration::from_secs(-50));
    scene.ask(&text).await.token();
    clock.advance(Duration::from_secs(51));
    scene.refused("its exp, by and by", &text).await;
    scene.harness.end().await;
}

#[tokio::test]
async fn a_trust_that_is_gone_opens_nothing_however_well_the_token_is_remembered() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    harness.service("job", any_token("acme")).await;
    let text = scene.token(json!({}));
    scene.refused("nobody trusts it", &text).await;
    let trust = scene.trust("job", json!({})).await.is(201);
    // A new trust is noticed as well.
    scene.ask(&text).await.token();
    let path = format!("/v1/callers/job/trusts/{}", trust["id"].as_str().unwrap());
    harness.delete(&harness.admin, &path).await.is(204);
    scene.refused("the trust is gone", &text).await;
    harness.delete(&harness.admin, &path).await.refuses(404, "not_found");
    scene.trust("job", json!({})).await.is(201);
    scene.ask(&text).await.token();
    let grants = json!({ "grants": [{ "tenant": "acme", "permissions": ["tokens:downscope"] }] });
    harness.patch(&harness.admin, "/v1/callers/job", grants).await.is(200);
    scene.ask(&text).await.refuses(403, "forbidden");
    harness.delete(&harness.admin, "/v1/callers/job").await.is(204);
    scene.refused("the caller is gone", &text).await;
    harness.service("job", any_token("acme")).await;
    scene.refused("its name inherits nothing", &text).await;
    assert_eq!(scene.issuer.key_sets(), 1);
    scene.harness.end().await;
}

#[tokio::test]
async fn s15_a_locked_caller_is_opened_by_no_token() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    harness.service("job", any_token("acme")).await;
    scene.trust("job", json!({})).await.is(201);
    let text = scene.token(json!({}));
    scene.ask(&text).await.token();
    harness.post(&harness.admin, "/v1/callers/job/lockdown", json!({})).await.is(200);
    scene.refused("the caller is locked", &text).await;
    harness.patch(&harness.admin, "/v1/callers/job", json!({ "state": "active" })).await.is(200);
    scene.ask(&text).await.token();
    scene.harness.end().await;
}

#[tokio::test]
async fn a_trust_that_goes_while_a_token_is_minted_keeps_it_back() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    harness.service("job", any_token("acme")).await;
    let trust = scene.trust("job", json!({})).await.is(201);
    let text = scene.token(json!({}));
    let path = format!("/v1/callers/job/trusts/{}", trust["id"].as_str().unwrap());
    let delete = async { drop(harness.delete(&harness.admin, &path).await.is(204)) };
    let ask = harness.user_token(&text, "acme", ADA);
    meanwhile(harness, "jwt-bearer", ask, delete).await.refuses(401, "unauthenticated");
    // With the trust it is decided by the grants of the moment, and leaves.
    scene.trust("job", json!({})).await.is(201);
    let ask = harness.user_token(&text, "acme", GRACE);
    let other = async { drop(harness.service("other", json!([])).await) };
    meanwhile(harness, "jwt-bearer", ask, other).await.token();
    scene.harness.end().await;
}

#[tokio::test]
async fn every_caller_whose_trust_matches_counts_each_grant_alone() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    let grant = |permission: &str, subjects: &str| json!([{ "tenant": "acme", "permissions": [permission], "subjects": [subjects] }]);
    harness.service("reader", grant("tokens:downscope", "enterprise")).await;
    harness.service("for-ada", grant("tokens:mint", &format!("user:{ADA}"))).await;
    harness.service("for-acme", grant("tokens:mint", "enterprise")).await;
    harness.service("stranger", grant("tokens:mint", &format!("user:{GRACE}"))).await;
    for caller in ["reader", "for-ada", "for-acme"] {
        scene.trust(caller, json!({})).await.is(201);
    }
    scene.trust("stranger", json!({ "subject": "repo:acme/*:ref:refs/heads/dev" })).await.is(201);
    let text = scene.token(json!({}));
    harness.user_token(&text, "acme", ADA).await.token();
    assert_eq!(actor(harness, "token.mint").await["name"], "for-ada");
    scene.ask(&text).await.token();
    // The token of the registration is warm, so this one is not minted.
    assert_eq!(actor(harness, "token.mint").await["name"], "for-ada");
    harness.user_token(&text, "acme", GRACE).await.refuses(403, "forbidden");
    let preview = json!({ "subject": { "type": "user", "id": ADA }, "scopes": ["item_preview"] });
    harness.downscoped(&text, "acme", preview).await.token();
    assert_eq!(actor(harness, "token.downscope").await["name"], "for-ada");
    harness.token(&text, "globex").await.refuses(404, "not_found");
    // What leaves from memory is counted as the same callers'.
    harness.broker().write_counts().await;
    let released = "SELECT doc FROM audit WHERE action = 'token.release' AND outcome = 'done'";
    let released = harness.hand().reads(released).await;
    let mut to: Vec<Value> = released
        .iter()
        .map(|doc| {
            let doc: Value = serde_json::from_str(doc).unwrap();
            json!([doc["actor"]["caller"]["name"], doc["subject"]["type"], doc["scopes"]])
        })
        .collect();
    to.sort_by_key(Value::to_string);
    let enterprise = json!(["for-acme", "enterprise", null]);
    let (user, preview) = (json!(["for-ada", "user", null]), json!(["for-ada", "user", ["item_preview"]]));
    assert_eq!(to, [enterprise, preview, user]);

    let told = harness.get(&text, "/v1/whoami").await.ok();
    let mut names = vec![told["name"].clone()];
    names.extend(told["others"].as_array().unwrap().iter().map(|other| other["name"].clone()));
    names.sort_by_key(Value::to_string);
    assert_eq!(names, [json!("for-acme"), json!("for-ada"), json!("reader")]);
    scene.harness.end().await;
}

#[tokio::test]
async fn an_admins_calls_are_recorded_as_those_of_the_caller_that_may() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    let on_acme = |permissions: Value| json!([{ "tenant": "acme", "permissions": permissions }]);
    harness.caller("writer", "admin", on_acme(json!(["tenants:read", "tenants:write"]))).await;
    harness.caller("granter", "admin", on_acme(json!(["callers:write", "tokens:mint"]))).await;
    harness.caller("minter", "admin", on_acme(json!(["tokens:revoke"]))).await;
    for caller in ["writer", "granter", "minter"] {
        scene.trust(caller, json!({})).await.is(201);
    }
    let text = scene.token(json!({}));
    harness.patch(&text, "/v1/tenants/acme", json!({ "display_name": "Acme" })).await.is(200);
    assert_eq!(actor(harness, "tenant.update").await["name"], "writer");
    let service = |permission: &str| json!({ "name": "new", "kind": "service", "grants": on_acme(json!([permission])) });
    // What one may hand on and another holds nobody hands on.
    harness.post(&text, "/v1/callers", service("tokens:revoke")).await.refuses(403, "forbidden");
    harness.post(&text, "/v1/callers", service("tokens:mint")).await.is(201);
    assert_eq!(actor(harness, "caller.create").await["name"], "granter");
    let subject = json!({ "subject": { "type": "enterprise" } });
    harness.post(&text, "/v1/tenants/acme/token/revoke", subject).await.is(204);
    assert_eq!(actor(harness, "token.revoke").await["name"], "minter");
    harness
        .patch(&text, "/v1/tenants/acme", json!({ "labels": { "a": "b" } }))
        .await
        .refuses(403, "forbidden");
    scene.harness.end().await;
}

#[tokio::test]
async fn the_tokens_of_github_and_kubernetes_are_told_apart_by_their_claims() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    harness.service("deploy", any_token("acme")).await;
    let trust = json!({
        "subject": "repo:acme/*:environment:prod",
        "claims": { "repository_owner": "acme", "job_workflow_ref": "acme/ci/.github/workflows/*@refs/heads/main",
                    "run_attempt": "1", "/actor/teams": "release" },
    });
    scene.trust("deploy", trust).await.is(201);
    let github = |change: Value| {
        let mut claims = json!({
            "sub": "repo:acme/web:environment:prod", "repository_owner": "acme", "run_attempt": 1,
            "job_workflow_ref": "acme/ci/.github/workflows/deploy.yml@refs/heads/main",
            "actor": { "teams": ["dev", "release"] },
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        scene.token(claims)
    };
    scene.ask(&github(json!({}))).await.token();
    for change in [
        json!({ "sub": "repo:acme/web:environment:production" }),
        json!({ "sub": "repo:acme/web/x:environment:prod" }),
        json!({ "sub": "repo:acme/web:pull_request:environment:prod" }),
        json!({ "sub": "repo:acme-evil/web:environment:prod" }),
        json!({ "sub": "x-repo:acme/web:environment:prod" }),
        json!({ "repository_owner": "acme-evil" }),
        json!({ "repository_owner": null }),
        json!({ "job_workflow_ref": "acme/ci/.github/workflows/deploy.yml@refs/heads/main/x" }),
        json!({ "job_workflow_ref": "evil/acme/ci/.github/workflows/deploy.yml@refs/heads/main" }),
        json!({ "run_attempt": 2 }),
        json!({ "run_attempt": [] }),
        json!({ "actor": { "teams": ["dev"] } }),
        json!({ "actor": { "teams": { "release": true } } }),
        json!({ "actor": "release" }),
    ] {
        scene.refused(&change.to_string(), &github(change.clone())).await;
    }

    harness.service("invoices", any_token("acme")).await;
    let trust = json!({
        "subject": "system:serviceaccount:*:invoices",
        "claims": { "/kubernetes.io/namespace": "prod", "/kubernetes.io/serviceaccount/name": "invoices" },
    });
    scene.trust("invoices", trust).await.is(201);
    let kubernetes = |namespace: &str, change: Value| {
        let mut claims = json!({
            "aud": [AUDIENCE, "https://kubernetes.default.svc"], "jti": null,
            "sub": format!("system:serviceaccount:{namespace}:invoices"),
            "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": "invoices", "uid": "u" },
                               "pod": { "name": "invoices-7d4b" } },
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        scene.token(claims)
    };
    scene.ask(&kubernetes("prod", json!({}))).await.token();
    scene.refused("another namespace", &kubernetes("test", json!({}))).await;
    scene.refused("a part more", &kubernetes("prod:x", json!({}))).await;
    scene
        .refused("another audience", &kubernetes("prod", json!({ "aud": "https://kubernetes.default.svc" })))
        .await;
    scene.harness.end().await;
}

#[tokio::test]
async fn trusts_of_the_settings_open_callers_and_change_none() {
    let signer = crate::issuer::Signer::rsa(0);
    let issuer = crate::issuer::Issuer::start(vec![signer.jwk("k1")]).await;
    let trust = |caller: &str| json!({ "caller": caller, "issuer": issuer.url(), "audience": AUDIENCE, "subject": SUBJECT });
    let settings = [
        ("BTB_AUTH__OIDC", issuer.setting()),
        ("BTB_AUTH__TRUSTS", json!([trust("job"), trust("nobody")]).to_string()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let harness = Harness::with(&settings, |_, _| {}).await;
    let scene = Scene { harness, issuer, signer };
    let mut scene = scene;
    scene.harness.register("acme", &scene.harness.apps.acme).await;
    let text = scene.token(json!({}));
    scene.refused("there is no such caller", &text).await;
    scene.harness.service("job", any_token("acme")).await;
    scene.ask(&text).await.token();
    let told = scene.harness.get(&text, "/v1/whoami").await.ok();
    let id = told["credential"]["trust"].as_str().unwrap().to_owned();
    let kept = scene.harness.get(&scene.harness.admin, "/v1/callers/job").await.ok();
    assert_eq!(kept["trusts"], json!([]));
    let path = format!("/v1/callers/job/trusts/{id}");
    scene.harness.delete(&scene.harness.admin, &path).await.refuses(404, "not_found");

    // The same trust has the same id in the next life.
    scene.harness.restart().await;
    assert_eq!(scene.harness.get(&text, "/v1/whoami").await.ok()["credential"]["trust"], id.as_str());
    scene.harness.patch(&scene.harness.admin, "/v1/callers/job", json!({ "name": "renamed" })).await.is(200);
    scene.refused("the caller has another name", &text).await;
    scene.harness.end().await;
}

#[tokio::test]
async fn a_token_opens_the_same_after_a_restart_and_while_the_database_is_away() {
    let mut scene = Scene::new().await;
    let text = scene.token(json!({}));
    scene.ask(&text).await.token();
    scene.harness.restart().await;
    scene.ask(&text).await.token();
    let elsewhere = scene.harness.hand();
    elsewhere.does("ALTER TABLE callers RENAME TO gone").await;
    scene.ask(&text).await.token();
    elsewhere.does("ALTER TABLE gone RENAME TO callers").await;
    scene.harness.end().await;
}
