//! Names, client IDs and enterprises are held once: by the first, and by nobody else.

use futures::future::join_all;
use serde_json::json;

use crate::harness::{GLOBEX, Harness, NORTH, SOUTH, by_config};
use crate::registration::{by_credentials, pointers, post, shared_app, with};
use crate::store_probe::rows;
use crate::token_requests::{eventually, side_by_side};

#[tokio::test]
async fn the_same_credentials_again_change_nothing() {
    let harness = Harness::new().await;
    let body = by_config("acme", &harness.apps.acme);
    post(&harness, body.clone()).await.is(201);
    let first = harness.get(&harness.admin, "/v1/tenants/acme").await;
    let (tag, first) = (first.header("etag").to_owned(), first.ok());
    let (stored, mints) = (rows(&harness).await, harness.mints().await);
    // The same in another form, or with another display name, is the same.
    for body in [
        body.clone(),
        by_credentials("acme", &harness.apps.acme),
        with(body.clone(), "/display_name", json!("Another")),
    ] {
        let reply = post(&harness, body).await;
        assert_eq!(reply.header("etag"), tag);
        let mut again = reply.is(200);
        assert_eq!(again["diagnosis"][1]["outcome"], "skipped");
        for field in ["diagnosis", "warnings"] {
            again.as_object_mut().unwrap().remove(field);
        }
        assert_eq!(again, first);
    }
    assert_eq!((rows(&harness).await, harness.mints().await), (stored, mints));
    harness.end().await;
}

#[tokio::test]
async fn what_is_taken_stays_taken_and_the_holder_is_not_named() {
    let harness = Harness::new().await;
    let apps = &harness.apps;
    shared_app(&harness).await;
    post(&harness, by_config("holder", &apps.acme)).await.is(201);
    let shared = |tenant: &str, enterprise: &str| json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
    post(&harness, shared("north", NORTH)).await.is(201);
    let stored = rows(&harness).await;

    let other_secret =
        with(by_config("holder", &apps.acme), "/config/boxAppSettings/clientSecret", json!("another"));
    let other_enterprise = with(by_config("holder", &apps.acme), "/config/enterpriseID", json!(GLOBEX));
    for (body, says) in [
        (other_secret, "name is taken"),
        (other_enterprise, "name is taken"),
        (by_config("holder", &apps.globex), "name is taken"),
        (shared("holder", SOUTH), "name is taken"),
        (shared("north", SOUTH), "name is taken"),
        (by_config("north", &apps.globex), "name is taken"),
        (by_config("another", &apps.acme), "shared app"),
        (by_config("another", &apps.portal), "shared app"),
        (shared("another", NORTH), "client ID and enterprise are taken"),
    ] {
        let told = body.to_string();
        let problem = post(&harness, body).await.refuses(409, "conflict");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem} of {told}");
        if told.contains("another\"") {
            let words = problem.to_string();
            assert!(!words.contains("holder") && !words.contains("north"), "{words}");
        }
    }
    let body = json!({ "app": "second", "config": by_config("", &apps.acme)["config"] });
    harness.post(&harness.admin, "/v1/apps", body).await.refuses(409, "conflict");
    assert_eq!(rows(&harness).await, stored);

    post(&harness, shared("south", SOUTH)).await.is(201);
    post(&harness, shared("south", SOUTH)).await.is(200);

    // A deleted tenant holds its name, client ID and enterprise until it is erased.
    harness.delete(&harness.admin, "/v1/tenants/holder").await.is(204);
    harness.delete(&harness.admin, "/v1/tenants/south").await.is(204);
    for body in [
        by_config("holder", &apps.acme),
        by_config("another", &apps.acme),
        shared("south", SOUTH),
        shared("another", SOUTH),
    ] {
        post(&harness, body).await.refuses(409, "conflict");
    }
    harness.end().await;
}

#[tokio::test]
async fn one_enterprise_is_held_once_however_it_is_spelled() {
    let harness = Harness::new().await;
    shared_app(&harness).await;
    for enterprise in ["0", "00", "03003"] {
        let body = json!({ "tenant": "squatter", "app": "portal", "enterprise_id": enterprise });
        let problem = post(&harness, body).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), ["/enterprise_id"]);
    }
    assert_eq!(harness.count("subject=enterprise:03003").await, 0);
    harness.end().await;
}

#[tokio::test]
async fn of_two_registrations_at_the_same_moment_one_wins() {
    let harness = Harness::new().await;
    shared_app(&harness).await;
    let apps = &harness.apps;
    let shared = |tenant: &str| json!({ "tenant": tenant, "app": "portal", "enterprise_id": NORTH });
    for (one, other) in [
        (by_config("acme", &apps.acme), by_config("acme", &apps.acme)),
        (by_config("acme", &apps.acme), by_config("other", &apps.acme)),
        (by_config("acme", &apps.acme), by_config("acme", &apps.globex)),
        (shared("acme"), shared("acme")),
        (shared("acme"), shared("other")),
    ] {
        let before = rows(&harness).await;
        let told = format!("{one} and {other}");
        let issued = harness.issued("path=/oauth2/token").await.len();
        // Both are at Box before either is stored.
        let (one, other) = (post(&harness, one), post(&harness, other));
        let (one, other) = side_by_side(&harness, "/2.0/users/me", one, other).await;
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{told}: {one:?} {other:?}");
        let after = rows(&harness).await;
        assert_eq!(after[0], before[0] + 1, "{told}");
        assert_eq!(after[1] - before[1], usize::from(!told.contains("portal")), "{told}");
        assert_eq!(after[1] - before[1], after[2] - before[2], "{told}");
        // The loser's token ends, and so does the one that the winner's diagnosis exchanged.
        let issued = harness.issued("path=/oauth2/token").await.split_off(issued);
        assert_eq!(issued.len(), 3, "{told}");
        eventually("the winner's token alone lives", async || {
            let looks = issued.iter().map(|sha256| harness.known_by_sha256(sha256));
            join_all(looks).await.iter().filter(|token| token["live"] == true).count() == 1
        })
        .await;
        let items = harness.get(&harness.admin, "/v1/tenants").await.ok()["items"].clone();
        let [winner] = &items.as_array().unwrap()[..] else { panic!("{items}") };
        let path = format!("/v1/tenants/{}?purge=now", winner["tenant"].as_str().unwrap());
        harness.delete(&harness.admin, &path).await.is(204);
    }
    harness.end().await;
}
