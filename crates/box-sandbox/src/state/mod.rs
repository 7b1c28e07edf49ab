//! The state of a running sandbox.
//!
//! This module owns everything that requests read and change; it starts as a [`World`]. It must not decide how Box
//! responds.

mod directory;
mod download_tickets;
mod faults;
mod journal;
mod jti_registry;
mod settings;
mod skewed_clock;
mod upload_sessions;

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::storage::StorageQuota;
use crate::tokens::{IssuedToken, IssuedTokens};
use crate::world::{BoxApp, World};

pub(crate) use directory::AccountDirectory;
pub(crate) use download_tickets::DownloadTickets;
pub(crate) use faults::{FaultEffect, FaultInjector, FaultSpec, TriggeredFault};
pub(crate) use journal::{Journal, JournalEntry, JournalFilter};
pub(crate) use jti_registry::{JtiError, JtiRegistry};
pub(crate) use settings::SandboxSettings;
pub(crate) use skewed_clock::SkewedClock;
pub(crate) use upload_sessions::{BodyDigest, UploadPart, UploadSession, UploadSessions, UploadTarget};

/// The number of bytes of uploaded files that are kept, unless the control plane changes it.
const DEFAULT_QUOTA: u64 = 4 * 1024 * 1024 * 1024;

/// The state of one running sandbox. No lock is held while a request is handled.
#[derive(Debug)]
pub(crate) struct SandboxState {
    pub(crate) clock: SkewedClock,
    pub(crate) directory: AccountDirectory,
    pub(crate) settings: SandboxSettings,
    pub(crate) tokens: IssuedTokens,
    pub(crate) used_jtis: JtiRegistry,
    pub(crate) faults: FaultInjector,
    pub(crate) journal: Journal,
    pub(crate) quota: Arc<StorageQuota>,
    pub(crate) upload_sessions: UploadSessions,
    pub(crate) download_tickets: DownloadTickets,
    /// Cancelled when the sandbox stops, so that nobody waits for a hanging response.
    pub(crate) shutdown: CancellationToken,
}

impl SandboxState {
    pub(crate) fn new(world: World, clock: Box<dyn Clock>, shutdown: CancellationToken) -> Self {
        Self {
            clock: SkewedClock::new(clock),
            settings: SandboxSettings::new(&world),
            directory: AccountDirectory::new(world.apps, world.enterprises),
            tokens: IssuedTokens::default(),
            used_jtis: JtiRegistry::default(),
            faults: FaultInjector::default(),
            journal: Journal::default(),
            quota: Arc::new(StorageQuota::new(DEFAULT_QUOTA)),
            upload_sessions: UploadSessions::default(),
            download_tickets: DownloadTickets::default(),
            shutdown,
        }
    }

    /// Returns the sandbox's time: that of its clock plus the configured skew.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Issues a token of an app with the configured lifetime. Returns its text, its SHA-256 and its lifetime in
    /// seconds.
    pub(crate) fn issue_token(&self, app: &BoxApp, token: IssuedToken) -> (String, String, i64) {
        let lifetime = self.settings.token_lifetime(app, token.parent.is_some());
        let (text, sha256) = self.tokens.issue(token, self.now(), lifetime);
        (text, sha256, lifetime)
    }
}
