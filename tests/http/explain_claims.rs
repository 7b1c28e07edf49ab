//! What a token of an OIDC issuer would get, told from its claims alone, and true of the token.

use serde_json::{Value, json};

use crate::issuer_fixture::Scene;
use crate::token_requests::any_token;

async fn explain(scene: &Scene, key: &str, claims: &Value) -> crate::response::Reply {
    let body = json!({ "claims": claims, "tenant": "acme" });
    scene.harness.post(key, "/v1/policy/explain", body).await
}

#[tokio::test]
async fn claims_are_explained_as_their_token_is_served() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let narrow = json!([{ "tenant": "acme", "permissions": ["tokens:downscope"] }]);
    harness.service("a-narrow-one", narrow).await;
    scene.trust("a-narrow-one", json!({})).await.is(201);
    let changes = [
        (json!({}), true, Some("job")),
        (json!({ "jti": null, "iat": null, "nbf": null }), true, Some("job")),
        (json!({ "sub": "repo:acme/payroll:ref:refs/heads/main" }), false, None),
        (json!({ "aud": "somebody-else" }), false, None),
    ];
    for (change, allowed, by) in changes {
        let told = explain(&scene, &harness.admin, &scene.claims(change.clone())).await.is(200);
        assert_eq!((&told["allowed"], &told["caller"]), (&json!(allowed), &json!(by)), "{change}: {told}");
        assert_eq!(scene.ask(&scene.token(change.clone())).await.status == 200, allowed, "{change}");
        if !allowed {
            assert_eq!(told["rule"], "trust", "{told}");
        }
    }
    // What does not say when it ends is taken for alive; what has ended, and what nobody issues, is not.
    explain(&scene, &harness.admin, &scene.claims(json!({ "exp": null }))).await.is(200);
    for change in [
        json!({ "exp": scene.now() - 1 }),
        json!({ "iss": "https://elsewhere.example.com" }),
        json!({ "sub": null }),
        json!({ "aud": [] }),
        json!({ "nbf": scene.now() + 3600 }),
    ] {
        let refused = explain(&scene, &harness.admin, &scene.claims(change)).await.refuses(422, "invalid");
        assert_eq!(refused["errors"][0]["pointer"], "/claims", "{refused}");
    }
    let both = json!({ "claims": scene.claims(json!({})), "caller": "job", "tenant": "acme" });
    harness.post(&harness.admin, "/v1/policy/explain", both).await.refuses(422, "invalid");
    harness
        .post(&harness.admin, "/v1/policy/explain", json!({ "tenant": "acme" }))
        .await
        .refuses(422, "invalid");
    // A customer's admin hears nothing of callers that are not theirs to make.
    harness.register("globex", &harness.apps.globex).await;
    let grants =
        json!([{ "tenant": "acme", "permissions": ["policy:explain", "callers:write", "tokens:downscope"] }]);
    let admin = harness.caller("their-admin", "admin", grants).await;
    let told = explain(&scene, &admin, &scene.claims(json!({}))).await.is(200);
    assert_eq!((&told["allowed"], &told["caller"]), (&json!(false), &json!(null)), "{told}");
    assert_eq!(told["rule"], "grant.permission", "the narrow one is theirs: {told}");
    let foreign = harness.caller("other-admin", "admin", any_token("globex")).await;
    explain(&scene, &foreign, &scene.claims(json!({}))).await.refuses(404, "not_found");
    scene.harness.end().await;
}
