//! The rows of tenants, within a transaction.

use super::authenticated_row::{AuthenticatedDocument, StoredDocument, authenticate, fetch_document};
use super::connection::Connection;
use super::statement::{SqlRow, locking};
use crate::crypto::Vault;
use crate::domain::id::{AppId, TenantId};
use crate::domain::tenant::{Tenant, TenantState};
use crate::store::{Conflict, Result, StoreError};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, app_id, enterprise_id, state, purge_at, version, doc, mac_key, mac FROM tenants ",
            $rest
        )
    };
}
pub(super) use select;

impl StoredDocument for Tenant {
    const TABLE: &'static str = "tenants";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn agrees_with(&self, row: &SqlRow) -> bool {
        let holds = |column, text: &str| row.get::<String>(column).as_deref() == Some(text);
        holds("name", self.name.as_str())
            && holds("app_id", self.app.as_str())
            && holds("enterprise_id", self.enterprise_id.as_str())
            && holds("state", indexed_state(self).as_str())
            && row.get_nullable::<i64>("purge_at") == Some(purge_at(self))
    }
}

/// Returns the state for the indexes: a tenant that never got a token from Box reserves nothing, even if it is
/// locked.
fn indexed_state(tenant: &Tenant) -> TenantState {
    if tenant.is_unverified() { TenantState::Pending } else { tenant.state }
}

fn purge_at(tenant: &Tenant) -> Option<i64> {
    tenant.purge_at.map(|at| at.as_millisecond())
}

/// Returns the tenant and locks its row against changes until the transaction ends.
pub(super) async fn lock(
    connection: &mut Connection,
    vault: &Vault,
    id: &TenantId,
) -> Result<Option<Tenant>> {
    let sql = locking!(select!("WHERE id = $1"), "FOR SHARE");
    fetch_document(connection, vault, sql, &[id.as_str().into()]).await
}

pub(super) async fn count_of_app(connection: &mut Connection, app: &AppId) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS tenants FROM tenants WHERE app_id = $1";
    let row = connection.fetch_optional(sql, &[app.as_str().into()]).await?;
    let count = row.and_then(|row| row.get::<i64>("tenants")).unwrap_or_default();
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn insert(connection: &mut Connection, vault: &Vault, tenant: &Tenant) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = authenticate(vault, tenant)?;
    let sql = "INSERT INTO tenants
         (id, name, app_id, enterprise_id, state, purge_at, version, doc, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = [
        tenant.id.as_str().into(),
        tenant.name.as_str().into(),
        tenant.app.as_str().into(),
        tenant.enterprise_id.as_str().into(),
        indexed_state(tenant).as_str().into(),
        purge_at(tenant).into(),
        tenant.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
    ];
    connection.execute(sql, &values).await.map(drop)
}

/// Replaces the row of a tenant, whose version must be one more than the stored one.
pub(super) async fn replace(connection: &mut Connection, vault: &Vault, tenant: &Tenant) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = authenticate(vault, tenant)?;
    let sql = "UPDATE tenants SET name = $1, app_id = $2, enterprise_id = $3, state = $4, purge_at = $5,
         version = $6, doc = $7, mac_key = $8, mac = $9 WHERE id = $10 AND version = $11";
    let values = [
        tenant.name.as_str().into(),
        tenant.app.as_str().into(),
        tenant.enterprise_id.as_str().into(),
        indexed_state(tenant).as_str().into(),
        purge_at(tenant).into(),
        tenant.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        tenant.id.as_str().into(),
        (tenant.version - 1).into(),
    ];
    if connection.execute(sql, &values).await? == 0 {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    Ok(())
}
