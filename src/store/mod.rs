//! The store: everything that must survive a restart, in an SQLite file or a Postgres database.
//!
//! It owns the database: its schema, its transactions, and the rule that a change and its audit record are
//! committed together. It must not decide who may do what, and it never opens a secret: secrets come here
//! sealed and leave sealed.
//!
//! The database is not trusted. A row that decides something is a JSON document under a MAC over its table,
//! id, version and content; the columns beside the document only index it and must agree with it. A row that
//! fails verification is refused alone, and the other rows stay usable.
//!
//! Each kind of entity has a trait in its own file, [`Store`] is their sum, and `sql` implements them for both
//! engines. [`change_feed`] and [`read_through_cache`] keep what was read in memory for as long as it is
//! current.

mod apps;
mod audit;
mod browser_sessions;
mod callers;
pub mod change_feed;
mod changes;
mod error;
mod page;
pub mod read_through_cache;
mod sql;
mod tenants;
mod tokens;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::id::Generation;

pub use apps::{AppRef, AppStore, CredentialSwitch, NewApp, StoredCredentials, credentials_aad, keypair_aad};
pub use audit::{AuditCursor, AuditFilter, AuditRecord, AuditStore, StoredAuditRecord};
pub use browser_sessions::{
    BrowserSessionStore, NewBrowserSession, SessionCursor, SessionFilter, SessionSelector,
};
pub use callers::{CallerRef, CallerStore};
pub use changes::{ChangeLog, ChangeRecord, ChangedEntity};
pub use error::{Conflict, OpenError, Result, StoreError};
pub use page::{Page, PageRequest};
pub use sql::{MigrationReport, OpenMode, migrate, open};
pub use tenants::{TenantFilter, TenantRef, TenantStore};
pub use tokens::{
    NewToken, SaveOutcome, StoredToken, TokenCursor, TokenFilter, TokenRecipient, TokenSelector, TokenStore,
    token_aad,
};

/// The broker's database. Each call is limited to 2 s and either happens as a whole or not at all; a change
/// and its audit record are one transaction.
#[async_trait]
pub trait Store:
    TenantStore
    + AppStore
    + CallerStore
    + BrowserSessionStore
    + TokenStore
    + AuditStore
    + ChangeLog
    + fmt::Debug
    + Send
    + Sync
{
    /// Returns the next number of the one sequence that all generations come from. No number is returned
    /// twice.
    async fn next_generation(&self) -> Result<Generation>;
    /// Erases tokens that expired before `now`, credentials that no token needs any more, browser sessions
    /// that ended a day before, and changes that every process has read.
    async fn delete_expired(&self, now: Timestamp) -> Result<()>;
    /// Succeeds if the database answers.
    async fn ping(&self) -> Result<()>;
}
