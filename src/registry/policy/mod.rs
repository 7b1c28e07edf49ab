//! Explanations: whether a caller would get a token, and why.
//!
//! The decision is the one that a release makes. Nothing is minted, and Box is not asked.

mod query;
mod reasons;
mod warnings;

use std::sync::Arc;

pub use self::query::{ExplainCaller, ExplainQuery};
pub use self::warnings::ExplainWarning;

use self::query::judge;
use self::reasons::{reason, rule_name};
use self::warnings::collect_warnings;
use super::callers::grants::{self, GrantSpec};
use super::deps::Deps;
use super::error::RegistryError;
use super::rows;
use crate::auth::{AuthenticatedCaller, RequestContext};
use crate::domain::caller::Caller;
use crate::domain::grant::Permission;
use crate::domain::id::Name;
use crate::domain::policy::DenialReason;
use crate::store::{CallerRef, TenantRef};

/// The answer to an [`ExplainQuery`].
#[derive(Debug)]
pub struct Explanation {
    /// True if the token would be released.
    pub allowed: bool,
    /// The reason, in a sentence or two.
    pub reason: String,
    /// The caller whose grant allows it.
    pub caller: Option<Name>,
    /// The index of that grant in the caller's list, and the grant as it can be sent back.
    pub grant: Option<(usize, GrantSpec)>,
    /// The rule that refuses it, or would if the policy's mode were `enforce`.
    pub rule: Option<&'static str>,
    /// Consequences that the answer alone does not show.
    pub warnings: Vec<ExplainWarning>,
}

/// The service that explains decisions.
#[derive(Debug)]
pub struct PolicyExplainer {
    deps: Arc<Deps>,
}

impl PolicyExplainer {
    pub(super) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    /// Refuses callers that may not ask about a tenant.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] or [`RegistryError::Forbidden`].
    pub async fn require_permission(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<(), RegistryError> {
        rows::tenants::find_tenant(&self.deps, context, tenant, Permission::PolicyExplain).await.map(drop)
    }

    /// Explains whether a caller would get a token at this moment.
    ///
    /// # Errors
    /// If the admin may not ask about the tenant, or cannot see the caller, or the store does not answer. Admins can
    /// always see themselves.
    pub async fn explain(
        &self,
        context: &RequestContext,
        query: &ExplainQuery,
    ) -> Result<Explanation, RegistryError> {
        let permission = Permission::PolicyExplain;
        let (_, view) = rows::tenants::find_tenant(&self.deps, context, &query.tenant, permission).await?;
        let callers = match &query.caller {
            ExplainCaller::Caller(caller) => vec![self.visible_caller(context, caller.as_ref()).await?],
            ExplainCaller::Token(callers) => {
                let visible = callers.iter().filter(|caller| is_visible(context, caller));
                visible.map(|caller| (**caller).clone()).collect()
            }
        };
        if callers.is_empty() {
            return Ok(no_visible_caller());
        }
        let judgement = judge(&callers, &view, query.access_request());
        let warnings = collect_warnings(&callers, &view, query, &judgement);
        let reason = reason(query, &judgement);
        Ok(match judgement {
            Ok((caller, basis)) => Explanation {
                allowed: true,
                reason,
                caller: Some(caller.name.clone()),
                grant: self.grant_spec(caller, basis.grant).await,
                rule: basis.waived.map(DenialReason::as_str),
                warnings,
            },
            Err(denial) => Explanation {
                allowed: false,
                reason,
                caller: None,
                grant: None,
                rule: Some(rule_name(denial)),
                warnings,
            },
        })
    }

    async fn visible_caller(
        &self,
        context: &RequestContext,
        caller: Option<&CallerRef>,
    ) -> Result<Caller, RegistryError> {
        let visible = match caller {
            None => None,
            Some(caller) => match requesting_caller(context, caller) {
                Some(admin) => Some(admin),
                None => rows::callers::load_visible_caller(&self.deps, context, caller)
                    .await?
                    .map(|found| found.1),
            },
        };
        visible.ok_or_else(|| RegistryError::invalid("/caller", "There is no such caller."))
    }

    async fn grant_spec(&self, caller: &Caller, index: usize) -> Option<(usize, GrantSpec)> {
        let grant = caller.grants.get(index)?;
        let spec = grants::to_grant_specs(&self.deps, std::slice::from_ref(grant)).await.pop()?;
        Some((index, spec))
    }
}

/// Returns the requesting admin, if the query is about them.
fn requesting_caller(context: &RequestContext, caller: &CallerRef) -> Option<Caller> {
    let matches = |admin: &&AuthenticatedCaller| match caller {
        CallerRef::Id(id) => *id == admin.caller.id,
        CallerRef::Name(name) => *name == admin.caller.name,
        CallerRef::Key(_) => false,
    };
    context.callers().find(matches).map(|admin| (*admin.caller).clone())
}

/// Returns true if the admin can see the caller, or is the caller.
fn is_visible(context: &RequestContext, caller: &Caller) -> bool {
    context.any(|admin| {
        admin.id == caller.id || admin.holds(Permission::CallersWrite) && admin.may_grant(&caller.grants)
    })
}

fn no_visible_caller() -> Explanation {
    Explanation {
        allowed: false,
        reason: "A token with these claims opens no caller that you may see: none has a trust whose issuer, \
                 audience, subject and claims all match."
            .to_owned(),
        caller: None,
        grant: None,
        rule: Some("trust"),
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
