//! Tenants read, listed and changed.

use serde_json::{Value, json};

use crate::ground::{Ground, NORTH, SOUTH, by_config};
use crate::reply::Reply;

/// Four tenants: `acme`, `globex`, and `north` and `south` on a shared app.
async fn four_tenants() -> Ground {
    let ground = Ground::new().await;
    let labelled = |mut body: Value, labels: Value| {
        body["labels"] = labels;
        body
    };
    let apps = &ground.apps;
    let portal = json!({ "app": "portal", "config": by_config("", &apps.portal)["config"] });
    ground.post(&ground.admin, "/v1/apps", portal).await.is(201);
    let shared = |tenant: &str, enterprise: &str| json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
    for body in [
        labelled(shared("south", SOUTH), json!({ "region": "emea", "tier": "gold: 1" })),
        labelled(by_config("globex", &apps.globex), json!({ "region": "apac" })),
        labelled(shared("north", NORTH), json!({ "region": "emea" })),
        by_config("acme", &apps.acme),
    ] {
        ground.post(&ground.admin, "/v1/tenants", body).await.is(201);
    }
    ground
}

async fn names(ground: &Ground, key: &str, query: &str) -> Vec<String> {
    let list = ground.get(key, &format!("/v1/tenants{query}")).await.is(200);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["tenant"].as_str().unwrap().to_owned()).collect()
}

/// All names, stretch by stretch, and how many stretches there were.
async fn walk(ground: &Ground, key: &str, limit: usize) -> (Vec<String>, usize) {
    let (mut all, mut cursor, mut stretches) = (Vec::new(), String::new(), 0);
    loop {
        let list = ground.get(key, &format!("/v1/tenants?limit={limit}{cursor}")).await.is(200);
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

async fn change(ground: &Ground, tenant: &str, patch: Value) -> Reply {
    ground.patch(&ground.admin, &format!("/v1/tenants/{tenant}"), patch).await
}

/// A change that names the version it is for.
async fn change_of(ground: &Ground, method: &str, tag: &str) -> Reply {
    let request = ground.http.request(method.parse().unwrap(), ground.url("/v1/tenants/acme"));
    let request = request.bearer_auth(&ground.admin).header("if-match", tag);
    let request = if method == "PATCH" { request.json(&json!({ "display_name": tag })) } else { request };
    Reply::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn lists_are_by_name_and_filtered_by_label_and_state() {
    let ground = four_tenants().await;
    let admin = &ground.admin;
    let all = ["acme", "globex", "north", "south"];
    assert_eq!(names(&ground, admin, "").await, all);
    assert_eq!(names(&ground, admin, "?label=region:emea").await, ["north", "south"]);
    assert_eq!(names(&ground, admin, "?label=tier:gold%3A%201").await, ["south"]);
    assert_eq!(names(&ground, admin, "?label=region:none").await, [""; 0]);
    change(&ground, "globex", json!({ "state": "suspended" })).await.is(200);
    ground.delete(admin, "/v1/tenants/north").await.is(204);
    assert_eq!(names(&ground, admin, "?state=suspended").await, ["globex"]);
    assert_eq!(names(&ground, admin, "?state=deleted").await, ["north"]);
    assert_eq!(names(&ground, admin, "?state=active&label=region:emea").await, ["south"]);
    assert_eq!(names(&ground, admin, "").await, all);
    for limit in 1..=5 {
        let (walked, stretches) = walk(&ground, admin, limit).await;
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
        let problem = ground.get(admin, &format!("/v1/tenants{bad}")).await.refuses(422, "invalid");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{bad}: {problem}");
    }
    ground.end().await;
}

#[tokio::test]
async fn nobody_sees_tenants_that_they_may_not_read() {
    let ground = four_tenants().await;
    let narrow = json!([
        { "tenant": "globex", "permissions": ["tenants:read"] },
        { "labels": { "region": "emea" }, "permissions": ["tenants:read"] },
        { "tenant": "acme", "permissions": ["tenants:test"] },
    ]);
    let reader = ground.caller("reader", "admin", narrow).await;
    let seen = ["globex", "north", "south"];
    assert_eq!(names(&ground, &reader, "").await, seen);
    assert_eq!(walk(&ground, &reader, 1).await.0, seen);
    assert_eq!(walk(&ground, &reader, 2).await, (seen.map(str::to_owned).into(), 2));
    for name in seen {
        let tenant = ground.get(&reader, &format!("/v1/tenants/{name}")).await.is(200);
        let by_id = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
        assert_eq!(ground.get(&reader, &by_id).await.is(200), tenant);
    }
    ground.get(&reader, "/v1/tenants/acme").await.refuses(403, "forbidden");
    let outsider = json!([{ "tenant": "acme", "permissions": ["tenants:read"] }]);
    let outsider = ground.caller("outsider", "admin", outsider).await;
    let strip = |mut problem: Value| {
        problem["request_id"].take();
        problem
    };
    let foreign = strip(ground.get(&outsider, "/v1/tenants/globex").await.refuses(404, "not_found"));
    let absent = strip(ground.get(&outsider, "/v1/tenants/nobody").await.refuses(404, "not_found"));
    assert_eq!(foreign, absent);
    let service = json!([{ "tenant": "*", "permissions": ["tokens:mint"] }]);
    let service = ground.service("service", service).await;
    ground.get(&service, "/v1/tenants").await.refuses(403, "forbidden");
    ground.end().await;
}

#[tokio::test]
async fn a_patch_merges_as_rfc_7396_says() {
    let ground = four_tenants().await;
    let first =
        change(&ground, "acme", json!({ "labels": { "a": "1", "b": "2" }, "display_name": "Acme AG" }))
            .await
            .is(200);
    assert_eq!(
        (&first["labels"], &first["display_name"]),
        (&json!({ "a": "1", "b": "2" }), &json!("Acme AG"))
    );
    let next = change(&ground, "acme", json!({ "labels": { "a": null, "c": "3" } })).await.is(200);
    assert_eq!((&next["labels"], &next["display_name"]), (&json!({ "b": "2", "c": "3" }), &json!("Acme AG")));
    let next = change(&ground, "acme", json!({ "display_name": null, "labels": null })).await.is(200);
    assert_eq!((&next["labels"], &next["display_name"]), (&json!({}), &json!("acme")));

    let policy = json!({ "full_tokens": false, "scopes": ["item_preview"] });
    let next = change(&ground, "acme", json!({ "policy": policy })).await.is(200);
    assert_eq!(
        (&next["policy"]["full_tokens"], &next["policy"]["scopes"]),
        (&json!(false), &json!(["item_preview"]))
    );
    assert_eq!(next["policy"]["subjects"], json!(["enterprise", "user:*"]));
    let next = change(&ground, "acme", json!({ "policy": { "scopes": null, "subjects": ["user:7"] } }))
        .await
        .is(200);
    assert_eq!((&next["policy"]["full_tokens"], &next["policy"]["scopes"]), (&json!(false), &Value::Null));
    assert_eq!(next["policy"]["subjects"], json!(["user:7"]));
    let next = change(&ground, "acme", json!({ "policy": null })).await.is(200);
    assert_eq!(next["policy"], first["policy"], "the defaults again");
    let read = ground.get(&ground.admin, "/v1/tenants/acme").await.is(200);
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
        let problem = change(&ground, "acme", patch.clone()).await.refuses(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{patch}: {problem}");
    }
    change(&ground, "acme", json!({ "state": null })).await.refuses(422, "invalid");
    assert_eq!(
        ground.get(&ground.admin, "/v1/tenants/acme").await.is(200),
        read,
        "a refused change changes nothing"
    );
    ground.end().await;
}

#[tokio::test]
async fn a_suspended_tenant_gives_nothing_until_it_is_active_again() {
    let ground = four_tenants().await;
    let grants = json!([{ "tenant": "*", "permissions": ["tokens:mint"] }]);
    let service = ground.service("service", grants).await;
    let token = ground.token(&service, "acme").await.token();
    change(&ground, "acme", json!({ "state": "suspended" })).await.is(200);
    ground.token(&service, "acme").await.refuses(403, "tenant_suspended");
    ground.token(&service, "globex").await.token();
    // A suspension is no revocation: the same token is served again.
    change(&ground, "acme", json!({ "state": "active" })).await.is(200);
    assert_eq!(ground.token(&service, "acme").await.token(), token);
    ground.end().await;
}

#[tokio::test]
async fn a_change_names_its_version_or_takes_any() {
    let ground = four_tenants().await;
    let first = ground.get(&ground.admin, "/v1/tenants/acme").await.header("etag").to_owned();
    let reply = change_of(&ground, "PATCH", &first).await;
    let second = reply.header("etag").to_owned();
    reply.is(200);
    assert_ne!(first, second);
    for stale in [&first, "\"0\"", "\"x\"", "x", "W/\"2\"", "\"1\", \"2\"", ""] {
        change_of(&ground, "PATCH", stale).await.refuses(412, "precondition_failed");
        change_of(&ground, "DELETE", stale).await.refuses(412, "precondition_failed");
    }
    change_of(&ground, "PATCH", "*").await.is(200);
    let third = ground.get(&ground.admin, "/v1/tenants/acme").await.header("etag").to_owned();
    // A change to what is there already makes no version.
    let same = change(&ground, "acme", json!({ "display_name": "*" })).await;
    assert_eq!(same.header("etag"), third);
    // Of two changes for one version, one is made.
    let (one, other) = tokio::join!(change_of(&ground, "PATCH", &third), change_of(&ground, "PATCH", &third));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert!(statuses == [200, 412], "{one:?} {other:?}");
    change_of(&ground, "DELETE", &third).await.refuses(412, "precondition_failed");
    let last = ground.get(&ground.admin, "/v1/tenants/acme").await.header("etag").to_owned();
    change_of(&ground, "DELETE", &last).await.is(204);
    ground.end().await;
}

#[tokio::test]
async fn labels_are_changed_by_those_alone_who_write_every_tenant() {
    let ground = four_tenants().await;
    let grants = json!([{ "tenant": "acme", "permissions": ["tenants:read", "tenants:write"] }]);
    let narrow = ground.caller("narrow", "admin", grants).await;
    let path = "/v1/tenants/acme";
    ground.patch(&narrow, path, json!({ "labels": { "region": "emea" } })).await.refuses(403, "forbidden");
    ground.patch(&narrow, path, json!({ "display_name": "Mine" })).await.is(200);
    // Labels that stay as they are change nothing.
    ground.patch(&narrow, path, json!({ "labels": {}, "display_name": "Ours" })).await.is(200);
    let grants = json!([{ "tenant": "*", "permissions": ["tenants:write"] }]);
    let wide = ground.caller("wide", "admin", grants).await;
    ground.patch(&wide, path, json!({ "labels": { "region": "emea" } })).await.is(200);

    let grants = json!([{ "tenant": "*", "permissions": ["tenants:read"] }]);
    let reader = ground.caller("reader", "admin", grants).await;
    ground.patch(&reader, path, json!({ "display_name": "x" })).await.refuses(403, "forbidden");
    ground.delete(&reader, path).await.refuses(403, "forbidden");
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_no_version_changes_what_stands_however_many_do() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    let path = "/v1/tenants/acme";
    let labelled = futures::future::join_all((0..5).map(|number| {
        let patch = json!({ "labels": { format!("q{number}"): "1" } });
        let ground = &ground;
        async move { ground.patch(&ground.admin, path, patch).await }
    }));
    let suspended = ground.patch(&ground.admin, path, json!({ "state": "suspended" }));
    let (labelled, suspended) = futures::join!(labelled, suspended);
    suspended.is(200);
    labelled.into_iter().for_each(|reply| drop(reply.is(200)));
    let tenant = ground.get(&ground.admin, path).await.ok();
    assert_eq!(tenant["state"], "suspended");
    assert_eq!(tenant["labels"].as_object().unwrap().len(), 5, "and nobody's change is lost: {tenant}");
    ground.end().await;
}
