//! The trusts of callers: the conditions under which an OIDC token authenticates as a caller.

use super::Callers;
use crate::auth::RequestContext;
use crate::domain::audit_event::AuditAction;
use crate::domain::caller::Caller;
use crate::domain::id::TrustId;
use crate::domain::session::SessionCredential;
use crate::domain::trust::{Trust, TrustConditions};
use crate::registry::error::RegistryError;
use crate::registry::retry::retry_on_conflict;
use crate::registry::rows::callers::{caller_event, load_managed_caller, replace_caller};
use crate::registry::session_cancellation::cancel_orphaned_sessions;
use crate::store::CallerRef;

impl Callers {
    /// Adds a trust to a caller: OIDC tokens that meet the conditions authenticate as it.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn create_trust(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        conditions: TrustConditions,
    ) -> Result<Trust, RegistryError> {
        let (deps, conditions) = (&*self.deps, &conditions);
        retry_on_conflict(|| async move {
            let (context, mut next) = load_managed_caller(deps, context, caller).await?;
            self.check_issuer(&conditions.issuer)?;
            if next.trusts.iter().any(|trust| trust.conditions == *conditions) {
                return Err(RegistryError::Conflict("The caller has such a trust already."));
            }
            if next.trusts.len() >= Caller::MAX_TRUSTS {
                return Err(RegistryError::Conflict("The caller has 32 trusts; delete one of them first."));
            }
            let id = deps.new_id(TrustId::generate);
            let trust = Trust { id, conditions: conditions.clone(), created_at: deps.now() };
            next.trusts.push(trust.clone());
            let cause = context.audit_context();
            let event =
                caller_event(&next, &cause, deps.now(), AuditAction::TrustCreate, describe_trust(&trust));
            replace_caller(deps, next, &event, None).await?;
            Ok(trust)
        })
        .await
    }

    /// Deletes a trust and cancels the browser sessions that were opened with it.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn delete_trust(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        trust: &TrustId,
    ) -> Result<(), RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let (context, mut next) = load_managed_caller(deps, context, caller).await?;
            let index = next.trusts.iter().position(|kept| kept.id == *trust);
            let deleted = next.trusts.remove(index.ok_or(RegistryError::Absent)?);
            let cause = context.audit_context();
            let event =
                caller_event(&next, &cause, deps.now(), AuditAction::TrustDelete, describe_trust(&deleted));
            let next = replace_caller(deps, next, &event, None).await?;
            let credential = SessionCredential::Trust(trust.clone());
            cancel_orphaned_sessions(deps, &next, &cause, |session| session.owner.credential == credential)
                .await;
            Ok(())
        })
        .await
    }

    /// Refuses issuers that are not in the settings: the broker fetches signing keys from no others.
    fn check_issuer(&self, issuer: &str) -> Result<(), RegistryError> {
        if self.issuers.iter().any(|known| known == issuer) {
            return Ok(());
        }
        let detail = if self.issuers.is_empty() {
            "The settings name no issuers: add this one to `auth.oidc` and restart.".to_owned()
        } else {
            format!("Not one of the settings' issuers (`auth.oidc`), which are {}.", self.issuers.join(", "))
        };
        Err(RegistryError::invalid("/issuer", detail))
    }
}

fn describe_trust(trust: &Trust) -> String {
    let Trust { id, conditions: TrustConditions { issuer, audience, subject, claims }, .. } = trust;
    let claims = serde_json::to_string(claims).unwrap_or_default();
    format!("{id}: {issuer} for {}, {subject}, claims {claims}", audience.as_str())
}
