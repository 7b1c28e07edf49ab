//! The store on a database that speaks SQL.

mod apps;
mod audit_records;
mod audit_writer;
mod authenticated_row;
mod browser_sessions;
mod callers;
mod change_log;
mod checkpoints;
mod connection;
mod engine;
mod generation_counter;
mod instance_lock;
mod keypairs;
mod open;
mod page_builder;
mod postgres;
mod recipients;
mod schema;
mod sqlite;
mod sqlx_error;
mod statement;
mod tenants;
mod time_limit;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use audit_writer::AuditWriter;
use engine::Engine;
use open::InstanceLock;
use time_limit::bounded;
use super::{
    AppRef, AuditCursor, AuditFilter, AuditPage, CallerRef, ChangeRecord, CredentialSwitch, NewApp,
    NewBrowserSession, NewToken, PageRequest, Result, SaveOutcome, SessionCursor, SessionFilter, SessionPage,
    Store, StoredAuditRecord, StoredCredentials, StoredToken, TenantFilter, TenantRef, TokenCursor,
    TokenFilter, TokenRecipient, TokenSelector, ChangedEntity, Conflict, StoreError, SessionSelector, AuditRecord
};
use crate::audit::{Day, DayRange, SignedCheckpoint};
use crate::crypto::Vault;
use crate::domain::app::{App, Keypair};
use crate::domain::audit_event::AuditEvent;
use crate::domain::caller::Caller;
use crate::domain::id::{
    AppId, CallerId, Generation, KeyId, KeypairId, SessionId, TenantId, TokenId, WriterId,
};
use crate::domain::recipient::Recipient;
use crate::domain::session::BrowserSession;
use crate::domain::tenant::Tenant;
use crate::domain::token_key::TokenKey;

pub use open::{OpenError, OpenMode, migrate, open};
pub use schema::MigrationReport;

#[derive(Debug)]
pub(super) struct SqlStore {
    engine: Engine,
    ledger: AuditWriter,
    /// What keeps a second `serve` away, for as long as the store lives.
    _lock: Option<InstanceLock>,
}

impl SqlStore {
    pub(super) fn new(engine: Engine, vault: Arc<Vault>, lock: Option<InstanceLock>) -> Self {
        Self { engine, ledger: AuditWriter::new(vault), _lock: lock }
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn next_generation(&self) -> Result<Generation> {
        bounded(generation_counter::next(&self.engine, &self.ledger)).await
    }

    async fn tenant(&self, by: &TenantRef) -> Result<Option<Tenant>> {
        bounded(tenants::find(&self.engine, &self.ledger, by)).await
    }

    async fn tenants(&self, filter: &TenantFilter, page: &PageRequest) -> Result<Vec<Tenant>> {
        bounded(tenants::list(&self.engine, &self.ledger, filter, page)).await
    }

    async fn deleted_tenants(&self) -> Result<Vec<Tenant>> {
        bounded(tenants::deleted(&self.engine, &self.ledger)).await
    }

    async fn pending_tenants(&self) -> Result<Vec<Tenant>> {
        bounded(tenants::pending(&self.engine, &self.ledger)).await
    }

    async fn activate_tenant(
        &self,
        tenant: &Tenant,
        own_app: Option<&App>,
        event: &AuditEvent,
    ) -> Result<()> {
        bounded(tenants::admit(&self.engine, &self.ledger, tenant, own_app, event)).await
    }

    async fn insert_tenant(
        &self,
        tenant: &Tenant,
        own_app: Option<NewApp<'_>>,
        event: &AuditEvent,
    ) -> Result<()> {
        bounded(tenants::insert(&self.engine, &self.ledger, tenant, own_app, event)).await
    }

    async fn update_tenant(&self, tenant: &Tenant, event: &AuditEvent) -> Result<()> {
        bounded(tenants::update(&self.engine, &self.ledger, tenant, event)).await
    }

    async fn purge_tenant(&self, tenant: &TenantId, event: &AuditEvent) -> Result<()> {
        bounded(tenants::purge(&self.engine, &self.ledger, tenant, None, event)).await?;
        self.engine.scrub().await;
        Ok(())
    }

    async fn purge_pending_tenant(&self, tenant: &Tenant, event: &AuditEvent) -> Result<()> {
        let version = Some(tenant.version);
        bounded(tenants::purge(&self.engine, &self.ledger, &tenant.id, version, event)).await?;
        self.engine.scrub().await;
        Ok(())
    }

    async fn app(&self, by: &AppRef) -> Result<Option<App>> {
        bounded(apps::find(&self.engine, &self.ledger, by)).await
    }

    async fn shared_apps(&self, page: &PageRequest) -> Result<Vec<App>> {
        bounded(apps::list_shared(&self.engine, &self.ledger, page)).await
    }

    async fn credentials(&self, app: &AppId, generation: Generation) -> Result<Option<StoredCredentials>> {
        bounded(apps::credentials(&self.engine, app, generation)).await
    }

    async fn count_tenants_of_app(&self, app: &AppId) -> Result<u64> {
        bounded(async { tenants::count_of_app(&mut self.engine.read().await?, app).await }).await
    }

    async fn active_tenant_of_app(&self, app: &AppId) -> Result<Option<Tenant>> {
        bounded(tenants::active_of_app(&self.engine, &self.ledger, app)).await
    }

    async fn insert_app(&self, app: NewApp<'_>, event: &AuditEvent) -> Result<()> {
        bounded(apps::insert(&self.engine, &self.ledger, app, event)).await
    }

    async fn update_app(&self, app: &App, event: &AuditEvent) -> Result<()> {
        bounded(apps::update(&self.engine, &self.ledger, app, event)).await
    }

    async fn switch_credentials(&self, switch: CredentialSwitch<'_>, event: &AuditEvent) -> Result<()> {
        bounded(apps::switch(&self.engine, &self.ledger, switch, event)).await
    }

    async fn insert_keypair(&self, keypair: &Keypair, sealed: &[u8], event: &AuditEvent) -> Result<()> {
        bounded(keypairs::insert(&self.engine, &self.ledger, keypair, sealed, event)).await
    }

    async fn keypair(&self, id: &KeypairId) -> Result<Option<(Keypair, Vec<u8>)>> {
        bounded(keypairs::find(&self.engine, &self.ledger, id)).await
    }

    async fn keypairs_of_app(&self, app: &AppId) -> Result<Vec<Keypair>> {
        bounded(keypairs::of_app(&self.engine, &self.ledger, app)).await
    }

    async fn delete_app(&self, app: &AppId, version: i64, event: &AuditEvent) -> Result<()> {
        bounded(apps::delete(&self.engine, &self.ledger, (app, version), event)).await?;
        self.engine.scrub().await;
        Ok(())
    }

    async fn caller(&self, by: &CallerRef) -> Result<Option<Caller>> {
        bounded(callers::find(&self.engine, &self.ledger, by)).await
    }

    async fn callers(&self, page: &PageRequest) -> Result<Vec<Caller>> {
        bounded(callers::list(&self.engine, &self.ledger, page)).await
    }

    async fn callers_trusting_issuer(&self, issuer: &str) -> Result<Vec<Caller>> {
        bounded(callers::trusting(&self.engine, &self.ledger, issuer)).await
    }

    async fn insert_caller(&self, caller: &Caller, event: &AuditEvent) -> Result<()> {
        bounded(callers::insert(&self.engine, &self.ledger, caller, event)).await
    }

    async fn update_caller(&self, caller: &Caller, event: &AuditEvent) -> Result<()> {
        bounded(callers::update(&self.engine, &self.ledger, caller, event)).await
    }

    async fn delete_caller(&self, caller: &CallerId, version: i64, event: &AuditEvent) -> Result<()> {
        bounded(callers::delete(&self.engine, &self.ledger, caller, version, event)).await
    }

    async fn record_key_uses(&self, uses: &[(KeyId, Timestamp)]) -> Result<()> {
        bounded(callers::record_key_uses(&self.engine, uses)).await
    }

    async fn last_key_uses(&self, caller: &CallerId) -> Result<BTreeMap<KeyId, Timestamp>> {
        bounded(callers::last_key_uses(&self.engine, caller)).await
    }

    async fn browser_session(&self, id: &SessionId) -> Result<Option<BrowserSession>> {
        bounded(browser_sessions::find(&self.engine, &self.ledger, id)).await
    }

    async fn insert_browser_session(&self, new: &NewBrowserSession<'_>, event: &AuditEvent) -> Result<()> {
        bounded(browser_sessions::insert(&self.engine, &self.ledger, new, event)).await
    }

    async fn browser_sessions(
        &self,
        filter: &SessionFilter,
        behind: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<SessionPage> {
        bounded(browser_sessions::stretch(&self.engine, &self.ledger, filter, behind, limit)).await
    }

    async fn cancel_browser_sessions(&self, sessions: &[SessionId], event: &AuditEvent) -> Result<usize> {
        bounded(browser_sessions::cancel(&self.engine, &self.ledger, sessions, event)).await
    }

    async fn save_token(&self, token: &NewToken<'_>, event: &AuditEvent) -> Result<SaveOutcome> {
        bounded(tokens::save(&self.engine, &self.ledger, token, event)).await
    }

    async fn live_token(&self, key: &TokenKey, now: Timestamp) -> Result<Option<StoredToken>> {
        bounded(tokens::find(&self.engine, &self.ledger, key, now)).await
    }

    async fn live_token_by_fingerprint(
        &self,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Option<StoredToken>> {
        bounded(tokens::with(&self.engine, &self.ledger, fingerprint, now)).await
    }

    async fn save_recipients(&self, givings: &[TokenRecipient]) -> Result<()> {
        bounded(recipients::save(&self.engine, &self.ledger, givings)).await
    }

    async fn recipients(&self, token: &TokenId) -> Result<Vec<Recipient>> {
        bounded(recipients::recipients(&self.engine, &self.ledger, token)).await
    }

    async fn live_tokens_of_tenant(
        &self,
        tenant: &TenantId,
        which: &TokenSelector,
        now: Timestamp,
    ) -> Result<Vec<StoredToken>> {
        bounded(tokens::of_tenant(&self.engine, tenant, which, now)).await
    }

    async fn live_tokens(
        &self,
        among: &TokenFilter,
        after: &TokenCursor,
        limit: usize,
    ) -> Result<(Vec<StoredToken>, Option<TokenCursor>)> {
        bounded(tokens::stretch(&self.engine, among, after, limit)).await
    }

    async fn discard_tokens(&self, tokens: &[TokenId]) -> Result<()> {
        bounded(tokens::discard(&self.engine, &self.ledger, tokens)).await
    }

    async fn record_events(&self, events: &[AuditEvent], now: Timestamp) -> Result<()> {
        bounded(async {
            let mut session = self.engine.write().await?;
            for event in events {
                self.ledger.write_on(&mut session, Day::of(now), event).await?;
            }
            session.commit().await
        })
        .await
    }

    async fn delete_tokens(&self, tokens: &[TokenId]) -> Result<()> {
        bounded(tokens::forget(&self.engine, tokens)).await
    }

    async fn last_change_number(&self) -> Result<i64> {
        bounded(change_log::last(&self.engine)).await
    }

    async fn changes_since(&self, number: i64) -> Result<Option<Vec<ChangeRecord>>> {
        bounded(change_log::since(&self.engine, &self.ledger, number)).await
    }

    async fn delete_expired(&self, now: Timestamp) -> Result<()> {
        bounded(tokens::sweep(&self.engine, now)).await
    }

    async fn audit_records(
        &self,
        filter: &AuditFilter,
        behind: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<AuditPage> {
        bounded(audit_records::list(&self.engine, &self.ledger, filter, behind, limit)).await
    }

    async fn audit_chain_links(
        &self,
        range: DayRange,
        behind: Option<(Day, &WriterId, i64)>,
        limit: usize,
    ) -> Result<Vec<StoredAuditRecord>> {
        bounded(audit_records::links(&self.engine, range, behind, limit)).await
    }

    async fn checkpoints_after(&self, behind: i64, limit: usize) -> Result<Vec<SignedCheckpoint>> {
        bounded(checkpoints::behind(&self.engine, behind, limit)).await
    }

    async fn last_checkpoint(&self) -> Result<Option<SignedCheckpoint>> {
        bounded(async { checkpoints::last(&mut self.engine.read().await?, &self.ledger).await }).await
    }

    async fn sign_checkpoint(
        &self,
        at: Timestamp,
        export: Option<DayRange>,
    ) -> Result<Option<SignedCheckpoint>> {
        bounded(checkpoints::sign(&self.engine, &self.ledger, at, export)).await
    }

    async fn drop_audit_before(&self, day: Day, at: Timestamp) -> Result<Option<SignedCheckpoint>> {
        bounded(checkpoints::drop_before(&self.engine, &self.ledger, day, at)).await
    }

    async fn create_audit_partitions(&self, today: Day) -> Result<()> {
        bounded(checkpoints::make_days(&self.engine, today)).await
    }

    async fn ping(&self) -> Result<()> {
        bounded(async { self.engine.read().await?.run("SELECT 1", &[]).await.map(drop) }).await
    }
}
