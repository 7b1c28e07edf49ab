//! Config files as they come: pasted with a byte order mark, nested, with one thing wrong.

use serde_json::{Value, json};

use crate::harness::{Harness, by_config};
use crate::registration::{by_credentials, pointers, post, with};
use crate::response::Reply;

async fn pasted(harness: &Harness, path: &str, body: String) -> Reply {
    let request = harness.http.post(harness.url(path)).bearer_auth(&harness.admin);
    Reply::of(request.header("content-type", "application/json").body(body).send().await.unwrap()).await
}

#[tokio::test]
async fn a_file_with_a_byte_order_mark_can_be_pasted_into_a_body() {
    let harness = Harness::new().await;
    let acme = format!("{{\"tenant\":\"acme\",\"config\":\u{feff}{}}}", harness.apps.acme.json);
    pasted(&harness, "/v1/tenants", acme).await.is(201);
    let portal = format!("\u{feff}{{\"app\": \"portal\", \"config\": \u{feff}{}}}", harness.apps.portal.json);
    pasted(&harness, "/v1/apps", portal).await.is(201);
    // Inside a text it is a character like any other, behind an escaped quote too.
    for name in ["a\u{feff}b", "\\\"\u{feff}"] {
        let body = format!(
            "{{\"tenant\":\"globex\",\"display_name\":\"{name}\",\"app\":\"x\",\"enterprise_id\":\"1\"}}"
        );
        let problem = pasted(&harness, "/v1/tenants", body).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), ["/display_name"]);
    }
    harness.end().await;
}

#[tokio::test]
async fn a_config_that_goes_too_deep_is_told_as_a_config() {
    let harness = Harness::new().await;
    let mut body = by_config("acme", &harness.apps.acme);
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    body["config"]["deep"] = nested(32);
    let problem = post(&harness, body.clone()).await.refuses(422, "invalid_box_config");
    assert_eq!(pointers(&problem), ["/config"]);
    assert!(problem["detail"].as_str().unwrap().contains("more than 32 deep"), "{problem}");
    body["config"]["deep"] = nested(31);
    post(&harness, body).await.is(201);
    let deeper = format!("{{\"tenant\":\"a\",\"config\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    let problem = pasted(&harness, "/v1/tenants", deeper).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/config"]);
    harness.end().await;
}

#[tokio::test]
async fn each_thing_that_is_wrong_with_a_config_has_its_own_fix() {
    let harness = Harness::new().await;
    let good = by_config("acme", &harness.apps.acme);
    for (pointer, value, fix) in [
        ("/config/enterpriseID", json!("0"), "Account & Billing"),
        ("/config/boxAppSettings/appAuth", Value::Null, "Make a new keypair"),
        ("/config/boxAppSettings/clientID", json!(""), "Client ID"),
        ("/config/boxAppSettings", Value::Null, "exactly as Box's developer console gave it"),
    ] {
        let problem =
            post(&harness, with(good.clone(), pointer, value)).await.refuses(422, "invalid_box_config");
        assert_eq!(pointers(&problem), [pointer]);
        assert!(problem["fix"].as_str().unwrap().contains(fix), "{problem}");
    }
    harness.end().await;
}

#[tokio::test]
async fn a_wrong_passphrase_is_pointed_at_itself() {
    let harness = Harness::new().await;
    let place = "/config/boxAppSettings/appAuth/passphrase";
    for value in [json!("another"), Value::Null] {
        let body = with(by_config("acme", &harness.apps.acme), place, value);
        assert_eq!(pointers(&post(&harness, body).await.refuses(422, "wrong_passphrase")), [place]);
    }
    let place = "/credentials/passphrase";
    let body = with(by_credentials("acme", &harness.apps.acme), place, json!("another"));
    assert_eq!(pointers(&post(&harness, body).await.refuses(422, "wrong_passphrase")), [place]);
    harness.end().await;
}
