//! What is explained is what a request gets, for whatever grants, policy and state there are.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::broker::decision::decide;
use crate::domain::policy::Policy;
use crate::domain::policy::strategies::{some_grant, some_policy, some_request};

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
    fn it_is_allowed_where_some_caller_is_served_and_the_first_such_decides(
        grants in proptest::collection::vec(proptest::collection::vec(some_grant(), 0..3), 1..4),
        policy in some_policy(),
        asked in some_request(),
        tenant in proptest::sample::select(vec!["active", "active", "suspended", "locked", "pending", "deleted"]),
        app in proptest::sample::select(vec!["active", "active", "suspended", "locked", "pending"]),
    ) {
        let callers: Vec<Caller> = grants.into_iter().map(caller).collect();
        let view = view(&policy, (tenant, app));
        let served: Vec<_> = callers.iter().map(|one| decide(one, &view, asked.request())).collect();
        let question = ExplainQuery {
            who: ExplainCaller::Caller(None),
            tenant: TenantRef::Id(view.tenant.id.clone()),
            subject: asked.subject.clone(),
            restriction: asked.restriction.clone(),
            on_behalf_of: asked.on_behalf_of.clone(),
        };
        let found = judge(&callers, &view, question.ask());
        let first = served.iter().position(Result::is_ok);
        prop_assert_eq!(found.is_ok(), first.is_some());
        match found {
            Ok((who, grounds)) => {
                let first = first.unwrap();
                prop_assert!(std::ptr::eq(who, &callers[first]));
                prop_assert_eq!(Ok(grounds), served[first]);
                prop_assert_eq!((tenant, app), ("active", "active"));
                let observed = warnings(&callers, &view, &question, &found);
                let observed = observed.iter().any(|warning| warning.code == "observed");
                prop_assert_eq!(observed, grounds.waived.is_some());
            }
            // No other refusal came further than the one that is told.
            Err(told) => prop_assert!(served.iter().all(|one| one.unwrap_err() <= told)),
        }
        prop_assert!(reason(&question, &found).ends_with('.'));
    }
}
