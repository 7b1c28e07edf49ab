//! How tokens end before their time: revoked at Box, then erased here.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::auth::RequestContext;
use crate::box_api::{BoxClient, BoxCredentials, BoxError, MintedToken};
use crate::broker::minter::MintDisposition;
use crate::broker::tenant_context::TenantContext;
use crate::broker::token_store::sealed_token::SealedToken;
use crate::broker::upstream::concurrency_limiter::NoPermit;
use crate::broker::{Broker, TokenError};
use crate::crypto::sha256_hex;
use crate::domain::app::App;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::id::{BoxId, Generation, TokenId};
use crate::domain::policy::AccessRequest;
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::domain::tenant::TenantState;
use crate::domain::token_key::TokenKey;
use crate::secret::SecretString;
use crate::store::{StoredToken, TenantRef, TokenSelector, token_aad};

/// Which tokens somebody wants to end.
#[derive(Debug)]
pub enum RevocationTarget {
    /// This one.
    Token(SecretString),
    /// All of a subject's.
    Subject(Subject),
}

/// What revoking some tokens came to.
#[derive(Debug, Default)]
pub(in crate::broker) struct RevocationReport {
    /// Those that are dead now.
    pub dead: HashSet<TokenId>,
    /// With what Box failed or refused one of the last; those that cannot be opened are not asked about.
    pub failed: Option<BoxError>,
}

/// How many tokens are revoked at once.
const AT_ONCE: usize = 16;

impl Broker {
    /// Revokes a token at Box and erases its row, in a task of its own. Where Box does not answer
    /// the row stays, so that the token is still known until it expires.
    pub(in crate::broker) fn retire(
        self: &Arc<Self>,
        credentials: &Arc<BoxCredentials>,
        row: TokenId,
        token: SecretString,
    ) {
        let (broker, credentials) = (Arc::clone(self), Arc::clone(credentials));
        self.tasks.spawn(async move {
            let revoked = broker.upstream.revoke(&credentials, &token).await;
            match revoked {
                Ok(()) => {
                    if let Err(error) = broker.store.delete_tokens(std::slice::from_ref(&row)).await {
                        tracing::warn!(token = %row, %error, "a revoked token's row is left to expire");
                    }
                }
                Err(error) => {
                    tracing::warn!(token = %row, %error, "a discarded token waits to be revoked");
                    broker.queue.note();
                }
            }
        });
    }

    /// Revokes a token that has no row, in a task of its own.
    pub(in crate::broker) fn revoke_later(
        self: &Arc<Self>,
        credentials: &Arc<BoxCredentials>,
        token: SecretString,
    ) {
        let (broker, credentials) = (Arc::clone(self), Arc::clone(credentials));
        self.tasks.spawn(async move {
            if let Err(error) = broker.upstream.revoke(&credentials, &token).await {
                tracing::warn!(%error, "an unused token could not be revoked");
            }
        });
    }

    /// Revokes every live token of a tenant at Box and erases what is revoked. Answers how many are
    /// left, because Box did not answer or their rows cannot be opened.
    ///
    /// # Errors
    /// Where the store does not answer, or the credentials cannot be opened.
    pub async fn revoke_all(&self, view: &TenantContext) -> Result<usize, TokenError> {
        let rows =
            self.store.live_tokens_of_tenant(&view.tenant.id, &TokenSelector::All, self.clock.wall()).await?;
        let revoked = self.revoke_rows(&view.app, &rows).await?.dead;
        Ok(rows.len() - revoked.len())
    }

    /// Revokes tokens for everybody who has them: a subject's, or one; with a full one what was made
    /// from it too, the subject's restricted ones. A token that this tenant never had, or that is dead
    /// already, is no error.
    ///
    /// # Errors
    /// Where the caller may not, or where the store or Box does not answer: what was revoked until
    /// then is.
    pub async fn revoke(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        what: &RevocationTarget,
    ) -> Result<(), TokenError> {
        let view = self.view_for(context, tenant).await?.ok_or(TokenError::Absent)?;
        let tenant = &view.tenant;
        let judge = |subject: Option<&Subject>| {
            let ask = AccessRequest::TokenRevocation(subject);
            match context.decide(tenant, ask) {
                Ok(by) if tenant.state != TenantState::Deleted => Ok(by),
                Ok(_) | Err(None) => Err(TokenError::Absent),
                Err(Some(rule)) => Err(TokenError::Forbidden(rule)),
            }
        };
        let mut event = AuditEvent {
            tenant: Some(tenant.id.clone()),
            app: Some(view.app.id.clone()),
            ..context.audit_context().event(self.clock.wall(), AuditAction::TokenRevoke)
        };
        let rows = match what {
            RevocationTarget::Subject(subject) => {
                event.actor = judge(Some(subject))?.actor();
                event.subject = Some(subject.clone());
                self.memory.note_revocation(&tenant.id, subject);
                let which = TokenSelector::Subject(subject.clone());
                self.store.live_tokens_of_tenant(&tenant.id, &which, self.clock.wall()).await?
            }
            RevocationTarget::Token(token) => {
                judge(None)?;
                let fingerprint = sha256_hex(token.expose().as_bytes());
                let rows = self.rows_with(&view, &fingerprint).await?;
                let subject = rows.first().and_then(|row| Subject::parse(&row.subject).ok());
                event.actor = judge(subject.as_ref())?.actor();
                event.fingerprint = Some(fingerprint.clone());
                // What is made of it at this moment ends with it.
                let rows = match &subject {
                    Some(subject) => {
                        self.memory.note_revocation(&tenant.id, subject);
                        self.rows_with(&view, &fingerprint).await?
                    }
                    None => rows,
                };
                event.subject = subject;
                rows
            }
        };
        event.detail = Some(format!("{} tokens", rows.len()));
        self.store.record_events(std::slice::from_ref(&event), event.at).await?;
        self.revoke_all_of(&view, &rows).await
    }

    /// The live token of this fingerprint, and what was made from it.
    async fn rows_with(
        &self,
        view: &TenantContext,
        fingerprint: &str,
    ) -> Result<Vec<StoredToken>, TokenError> {
        let now = self.clock.wall();
        let which = TokenSelector::Fingerprint(fingerprint.to_owned());
        let mut rows = self.store.live_tokens_of_tenant(&view.tenant.id, &which, now).await?;
        let Some(row) = rows.first().cloned() else { return Ok(rows) };
        if self.opened(&row).await?.restricted_to.is_none() {
            let all = self.store.live_tokens_of_tenant(&view.tenant.id, &TokenSelector::All, now).await?;
            for other in all.into_iter().filter(|other| other.subject == row.subject && other.id != row.id) {
                if self.opened(&other).await.is_ok_and(|token| token.restricted_to.is_some()) {
                    rows.push(other);
                }
            }
        }
        Ok(rows)
    }

    async fn revoke_all_of(&self, view: &TenantContext, rows: &[StoredToken]) -> Result<(), TokenError> {
        let revoked = self.revoke_rows(&view.app, rows).await?.dead;
        match revoked.len() == rows.len() {
            true => Ok(()),
            false => {
                let reason = "not every token could be revoked".to_owned();
                Err(BoxError::Unavailable { reason, retry_after: None }.into())
            }
        }
    }

    /// Revokes tokens at Box, some at a time, and forgets those that are dead now.
    pub(in crate::broker) async fn revoke_rows(
        &self,
        app: &App,
        rows: &[StoredToken],
    ) -> Result<RevocationReport, TokenError> {
        let mut done = RevocationReport::default();
        let mut revokers: HashMap<Generation, Arc<BoxCredentials>> = HashMap::new();
        for generation in rows.iter().map(|row| row.generation) {
            if let Entry::Vacant(place) = revokers.entry(generation) {
                place.insert(self.revoker(app, generation).await?);
            }
        }
        for batch in rows.chunks(AT_ONCE) {
            let failed = Mutex::new(None);
            let revocations = batch.iter().map(|row| async {
                let credentials = revokers.get(&row.generation)?;
                let token = self.opened(row).await.ok()?.secret;
                match self.upstream.revoke(credentials, &token).await {
                    Ok(()) => Some(row.id.clone()),
                    Err(error) => {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        None
                    }
                }
            });
            let revoked: Vec<TokenId> =
                futures::future::join_all(revocations).await.into_iter().flatten().collect();
            // Whatever the store does now: nobody may have what Box takes no more.
            if batch.iter().any(|row| !row.discarded) {
                self.memory.forget_rows(&revoked.iter().cloned().collect());
            }
            self.store.delete_tokens(&revoked).await?;
            // Each batch would take as long to fail as the one before.
            done.failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
            if revoked.is_empty() && done.failed.as_ref().is_some_and(BoxError::is_outage) {
                break;
            }
            done.dead.extend(revoked);
        }
        Ok(done)
    }

    pub(in crate::broker) async fn opened(&self, row: &StoredToken) -> Result<SealedToken, TokenError> {
        let document = self
            .vault
            .open(&token_aad(&row.id), &row.sealed)
            .await
            .map_err(|error| TokenError::Sealed { what: "a stored token", error })?;
        SealedToken::read(&document).ok_or(TokenError::Corrupt("a stored token is not one"))
    }

    /// Revokes at Box every live token of a tenant that is older than its credentials of now. Answers
    /// how many are left.
    ///
    /// # Errors
    /// Where the store does not answer, or old credentials cannot be opened.
    pub async fn revoke_older(&self, view: &TenantContext) -> Result<usize, TokenError> {
        let mut rows =
            self.store.live_tokens_of_tenant(&view.tenant.id, &TokenSelector::All, self.clock.wall()).await?;
        rows.retain(|row| row.generation < view.generation());
        let revoked = self.revoke_rows(&view.app, &rows).await?.dead;
        Ok(rows.len() - revoked.len())
    }

    /// Mints a token to see whether Box gives one, unless Box refused or failed a moment ago: for
    /// those who ask again and again. What comes of it is to be adopted or revoked.
    ///
    /// # Errors
    /// As a mint's.
    pub async fn knock(
        &self,
        view: &TenantContext,
    ) -> Result<(MintedToken, Arc<BoxCredentials>), TokenError> {
        let key = key_of(view, &Subject::ENTERPRISE, None);
        let credentials = self.credentials_for(view, &key).await?;
        let enterprise = &view.tenant.enterprise_id;
        let mint = async |upstream: &BoxClient| upstream.mint(&credentials, enterprise, &key.subject).await;
        let minted = self.ask(view, &key, mint).await??;
        Ok((minted, credentials))
    }

    /// Mints a token only to see whether Box gives one, whatever it refused a moment ago: for an admin
    /// who wants to know. [`Broker::write_off`] must be told of it.
    ///
    /// # Errors
    /// As a mint's.
    pub async fn probe(
        &self,
        view: &TenantContext,
        subject: &Subject,
    ) -> Result<(MintedToken, Arc<BoxCredentials>), TokenError> {
        let key = key_of(view, subject, None);
        let credentials = self.credentials_for(view, &key).await?;
        let _turn = self.turns.take(view).await.map_err(|NoPermit| TokenError::Overloaded)?;
        let answer = self.upstream.mint(&credentials, &view.tenant.enterprise_id, subject).await;
        Ok((self.settle(view, &key, answer)?, credentials))
    }

    /// Writes a token down that was minted only to see whether Box gives one, and has it revoked.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn write_off(
        self: &Arc<Self>,
        view: &TenantContext,
        subject: &Subject,
        restriction: Option<Restriction>,
        credentials: &Arc<BoxCredentials>,
        minted: MintedToken,
        cause: &AuditContext,
    ) -> Result<(), TokenError> {
        let key = key_of(view, subject, restriction);
        self.end(view, &key, credentials, minted, cause, MintDisposition::Probe).await
    }

    /// Writes a token down that nobody is to have, and has it revoked.
    pub(in crate::broker) async fn end(
        self: &Arc<Self>,
        view: &TenantContext,
        key: &TokenKey,
        credentials: &Arc<BoxCredentials>,
        minted: MintedToken,
        cause: &AuditContext,
        fate: MintDisposition<'_>,
    ) -> Result<(), TokenError> {
        let saved = self.save(view, key, &minted, cause, fate).await;
        match saved {
            Ok((row, _)) => {
                self.retire(credentials, row, minted.token);
                Ok(())
            }
            Err(error) => {
                self.revoke_later(credentials, minted.token);
                Err(error)
            }
        }
    }

    /// Mints a service account's token to see whether credentials work that no tenant has yet.
    /// [`Broker::write_off_unowned`] must be told of it, or [`Broker::adopt`].
    ///
    /// # Errors
    /// As a mint's.
    pub async fn try_out(
        &self,
        credentials: &BoxCredentials,
        enterprise: &BoxId,
    ) -> Result<MintedToken, TokenError> {
        let _turn = self.turns.take_any().await.map_err(|NoPermit| TokenError::Overloaded)?;
        Ok(self.upstream.mint(credentials, enterprise, &Subject::ENTERPRISE).await?)
    }

    /// Records that a token was minted which no tenant has, and has it revoked.
    pub async fn write_off_unowned(
        self: &Arc<Self>,
        credentials: &Arc<BoxCredentials>,
        (subject, restriction): (&Subject, Option<&Restriction>),
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
        self.revoke_later(credentials, token);
    }

    /// Keeps the token by which a registration was tested: the tenant's first.
    ///
    /// # Errors
    /// Where the store does not keep it.
    pub async fn adopt(
        self: &Arc<Self>,
        view: &TenantContext,
        minted: MintedToken,
        cause: &AuditContext,
    ) -> Result<(), TokenError> {
        let credentials = self.credentials(&view.app).await?;
        let key = key_of(view, &Subject::ENTERPRISE, None);
        self.healths.note_success(&view.tenant.id);
        let revocations = self.memory.fences.count();
        self.file(view, &key, &credentials, (minted, revocations), cause).await.map(drop)
    }
}

fn key_of(view: &TenantContext, subject: &Subject, restriction: Option<Restriction>) -> TokenKey {
    TokenKey {
        tenant: view.tenant.id.clone(),
        generation: view.generation(),
        subject: subject.clone(),
        restriction,
    }
}
