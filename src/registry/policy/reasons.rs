//! The reason of a judgement in words, for an admin.

use super::query::{ExplainQuery, Judgement};
use crate::broker::decision::{Block, Denial};
use crate::domain::policy::DenialReason;

/// Returns the name of a denial in the audit.
pub(super) fn rule_name(denial: Denial) -> &'static str {
    match denial {
        Denial::NoGrant => "grant.tenant",
        Denial::Rule(rule) => rule.as_str(),
        Denial::Block(block) => block.as_str(),
    }
}

/// Returns the reason of a judgement, in a sentence or two.
pub(super) fn reason(query: &ExplainQuery, judgement: &Judgement<'_>) -> String {
    match judgement {
        Err(Denial::NoGrant) => {
            "The caller has no grant on this tenant: to the caller it does not exist.".to_owned()
        }
        Err(Denial::Rule(rule)) => reason_of_rule(query, *rule),
        Err(Denial::Block(block)) => reason_of_block(*block).to_owned(),
        Ok((caller, basis)) => {
            let (permission, token) = query.permission_and_token();
            let policy = match basis.waived {
                None => "the tenant's policy allows it",
                Some(_) => "the tenant's policy, which only observes, lets it pass",
            };
            let (name, place, subject) = (&caller.name, basis.grant, &query.subject);
            format!(
                "Grant {place} of {name} (counted from 0) gives {token} for {subject} ({permission}), and {policy}."
            )
        }
    }
}

fn reason_of_rule(query: &ExplainQuery, rule: DenialReason) -> String {
    let (permission, token) = query.permission_and_token();
    let subject = &query.subject;
    let is_full = query.is_for_a_full_token();
    match rule {
        DenialReason::Permission => {
            format!("No grant of the caller on this tenant gives `{permission}`, which {token} needs.")
        }
        DenialReason::GrantSubject => {
            format!("No grant that gives `{permission}` here is for the subject {subject}.")
        }
        DenialReason::GrantScopes if is_full => {
            "Each grant that would fit has `scopes` or `resources`, and such a grant never yields a full token \
             or one under OAuth scopes."
                .to_owned()
        }
        DenialReason::GrantScopes => "No grant that would fit allows all of these scopes together.".to_owned(),
        DenialReason::GrantResource => reason_of_resource(query),
        DenialReason::PolicySubject => format!("The tenant's policy does not allow the subject {subject}."),
        DenialReason::PolicyScopes => "The tenant's policy does not allow all of these scopes.".to_owned(),
        DenialReason::PolicyFullTokens => {
            "The tenant's policy lets no full token leave, nor one under OAuth scopes: it has `scopes`, or \
             `full_tokens` is false."
                .to_owned()
        }
        DenialReason::PolicyOnBehalfOf => {
            "All else fits, but the tenant's policy wants each request to say for whom: send `on_behalf_of`."
                .to_owned()
        }
    }
}

fn reason_of_resource(query: &ExplainQuery) -> String {
    match query.restriction.as_ref().and_then(|restriction| restriction.target.resource()) {
        Some(resource) => {
            format!("No grant that would fit names {resource} in its `resources`; they match exactly.")
        }
        None => "Each grant that would fit has `resources`, and the request names none.".to_owned(),
    }
}

fn reason_of_block(block: Block) -> &'static str {
    match block {
        Block::TenantDeleted => {
            "The tenant is deleted: to callers it does not exist, unless it is restored in its grace."
        }
        Block::TenantLocked => {
            "Grants and policy allow it, but the tenant is locked because of an incident: nothing leaves until \
             somebody with `lockdown` lifts it."
        }
        Block::AppLocked => {
            "Grants and policy allow it, but the app that serves the tenant is locked because of an incident: \
             nothing leaves until somebody with `lockdown` lifts it."
        }
        Block::CallerLocked => {
            "Grants and policy allow it, but the caller is locked because of an incident: its keys open nothing \
             until somebody with `lockdown` lifts it."
        }
        Block::TenantSuspended => {
            "Grants and policy allow it, but the tenant is suspended: nothing leaves until its `state` is `active`."
        }
        Block::AppSuspended => {
            "Grants and policy allow it, but the app that serves the tenant is suspended: nothing leaves until \
             its `state` is `active`."
        }
        Block::TenantPending | Block::AppPending => {
            "Grants and policy allow it, but the tenant is pending: Box never gave a token for it. The next \
             request tries it there, and is served where Box gives one; a keypair that was made for the tenant \
             has to be activated first."
        }
    }
}
