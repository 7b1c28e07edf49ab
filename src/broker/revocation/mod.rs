//! The revocation of tokens at Box before their end: by callers, by lockdowns, by changes of credentials, and of
//! tokens that were never served.
//!
//! [`Revocation`] first takes a token out of circulation, then revokes it at Box, then erases its row. Tokens
//! that Box has not confirmed dead wait in the store, so that the queue outlives the process. It mints nothing.

mod caller_request;
mod fence;
mod lockdown;
mod queue;
mod retirement;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub use self::caller_request::RevocationTarget;
pub use self::lockdown::{LockdownReport, LockdownScope};
pub use self::queue::INTERVAL as REVOCATION_INTERVAL;

pub(super) use self::fence::RevocationFence;

use self::queue::RevocationQueue;
use super::cache::TokenCache;
use super::credentials::CredentialCache;
use super::tenant_context::TenantDirectory;
use super::token_store::SealedTokenStore;
use crate::box_api::BoxClient;
use crate::clock::Clock;
use crate::store::Store;

/// The revocation of tokens at Box.
#[derive(Debug)]
pub struct Revocation {
    store: Arc<dyn Store>,
    client: Arc<BoxClient>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    tenants: Arc<TenantDirectory>,
    credentials: Arc<CredentialCache>,
    cache: Arc<TokenCache>,
    tokens: Arc<SealedTokenStore>,
    fence: Arc<RevocationFence>,
    queue: RevocationQueue,
}

/// The parts that a [`Revocation`] works with.
#[derive(Debug)]
pub(super) struct RevocationParts {
    pub(super) store: Arc<dyn Store>,
    pub(super) client: Arc<BoxClient>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: TaskTracker,
    pub(super) tenants: Arc<TenantDirectory>,
    pub(super) credentials: Arc<CredentialCache>,
    pub(super) cache: Arc<TokenCache>,
    pub(super) tokens: Arc<SealedTokenStore>,
    pub(super) fence: Arc<RevocationFence>,
}

impl Revocation {
    /// Returns a revocation that does not know yet what an earlier process left in the queue.
    pub(super) fn new(parts: RevocationParts) -> Self {
        let RevocationParts { store, client, clock, tasks, tenants, credentials, cache, tokens, fence } =
            parts;
        let queue = RevocationQueue::default();
        Self { store, client, clock, tasks, tenants, credentials, cache, tokens, fence, queue }
    }
}
