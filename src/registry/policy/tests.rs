//! The explanation equals the decision on a request, for random grants, policies and states.

use proptest::prelude::*;
use serde_json::json;

use super::query::{ExplainCaller, ExplainQuery, judge};
use super::reasons::reason;
use super::warnings::collect_warnings;
use crate::broker::TenantContext;
use crate::broker::decision::decide;
use crate::domain::caller::Caller;
use crate::domain::policy::Policy;
use crate::domain::policy::strategies::{some_grant, some_policy, some_request};
use crate::store::TenantRef;

const DAY: &str = "2026-01-02T00:00:00Z";

fn caller(grants: Vec<crate::domain::grant::Grant>) -> Caller {
    let document = json!({
        "id": "cal_a", "name": "portal", "kind": "service", "grants": grants, "keys": [], "created_at": DAY,
        "version": 1,
    });
    serde_json::from_value(document).unwrap()
}

fn view(policy: &Policy, states: (&str, &str)) -> TenantContext {
    let app = json!({
        "id": "app_a", "owner": { "tenant": { "id": "ten_a" } }, "client_id": "client", "auth": "ccg",
        "key": null, "generation": 1, "state": states.1, "created_at": DAY, "updated_at": DAY, "version": 1,
    });
    let tenant = json!({
        "id": "ten_a", "name": "acme", "display_name": "Acme", "labels": { "team": "a" }, "state": states.0,
        "app": "app_a", "enterprise_id": "1", "generation": 1, "service_account": null, "policy": policy,
        "created_at": DAY, "updated_at": DAY, "purge_at": null, "version": 1,
    });
    TenantContext {
        tenant: serde_json::from_value(tenant).unwrap(),
        app: serde_json::from_value(app).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn explanation_names_the_first_caller_that_a_release_would_serve(
        grants in proptest::collection::vec(proptest::collection::vec(some_grant(), 0..3), 1..4),
        policy in some_policy(),
        asked in some_request(),
        tenant in proptest::sample::select(vec!["active", "active", "suspended", "locked", "pending", "deleted"]),
        app in proptest::sample::select(vec!["active", "active", "suspended", "locked", "pending"]),
    ) {
        let callers: Vec<Caller> = grants.into_iter().map(caller).collect();
        let view = view(&policy, (tenant, app));
        let served: Vec<_> = callers.iter().map(|one| decide(one, &view, asked.request())).collect();
        let query = ExplainQuery {
            caller: ExplainCaller::Caller(None),
            tenant: TenantRef::Id(view.tenant.id.clone()),
            subject: asked.subject.clone(),
            restriction: asked.restriction.clone(),
            on_behalf_of: asked.on_behalf_of.clone(),
        };
        let judgement = judge(&callers, &view, query.access_request());
        let first = served.iter().position(Result::is_ok);
        prop_assert_eq!(judgement.is_ok(), first.is_some());
        match judgement {
            Ok((who, basis)) => {
                let first = first.unwrap();
                prop_assert!(std::ptr::eq(who, &callers[first]));
                prop_assert_eq!(Ok(basis), served[first]);
                prop_assert_eq!((tenant, app), ("active", "active"));
                let observed = collect_warnings(&callers, &view, &query, &judgement);
                let observed = observed.iter().any(|warning| warning.code == "observed");
                prop_assert_eq!(observed, basis.waived.is_some());
            }
            // No other refusal came further than the one that is told.
            Err(told) => prop_assert!(served.iter().all(|one| one.unwrap_err() <= told)),
        }
        prop_assert!(reason(&query, &judgement).ends_with('.'));
    }
}
