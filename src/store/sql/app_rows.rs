//! The rows of apps and of their credentials, within a transaction.

use super::authenticated_row::{
    AuthenticatedDocument, StoredDocument, authenticate, fetch_document, verify_row,
};
use super::connection::Connection;
use super::statement::{SqlRow, locking};
use crate::crypto::Vault;
use crate::domain::app::{App, AppOwner, AppState};
use crate::domain::id::{AppId, TenantId};
use crate::store::{Conflict, NewApp, Result, StoreError};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, client_id, pending, version, doc, mac_key, mac FROM apps ", $rest)
    };
}
pub(super) use select;

impl StoredDocument for App {
    const TABLE: &'static str = "apps";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn agrees_with(&self, row: &SqlRow) -> bool {
        row.get_nullable::<String>("name").is_some_and(|name| name.as_deref() == shared_name(self))
            && row.get::<String>("client_id").as_deref() == Some(self.client_id.as_str())
            && row.get::<i64>("pending") == Some(is_pending(self))
    }
}

fn is_pending(app: &App) -> i64 {
    i64::from(app.state == AppState::Pending)
}

fn shared_name(app: &App) -> Option<&str> {
    match &app.owner {
        AppOwner::Shared { name } => Some(name.as_str()),
        AppOwner::Tenant { .. } => None,
    }
}

/// Returns the app and locks its row against changes until the transaction ends.
pub(super) async fn lock(connection: &mut Connection, vault: &Vault, id: &AppId) -> Result<Option<App>> {
    let sql = locking!(select!("WHERE id = $1"), "FOR SHARE");
    fetch_document(connection, vault, sql, &[id.as_str().into()]).await
}

/// Inserts an app and its credentials.
pub(super) async fn insert(connection: &mut Connection, vault: &Vault, new: NewApp<'_>) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = authenticate(vault, new.app)?;
    let sql = "INSERT INTO apps (id, name, client_id, pending, version, doc, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = [
        new.app.id.as_str().into(),
        shared_name(new.app).into(),
        new.app.client_id.as_str().into(),
        is_pending(new.app).into(),
        new.app.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
    ];
    connection.execute(sql, &values).await?;
    insert_credentials(connection, new).await
}

pub(super) async fn insert_credentials(connection: &mut Connection, new: NewApp<'_>) -> Result<()> {
    let sql = "INSERT INTO credentials (app_id, generation, sealed) VALUES ($1, $2, $3)";
    let values = [new.app.id.as_str().into(), new.app.generation.0.into(), new.sealed.into()];
    connection.execute(sql, &values).await.map(drop)
}

/// Replaces the row of an app, whose version must be one more than the stored one.
pub(super) async fn replace(connection: &mut Connection, vault: &Vault, app: &App) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = authenticate(vault, app)?;
    let sql = "UPDATE apps SET name = $1, client_id = $2, pending = $3, version = $4, doc = $5, mac_key = $6,
         mac = $7 WHERE id = $8 AND version = $9";
    let values = [
        shared_name(app).into(),
        app.client_id.as_str().into(),
        is_pending(app).into(),
        app.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        app.id.as_str().into(),
        (app.version - 1).into(),
    ];
    if connection.execute(sql, &values).await? == 0 {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    Ok(())
}

/// Erases an app, its credentials and its keypairs.
pub(super) async fn delete(connection: &mut Connection, id: &AppId) -> Result<()> {
    connection.execute("DELETE FROM keypairs WHERE app_id = $1", &[id.as_str().into()]).await?;
    connection.execute("DELETE FROM credentials WHERE app_id = $1", &[id.as_str().into()]).await?;
    connection.execute("DELETE FROM apps WHERE id = $1", &[id.as_str().into()]).await.map(drop)
}

/// Erases credentials that were replaced, once no token is left that was minted with them.
pub(super) async fn delete_replaced_credentials(connection: &mut Connection) -> Result<()> {
    let sql = "DELETE FROM credentials WHERE EXISTS (
             SELECT 1 FROM credentials later
             WHERE later.app_id = credentials.app_id AND later.generation > credentials.generation)
         AND NOT EXISTS (
             SELECT 1 FROM tokens WHERE tokens.app_id = credentials.app_id
             AND tokens.generation >= credentials.generation AND tokens.generation < (
                 SELECT MIN(next.generation) FROM credentials next
                 WHERE next.app_id = credentials.app_id AND next.generation > credentials.generation))";
    connection.execute(sql, &[]).await.map(drop)
}

/// Returns true if the app is the tenant's own. If its row fails verification, the absence of a name decides:
/// such an app can serve nobody any more.
pub(super) async fn is_owned_by(
    connection: &mut Connection,
    vault: &Vault,
    id: &AppId,
    tenant: &TenantId,
) -> Result<bool> {
    let sql = locking!(select!("WHERE id = $1"), "FOR UPDATE");
    let Some(row) = connection.fetch_optional(sql, &[id.as_str().into()]).await? else { return Ok(false) };
    Ok(match verify_row::<App>(vault, &row) {
        Ok(app) => !app.is_shared() && app.may_serve(tenant),
        Err(_) => row.get_nullable::<String>("name") == Some(None),
    })
}
