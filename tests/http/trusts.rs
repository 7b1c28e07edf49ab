//! Trusts as admins give and take them, and as a hand in the database does.

use serde_json::{Value, json};

use crate::harness::Harness;
use crate::issuer_fixture::{AUDIENCE, SUBJECT, Scene};
use crate::token_requests::any_token;

async fn actions(harness: &Harness) -> Vec<String> {
    harness
        .hand()
        .reads("SELECT action FROM audit WHERE action LIKE 'trust.%' AND outcome = 'done' ORDER BY number")
        .await
}

#[tokio::test]
async fn a_trust_is_shown_as_it_was_given_and_both_ends_are_recorded() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    harness.service("job", any_token("acme")).await;
    let claims = json!({ "environment": "prod", "/kubernetes.io/namespace": "*" });
    let made = scene.trust("job", json!({ "claims": claims })).await.is(201);
    assert!(made["id"].as_str().unwrap().starts_with("tru_"), "{made}");
    let expected = json!({
        "id": made["id"], "issuer": scene.issuer.url(), "audience": AUDIENCE, "subject": SUBJECT,
        "claims": claims, "created_at": "2026-01-02T03:04:05Z",
    });
    assert_eq!(made, expected);
    let caller = harness.get(&harness.admin, "/v1/callers/job").await.ok();
    assert_eq!(caller["trusts"], json!([expected]));
    assert_eq!(actions(harness).await, ["trust.create"]);
    scene.trust("job", json!({ "claims": claims })).await.refuses(409, "conflict");
    scene.trust("job", json!({ "claims": null })).await.is(201);
    let path = format!("/v1/callers/job/trusts/{}", made["id"].as_str().unwrap());
    harness.delete(&harness.admin, &path).await.is(204);
    assert_eq!(actions(harness).await, ["trust.create", "trust.create", "trust.delete"]);
    let caller = harness.get(&harness.admin, "/v1/callers/job").await.ok();
    assert_eq!(caller["trusts"].as_array().unwrap().len(), 1);
    // Nothing else of the caller is changed by a PATCH, and nothing of the trusts.
    harness.patch(&harness.admin, "/v1/callers/job", json!({ "trusts": [] })).await.refuses(422, "invalid");
    scene.harness.end().await;
}

#[tokio::test]
async fn what_cannot_be_a_trust_is_refused_with_its_place() {
    let scene = Scene::bare(&[]).await;
    scene.harness.service("job", any_token("acme")).await;
    let many: Value =
        (0..17).map(|number| (number.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    for (change, pointer) in [
        (json!({ "issuer": "https://accounts.google.com" }), "/issuer"),
        (json!({ "issuer": format!("{}/", scene.issuer.url()) }), "/issuer"),
        (json!({ "issuer": 7 }), "/issuer"),
        (json!({ "audience": "" }), "/audience"),
        (json!({ "audience": ["a"] }), "/audience"),
        (json!({ "subject": "" }), "/subject"),
        (json!({ "subject": "a\nb" }), "/subject"),
        (json!({ "subject": "x".repeat(513) }), "/subject"),
        (json!({ "claims": { "a": "" } }), "/claims/a"),
        (json!({ "claims": { "a": 7 } }), "/claims/a"),
        (json!({ "claims": { "/a~": "x" } }), "/claims"),
        (json!({ "claims": many }), "/claims"),
        (json!({ "claims": [] }), "/claims"),
        (json!({ "more": 1 }), "/more"),
    ] {
        let problem = scene.trust("job", change.clone()).await.refuses(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{change}: {problem}");
    }
    let unknown = scene.trust("job", json!({ "issuer": "https://a.example" })).await;
    assert!(unknown.body["detail"].as_str().unwrap().contains(scene.issuer.url()), "{unknown:?}");
    assert_eq!(actions(&scene.harness).await, [""; 0]);
    for number in 0..32 {
        scene.trust("job", json!({ "subject": format!("job:{number}") })).await.is(201);
    }
    scene.trust("job", json!({})).await.refuses(409, "conflict");
    scene.harness.end().await;
}

#[tokio::test]
async fn whoever_may_not_grant_what_a_caller_holds_gives_it_no_trust() {
    let scene = Scene::bare(&[]).await;
    let harness = &scene.harness;
    harness.register("globex", &harness.apps.globex).await;
    let narrow = json!([{ "tenant": "globex", "permissions": ["callers:write", "tokens:mint"],
                          "subjects": ["enterprise", "user:*"] }]);
    let narrow = harness.caller("narrow", "admin", narrow).await;
    let service = harness.service("strong", any_token("acme")).await;
    harness.service("weak", any_token("globex")).await;
    let trust = scene.trust("strong", json!({})).await.is(201);
    let path = format!("/v1/callers/strong/trusts/{}", trust["id"].as_str().unwrap());
    for absent in ["strong", "root", "nobody"] {
        scene.trust_as(&narrow, absent, json!({})).await.refuses(404, "not_found");
        // Nor is it told by what is wrong with the request.
        scene
            .trust_as(&narrow, absent, json!({ "issuer": "https://a.example" }))
            .await
            .refuses(404, "not_found");
    }
    harness.delete(&narrow, &path).await.refuses(404, "not_found");
    scene.trust_as(&service, "strong", json!({})).await.refuses(403, "forbidden");
    harness.delete(&service, &path).await.refuses(403, "forbidden");
    scene.ask(&scene.token(json!({}))).await.token();
    scene.trust_as(&narrow, "weak", json!({})).await.is(201);
    let text = scene.token(json!({}));
    harness.token(&text, "globex").await.token();
    scene.harness.end().await;
}

/// A hand that writes while nobody looks.
async fn written(scene: &mut Scene, sql: &str) {
    scene.harness.stop().await;
    assert!(scene.harness.hand().does(sql).await > 0, "{sql}");
    scene.harness.start().await;
}

#[tokio::test]
async fn s5_a_trust_put_in_or_altered_from_outside_opens_nothing() {
    let mut scene = Scene::new().await;
    let bystander = scene.harness.service("bystander", any_token("acme")).await;
    let other = scene.token(json!({ "sub": "another" }));
    let good = scene.token(json!({}));
    // The index alone leads to the admin.
    let index = format!(
        "INSERT INTO caller_trusts (issuer, caller_id) SELECT '{}', id FROM callers WHERE name = 'root'",
        scene.issuer.url()
    );
    written(&mut scene, &index).await;
    scene.refused("an index row", &other).await;
    let told = scene.harness.get(&good, "/v1/whoami").await.ok();
    assert_eq!((&told["name"], told.get("others")), (&json!("job"), None));

    // A trust that is written into the admin's own row, in the index too.
    let trusts = scene.harness.hand().reads("SELECT doc FROM callers WHERE name = 'job'").await;
    let trusts = serde_json::from_str::<Value>(&trusts[0]).unwrap()["trusts"].to_string();
    let forged = format!(
        "UPDATE callers SET doc = replace(doc, '\"trusts\":[]', '\"trusts\":{trusts}') WHERE name = 'root'"
    );
    written(&mut scene, &forged).await;
    let told = scene.harness.get(&good, "/v1/whoami").await.ok();
    assert_eq!((&told["name"], told.get("others")), (&json!("job"), None));

    // A wider pattern.
    let wider = format!("UPDATE callers SET doc = replace(doc, '{SUBJECT}', '*') WHERE name = 'job'");
    written(&mut scene, &wider).await;
    scene.refused("a wider pattern", &other).await;
    scene.refused("the row as a whole", &good).await;
    scene.harness.token(&bystander, "acme").await.token();
    scene.harness.end().await;
}

#[tokio::test]
async fn s5_a_row_that_is_missing_in_the_index_never_permits() {
    let mut scene = Scene::new().await;
    let good = scene.token(json!({}));
    scene.ask(&good).await.token();
    written(&mut scene, "DELETE FROM caller_trusts").await;
    scene.refused("nobody leads there", &good).await;
    scene.harness.end().await;
}
