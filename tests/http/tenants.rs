//! Tenants read, listed and changed.

use serde_json::{Value, json};

use crate::harness::{Harness, NORTH, SOUTH, by_config};
use crate::response::Reply;

/// Four tenants: `acme`, `globex`, and `north` and `south` on a shared app.
async fn four_tenants() -> Harness {
    let harness = Harness::new().await;
    let labelled = |mut body: Value, labels: Value| {
        body["labels"] = labels;
        body
    };
    let apps = &harness.apps;
    let portal = json!({ "app": "portal", "config": by_config("", &apps.portal)["config"] });
    harness.post(&harness.admin, "/v1/apps", portal).await.is(201);
    let shared = |tenant: &str, enterprise: &str| json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
    for body in [
        labelled(shared("south", SOUTH), json!({ "region": "emea", "tier": "gold: 1" })),
        labelled(by_config("globex", &apps.globex), json!({ "region": "apac" })),
        labelled(shared("north", NORTH), json!({ "region": "emea" })),
        by_config("acme", &apps.acme),
    ] {
        harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
    }
    harness
}

async fn names(harness: &Harness, key: &str, query: &str) -> Vec<String> {
    let list = harness.get(key, &format!("/v1/tenants{query}")).await.is(200);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["tenant"].as_str().unwrap().to_owned()).collect()
}

/// All names, stretch by stretch, and how many stretches there were.
async fn walk(harness: &Harness, key: &str, limit: usize) -> (Vec<String>, usize) {
    let (mut all, mut cursor, mut stretches) = (Vec::new(), String::new(), 0);
    loop {
        let list = harness.get(key, &format!("/v1/tenants?limit={limit}{cursor}")).await.is(200);
        let items = list["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        stretches += 1;
        all.extend(items.iter().map(|item| item["tenant"].as_str().unwrap().to_owned()));
        match list["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (all, stretches),
        }
    }
}

async fn change(harness: &Harness, tenant: &str, patch: Value) -> Reply {
    harness.patch(&harness.admin, &format!("/v1/tenants/{tenant}"), patch).await
}

/// A change that names the version it is for.
async fn change_of(harness: &Harness, method: &str, tag: &str) -> Reply {
    let request = harness.http.request(method.parse().unwrap(), harness.url("/v1/tenants/acme"));
    let request = request.bearer_auth(&harness.admin).header("if-match", tag);
    let request = if method == "PATCH" { request.json(&json!({ "display_name": tag })) } else { request };
    Reply::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn lists_are_by_name_and_filtered_by_label_and_state() {
    let harness = four_tenants().await;
    let admin = &harness.admin;
    let all = ["acme", "globex", "north", "south"];
    assert_eq!(names(&harness, admin, "").await, all);
    assert_eq!(names(&harness, admin, "?label=region:emea").await, ["north", "south"]);
    assert_eq!(names(&harness, admin, "?label=tier:gold%3A%201").await, ["south"]);
    assert_eq!(names(&harness, admin, "?label=region:none").await, [""; 0]);
    change(&harness, "globex", json!({ "state": "suspended" })).await.is(200);
    harness.delete(admin, "/v1/tenants/north").await.is(204);
    assert_eq!(names(&harness, admin, "?state=suspended").await, ["globex"]);
    assert_eq!(names(&harness, admin, "?state=deleted").await, ["north"]);
    assert_eq!(names(&harness, admin, "?state=active&label=region:emea").await, ["south"]);
    assert_eq!(names(&harness, admin, "").await, all);
    for limit in 1..=5 {
        let (walked, stretches) = walk(&harness, admin, limit).await;
        assert_eq!(walked, all, "{limit}");
        assert_eq!(stretches, 4_usize.div_ceil(limit), "{limit}");
    }
    for bad in [
        "?limit=0",
        "?limit=201",
        "?limit=-1",
        "?limit=x",
        "?limit=",
        "?cursor=!",
        "?cursor=QUNNRQ",
        "?state=gone",
        "?label=region",
        "?page=2",
        "?limit=1&limit=2",
    ] {
        let problem = harness.get(admin, &format!("/v1/tenants{bad}")).await.refuses(422, "invalid");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{bad}: {problem}");
    }
    harness.end().await;
}

#[tokio::test]
async fn nobody_sees_tenants_that_they_may_not_read() {
    let harness = four_tenants().await;
    let narrow = json!([
        { "tenant": "globex", "permissions": ["tenants:read"] },
        { "labels": { "region": "emea" }, "permissions": ["tenants:read"] },
        { "tenant": "acme", "permissions": ["tenants:test"] },
    ]);
    let reader = harness.caller("reader", "admin", narrow).await;
    let seen = ["globex", "north", "south"];
    assert_eq!(names(&harness, &reader, "").await, seen);
    assert_eq!(walk(&harness, &reader, 1).await.0, seen);
    assert_eq!(walk(&harness, &reader, 2).await, (seen.map(str::to_owned).into(), 2));
    for name in seen {
        let tenant = harness.get(&reader, &format!("/v1/tenants/{name}")).await.is(200);
        let by_id = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
        assert_eq!(harness.get(&reader, &by_id).await.is(200), tenant);
    }
    harness.get(&reader, "/v1/tenants/acme").await.refuses(403, "forbidden");
    let outsider = json!([{ "tenant": "acme", "permissions": ["tenants:read"] }]);
    let outsider = harness.caller("outsider", "admin", outsider).await;
    let strip = |mut problem: Value| {
        problem["request_id"].take();
        problem
    };
    let foreign = strip(harness.get(&outsider, "/v1/tenants/globex").await.refuses(404, "not_found"));
    let absent = strip(harness.get(&outsider, "/v1/tenants/nobody").await.refuses(404, "not_found"));
    assert_eq!(foreign, absent);
    let service = json!([{ "tenant": "*", "permissions": ["tokens:mint"] }]);
    let service = harness.service("service", service).await;
    harness.get(&service, "/v1/tenants").await.refuses(403, "forbidden");
    harness.end().await;
}

#[tokio::test]
async fn a_patch_merges_as_rfc_7396_says() {
    let harness = four_tenants().await;
    let first =
        change(&harness, "acme", json!({ "labels": { "a": "1", "b": "2" }, "display_name": "Acme AG" }))
            .await
            .is(200);
    assert_eq!(
        (&first["labels"], &first["display_name"]),
        (&json!({ "a": "1", "b": "2" }), &json!("Acme AG"))
    );
    let next = change(&harness, "acme", json!({ "labels": { "a": null, "c": "3" } })).await.is(200);
    assert_eq!((&next["labels"], &next["display_name"]), (&json!({ "b": "2", "c": "3" }), &json!("Acme AG")));
    let next = change(&harness, "acme", json!({ "display_name": null, "labels": null })).await.is(200);
    assert_eq!((&next["labels"], &next["display_name"]), (&json!({}), &json!("acme")));

    let policy = json!({ "full_tokens": false, "scopes": ["item_preview"] });
    let next = change(&harness, "acme", json!({ "policy": policy })).await.is(200);
    assert_eq!(
        (&next["policy"]["full_tokens"], &next["policy"]["scopes"]),
        (&json!(false), &json!(["item_preview"]))
    );
    assert_eq!(next["policy"]["subjects"], json!(["enterprise", "user:*"]));
    let next = change(&harness, "acme", json!({ "policy": { "scopes": null, "subjects": ["user:7"] } }))
        .await
        .is(200);
    assert_eq!((&next["policy"]["full_tokens"], &next["policy"]["scopes"]), (&json!(false), &Value::Null));
    assert_eq!(next["policy"]["subjects"], json!(["user:7"]));
    let next = change(&harness, "acme", json!({ "policy": null })).await.is(200);
    assert_eq!(next["policy"], first["policy"], "the defaults again");
    let read = harness.get(&harness.admin, "/v1/tenants/acme").await.is(200);
    assert_eq!(read, next);

    for (patch, pointer) in [
        (json!({ "state": "deleted" }), "/state"),
        (json!({ "state": "locked" }), "/state"),
        (json!({ "name": "x" }), "/name"),
        (json!({ "id": "ten_x" }), "/id"),
        (json!({ "enterprise_id": "1" }), "/enterprise_id"),
        (json!({ "generation": 1 }), "/generation"),
        (json!({ "labels": { "a": 1 } }), "/labels/a"),
        (json!({ "labels": { "a:b": "c" } }), "/labels/a:b"),
        (json!({ "display_name": "" }), "/display_name"),
        (json!({ "policy": { "full_tokens": "yes" } }), "/policy/full_tokens"),
        (json!({ "policy": { "more": 1 } }), "/policy/more"),
        (json!([]), ""),
        (json!("x"), ""),
    ] {
        let problem = change(&harness, "acme", patch.clone()).await.refuses(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{patch}: {problem}");
    }
    change(&harness, "acme", json!({ "state": null })).await.refuses(422, "invalid");
    assert_eq!(
        harness.get(&harness.admin, "/v1/tenants/acme").await.is(200),
        read,
        "a refused change changes nothing"
    );
    harness.end().await;
}

#[tokio::test]
async fn a_suspended_tenant_gives_nothing_until_it_is_active_again() {
    let harness = four_tenants().await;
    let grants = json!([{ "tenant": "*", "permissions": ["tokens:mint"] }]);
    let service = harness.service("service", grants).await;
    let token = harness.token(&service, "acme").await.token();
    change(&harness, "acme", json!({ "state": "suspended" })).await.is(200);
    harness.token(&service, "acme").await.refuses(403, "tenant_suspended");
    harness.token(&service, "globex").await.token();
    // A suspension is no revocation: the same token is served again.
    change(&harness, "acme", json!({ "state": "active" })).await.is(200);
    assert_eq!(harness.token(&service, "acme").await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn a_change_names_its_version_or_takes_any() {
    let harness = four_tenants().await;
    let first = harness.get(&harness.admin, "/v1/tenants/acme").await.header("etag").to_owned();
    let reply = change_of(&harness, "PATCH", &first).await;
    let second = reply.header("etag").to_owned();
    reply.is(200);
    assert_ne!(first, second);
    for stale in [&first, "\"0\"", "\"x\"", "x", "W/\"2\"", "\"1\", \"2\"", ""] {
        change_of(&harness, "PATCH", stale).await.refuses(412, "precondition_failed");
        change_of(&harness, "DELETE", stale).await.refuses(412, "precondition_failed");
    }
    change_of(&harness, "PATCH", "*").await.is(200);
    let third = harness.get(&harness.admin, "/v1/tenants/acme").await.header("etag").to_owned();
    // A change to what is there already makes no version.
    let same = change(&harness, "acme", json!({ "display_name": "*" })).await;
    assert_eq!(same.header("etag"), third);
    // Of two changes for one version, one is made.
    let (one, other) =
        tokio::join!(change_of(&harness, "PATCH", &third), change_of(&harness, "PATCH", &third));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert!(statuses == [200, 412], "{one:?} {other:?}");
    change_of(&harness, "DELETE", &third).await.refuses(412, "precondition_failed");
    let last = harness.get(&harness.admin, "/v1/tenants/acme").await.header("etag").to_owned();
    change_of(&harness, "DELETE", &last).await.is(204);
    harness.end().await;
}

#[tokio::test]
async fn labels_are_changed_by_those_alone_who_write_every_tenant() {
    let harness = four_tenants().await;
    let grants = json!([{ "tenant": "acme", "permissions": ["tenants:read", "tenants:write"] }]);
    let narrow = harness.caller("narrow", "admin", grants).await;
    let path = "/v1/tenants/acme";
    harness.patch(&narrow, path, json!({ "labels": { "region": "emea" } })).await.refuses(403, "forbidden");
    harness.patch(&narrow, path, json!({ "display_name": "Mine" })).await.is(200);
    // Labels that stay as they are change nothing.
    harness.patch(&narrow, path, json!({ "labels": {}, "display_name": "Ours" })).await.is(200);
    let grants = json!([{ "tenant": "*", "permissions": ["tenants:write"] }]);
    let wide = harness.caller("wide", "admin", grants).await;
    harness.patch(&wide, path, json!({ "labels": { "region": "emea" } })).await.is(200);

    let grants = json!([{ "tenant": "*", "permissions": ["tenants:read"] }]);
    let reader = harness.caller("reader", "admin", grants).await;
    harness.patch(&reader, path, json!({ "display_name": "x" })).await.refuses(403, "forbidden");
    harness.delete(&reader, path).await.refuses(403, "forbidden");
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_no_version_changes_what_stands_however_many_do() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let path = "/v1/tenants/acme";
    let labelled = futures::future::join_all((0..5).map(|number| {
        let patch = json!({ "labels": { format!("q{number}"): "1" } });
        let harness = &harness;
        async move { harness.patch(&harness.admin, path, patch).await }
    }));
    let suspended = harness.patch(&harness.admin, path, json!({ "state": "suspended" }));
    let (labelled, suspended) = futures::join!(labelled, suspended);
    suspended.is(200);
    labelled.into_iter().for_each(|reply| drop(reply.is(200)));
    let tenant = harness.get(&harness.admin, path).await.ok();
    assert_eq!(tenant["state"], "suspended");
    assert_eq!(tenant["labels"].as_object().unwrap().len(), 5, "and nobody's change is lost: {tenant}");
    harness.end().await;
}
