//! Where the broker keeps what must outlive it: one trait in domain terms, two engines behind it.
//!
//! The database is not trusted. A row that decides something is a JSON document under a MAC over its
//! table, id, version and content; the columns beside it only help to find it, and must agree with
//! it. A row that does not hold together is refused alone, and never costs its neighbours anything.
//! Secrets come here sealed and leave sealed.

mod audit;
mod browser_sessions;
pub mod change_feed;
pub mod read_through_cache;
mod sql;
mod tokens;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::audit::{Day, DayRange, SignedCheckpoint};
use crate::crypto::AadContext;
use crate::domain::app::{App, Keypair};
use crate::domain::audit_event::AuditEvent;
use crate::domain::caller::Caller;
use crate::domain::id::{
    AppId, CallerId, Generation, KeyId, KeypairId, Name, SessionId, TenantId, TokenId, WriterId,
};
use crate::domain::recipient::Recipient;
use crate::domain::session::BrowserSession;
use crate::domain::tenant::{Tenant, TenantState};
use crate::domain::token_key::TokenKey;

pub use audit::{AuditCursor, AuditFilter, AuditPage, AuditRecord, StoredAuditRecord};
pub use sql::{MigrationReport, OpenError, OpenMode, migrate, open};
pub use browser_sessions::{NewBrowserSession, SessionCursor, SessionFilter, SessionPage, SessionSelector};
pub use tokens::{
    NewToken, SaveOutcome, StoredToken, TokenCursor, TokenFilter, TokenRecipient, TokenSelector, token_aad,
};

/// A result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Everything the broker asks of its database. Each call is bounded in time (2 s) and either
/// happens as a whole or not at all; a change and its event are one transaction.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The next number of the one sequence that all generations come from; none is given twice.
    async fn next_generation(&self) -> Result<Generation>;

    /// A tenant in any state, until it is purged.
    async fn tenant(&self, by: &TenantRef) -> Result<Option<Tenant>>;
    /// Tenants in the order of their names. A row that is refused is left out, with an error logged.
    async fn tenants(&self, filter: &TenantFilter, page: &PageRequest) -> Result<Vec<Tenant>>;
    /// Every tenant that is deleted and not purged yet.
    async fn deleted_tenants(&self) -> Result<Vec<Tenant>>;
    /// Every tenant that is pending.
    async fn pending_tenants(&self) -> Result<Vec<Tenant>>;
    /// Replaces a pending tenant's row, and its own app's, by what they are in service; a conflict
    /// where somebody else holds client ID or enterprise by now.
    async fn activate_tenant(&self, tenant: &Tenant, own_app: Option<&App>, event: &AuditEvent)
    -> Result<()>;
    /// Adds a tenant, with its own app where it brought one.
    async fn insert_tenant(
        &self,
        tenant: &Tenant,
        own_app: Option<NewApp<'_>>,
        event: &AuditEvent,
    ) -> Result<()>;
    /// Replaces a tenant's row by `tenant`, whose version is one more than the stored one's; else
    /// [`Conflict::Version`].
    async fn update_tenant(&self, tenant: &Tenant, event: &AuditEvent) -> Result<()>;
    /// Erases a tenant, its tokens, and its own app with its credentials; nothing can be restored.
    async fn purge_tenant(&self, tenant: &TenantId, event: &AuditEvent) -> Result<()>;
    /// Erases a pending tenant as [`Store::purge_tenant`] does, unless its row is another by now; then
    /// [`Conflict::Version`].
    async fn purge_pending_tenant(&self, tenant: &Tenant, event: &AuditEvent) -> Result<()>;

    /// An app, shared or a tenant's own.
    async fn app(&self, by: &AppRef) -> Result<Option<App>>;
    /// Shared apps in the order of their names.
    async fn shared_apps(&self, page: &PageRequest) -> Result<Vec<App>>;
    /// The sealed secrets that tokens of `generation` were minted with: an app's last ones until then.
    async fn credentials(&self, app: &AppId, generation: Generation) -> Result<Option<StoredCredentials>>;
    /// How many tenants an app serves, deleted ones counting.
    async fn count_tenants_of_app(&self, app: &AppId) -> Result<u64>;
    /// One of the active tenants that an app serves, where there is any.
    async fn active_tenant_of_app(&self, app: &AppId) -> Result<Option<Tenant>>;
    /// Adds a shared app.
    async fn insert_app(&self, app: NewApp<'_>, event: &AuditEvent) -> Result<()>;
    /// Replaces an app's row, as [`Store::update_tenant`] does.
    async fn update_app(&self, app: &App, event: &AuditEvent) -> Result<()>;
    /// Switches an app to new credentials: replaces its row, as [`Store::update_app`] does, and puts
    /// the credentials beside the old ones.
    async fn switch_credentials(&self, switch: CredentialSwitch<'_>, event: &AuditEvent) -> Result<()>;
    /// Keeps a keypair with its private half, which is sealed at [`keypair_aad`].
    async fn insert_keypair(&self, keypair: &Keypair, sealed: &[u8], event: &AuditEvent) -> Result<()>;
    /// A keypair and its sealed private half, which is empty once it was switched to.
    async fn keypair(&self, id: &KeypairId) -> Result<Option<(Keypair, Vec<u8>)>>;
    /// The keypairs that were made for an app, the oldest first.
    async fn keypairs_of_app(&self, app: &AppId) -> Result<Vec<Keypair>>;
    /// Erases a shared app and its credentials; [`Conflict::InUse`] while tenants use it,
    /// [`Conflict::Version`] where it is not at `version` any more.
    async fn delete_app(&self, app: &AppId, version: i64, event: &AuditEvent) -> Result<()>;

    /// A caller.
    async fn caller(&self, by: &CallerRef) -> Result<Option<Caller>>;
    /// Callers in the order of their names.
    async fn callers(&self, page: &PageRequest) -> Result<Vec<Caller>>;
    /// The callers that trust tokens of an issuer, in the order of their ids. The index is not trusted: a
    /// caller counts only if its own authenticated row has such a trust. A row that is refused is left
    /// out, with an error logged.
    async fn callers_trusting_issuer(&self, issuer: &str) -> Result<Vec<Caller>>;
    /// Adds a caller.
    async fn insert_caller(&self, caller: &Caller, event: &AuditEvent) -> Result<()>;
    /// Replaces a caller's row, keys, trusts and grants included, as [`Store::update_tenant`] does.
    async fn update_caller(&self, caller: &Caller, event: &AuditEvent) -> Result<()>;
    /// Erases a caller and its keys; [`Conflict::Version`] where it is not at `version` any more.
    async fn delete_caller(&self, caller: &CallerId, version: i64, event: &AuditEvent) -> Result<()>;
    /// Notes when keys were last used; keys that are gone are passed over.
    async fn record_key_uses(&self, uses: &[(KeyId, Timestamp)]) -> Result<()>;
    /// When a caller's keys were last used.
    async fn last_key_uses(&self, caller: &CallerId) -> Result<BTreeMap<KeyId, Timestamp>>;

    /// A browser session, until it is swept out a day after its end.
    async fn browser_session(&self, id: &SessionId) -> Result<Option<BrowserSession>>;
    /// Adds a browser session; [`Conflict::Version`] where tenant, app or opener are not those any more by
    /// which it was judged.
    async fn insert_browser_session(&self, new: &NewBrowserSession<'_>, event: &AuditEvent) -> Result<()>;
    /// A stretch of the browser sessions that go on, the oldest first. A row that is refused is left out,
    /// with an error logged.
    async fn browser_sessions(
        &self,
        filter: &SessionFilter,
        behind: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<SessionPage>;
    /// Cancels browser sessions at the event's time, and tells how many were not cancelled before. Those
    /// that are gone are passed over.
    async fn cancel_browser_sessions(&self, sessions: &[SessionId], event: &AuditEvent) -> Result<usize>;

    /// Keeps a minted token and its event. Within the same transaction it is compared with the
    /// tenant and app of the moment: only where both are active and at the token's generation is it
    /// [`SaveOutcome::Current`]. Else it is kept as discarded, so that it can still be revoked, is never
    /// found by [`Store::live_token`], and its event says `token.discard`.
    async fn save_token(&self, token: &NewToken<'_>, event: &AuditEvent) -> Result<SaveOutcome>;
    /// The token under this key that lives longest beyond `now`, of those not discarded.
    async fn live_token(&self, key: &TokenKey, now: Timestamp) -> Result<Option<StoredToken>>;
    /// The token whose SHA-256 this is, in lower-case hex, where it lives beyond `now` and is not discarded.
    async fn live_token_by_fingerprint(
        &self,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Option<StoredToken>>;
    /// Writes down to whom tokens were given, until these expire.
    async fn save_recipients(&self, givings: &[TokenRecipient]) -> Result<()>;
    /// To whom a token was given. A row that is refused is left out, with an error logged.
    async fn recipients(&self, token: &TokenId) -> Result<Vec<Recipient>>;
    /// Every token of a tenant that is still alive at `now`, superseded and discarded ones too: all of
    /// them, a subject's, or the one of that fingerprint.
    async fn live_tokens_of_tenant(
        &self,
        tenant: &TenantId,
        which: &TokenSelector,
        now: Timestamp,
    ) -> Result<Vec<StoredToken>>;
    /// Records at this moment what changed no row of the store: all of these events or none.
    async fn record_events(&self, events: &[AuditEvent], now: Timestamp) -> Result<()>;
    /// A stretch of the tokens that live beyond `after`, in the order of their ends, and behind what the
    /// next one begins; `None` where this was the last.
    async fn live_tokens(
        &self,
        among: &TokenFilter,
        after: &TokenCursor,
        limit: usize,
    ) -> Result<(Vec<StoredToken>, Option<TokenCursor>)>;
    /// Marks tokens as discarded, so that they are never found by [`Store::live_token`] again and only
    /// wait to be revoked. Those that are gone are passed over.
    async fn discard_tokens(&self, tokens: &[TokenId]) -> Result<()>;
    /// Erases tokens, after they were revoked.
    async fn delete_tokens(&self, tokens: &[TokenId]) -> Result<()>;

    /// The number of the last change to tenants, apps and callers.
    async fn last_change_number(&self) -> Result<i64>;
    /// What changed after the change of that number, oldest first; `None` where the log does not
    /// reach back that far and everything may have changed.
    async fn changes_since(&self, number: i64) -> Result<Option<Vec<ChangeRecord>>>;
    /// Erases tokens that died before `now`, browser sessions that ended a day before it, and changes that
    /// everybody has long seen.
    async fn delete_expired(&self, now: Timestamp) -> Result<()>;
    /// Records of the audit that fit, the newest first, behind that position. One that is not what the
    /// broker wrote is left out and counted, with an error logged.
    async fn audit_records(
        &self,
        filter: &AuditFilter,
        behind: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<AuditPage>;
    /// Records of the audit as they stand, in the order of day, chain and number.
    async fn audit_chain_links(
        &self,
        range: DayRange,
        behind: Option<(Day, &WriterId, i64)>,
        limit: usize,
    ) -> Result<Vec<StoredAuditRecord>>;
    /// Checkpoints behind that number, in their order.
    async fn checkpoints_after(&self, behind: i64, limit: usize) -> Result<Vec<SignedCheckpoint>>;
    /// The last checkpoint.
    async fn last_checkpoint(&self) -> Result<Option<SignedCheckpoint>>;
    /// Signs how far the audit goes, where it grew since the last checkpoint or an export ends.
    async fn sign_checkpoint(
        &self,
        at: Timestamp,
        export: Option<DayRange>,
    ) -> Result<Option<SignedCheckpoint>>;
    /// Drops the audit's days before this one, and signs that it was done on purpose; `None` where there
    /// was none to drop.
    async fn drop_audit_before(&self, day: Day, at: Timestamp) -> Result<Option<SignedCheckpoint>>;
    /// Makes a place of its own for each of the next days of the audit.
    async fn create_audit_partitions(&self, today: Day) -> Result<()>;
    /// Succeeds where the database answers.
    async fn ping(&self) -> Result<()>;
}

/// How a tenant is named in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TenantRef {
    /// By its immutable id.
    Id(TenantId),
    /// By its name.
    Name(Name),
}

/// How an app is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppRef {
    /// By its immutable id, shared or a tenant's own.
    Id(AppId),
    /// A shared app, by its name.
    Name(Name),
    /// By Box's client ID, shared or a tenant's own.
    ClientId(crate::domain::id::ClientId),
}

/// How a caller is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallerRef {
    /// By its immutable id.
    Id(CallerId),
    /// By its name.
    Name(Name),
    /// By one of its API keys. The index is not trusted: the key counts only if the caller's own
    /// authenticated row lists it.
    Key(KeyId),
}

/// Which tenants a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Those that bear all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Those in this state.
    pub state: Option<TenantState>,
}

/// A stretch of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Behind this name.
    pub after: Option<Name>,
    /// So many at most.
    pub limit: usize,
}

/// An app to be added, with its secrets sealed at [`credentials_aad`].
#[derive(Clone, Copy, Debug)]
pub struct NewApp<'a> {
    /// The app.
    pub app: &'a App,
    /// Its secrets.
    pub sealed: &'a [u8],
}

/// What changes when an app is switched to new credentials.
#[derive(Clone, Copy, Debug)]
pub struct CredentialSwitch<'a> {
    /// The app as it is then, and its new secrets.
    pub app: NewApp<'a>,
    /// The tenant whose own it is, as it is then; where something of it changes too.
    pub tenant: Option<&'a Tenant>,
    /// The keypair that the credentials were made of: its private half is erased.
    pub keypair: Option<&'a KeypairId>,
}

/// An app's secrets as they were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredentials {
    /// Under which generation they stand.
    pub generation: Generation,
    /// The sealed document, to be opened at [`credentials_aad`].
    pub sealed: Vec<u8>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChangedEntity {
    /// A tenant.
    Tenant(TenantId),
    /// An app, and with it every tenant that it serves.
    App(AppId),
    /// A caller.
    Caller(CallerId),
    /// A browser session.
    Session(SessionId),
}

/// One line of the log by which every process learns what the others changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its number; later changes have higher ones.
    pub number: i64,
    /// What changed.
    pub entity: ChangedEntity,
}

/// Where an app's secrets of one generation are sealed.
#[must_use]
pub fn credentials_aad(app: &AppId, generation: Generation) -> AadContext<'_> {
    AadContext { table: "credentials", row: app.as_str(), column: "sealed", version: generation.0 }
}

/// Where a keypair's private half is sealed.
#[must_use]
pub fn keypair_aad(keypair: &KeypairId) -> AadContext<'_> {
    AadContext { table: "keypairs", row: keypair.as_str(), column: "sealed", version: 1 }
}

/// With what an addition or change collides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The name is taken.
    Name,
    /// The app serves that enterprise for another tenant already.
    EnterpriseHeld,
    /// The client ID belongs to an app that is registered already.
    ClientIdHeld,
    /// The row was changed meanwhile, or is gone.
    Version,
    /// Tenants still use the app.
    InUse,
}

/// Why the store could not do what it was asked. The texts are for the operator's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or not in time; trying again later may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The change collides with what is stored; nothing was changed.
    #[error("the change collides with what is stored: {0:?}")]
    Conflict(Conflict),
    /// A row was altered, moved or put there from outside.
    #[error(
        "row {id} of {table} is not what the broker wrote; it was altered, moved or put there from outside"
    )]
    Tampered {
        /// In which table.
        table: &'static str,
        /// Which row.
        id: String,
    },
    /// The key that a row needs is not in the key set.
    #[error("row {row} of {table} needs key {key}, which is not in the key set")]
    KeyUnavailable {
        /// In which table.
        table: &'static str,
        /// Which row.
        row: String,
        /// The id of the key.
        key: String,
    },
    /// The database refuses for a reason that trying again does not mend.
    #[error("the database refused: {0}")]
    Unexpected(String),
}
