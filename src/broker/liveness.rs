//! Tokens that somebody says are dead: looked at once, and replaced only where they are.

use std::sync::Arc;
use std::time::Duration;

use super::{Broker, TokenError, TtlRequirement};
use crate::box_api::BoxError;
use crate::broker::cache::token::AccessToken;
use crate::broker::tenant_context::TenantContext;
use crate::broker::upstream::circuit_breaker::OutageScope;
use crate::broker::upstream::concurrency_limiter::NoPermit;
use crate::domain::audit_event::AuditContext;
use crate::domain::token_key::TokenKey;
use crate::secret::SecretString;

/// How long a token that was found alive is believed to be.
const BELIEVED: Duration = Duration::from_secs(5);
/// How long Box is not asked again about a token when it did not answer.
const UNSEEN: Duration = Duration::from_secs(1);
/// How long somebody waits to hear whether a token is dead who does not say that it is.
const LONGEST_DOUBT: Duration = Duration::from_secs(2);
/// A token that replaced a dead one and dies itself within this time is not replaced again until it
/// is over: whatever kills them would kill the next one too.
const AGAIN: Duration = Duration::from_secs(30);

/// What Box said of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenStatus {
    Alive,
    Dead,
}

impl Broker {
    /// The token under `key` for somebody to whom Box answered 401 with `rejected`. Where that is the
    /// current one, all who say so share one look at Box; any other token proves nothing, and gets
    /// the current one.
    pub(super) async fn replace(
        self: &Arc<Self>,
        view: &Arc<TenantContext>,
        key: &TokenKey,
        need: TtlRequirement,
        rejected: &SecretString,
        cause: &(dyn Fn() -> AuditContext + Sync),
    ) -> Result<Arc<AccessToken>, TokenError> {
        let current = self.obtain(view, key, need, cause).await?;
        if current.secret != *rejected || current.was_alive_within(BELIEVED, self.clock.as_ref()) {
            return Ok(current);
        }
        // Where Box does not answer, those who go on reporting do not go on asking.
        if let Some((error, retry_after)) = current.was_unseen_within(UNSEEN, self.clock.as_ref()) {
            return Err(TokenError::Down {
                extent: OutageScope::Subject,
                error: Box::new(error),
                retry_after,
            });
        }
        let look = self.looks.join(current.row.clone(), || {
            let (broker, view) = (Arc::clone(self), Arc::clone(view));
            let (key, token) = (key.clone(), Arc::clone(&current));
            async move { broker.look(&view, &key, &token).await }
        });
        match look.await.map_err(|_| TokenError::Crashed)?? {
            TokenStatus::Alive => Ok(current),
            TokenStatus::Dead => self.obtain(view, key, need, cause).await,
        }
    }

    /// True where Box does not take a token any more, which is forgotten then. For somebody who may have seen a
    /// 401 and does not say so: a token that was minted or seen alive a moment ago is not doubted, and where
    /// Box does not tell in time the token is as good as it was.
    pub async fn finds_dead(self: &Arc<Self>, token: &Arc<AccessToken>) -> bool {
        let clock = self.clock.as_ref();
        let is_believed = token.life.age(clock) < BELIEVED || token.was_alive_within(BELIEVED, clock);
        if is_believed || token.was_unseen_within(BELIEVED, clock).is_some() {
            return false;
        }
        let look = self.looks.join(token.row.clone(), || {
            let (broker, token) = (Arc::clone(self), Arc::clone(token));
            async move {
                let view = broker.view_of(&token.key).await?.ok_or(TokenError::Absent)?;
                broker.look(&view, &token.key, &token).await
            }
        });
        matches!(tokio::time::timeout(LONGEST_DOUBT, look).await, Ok(Ok(Ok(TokenStatus::Dead))))
    }

    /// Asks Box whether a token is alive, and forgets one that is not.
    async fn look(
        &self,
        view: &TenantContext,
        key: &TokenKey,
        token: &Arc<AccessToken>,
    ) -> Result<TokenStatus, TokenError> {
        // Somebody else saw to it between this one's look into memory and now: to do so again would be one
        // question too many, and count one death as two.
        if token.was_alive_within(BELIEVED, self.clock.as_ref()) {
            return Ok(TokenStatus::Alive);
        }
        if self.memory.token(key).is_none_or(|kept| kept.row != token.row) {
            return Ok(TokenStatus::Dead);
        }
        let turn = self.turns.take(view).await.map_err(|NoPermit| TokenError::Overloaded)?;
        let alive = self.upstream.is_alive(&token.secret).await.map_err(TokenError::from);
        drop(turn);
        if alive.inspect_err(|error| token.note_unseen(error, self.clock.as_ref()))? {
            token.note_alive(self.clock.as_ref());
            return Ok(TokenStatus::Alive);
        }
        tracing::info!(tenant = %key.tenant, subject = %key.subject, token = %token.row, "a token died before its time");
        // The row first: whoever misses it in memory must not find it in the store.
        self.store.delete_tokens(std::slice::from_ref(&token.row)).await?;
        self.memory.forget_token(key, token);
        let now = self.clock.monotonic();
        if let Some(before) = self.memory.note_death(key, now).filter(|before| now.since(*before) < AGAIN) {
            let rest = AGAIN.saturating_sub(now.since(before));
            let reason = "Box kills this subject's tokens as soon as they are minted".to_owned();
            let error = BoxError::Unavailable { reason, retry_after: Some(rest) };
            self.gate.hold(key, rest, &error.into());
        }
        Ok(TokenStatus::Dead)
    }
}
