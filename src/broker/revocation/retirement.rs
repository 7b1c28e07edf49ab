//! The end of single tokens and rows: revoked at Box, then erased from the store.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::Revocation;
use crate::box_api::{BoxCredentials, BoxError};
use crate::broker::error::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::crypto::sha256_hex;
use crate::domain::app::App;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::id::{Generation, TokenId};
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::secret::SecretString;
use crate::store::{StoredToken, TokenSelector};

/// The result of revoking some tokens.
#[derive(Debug, Default)]
pub(super) struct RevocationReport {
    /// The tokens that are dead now.
    pub dead: HashSet<TokenId>,
    /// The error of one of the last revocations that Box refused or failed. Tokens that cannot be opened are
    /// not sent to Box.
    pub failed: Option<BoxError>,
}

/// The most tokens that are revoked at the same time.
const BATCH: usize = 16;

impl Revocation {
    /// Revokes a token and erases its row, in a task of its own. If Box does not answer, the row stays in the
    /// queue.
    pub(in crate::broker) fn retire(
        self: &Arc<Self>,
        credentials: &Arc<BoxCredentials>,
        row: TokenId,
        token: SecretString,
    ) {
        let (revocation, credentials) = (Arc::clone(self), Arc::clone(credentials));
        self.tasks.spawn(async move {
            match revocation.client.revoke(&credentials, &token).await {
                Ok(()) => {
                    if let Err(error) = revocation.store.delete_tokens(std::slice::from_ref(&row)).await {
                        tracing::warn!(token = %row, %error, "a revoked token's row is left to expire");
                    }
                }
                Err(error) => {
                    tracing::warn!(token = %row, %error, "a discarded token waits to be revoked");
                    revocation.queue.note_waiting();
                }
            }
        });
    }

    /// Revokes a token that has no row, in a task of its own.
    pub(in crate::broker) fn retire_unsaved(
        self: &Arc<Self>,
        credentials: &Arc<BoxCredentials>,
        token: SecretString,
    ) {
        let (revocation, credentials) = (Arc::clone(self), Arc::clone(credentials));
        self.tasks.spawn(async move {
            if let Err(error) = revocation.client.revoke(&credentials, &token).await {
                tracing::warn!(%error, "an unused token could not be revoked");
            }
        });
    }

    /// Records a token that was minted to test credentials of no tenant, and has it revoked.
    pub async fn discard_unowned_token(
        self: &Arc<Self>,
        (subject, restriction): (&Subject, Option<&Restriction>),
        credentials: &Arc<BoxCredentials>,
        token: SecretString,
        cause: &AuditContext,
    ) {
        let action = if restriction.is_some() { AuditAction::TokenDownscope } else { AuditAction::TokenMint };
        let event = AuditEvent {
            subject: Some(subject.clone()),
            scopes: restriction.map(|restriction| restriction.scopes.clone()),
            fingerprint: Some(sha256_hex(token.expose().as_bytes())),
            detail: Some("to test credentials of no tenant; revoked at once".to_owned()),
            ..cause.event(self.clock.wall(), action)
        };
        if let Err(error) = self.store.record_events(std::slice::from_ref(&event), event.at).await {
            tracing::warn!(%error, "a test's token was not recorded");
        }
        self.retire_unsaved(credentials, token);
    }

    /// Revokes every live token of a tenant. Returns the number of tokens that are left, because Box did not
    /// answer or they cannot be opened.
    ///
    /// # Errors
    /// If the store does not answer, or the credentials cannot be opened.
    pub async fn revoke_tenant(&self, tenant: &TenantContext) -> Result<usize, TokenError> {
        self.revoke_where(tenant, |_| true).await
    }

    /// Revokes every live token of a tenant that is older than its current credentials. Returns the number of
    /// tokens that are left.
    ///
    /// # Errors
    /// If the store does not answer, or old credentials cannot be opened.
    pub async fn revoke_older_generations(&self, tenant: &TenantContext) -> Result<usize, TokenError> {
        self.revoke_where(tenant, |row| row.generation < tenant.generation()).await
    }

    async fn revoke_where(
        &self,
        tenant: &TenantContext,
        is_meant: impl Fn(&StoredToken) -> bool,
    ) -> Result<usize, TokenError> {
        let now = self.clock.wall();
        let mut rows = self.store.live_tokens_of_tenant(tenant.id(), &TokenSelector::All, now).await?;
        rows.retain(is_meant);
        let revoked = self.revoke_rows(&tenant.app, &rows).await?.dead;
        Ok(rows.len() - revoked.len())
    }

    /// Revokes tokens at Box, a batch at a time, and forgets those that are dead.
    pub(super) async fn revoke_rows(
        &self,
        app: &App,
        rows: &[StoredToken],
    ) -> Result<RevocationReport, TokenError> {
        let mut report = RevocationReport::default();
        let mut credentials: HashMap<Generation, Arc<BoxCredentials>> = HashMap::new();
        for generation in rows.iter().map(|row| row.generation) {
            if let Entry::Vacant(entry) = credentials.entry(generation) {
                entry.insert(self.credentials.for_revocation(app, generation).await?);
            }
        }
        for batch in rows.chunks(BATCH) {
            let failed = Mutex::new(None);
            let revocations = batch.iter().map(|row| async {
                let credentials = credentials.get(&row.generation)?;
                let token = self.tokens.open(row).await.ok()?.secret;
                match self.client.revoke(credentials, &token).await {
                    Ok(()) => Some(row.id.clone()),
                    Err(error) => {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        None
                    }
                }
            });
            let revoked: Vec<TokenId> =
                futures::future::join_all(revocations).await.into_iter().flatten().collect();
            // Even if the store fails now: a token that Box rejects must not be served.
            if batch.iter().any(|row| !row.discarded) {
                self.cache.remove_by_row_ids(&revoked.iter().cloned().collect());
            }
            self.store.delete_tokens(&revoked).await?;
            // Each further batch would take as long to fail as this one.
            report.failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
            if revoked.is_empty() && report.failed.as_ref().is_some_and(BoxError::is_outage) {
                break;
            }
            report.dead.extend(revoked);
        }
        Ok(report)
    }
}
