//! What the client makes of Box's refusals, as the sandbox words them.

use std::sync::Arc;
use std::time::Duration;

use box_sandbox::AppPrivateKey;
use box_token_broker::box_api::{AppAuthentication, BoxCredentials, BoxError};
use box_token_broker::clock::{Clock, Monotonic, SystemClock};
use box_token_broker::domain::box_refusal::BoxRefusal;
use box_token_broker::domain::restriction::RestrictionTarget;
use box_token_broker::domain::subject::Subject;
use box_token_broker::secret::SecretString;
use serde_json::json;

use crate::fixture::*;

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, BoxError>, expected: BoxRefusal) {
    match outcome {
        Err(BoxError::Refused { refusal, upstream }) if refusal == expected => {
            assert!(upstream.error.is_some() && upstream.status >= 400, "{upstream:?}");
        }
        other => panic!("not {expected:?} but {other:?}"),
    }
}

#[tokio::test]
async fn each_mistake_in_box_has_its_own_refusal() {
    let bench = Bench::new().await;
    let mint = async |credentials: &BoxCredentials, subject: &Subject| {
        bench.client.mint(credentials, &bench.enterprise, subject).await
    };
    let enterprise = &Subject::ENTERPRISE;
    let with_proof = |proof| BoxCredentials { proof, ..bench.jwt.clone() };
    let jwt = |kid: &str, key: &AppPrivateKey| {
        with_proof(AppAuthentication::Jwt { public_key_id: kid.to_owned(), signer: Arc::new(signer(key)) })
    };
    let AppAuthentication::Jwt { public_key_id, .. } = &bench.jwt.proof else { panic!("a JWT app") };

    let secret = SecretString::new("wrong".to_owned());
    let wrong_secret = BoxCredentials { client_secret: secret, ..bench.jwt.clone() };
    refused(mint(&wrong_secret, enterprise).await, BoxRefusal::CredentialsInvalid);
    refused(mint(&with_proof(AppAuthentication::Ccg), enterprise).await, BoxRefusal::WrongAuthMethod);
    refused(mint(&jwt("unknown", &KEY), enterprise).await, BoxRefusal::KeyUnknown);
    refused(
        mint(&jwt(public_key_id, &AppPrivateKey::generate(2048)), enterprise).await,
        BoxRefusal::KeyMismatch,
    );
    refused(mint(&bench.jwt, &user("999")).await, BoxRefusal::SubjectInvalid);
    refused(mint(&bench.jwt, &user(TESS)).await, BoxRefusal::TermsOfServiceRequired);

    bench.patch_app(&bench.jwt, json!({ "user_tokens": false })).await;
    refused(mint(&bench.jwt, &user(ADA)).await, BoxRefusal::UserTokensDisabled);
    bench.patch_app(&bench.jwt, json!({ "authorized": [] })).await;
    refused(mint(&bench.jwt, enterprise).await, BoxRefusal::AppNotAuthorized);
}

#[tokio::test]
async fn an_exchange_tells_a_missing_scope_from_an_unseen_resource() {
    let bench = Bench::new().await;
    let parent = bench.token().await;
    let unseen = restriction(&["base_preview"], folder(ADAS_NOTES));
    refused(bench.client.downscope(&bench.jwt, &parent, &unseen).await, BoxRefusal::ResourceNotVisible);
    let unknown = restriction(&["base_nonsense"], RestrictionTarget::Anything);
    refused(bench.client.downscope(&bench.jwt, &parent, &unknown).await, BoxRefusal::ScopeNotGranted);
}

#[tokio::test]
async fn a_long_wait_that_box_asks_for_is_told_and_not_waited_for() {
    let bench = Bench::new().await;
    for (retry_after, seconds) in
        [(json!(7), 7), (json!(999_999), 3600), (json!("Fri, 02 Jan 2026 03:04:35 GMT"), 30)]
    {
        let mut effect = json!({ "status": 429, "body": { "error": "rate_limit_exceeded" } });
        if !retry_after.is_null() {
            effect["retry_after"] = retry_after;
        }
        bench.fault(json!({ "effect": effect, "times": 1 })).await;
        let limited = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
        assert_eq!(limited, Err(BoxError::RateLimited { retry_after: Duration::from_secs(seconds) }));
    }
    assert_eq!(bench.grants().await.len(), 3);
}

#[tokio::test]
async fn a_short_wait_that_box_asks_for_is_waited_and_the_next_try_is_another() {
    let bench = Bench::new().await;
    for retry_after in [json!(1), json!(0), json!("gibberish"), json!(null)] {
        let mut effect = json!({ "status": 429, "body": { "error": "rate_limit_exceeded" } });
        if !retry_after.is_null() {
            effect["retry_after"] = retry_after;
        }
        bench.fault(json!({ "effect": effect, "times": 1 })).await;
        let (clock, began) = stopwatch();
        bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await.unwrap();
        assert!(clock.monotonic().since(began) >= Duration::from_secs(1));
    }
    let jtis: std::collections::BTreeSet<String> =
        bench.grants().await.iter().map(|grant| grant["jti"].to_string()).collect();
    assert_eq!(jtis.len(), 8);
}

fn stopwatch() -> (SystemClock, Monotonic) {
    let clock = SystemClock::new();
    let now = clock.monotonic();
    (clock, now)
}
