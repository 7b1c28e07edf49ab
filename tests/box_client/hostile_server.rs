//! What no honest server would answer, and where secrets might leak to.

use std::io::Write;
use std::sync::{Arc, Mutex};

use box_token_broker::box_api::{AppAuthentication, BoxError, MintedToken};
use box_token_broker::domain::subject::Subject;
use box_token_broker::secret::SecretString;
use serde_json::json;

use crate::fixture::*;
use crate::stub_server::{Stub, field, http, refusal};

#[tokio::test]
async fn invariant_12_a_redirect_is_never_followed() {
    for status in [301, 302, 303, 307, 308] {
        let mut elsewhere = Stub::start(|_, _| crate::stub_server::token("stolen")).await;
        let location = format!("location: {}/oauth2/token\r\n", elsewhere.url());
        let stub = Stub::start(move |_, _| http(status, &location, "")).await;
        let outcome = mint_at(&stub).await;
        assert!(matches!(outcome, Err(BoxError::Protocol { .. })), "{outcome:?}");
        assert_eq!(elsewhere.left(), 0, "{status}");
    }
}

#[tokio::test]
async fn invariant_12_a_huge_body_is_not_read_to_its_end() {
    let bench = Bench::new().await;
    bench.fault(json!({ "effect": { "huge_body": true } })).await;
    let outcome = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
    assert!(matches!(outcome, Err(BoxError::Unavailable { .. })), "{outcome:?}");
    // A length that is only claimed, and one that has no end.
    for head in ["content-length: 999999999999", "transfer-encoding: chunked"] {
        let stub = Stub::start(move |_, _| {
            let chunk = format!("{:x}\r\n{}\r\n", 70_000, " ".repeat(70_000));
            format!("HTTP/1.1 200 X\r\n{head}\r\n\r\n{chunk}{chunk}").into()
        })
        .await;
        let outcome = mint_at(&stub).await;
        assert!(matches!(outcome, Err(BoxError::Unavailable { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_is_not_box_at_all_is_an_outage() {
    let bench = Bench::new().await;
    bench.fault(json!({ "effect": { "garbage": true } })).await;
    let outcome = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
    assert!(matches!(outcome, Err(BoxError::Unavailable { .. })), "{outcome:?}");
    for answer in
        [b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec(), http(200, "content-encoding: gzip\r\n", "\u{1f}\u{8b}")]
    {
        let stub = Stub::start(move |_, _| answer.clone()).await;
        let outcome = mint_at(&stub).await;
        assert!(matches!(outcome, Err(BoxError::Unavailable { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn answers_that_box_never_gives_are_protocol_errors() {
    for answer in [
        http(200, "", &"[".repeat(60_000)),
        http(204, "", ""),
        http(400, "", "<html>a proxy's page</html>"),
        http(407, "", ""),
    ] {
        let stub = Stub::start(move |_, _| answer.clone()).await;
        let outcome = mint_at(&stub).await;
        assert!(matches!(outcome, Err(BoxError::Protocol { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_absurd_expires_in_makes_no_token() {
    let bench = Bench::new().await;
    let absurd =
        [json!(0), json!(-1), json!(86_401), json!(u64::MAX), json!("3600"), json!(3600.5), json!(null)];
    for life in &absurd {
        bench.fault(json!({ "effect": { "expires_in": life }, "times": 1 })).await;
        let outcome = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
        assert!(matches!(outcome, Err(BoxError::Protocol { .. })), "{life}: {outcome:?}");
    }
    bench.fault(json!({ "effect": { "omit": ["expires_in"] }, "times": 1 })).await;
    let outcome = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
    assert!(matches!(outcome, Err(BoxError::Protocol { .. })), "{outcome:?}");
    assert_eq!(bench.grants().await.len(), absurd.len() + 1, "nothing was tried again");
}

#[tokio::test]
async fn secrets_that_box_repeats_stay_out_of_errors() {
    let mut stub = Stub::start(|_, request| {
        let told = ["client_secret", "assertion", "token", "subject_token", "actor_token", "box_shared_link"]
            .map(|name| field(request, name).unwrap_or_default())
            .join(" \u{7}");
        let head = request.split("\r\n\r\n").next().unwrap().replace(['\r', '\n'], " ");
        refusal(
            &format!("box-request-id: {}\r\n", told.replace('\u{7}', "")),
            &told,
            &format!("{told} {head}"),
        )
    })
    .await;
    let bench = Bench::new().await;
    let client = client(&settings(stub.url()), bench.clock.clone());
    let token = SecretString::new("parent+token/canary=".to_owned());
    let restriction = annotated(&["base_preview"], link("https://app.box.com/s/canary-link"));
    let enterprise = &Subject::ENTERPRISE;
    let errors = [
        client.mint(&bench.jwt, &bench.enterprise, enterprise).await.unwrap_err(),
        client.downscope(&bench.jwt, &token, &restriction).await.unwrap_err(),
        client.revoke(&bench.jwt, &token).await.unwrap_err(),
        client.service_account(&token).await.unwrap_err(),
        client.probe_as_user(&token, &id(ADA)).await.unwrap_err(),
    ];
    for error in errors {
        let request = stub.request().await;
        let text = format!("{error} {error:?}");
        let secrets = ["client_secret", "assertion", "token", "subject_token", "actor_token"];
        for secret in secrets.iter().filter_map(|name| field(&request, name)) {
            assert!(!text.contains(&secret), "{text}");
        }
        for canary in [bench.jwt.client_secret.expose(), token.expose(), "canary", "\u{7}", "\\u{7}"] {
            assert!(!text.contains(canary), "{text}");
        }
        assert!(text.contains("[redacted]"), "{text}");
    }
}

#[tokio::test]
async fn secrets_stay_out_of_debug_texts() {
    let bench = Bench::new().await;
    let minted = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await.unwrap();
    let text = format!("{:?} {:?} {minted:?} {:?}", bench.jwt, bench.ccg, bench.client);
    let AppAuthentication::Jwt { signer, .. } = &bench.jwt.proof else { panic!("a JWT app") };
    assert_eq!(format!("{signer:?}"), "LocalSigner(RSA 2048)");
    for secret in [&bench.jwt.client_secret, &bench.ccg.client_secret, &minted.token] {
        assert!(!text.contains(secret.expose()), "{text}");
    }
}

#[tokio::test]
async fn s8_secrets_stay_out_of_the_log_at_its_most_talkative() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let bench = Bench::new().await;
    let guard = tracing::subscriber::set_default(subscriber);
    let parent = bench.token().await;
    let restriction = restriction(&["base_preview"], folder(CONTRACTS));
    let child = bench.child(&parent, &restriction).await.token;
    bench.client.service_account(&parent).await.unwrap();
    bench.fault(json!({ "effect": { "drop": true } })).await;
    bench.client.revoke(&bench.jwt, &parent).await.unwrap_err();
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("asking Box again"), "the log was caught: {text}");
    for secret in [&bench.jwt.client_secret, &parent, &child] {
        assert!(!text.contains(secret.expose()), "{text}");
    }
}

async fn mint_at(stub: &Stub) -> Result<MintedToken, BoxError> {
    let bench = Bench::new().await;
    let client = client(&settings(stub.url()), bench.clock.clone());
    client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await
}
