//! The callers whose trusts match a token, from their rows and from the settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::request_context::AuthenticatedCaller;
use crate::config::TrustSettings;
use crate::crypto::sha256_hex;
use crate::domain::audit_event::Credential;
use crate::domain::caller::{Caller, CallerState};
use crate::domain::id::{CallerId, Name, TrustId};
use crate::domain::trust::{TokenClaims, Trust};
use crate::store::change_feed::{ChangeFeed, ChangeToken};
use crate::store::read_through_cache::{Cacheable, CachedValue, ReadThroughCache};
use crate::store::{CallerRef, Store, StoreError};

/// The callers that trust each issuer.
#[derive(Debug)]
pub(super) struct TrustIndex {
    store: Arc<dyn Store>,
    settings: Arc<[(Name, Trust)]>,
    /// By issuer; only issuers of the settings are here.
    known: ReadThroughCache<String, TrustCandidates>,
}

/// The callers that trust one issuer.
#[derive(Debug)]
pub(super) struct TrustCandidates(Vec<TrustCandidate>);

#[derive(Debug)]
struct TrustCandidate {
    caller: Arc<Caller>,
    /// The trusts that the settings add to this caller.
    more: Vec<Trust>,
}

impl TrustIndex {
    pub(super) fn new(
        store: Arc<dyn Store>,
        known: ReadThroughCache<String, TrustCandidates>,
        settings: &[TrustSettings],
    ) -> Self {
        let settings = settings.iter().map(|one| (one.caller.clone(), of_settings(one))).collect();
        Self { store, settings, known }
    }

    /// Returns the callers that a verified token authenticates now: those with older trusts first, the
    /// settings' before all others.
    ///
    /// # Errors
    /// If the store does not answer and the cached rows are too old.
    pub(super) async fn opened(&self, token: &TokenClaims) -> Result<Vec<AuthenticatedCaller>, StoreError> {
        let known = self.get_or_load(&token.issuer).await?;
        let active = known.value.0.iter().filter(|one| one.caller.state == CallerState::Active);
        let opened = active.filter_map(|TrustCandidate { caller, more }| {
            let mut trusts = caller.trusts.iter().chain(more);
            let trust = trusts.find(|trust| trust.conditions.matches(token))?;
            let credential = Credential::Jwt {
                issuer: token.issuer.clone(),
                subject: token.subject.clone(),
                token_id: token.token_id.clone(),
                trust: trust.id.clone(),
            };
            Some((trust.created_at, AuthenticatedCaller { caller: Arc::clone(caller), credential }))
        });
        let mut opened: Vec<_> = opened.collect();
        // A caller that trusts the same token later never comes before those that did already.
        opened.sort_by_key(|(since, _)| *since);
        Ok(opened.into_iter().map(|(_, opened)| opened).collect())
    }

    /// Returns true if a caller still has this trust, by its row or by the settings.
    pub(super) fn has_trust(&self, caller: &Caller, id: &TrustId) -> bool {
        let mut by_settings = self.settings.iter().filter(|(name, _)| *name == caller.name);
        caller.trusts.iter().any(|trust| trust.id == *id) || by_settings.any(|(_, trust)| trust.id == *id)
    }

    /// Returns the active caller that has this trust in an issuer.
    ///
    /// # Errors
    /// If the store does not answer and the cached rows are too old.
    pub(super) async fn caller_with(
        &self,
        issuer: &str,
        trust: &TrustId,
    ) -> Result<Option<Arc<Caller>>, StoreError> {
        let known = self.get_or_load(issuer).await?;
        let mut active = known.value.0.iter().filter(|one| one.caller.state == CallerState::Active);
        Ok(active.find(|one| self.has_trust(&one.caller, trust)).map(|one| Arc::clone(&one.caller)))
    }

    async fn get_or_load(&self, issuer: &str) -> Result<Arc<CachedValue<TrustCandidates>>, StoreError> {
        let issuer = issuer.to_owned();
        let read =
            || TrustCandidates::read(Arc::clone(&self.store), Arc::clone(&self.settings), issuer.clone());
        self.known.get_or_load(&issuer, read).await
    }
}

impl Cacheable<String> for TrustCandidates {
    fn is_current(&self, _: &String, since: &ChangeToken, change_feed: &ChangeFeed) -> bool {
        // A caller that is not among them may have been given a trust since.
        change_feed.no_caller_changed_since(since)
    }
}

impl TrustCandidates {
    async fn read(
        store: Arc<dyn Store>,
        settings: Arc<[(Name, Trust)]>,
        issuer: String,
    ) -> Result<Self, StoreError> {
        let mut all: BTreeMap<CallerId, TrustCandidate> = BTreeMap::new();
        for caller in store.callers_trusting_issuer(&issuer).await? {
            all.insert(caller.id.clone(), TrustCandidate { caller: Arc::new(caller), more: Vec::new() });
        }
        for (name, trust) in settings.iter().filter(|(_, trust)| trust.conditions.issuer == issuer) {
            let found = match store.caller(&CallerRef::Name(name.clone())).await {
                // Such a row affects its own caller only.
                Err(error @ (StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })) => {
                    tracing::error!(%error, caller = %name, "a trust of the settings opens nothing");
                    None
                }
                found => found?,
            };
            let Some(caller) = found else { continue };
            let candidate = all.entry(caller.id.clone());
            candidate
                .or_insert_with(|| TrustCandidate { caller: Arc::new(caller), more: Vec::new() })
                .more
                .push(trust.clone());
        }
        Ok(Self(all.into_values().collect()))
    }
}

/// Returns a trust of the settings. Its ID is derived from its content, so that it is the same at every start.
fn of_settings(one: &TrustSettings) -> Trust {
    // Texts always serialise, and a name contains no line break.
    let conditions = serde_json::to_string(&one.conditions).unwrap_or_default();
    let digest = sha256_hex(format!("{}\n{conditions}", one.caller).as_bytes());
    Trust {
        id: TrustId::from_hash(&digest),
        conditions: one.conditions.clone(),
        created_at: Timestamp::UNIX_EPOCH,
    }
}
