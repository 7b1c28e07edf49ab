//! Tenants.

use super::apps;
use super::audit_writer::AuditWriter;
use super::authenticated_row::{AuthenticatedDocument, StoredDocument, read, read_each, write};
use super::change_log::record;
use super::connection::Connection;
use super::engine::Engine;
use super::page_builder::PageBuilder;
use super::statement::{SqlRow, holding};
use super::{ChangedEntity, Conflict, NewApp, PageRequest, Result, StoreError, TenantFilter, TenantRef};
use crate::crypto::Vault;
use crate::domain::app::{App, AppOwner};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, TenantId};
use crate::domain::tenant::{Tenant, TenantState};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, app_id, enterprise_id, state, purge_at, version, doc, mac_key, mac FROM tenants ",
            $rest
        )
    };
}

impl StoredDocument for Tenant {
    const TABLE: &'static str = "tenants";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn agrees_with(&self, row: &SqlRow) -> bool {
        let says = |column, text: &str| row.get::<String>(column).as_deref() == Some(text);
        says("name", self.name.as_str())
            && says("app_id", self.app.as_str())
            && says("enterprise_id", self.enterprise_id.as_str())
            && says("state", state(self).as_str())
            && row.maybe::<i64>("purge_at") == Some(purge_at(self))
    }
}

/// The state that the indexes see: a tenant that Box never gave a token for reserves nothing, locked or not.
fn state(tenant: &Tenant) -> TenantState {
    if tenant.is_unproven() { TenantState::Pending } else { tenant.state }
}

fn purge_at(tenant: &Tenant) -> Option<i64> {
    tenant.purge_at.map(|at| at.as_millisecond())
}

pub(super) async fn find(engine: &Engine, vault: &Vault, by: &TenantRef) -> Result<Option<Tenant>> {
    let (sql, value) = match by {
        TenantRef::Id(id) => (select!("WHERE id = $1"), id.as_str()),
        TenantRef::Name(name) => (select!("WHERE name = $1"), name.as_str()),
    };
    let row = engine.read().await?.row(sql, &[value.into()]).await?;
    row.map(|row| read(vault, &row)).transpose()
}

/// The tenant, which nobody else changes until the transaction ends.
pub(super) async fn hold(session: &mut Connection, vault: &Vault, id: &TenantId) -> Result<Option<Tenant>> {
    let sql = holding!(select!("WHERE id = $1"), "FOR SHARE");
    let row = session.row(sql, &[id.as_str().into()]).await?;
    row.map(|row| read(vault, &row)).transpose()
}

pub(super) async fn list(
    engine: &Engine,
    vault: &Vault,
    filter: &TenantFilter,
    page: &PageRequest,
) -> Result<Vec<Tenant>> {
    let fits = |tenant: &Tenant| {
        filter.state.is_none_or(|state| tenant.state == state)
            && filter.labels.iter().all(|(key, value)| tenant.labels.get(key) == Some(value))
    };
    let mut session = engine.read().await?;
    let mut stretch = PageBuilder::new(page);
    while let Some((after, limit)) = stretch.next() {
        let sql = select!("WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = session.rows(sql, &[(&after).into(), limit.into()]).await?;
        stretch.take(&rows, read_each(vault, &rows).filter(fits));
    }
    Ok(stretch.items)
}

pub(super) async fn deleted(engine: &Engine, vault: &Vault) -> Result<Vec<Tenant>> {
    let rows = engine.read().await?.rows(select!("WHERE state = 'deleted' ORDER BY purge_at"), &[]).await?;
    Ok(read_each(vault, &rows).collect())
}

pub(super) async fn pending(engine: &Engine, vault: &Vault) -> Result<Vec<Tenant>> {
    let rows = engine.read().await?.rows(select!("WHERE state = 'pending' ORDER BY name"), &[]).await?;
    Ok(read_each(vault, &rows).filter(|tenant: &Tenant| tenant.state == TenantState::Pending).collect())
}

pub(super) async fn active_of_app(engine: &Engine, vault: &Vault, app: &AppId) -> Result<Option<Tenant>> {
    let sql = select!("WHERE app_id = $1 AND state = 'active' ORDER BY name LIMIT 20");
    let rows = engine.read().await?.rows(sql, &[app.as_str().into()]).await?;
    Ok(read_each(vault, &rows).next())
}

/// Brings a pending tenant into service, with its own app.
pub(super) async fn admit(
    engine: &Engine,
    ledger: &AuditWriter,
    tenant: &Tenant,
    own_app: Option<&App>,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    let mut changed = vec![ChangedEntity::Tenant(tenant.id.clone())];
    if let Some(app) = own_app {
        apps::replace(&mut session, ledger, app).await?;
        changed.push(ChangedEntity::App(app.id.clone()));
    }
    replace(&mut session, ledger, tenant).await?;
    record(&mut session, ledger, event, &changed).await?;
    session.commit().await
}

pub(super) async fn count_of_app(session: &mut Connection, app: &AppId) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS tenants FROM tenants WHERE app_id = $1";
    let row = session.row(sql, &[app.as_str().into()]).await?;
    let count = row.and_then(|row| row.get::<i64>("tenants")).unwrap_or_default();
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn insert(
    engine: &Engine,
    ledger: &AuditWriter,
    tenant: &Tenant,
    own_app: Option<NewApp<'_>>,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    if own_app.is_none() {
        // A client ID that came with one tenant's own config serves no second tenant.
        let app = apps::hold(&mut session, ledger, &tenant.app).await?;
        let app = app.ok_or(StoreError::Conflict(Conflict::Version))?;
        if !app.may_serve(&tenant.id) {
            return Err(StoreError::Conflict(Conflict::ClientIdHeld));
        }
    }
    let AuthenticatedDocument { doc, mac } = write(ledger, tenant)?;
    let sql = "INSERT INTO tenants
         (id, name, app_id, enterprise_id, state, purge_at, version, doc, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = [
        tenant.id.as_str().into(),
        tenant.name.as_str().into(),
        tenant.app.as_str().into(),
        tenant.enterprise_id.as_str().into(),
        state(tenant).as_str().into(),
        purge_at(tenant).into(),
        tenant.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
    ];
    session.run(sql, &values).await?;
    let mut changed = vec![ChangedEntity::Tenant(tenant.id.clone())];
    if let Some(new) = own_app {
        if new.app.id != tenant.app || new.app.owner != (AppOwner::Tenant { id: tenant.id.clone() }) {
            return Err(StoreError::Unexpected("the app that came with a tenant is not its own".to_owned()));
        }
        apps::put(&mut session, ledger, new).await?;
        changed.push(ChangedEntity::App(new.app.id.clone()));
    }
    record(&mut session, ledger, event, &changed).await?;
    session.commit().await
}

pub(super) async fn update(
    engine: &Engine,
    ledger: &AuditWriter,
    tenant: &Tenant,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    replace(&mut session, ledger, tenant).await?;
    record(&mut session, ledger, event, &[ChangedEntity::Tenant(tenant.id.clone())]).await?;
    session.commit().await
}

/// Replaces a row by `tenant`, whose version is one more than the stored one's.
pub(super) async fn replace(session: &mut Connection, vault: &Vault, tenant: &Tenant) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = write(vault, tenant)?;
    let sql = "UPDATE tenants SET name = $1, app_id = $2, enterprise_id = $3, state = $4, purge_at = $5,
         version = $6, doc = $7, mac_key = $8, mac = $9 WHERE id = $10 AND version = $11";
    let values = [
        tenant.name.as_str().into(),
        tenant.app.as_str().into(),
        tenant.enterprise_id.as_str().into(),
        state(tenant).as_str().into(),
        purge_at(tenant).into(),
        tenant.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        tenant.id.as_str().into(),
        (tenant.version - 1).into(),
    ];
    if session.run(sql, &values).await? == 0 {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    Ok(())
}

/// Erases a tenant, at that version where one is named.
pub(super) async fn purge(
    engine: &Engine,
    ledger: &AuditWriter,
    id: &TenantId,
    version: Option<i64>,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    let sql = holding!("SELECT app_id, version FROM tenants WHERE id = $1", "FOR UPDATE");
    let row = session.row(sql, &[id.as_str().into()]).await?;
    let row = row.filter(|row| version.is_none() || row.get::<i64>("version") == version);
    let row = row.ok_or(StoreError::Conflict(Conflict::Version))?;
    session.run("DELETE FROM tokens WHERE tenant_id = $1", &[id.as_str().into()]).await?;
    session.run("DELETE FROM sessions WHERE tenant_id = $1", &[id.as_str().into()]).await?;
    session.run("DELETE FROM tenants WHERE id = $1", &[id.as_str().into()]).await?;
    let mut changed = vec![ChangedEntity::Tenant(id.clone())];
    let app = row.get::<String>("app_id").and_then(|app| AppId::parse(&app).ok());
    if let Some(app) = app
        && count_of_app(&mut session, &app).await? == 0
        && apps::is_own(&mut session, ledger, &app, id).await?
    {
        apps::erase(&mut session, &app).await?;
        changed.push(ChangedEntity::App(app));
    }
    record(&mut session, ledger, event, &changed).await?;
    session.commit().await
}
