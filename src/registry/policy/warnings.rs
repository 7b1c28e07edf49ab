//! The warnings beside an explanation: consequences that the answer alone does not show.

use serde::Serialize;

use super::query::{ExplainQuery, Judgement, judge};
use crate::broker::TenantContext;
use crate::domain::caller::Caller;
use crate::domain::grant::TenantSelector;
use crate::domain::policy::{self, AccessRequest, Decision, DecisionBasis, DenialReason};
use crate::domain::subject::Subject;

/// A warning beside the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ExplainWarning {
    /// Its code: `enterprise_token_acts_as_users`, `browser_session`, `observed` or `label_grant`.
    pub code: &'static str,
    /// The warning, in words.
    pub detail: String,
}

/// Returns what an admin should know beside the answer.
pub(super) fn collect_warnings(
    callers: &[Caller],
    view: &TenantContext,
    query: &ExplainQuery,
    judgement: &Judgement<'_>,
) -> Vec<ExplainWarning> {
    let mut warnings = Vec::new();
    if is_affected_by_as_user_header(query) && can_act_as_users(callers, view) {
        warnings.push(ExplainWarning {
            code: "enterprise_token_acts_as_users",
            detail: "This caller may have full enterprise (service account) tokens and not every user's. In Box \
                     such a token acts as any user by the `As-User` header, where the app has \"Make API calls \
                     using the as-user header\" and App + Enterprise Access: there, denying it user subjects \
                     does not keep it from users' content. Downscoped tokens are immune. The tenant's test with \
                     a `user` shows whether the header works (`as_user_header`)."
                .to_owned(),
        });
    }
    if let Some((caller, basis)) = judge_session(callers, view, query) {
        let (name, place) = (&caller.name, basis.grant);
        let detail = format!(
            "Whatever the answer, pages get such a token by browser sessions, which grant {place} of {name} \
             (`sessions:create`) lets it open; at the origins alone that the tenant's policy names."
        );
        warnings.push(ExplainWarning { code: "browser_session", detail });
    }
    let Ok((caller, basis)) = judgement else { return warnings };
    if let Some(rule) = basis.waived {
        let detail = format!(
            "The tenant's policy only observes; in its mode `enforce` it refuses this by `{}`.",
            rule.as_str()
        );
        warnings.push(ExplainWarning { code: "observed", detail });
    }
    let selector = caller.grants.get(basis.grant).map(|grant| &grant.tenants);
    if matches!(selector, Some(TenantSelector::Labels(_))) {
        let detail =
            "The grant is on labels, which the tenant bears at this moment: it ends when the tenant loses \
                      one of them."
                .to_owned();
        warnings.push(ExplainWarning { code: "label_grant", detail });
    }
    warnings
}

/// Returns the caller that may open a browser session with such tokens, and its grant.
fn judge_session<'a>(
    callers: &'a [Caller],
    view: &TenantContext,
    query: &ExplainQuery,
) -> Option<(&'a Caller, DecisionBasis)> {
    let restriction = query.restriction.as_ref().filter(|_| !query.is_for_a_full_token())?;
    restriction.target.resource()?;
    let (subject, on_behalf_of) = (&query.subject, query.on_behalf_of.as_ref());
    judge(callers, view, AccessRequest::SessionToken { subject, restriction, on_behalf_of }).ok()
}

/// Returns false only for a downscoped token of the service account, with which the `As-User` header has no effect.
fn is_affected_by_as_user_header(query: &ExplainQuery) -> bool {
    query.subject != Subject::ENTERPRISE || query.is_for_a_full_token()
}

/// Returns true if these callers can get full enterprise tokens but not the tokens of every user. With the `As-User`
/// header the former are as powerful as the latter.
fn can_act_as_users(callers: &[Caller], view: &TenantContext) -> bool {
    let tenant = &view.tenant;
    let request =
        AccessRequest::Token { subject: &Subject::ENTERPRISE, restriction: None, on_behalf_of: None };
    let may_be_enterprise = |caller: &Caller| {
        let decision = policy::decide(&caller.grants, &tenant.id, &tenant.labels, &tenant.policy, request);
        // `on_behalf_of` is the choice of the caller, so a policy that demands it does not stop them.
        matches!(decision, Decision::Allowed(_) | Decision::Forbidden(DenialReason::PolicyOnBehalfOf))
    };
    let may_be_anyone = |caller: &Caller| {
        policy::allows_full_tokens_for_every_user(&caller.grants, &tenant.id, &tenant.labels, &tenant.policy)
    };
    callers.iter().any(may_be_enterprise) && !callers.iter().any(may_be_anyone)
}
