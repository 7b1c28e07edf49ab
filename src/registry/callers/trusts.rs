//! Callers' trusts: which tokens of the settings' issuers open them.

use crate::auth::RequestContext;
use crate::domain::audit_event::AuditAction;
use crate::domain::caller::Caller;
use crate::domain::id::TrustId;
use crate::domain::session::SessionCredential;
use crate::domain::trust::{Trust, TrustConditions};
use crate::registry::callers::event_of;
use crate::registry::error::RegistryError;
use crate::registry::{Registry, on_what_stands};
use crate::store::CallerRef;

impl Registry {
    /// Lets tokens that meet `conditions` open a caller.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn create_trust(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        conditions: TrustConditions,
    ) -> Result<Trust, RegistryError> {
        on_what_stands(|| self.create_trust_once(context, caller, &conditions)).await
    }

    async fn create_trust_once(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        conditions: &TrustConditions,
    ) -> Result<Trust, RegistryError> {
        let (context, mut next) = self.manageable(context, caller).await?;
        self.check_issuer(&conditions.issuer)?;
        if next.trusts.iter().any(|trust| trust.conditions == *conditions) {
            return Err(RegistryError::Conflict("The caller has such a trust already."));
        }
        if next.trusts.len() >= Caller::MAX_TRUSTS {
            return Err(RegistryError::Conflict("The caller has 32 trusts; delete one of them first."));
        }
        let id = self.new_id(TrustId::generate);
        let trust = Trust { id, conditions: conditions.clone(), created_at: self.now() };
        next.trusts.push(trust.clone());
        let cause = context.audit_context();
        let event = event_of(&next, &cause, self.now(), AuditAction::TrustCreate, told(&trust));
        self.replace_caller(next, &event, None).await?;
        Ok(trust)
    }

    /// Takes a trust away: tokens that matched it open nothing by it any more.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn delete_trust(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        trust: &TrustId,
    ) -> Result<(), RegistryError> {
        on_what_stands(|| self.delete_trust_once(context, caller, trust)).await
    }

    async fn delete_trust_once(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        trust: &TrustId,
    ) -> Result<(), RegistryError> {
        let (context, mut next) = self.manageable(context, caller).await?;
        let place = next.trusts.iter().position(|kept| kept.id == *trust).ok_or(RegistryError::Absent)?;
        let gone = next.trusts.remove(place);
        let cause = context.audit_context();
        let event = event_of(&next, &cause, self.now(), AuditAction::TrustDelete, told(&gone));
        let next = self.replace_caller(next, &event, None).await?;
        let with = SessionCredential::Trust(trust.clone());
        self.end_orphans(&next, &cause, |session| session.owner.credential == with).await;
        Ok(())
    }

    /// Issuers are the operator's: whose keys are asked for stands in the settings alone.
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

fn told(trust: &Trust) -> String {
    let Trust { id, conditions: TrustConditions { issuer, audience, subject, claims }, .. } = trust;
    let claims = serde_json::to_string(claims).unwrap_or_default();
    format!("{id}: {issuer} for {}, {subject}, claims {claims}", audience.as_str())
}
