//! What the client asks of Box, and what it makes of good answers.

use std::time::Duration;

use box_token_broker::box_api::{BoxError, BoxObject, ExchangeOutcome, RestrictedObject};
use box_token_broker::clock::Clock as _;
use box_token_broker::config::RestrictedToMode;
use box_token_broker::domain::box_refusal::BoxRefusal;
use box_token_broker::domain::restriction::RestrictionTarget;
use box_token_broker::domain::scope::Scope;
use box_token_broker::domain::subject::Subject;
use box_token_broker::secret::SecretString;
use serde_json::json;

use crate::fixture::*;

#[tokio::test]
async fn a_service_account_and_a_user_get_full_tokens_by_jwt_and_by_ccg() {
    let bench = Bench::new().await;
    for credentials in [&bench.jwt, &bench.ccg] {
        for subject in [Subject::ENTERPRISE, user(ADA)] {
            let asked_at = (bench.clock.wall(), bench.clock.monotonic());
            let minted = bench.client.mint(credentials, &bench.enterprise, &subject).await.unwrap();
            assert_eq!((minted.life, minted.asked_at), (Duration::from_secs(3600), asked_at));
            let enterprise = bench.client.enterprise_of(&minted.token).await.unwrap();
            assert_eq!(enterprise, Some(bench.enterprise.clone()));
        }
    }
    let subjects: Vec<_> = bench.grants().await.iter().map(|grant| grant["subject"].clone()).collect();
    let of_ada = format!("user:{ADA}");
    assert_eq!(subjects, ["enterprise:123456", &of_ada, "enterprise:123456", &of_ada]);
}

#[tokio::test]
async fn the_service_account_tells_its_login() {
    let bench = Bench::new().await;
    let account = bench.client.service_account(&bench.token().await).await.unwrap();
    assert!(account.login.starts_with("AutomationUser_"), "{account:?}");
    assert!(!account.name.is_empty());
}

#[tokio::test]
async fn the_as_user_header_is_told_apart_from_user_tokens() {
    let bench = Bench::new().await;
    let token = bench.token().await;
    bench.client.probe_as_user(&token, &id(ADA)).await.unwrap();
    bench.patch_app(&bench.jwt, json!({ "as_user_header": false })).await;
    let refused = bench.client.probe_as_user(&token, &id(ADA)).await;
    assert!(
        matches!(refused, Err(BoxError::Refused { refusal: BoxRefusal::AsUserDisabled, .. })),
        "{refused:?}"
    );
    bench.client.mint(&bench.jwt, &bench.enterprise, &user(ADA)).await.unwrap();
}

#[tokio::test]
async fn a_token_is_restricted_to_what_was_asked() {
    let bench = Bench::new().await;
    let parent = bench.token().await;
    for (target, object) in [
        (folder(CONTRACTS), Some(("folder", CONTRACTS))),
        (file(CONTRACT_PDF), Some(("file", CONTRACT_PDF))),
        (link(LINK), Some(("folder", "20000001002"))),
        (RestrictionTarget::Anything, None),
    ] {
        let restriction = annotated(&["base_preview", "item_download"], target);
        let child = bench.child(&parent, &restriction).await;
        assert_eq!(child.life, Duration::from_secs(4175));
        let entry = |scope: &str| RestrictedObject {
            scope: Scope::parse(scope).unwrap(),
            object: object.map(|(kind, id)| BoxObject { kind: kind.to_owned(), id: id.to_owned() }),
        };
        let expected = match object {
            Some(_) => vec![entry("base_preview"), entry("item_download")],
            None => vec![],
        };
        assert_eq!(child.restricted_to, Some(expected));
    }
}

#[tokio::test]
async fn a_token_that_reaches_further_is_told_as_such() {
    let bench = Bench::new().await;
    let parent = bench.token().await;
    let elsewhere = json!([{ "scope": "base_preview", "object": { "type": "folder", "id": "0" } }]);
    for further in [elsewhere, json!([]), json!(null)] {
        let fault =
            json!({ "select": { "grant": "token-exchange" }, "effect": { "restricted_to": further } });
        bench.fault(json!({ "select": fault["select"], "effect": fault["effect"], "times": 1 })).await;
        let restriction = restriction(&["base_preview"], folder(CONTRACTS));
        match bench.client.downscope(&bench.jwt, &parent, &restriction).await.unwrap() {
            ExchangeOutcome::Overreaching(child, BoxError::Protocol { .. }) => {
                bench.client.revoke(&bench.jwt, &child.token).await.unwrap();
            }
            told => panic!("{told:?}"),
        }
    }
}

#[tokio::test]
async fn with_warn_a_token_that_reaches_further_is_handed_out() {
    let bench = Bench::with(|settings| settings.restricted_to = RestrictedToMode::Warn).await;
    let parent = bench.token().await;
    bench.fault(json!({ "select": { "grant": "token-exchange" }, "effect": { "restricted_to": [] } })).await;
    let restriction = restriction(&["base_preview"], folder(CONTRACTS));
    let child = bench.child(&parent, &restriction).await;
    assert_eq!(child.restricted_to, Some(vec![]));
}

#[tokio::test]
async fn a_revoked_token_is_dead_and_may_be_revoked_again() {
    let bench = Bench::new().await;
    let token = bench.token().await;
    for _ in 0..2 {
        bench.client.revoke(&bench.jwt, &token).await.unwrap();
        let dead = bench.client.service_account(&token).await;
        assert!(matches!(dead, Err(BoxError::TokenDead { .. })), "{dead:?}");
    }
    let restriction = restriction(&["base_preview"], folder(CONTRACTS));
    let dead = bench.client.downscope(&bench.jwt, &token, &restriction).await;
    assert!(matches!(dead, Err(BoxError::ParentDead { .. })), "{dead:?}");
    bench.client.revoke(&bench.jwt, &SecretString::new("never seen".to_owned())).await.unwrap();
}
