//! The signatures of webhooks, as Box makes them and as nobody else does.

use std::time::Duration;

use box_sandbox::GeneratedApp;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::{Harness, by_config};
use crate::response::Reply;
use crate::token_requests::any_token;

/// The sample of the official SDKs' own tests, signed with `SamplePrimaryKey` and `SampleSecondaryKey`.
const BODY: &str = r#"{"type":"webhook_event","webhook":{"id":"1234567890"},"trigger":"FILE.UPLOADED","source":{"id":"1234567890","type":"file","name":"Test.txt"}}"#;
const SENT: &str = "2020-01-01T00:00:00-07:00";

fn sample() -> Value {
    json!({
        "box-delivery-id": "f96bb54b-ee16-4fc5-aa65-8c2d9e5b546f",
        "box-delivery-timestamp": SENT,
        "box-signature-algorithm": "HmacSHA256",
        "box-signature-primary": "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI=",
        "box-signature-secondary": "v+1CD1Jdo3muIcbpv5lxxgPglOqMfsNHPV899xWYydo=",
        "box-signature-version": "1",
    })
}

/// The sample with one header changed, or taken away by `null`.
fn but(name: &str, value: Value) -> Value {
    let mut headers = sample();
    match value {
        Value::Null => drop(headers.as_object_mut().unwrap().remove(name)),
        value => headers[name] = value,
    }
    headers
}

/// ACME's registration with these webhook keys in its file.
fn with_keys(app: &GeneratedApp, primary: &str, secondary: &str) -> Value {
    let mut body = by_config("acme", app);
    body["config"]["webhooks"] = json!({ "primaryKey": primary, "secondaryKey": secondary });
    body
}

fn may_verify(tenant: &str) -> Value {
    json!([{ "tenant": tenant, "permissions": ["webhooks:verify"] }])
}

impl Harness {
    async fn verify(&self, key: &str, headers: Value, body: &[u8]) -> Reply {
        let body = json!({ "headers": headers, "body": BASE64.encode(body) });
        self.post(key, "/v1/tenants/acme/webhooks/verify", body).await
    }

    /// The key that is told to have signed; what is not valid has a reason instead.
    async fn signed_with(&self, key: &str, headers: Value, body: &[u8]) -> Result<String, String> {
        let told = self.verify(key, headers, body).await.is(200);
        let text = |field: &str| told[field].as_str().unwrap().to_owned();
        assert!(told.get("key").is_some());
        match told["valid"].as_bool().unwrap() {
            true => {
                assert!(told.get("reason").is_none(), "{told}");
                Ok(text("key"))
            }
            false => {
                assert!(told["key"].is_null(), "{told}");
                Err(text("reason"))
            }
        }
    }

    /// Puts ACME's file with these webhook keys.
    async fn put_keys(&self, primary: &str, secondary: &str) -> Value {
        let body = json!({ "config": with_keys(&self.apps.acme, primary, secondary)["config"] });
        self.call(&self.admin, "PUT", "/v1/tenants/acme/credentials", Some(&body)).await.is(200)
    }
}

/// A broker at the time of the sample, with ACME's tenant with these keys, and a service that may verify.
async fn at_the_time(primary: &str, secondary: &str) -> (Harness, String) {
    let harness = Harness::new().await;
    harness
        .post(&harness.admin, "/v1/tenants", with_keys(&harness.apps.acme, primary, secondary))
        .await
        .is(201);
    let key = harness.service("hooks", may_verify("acme")).await;
    go_to(&harness, SENT);
    (harness, key)
}

fn go_to(harness: &Harness, time: &str) {
    use box_token_broker::clock::Clock as _;
    let time: jiff::Timestamp = time.parse().unwrap();
    harness.clock.step(time.duration_since(harness.clock.wall()));
}

#[tokio::test]
async fn the_official_sdks_sample_is_valid_by_either_key_and_by_no_other() {
    for (primary, secondary, expected) in [
        ("SamplePrimaryKey", "SampleSecondaryKey", Some("primary")),
        ("SamplePrimaryKey", "", Some("primary")),
        ("SamplePrimaryKey", "Wrong", Some("primary")),
        ("Wrong", "SampleSecondaryKey", Some("secondary")),
        ("", "SampleSecondaryKey", Some("secondary")),
        ("Wrong", "Wrong", None),
        // A key signs its own header alone.
        ("SampleSecondaryKey", "SamplePrimaryKey", None),
    ] {
        let (harness, key) = at_the_time(primary, secondary).await;
        let told = harness.signed_with(&key, sample(), BODY.as_bytes()).await;
        assert_eq!(told.as_deref().ok(), expected, "{primary}, {secondary}: {told:?}");
        harness.end().await;
    }
}

#[tokio::test]
async fn each_altered_byte_header_and_time_makes_it_invalid() {
    let (harness, key) = at_the_time("SamplePrimaryKey", "SampleSecondaryKey").await;
    for at in 0..BODY.len() {
        let mut body = BODY.as_bytes().to_vec();
        body[at] ^= 1;
        let reason = harness.signed_with(&key, sample(), &body).await.unwrap_err();
        assert!(reason.starts_with("No signature is that of the stored keys"), "byte {at}: {reason}");
    }
    for body in [&b""[..], &BODY.as_bytes()[1..], &[BODY.as_bytes(), b"\n"].concat()] {
        harness.signed_with(&key, sample(), body).await.unwrap_err();
    }
    for (name, value) in [
        ("box-signature-version", json!("2")),
        ("box-signature-version", Value::Null),
        ("box-signature-algorithm", json!("HmacSHA1")),
        ("box-signature-algorithm", Value::Null),
        ("box-delivery-timestamp", Value::Null),
        ("box-delivery-timestamp", json!("yesterday")),
        // The same moment, written otherwise: other bytes were signed.
        ("box-delivery-timestamp", json!("2020-01-01T07:00:00Z")),
    ] {
        harness.signed_with(&key, but(name, value.clone()), BODY.as_bytes()).await.expect_err(name);
    }
    let signature = sample()["box-signature-primary"].as_str().unwrap().to_owned();
    for at in 0..signature.len() {
        let mut changed = signature.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let mut headers = but("box-signature-secondary", Value::Null);
        headers["box-signature-primary"] = json!(String::from_utf8(changed).unwrap());
        harness.signed_with(&key, headers, BODY.as_bytes()).await.expect_err("a changed signature");
    }
    // One signature is enough, whatever the other is.
    let headers = but("box-signature-primary", json!("rubbish"));
    assert_eq!(harness.signed_with(&key, headers, BODY.as_bytes()).await.unwrap(), "secondary");
    harness.end().await;
}

#[tokio::test]
async fn a_delivery_counts_for_ten_minutes_and_its_headers_in_any_case() {
    let (harness, key) = at_the_time("SamplePrimaryKey", "").await;
    let loud: serde_json::Map<String, Value> = sample()
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.to_uppercase(), value.clone()))
        .chain([("Content-Type".to_owned(), json!("application/json"))])
        .collect();
    for (time, valid) in [
        ("2020-01-01T07:10:00Z", true),
        ("2020-01-01T07:10:01Z", false),
        ("2020-01-01T06:50:00Z", true),
        ("2020-01-01T06:49:59Z", false),
        ("2026-01-02T03:04:05Z", false),
    ] {
        go_to(&harness, time);
        let told = harness.signed_with(&key, Value::Object(loud.clone()), BODY.as_bytes()).await;
        assert_eq!(told.is_ok(), valid, "{time}: {told:?}");
    }
    let mut twice = sample();
    twice["BOX-SIGNATURE-VERSION"] = json!("1");
    harness.verify(&key, twice, BODY.as_bytes()).await.refuses(422, "invalid");
    harness.end().await;
}

#[tokio::test]
async fn a_header_stands_there_once_and_values_that_are_not_boxs_say_nothing() {
    let (harness, key) = at_the_time("SamplePrimaryKey", "").await;
    let with = |more: &str| {
        let headers = sample().to_string();
        let body = BASE64.encode(BODY.as_bytes());
        format!(r#"{{"headers":{},{more}}},"body":"{body}"}}"#, &headers[..headers.len() - 1])
    };
    let send = async |body: String| {
        let request = harness.http.post(harness.url("/v1/tenants/acme/webhooks/verify")).bearer_auth(&key);
        let request = request.header("content-type", "application/json").body(body);
        Reply::of(request.send().await.unwrap()).await
    };
    for more in [r#""Set-Cookie":["a","b"]"#, r#""X-Any":{"a":[1]},"Age":7,"Via":null,"Te":[]"#] {
        assert_eq!(send(with(more)).await.is(200)["valid"], true, "{more}");
    }
    for more in [
        r#""box-signature-version":"1""#,
        r#""Box-Signature-Version":["1"]"#,
        r#""accept":"a","accept":"a""#,
        r#""BOX-DELIVERY-ID-2":["a","b"]"#,
        r#""BOX-DELIVERY-ID-2":[]"#,
        r#""BOX-DELIVERY-ID-2":7"#,
    ] {
        let problem = send(with(more)).await.refuses(422, "invalid");
        let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
        assert!(pointer.starts_with("/headers"), "{more}: {problem}");
    }
    // As Go has them.
    let lists: serde_json::Map<String, Value> =
        sample().as_object().unwrap().iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
    assert_eq!(harness.signed_with(&key, Value::Object(lists), BODY.as_bytes()).await.unwrap(), "primary");
    // Times that other standards know: signed by Box or not, they are none of Box's.
    for time in ["2020-01-01T00:00:00-07:00[-07:00]", "+002020-01-01T00:00:00-07:00", "20200101T000000-0700"]
    {
        let headers = but("box-delivery-timestamp", json!(time));
        let reason = harness.signed_with(&key, headers, BODY.as_bytes()).await.unwrap_err();
        assert!(reason.contains("no time as RFC 3339"), "{time}: {reason}");
    }
    harness.end().await;
}

#[tokio::test]
async fn a_tenant_without_keys_is_told_what_to_do_and_keys_come_and_stay_with_the_credentials() {
    let (harness, key) = at_the_time("", "").await;
    let reason = harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap_err();
    assert!(reason.contains("Manage signature keys") && reason.contains("credentials"), "{reason}");
    let before = harness.get(&harness.admin, "/v1/tenants/acme").await.is(200)["generation"].clone();
    let now = harness.put_keys("SamplePrimaryKey", "SampleSecondaryKey").await;
    assert_ne!(now["generation"], before);
    assert_eq!(harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap(), "primary");
    // The same file again changes nothing, and neither does one that tells no keys.
    for (primary, secondary) in [("SamplePrimaryKey", "SampleSecondaryKey"), ("", "")] {
        assert_eq!(harness.put_keys(primary, secondary).await["generation"], now["generation"]);
        assert_eq!(harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap(), "primary");
    }
    // So it is where the registration is repeated; other keys are other credentials.
    let app = &harness.apps.acme;
    for (primary, status) in [("SamplePrimaryKey", 200), ("", 200), ("OtherPrimaryKey", 409)] {
        let secondary = if primary.is_empty() { "" } else { "SampleSecondaryKey" };
        harness.post(&harness.admin, "/v1/tenants", with_keys(app, primary, secondary)).await.is(status);
    }
    assert_eq!(harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap(), "primary");
    // One key at a time is how they are changed: the other one goes on.
    harness.put_keys("NewPrimaryKey", "SampleSecondaryKey").await;
    assert_eq!(harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap(), "secondary");
    harness.put_keys("NewPrimaryKey", "NewSecondaryKey").await;
    harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap_err();
    harness.end().await;
}

#[tokio::test]
async fn another_private_key_takes_no_webhook_key_away() {
    let (mut harness, key) = at_the_time("SamplePrimaryKey", "SampleSecondaryKey").await;
    let added =
        json!({ "add_keys": [{ "kid": "next", "public_key": crate::harness::KEYS[1].public_pem() }] });
    harness.change_app(&harness.apps.acme, added).await;
    let next = crate::rotation::by_key(&harness.apps.acme, "next", &crate::harness::KEYS[1]);
    let body = json!({ "credentials": next["credentials"] });
    harness.call(&harness.admin, "PUT", "/v1/tenants/acme/credentials", Some(&body)).await.is(200);
    assert_eq!(harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap(), "primary");
    harness.restart().await;
    assert_eq!(harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap(), "primary");
    harness.end().await;
}

#[tokio::test]
async fn only_those_may_verify_who_were_granted_it_and_only_while_the_tenant_is_in_service() {
    let (harness, key) = at_the_time("SamplePrimaryKey", "SampleSecondaryKey").await;
    let other = harness.service("other", any_token("acme")).await;
    let stranger = harness.service("stranger", any_token("*")).await;
    harness.verify(&other, sample(), BODY.as_bytes()).await.refuses(403, "forbidden");
    harness.verify(&stranger, sample(), BODY.as_bytes()).await.refuses(403, "forbidden");
    harness.change_tenant("acme", json!({ "state": "suspended" })).await;
    harness.verify(&key, sample(), BODY.as_bytes()).await.refuses(403, "tenant_suspended");
    harness.change_tenant("acme", json!({ "state": "active" })).await;
    harness.verify(&key, sample(), BODY.as_bytes()).await.is(200);
    harness.post(&harness.admin, "/v1/tenants/acme/lockdown", json!({})).await.is(200);
    harness.verify(&key, sample(), BODY.as_bytes()).await.refuses(403, "tenant_suspended");
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    harness.verify(&key, sample(), BODY.as_bytes()).await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn a_body_is_base64_of_a_megabyte_at_most_and_keys_serve_without_the_store() {
    let (harness, key) = at_the_time("SamplePrimaryKey", "SampleSecondaryKey").await;
    let long = vec![b'x'; 1024 * 1024];
    harness.signed_with(&key, sample(), &long).await.unwrap_err();
    let longer = [&long[..], b"x"].concat();
    let problem = harness.verify(&key, sample(), &longer).await.refuses(422, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/body");
    harness.verify(&key, sample(), &vec![b'x'; 3 * 1024 * 1024]).await.refuses(413, "too_large");
    for body in ["%", "eyJ9\n", "eyJ", "eyJ9="] {
        let body = json!({ "headers": sample(), "body": body });
        harness.post(&key, "/v1/tenants/acme/webhooks/verify", body).await.refuses(422, "invalid");
    }
    // They are opened once after the registration came back by the log, and not looked for again.
    harness.broker().poll_changes().await;
    harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap();
    harness.hand().does("ALTER TABLE credentials RENAME TO hidden_credentials").await;
    harness.clock.advance(Duration::from_secs(1));
    assert_eq!(harness.signed_with(&key, sample(), BODY.as_bytes()).await.unwrap(), "primary");
    harness.end().await;
}
