//! Revocations that a caller requests: one token, or all of a subject's.

use super::Revocation;
use crate::auth::RequestContext;
use crate::box_api::BoxError;
use crate::broker::error::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::crypto::sha256_hex;
use crate::domain::audit_event::{AuditAction, AuditEvent};
use crate::domain::policy::AccessRequest;
use crate::domain::subject::Subject;
use crate::domain::tenant::TenantState;
use crate::secret::SecretString;
use crate::store::{StoredToken, TenantRef, TokenSelector};

/// The tokens that a caller revokes.
#[derive(Debug)]
pub enum RevocationTarget {
    /// This token.
    Token(SecretString),
    /// All tokens of a subject.
    Subject(Subject),
}

impl Revocation {
    /// Revokes tokens for everybody who has them: a subject's, or one. With a full token, the subject's
    /// restricted ones are revoked too, because they were made from it. A token that this tenant never had, or
    /// that is dead already, is no error.
    ///
    /// # Errors
    /// If the caller may not, or if the store or Box does not answer; what was revoked before then stays so.
    pub async fn revoke(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        target: &RevocationTarget,
    ) -> Result<(), TokenError> {
        let tenant_context = self.tenants.find_for(context, tenant).await?.ok_or(TokenError::Absent)?;
        let tenant = &tenant_context.tenant;
        let authorize = |subject: Option<&Subject>| match context
            .decide(tenant, AccessRequest::TokenRevocation(subject))
        {
            Ok(by) if tenant.state != TenantState::Deleted => Ok(by),
            Ok(_) | Err(None) => Err(TokenError::Absent),
            Err(Some(rule)) => Err(TokenError::Forbidden(rule)),
        };
        let mut event = AuditEvent {
            tenant: Some(tenant.id.clone()),
            app: Some(tenant_context.app.id.clone()),
            ..context.audit_context().event(self.clock.wall(), AuditAction::TokenRevoke)
        };
        let rows = match target {
            RevocationTarget::Subject(subject) => {
                event.actor = authorize(Some(subject))?.actor();
                event.subject = Some(subject.clone());
                self.fence.note_subject(&tenant.id, subject);
                let selector = TokenSelector::Subject(subject.clone());
                self.store.live_tokens_of_tenant(&tenant.id, &selector, self.clock.wall()).await?
            }
            RevocationTarget::Token(token) => {
                authorize(None)?;
                let fingerprint = sha256_hex(token.expose().as_bytes());
                let rows = self.rows_of(&tenant_context, &fingerprint).await?;
                let subject = rows.first().and_then(|row| Subject::parse(&row.subject).ok());
                event.actor = authorize(subject.as_ref())?.actor();
                event.fingerprint = Some(fingerprint.clone());
                // Tokens that are made from it at this moment end with it.
                let rows = match &subject {
                    Some(subject) => {
                        self.fence.note_subject(&tenant.id, subject);
                        self.rows_of(&tenant_context, &fingerprint).await?
                    }
                    None => rows,
                };
                event.subject = subject;
                rows
            }
        };
        event.detail = Some(format!("{} tokens", rows.len()));
        self.store.record_events(std::slice::from_ref(&event), event.at).await?;
        let revoked = self.revoke_rows(&tenant_context.app, &rows).await?.dead;
        match revoked.len() == rows.len() {
            true => Ok(()),
            false => {
                let reason = "not every token could be revoked".to_owned();
                Err(BoxError::Unavailable { reason, retry_after: None }.into())
            }
        }
    }

    /// Returns the live token of this fingerprint, and the tokens that were made from it.
    async fn rows_of(
        &self,
        tenant: &TenantContext,
        fingerprint: &str,
    ) -> Result<Vec<StoredToken>, TokenError> {
        let now = self.clock.wall();
        let tenant = tenant.id();
        let selector = TokenSelector::Fingerprint(fingerprint.to_owned());
        let mut rows = self.store.live_tokens_of_tenant(tenant, &selector, now).await?;
        let Some(row) = rows.first().cloned() else { return Ok(rows) };
        if self.tokens.open(&row).await?.restricted_to.is_none() {
            let all = self.store.live_tokens_of_tenant(tenant, &TokenSelector::All, now).await?;
            for other in all.into_iter().filter(|other| other.subject == row.subject && other.id != row.id) {
                if self.tokens.open(&other).await.is_ok_and(|token| token.restricted_to.is_some()) {
                    rows.push(other);
                }
            }
        }
        Ok(rows)
    }
}
