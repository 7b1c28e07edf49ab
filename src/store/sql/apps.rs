//! Apps and their sealed credentials.

use super::audit_writer::AuditWriter;
use super::authenticated_row::{AuthenticatedDocument, StoredDocument, read, read_each, write};
use super::change_log::record;
use super::connection::Connection;
use super::engine::Engine;
use super::page_builder::PageBuilder;
use super::statement::{SqlRow, holding};
use super::tenants::{self, count_of_app};
use super::{
    AppRef, ChangedEntity, Conflict, CredentialSwitch, NewApp, PageRequest, Result, StoreError,
    StoredCredentials,
};
use crate::crypto::Vault;
use crate::domain::app::{App, AppOwner, AppState};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, Generation, TenantId};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, client_id, pending, version, doc, mac_key, mac FROM apps ", $rest)
    };
}

impl StoredDocument for App {
    const TABLE: &'static str = "apps";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn agrees_with(&self, row: &SqlRow) -> bool {
        row.maybe::<String>("name").is_some_and(|name| name.as_deref() == shared_name(self))
            && row.get::<String>("client_id").as_deref() == Some(self.client_id.as_str())
            && row.get::<i64>("pending") == Some(pending(self))
    }
}

fn pending(app: &App) -> i64 {
    i64::from(app.state == AppState::Pending)
}

fn shared_name(app: &App) -> Option<&str> {
    match &app.owner {
        AppOwner::Shared { name } => Some(name.as_str()),
        AppOwner::Tenant { .. } => None,
    }
}

pub(super) async fn find(engine: &Engine, vault: &Vault, by: &AppRef) -> Result<Option<App>> {
    let (sql, value) = match by {
        AppRef::Id(id) => (select!("WHERE id = $1"), id.as_str()),
        AppRef::Name(name) => (select!("WHERE name = $1"), name.as_str()),
        AppRef::ClientId(id) => (select!("WHERE client_id = $1 AND pending = 0"), id.as_str()),
    };
    let row = engine.read().await?.row(sql, &[value.into()]).await?;
    row.map(|row| read(vault, &row)).transpose()
}

/// The app, which nobody else changes until the transaction ends.
pub(super) async fn hold(session: &mut Connection, vault: &Vault, id: &AppId) -> Result<Option<App>> {
    let sql = holding!(select!("WHERE id = $1"), "FOR SHARE");
    let row = session.row(sql, &[id.as_str().into()]).await?;
    row.map(|row| read(vault, &row)).transpose()
}

pub(super) async fn list_shared(engine: &Engine, vault: &Vault, page: &PageRequest) -> Result<Vec<App>> {
    let mut session = engine.read().await?;
    let mut stretch = PageBuilder::new(page);
    while let Some((after, limit)) = stretch.next() {
        let sql = select!("WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = session.rows(sql, &[(&after).into(), limit.into()]).await?;
        stretch.take(&rows, read_each(vault, &rows));
    }
    Ok(stretch.items)
}

/// The credentials that tokens of `generation` were minted with: the last ones until then, as a
/// tenant's own generation may have gone on without them.
pub(super) async fn credentials(
    engine: &Engine,
    app: &AppId,
    generation: Generation,
) -> Result<Option<StoredCredentials>> {
    let sql = "SELECT generation, sealed FROM credentials WHERE app_id = $1 AND generation <= $2
         ORDER BY generation DESC LIMIT 1";
    let row = engine.read().await?.row(sql, &[app.as_str().into(), generation.0.into()]).await?;
    let Some(row) = row else { return Ok(None) };
    let refused = || super::authenticated_row::refused("credentials", app.as_str());
    let generation = Generation(row.get("generation").ok_or_else(refused)?);
    Ok(Some(StoredCredentials { generation, sealed: row.get("sealed").ok_or_else(refused)? }))
}

/// Erases credentials that were replaced, once no token is left that was minted with them.
pub(super) async fn sweep(session: &mut Connection) -> Result<()> {
    let sql = "DELETE FROM credentials WHERE EXISTS (
             SELECT 1 FROM credentials later
             WHERE later.app_id = credentials.app_id AND later.generation > credentials.generation)
         AND NOT EXISTS (
             SELECT 1 FROM tokens WHERE tokens.app_id = credentials.app_id
             AND tokens.generation >= credentials.generation AND tokens.generation < (
                 SELECT MIN(next.generation) FROM credentials next
                 WHERE next.app_id = credentials.app_id AND next.generation > credentials.generation))";
    session.run(sql, &[]).await.map(drop)
}

/// Writes an app that is new, and its credentials.
pub(super) async fn put(session: &mut Connection, vault: &Vault, new: NewApp<'_>) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = write(vault, new.app)?;
    let sql = "INSERT INTO apps (id, name, client_id, pending, version, doc, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = [
        new.app.id.as_str().into(),
        shared_name(new.app).into(),
        new.app.client_id.as_str().into(),
        pending(new.app).into(),
        new.app.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
    ];
    session.run(sql, &values).await?;
    put_credentials(session, new).await
}

async fn put_credentials(session: &mut Connection, new: NewApp<'_>) -> Result<()> {
    let sql = "INSERT INTO credentials (app_id, generation, sealed) VALUES ($1, $2, $3)";
    let values = [new.app.id.as_str().into(), new.app.generation.0.into(), new.sealed.into()];
    session.run(sql, &values).await.map(drop)
}

pub(super) async fn insert(
    engine: &Engine,
    ledger: &AuditWriter,
    new: NewApp<'_>,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    put(&mut session, ledger, new).await?;
    record(&mut session, ledger, event, &[ChangedEntity::App(new.app.id.clone())]).await?;
    session.commit().await
}

pub(super) async fn update(
    engine: &Engine,
    ledger: &AuditWriter,
    app: &App,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    replace(&mut session, ledger, app).await?;
    record(&mut session, ledger, event, &[ChangedEntity::App(app.id.clone())]).await?;
    session.commit().await
}

/// Switches an app to new credentials, which stand beside the old ones: tokens of those may still
/// have to be revoked. Of the keypair that they were made of the private half is erased, as it stands
/// among the credentials now; the public one shows that it was switched to.
pub(super) async fn switch(
    engine: &Engine,
    ledger: &AuditWriter,
    switch: CredentialSwitch<'_>,
    event: &AuditEvent,
) -> Result<()> {
    let CredentialSwitch { app: new, tenant, keypair } = switch;
    let mut session = engine.write().await?;
    let mut changed = vec![ChangedEntity::App(new.app.id.clone())];
    replace(&mut session, ledger, new.app).await?;
    put_credentials(&mut session, new).await?;
    if let Some(tenant) = tenant {
        tenants::replace(&mut session, ledger, tenant).await?;
        changed.push(ChangedEntity::Tenant(tenant.id.clone()));
    }
    if let Some(keypair) = keypair {
        let nothing: &[u8] = &[];
        let sql = "UPDATE keypairs SET sealed = $1 WHERE id = $2";
        session.run(sql, &[nothing.into(), keypair.as_str().into()]).await?;
    }
    record(&mut session, ledger, event, &changed).await?;
    session.commit().await
}

/// Replaces a row by `app`, whose version is one more than the stored one's.
pub(super) async fn replace(session: &mut Connection, vault: &Vault, app: &App) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = write(vault, app)?;
    let sql = "UPDATE apps SET name = $1, client_id = $2, pending = $3, version = $4, doc = $5, mac_key = $6,
         mac = $7 WHERE id = $8 AND version = $9";
    let values = [
        shared_name(app).into(),
        app.client_id.as_str().into(),
        pending(app).into(),
        app.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        app.id.as_str().into(),
        (app.version - 1).into(),
    ];
    if session.run(sql, &values).await? == 0 {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    Ok(())
}

pub(super) async fn delete(
    engine: &Engine,
    ledger: &AuditWriter,
    (id, version): (&AppId, i64),
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    let sql = holding!("SELECT id FROM apps WHERE id = $1 AND version = $2", "FOR UPDATE");
    if session.row(sql, &[id.as_str().into(), version.into()]).await?.is_none() {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    if count_of_app(&mut session, id).await? > 0 {
        return Err(StoreError::Conflict(Conflict::InUse));
    }
    erase(&mut session, id).await?;
    record(&mut session, ledger, event, &[ChangedEntity::App(id.clone())]).await?;
    session.commit().await
}

pub(super) async fn erase(session: &mut Connection, id: &AppId) -> Result<()> {
    session.run("DELETE FROM keypairs WHERE app_id = $1", &[id.as_str().into()]).await?;
    session.run("DELETE FROM credentials WHERE app_id = $1", &[id.as_str().into()]).await?;
    session.run("DELETE FROM apps WHERE id = $1", &[id.as_str().into()]).await.map(drop)
}

/// True for an app that is this tenant's own. Where the row does not hold together, its having no
/// name must do: it can serve nobody any more.
pub(super) async fn is_own(
    session: &mut Connection,
    vault: &Vault,
    id: &AppId,
    tenant: &TenantId,
) -> Result<bool> {
    let sql = holding!(select!("WHERE id = $1"), "FOR UPDATE");
    let Some(row) = session.row(sql, &[id.as_str().into()]).await? else { return Ok(false) };
    Ok(match read::<App>(vault, &row) {
        Ok(app) => !app.is_shared() && app.may_serve(tenant),
        Err(_) => row.maybe::<String>("name") == Some(None),
    })
}
