//! The rows of keypairs, which were generated here and wait until Box knows their public half.

use super::authenticated_row::{
    AuthenticatedDocument, StoredDocument, authenticate, tampered, verify_row, verify_rows,
};
use super::connection::Connection;
use super::statement::SqlRow;
use crate::crypto::Vault;
use crate::domain::app::Keypair;
use crate::domain::id::{AppId, KeypairId};
use crate::store::Result;

impl StoredDocument for Keypair {
    const TABLE: &'static str = "keypairs";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    /// A keypair never changes.
    fn version(&self) -> i64 {
        1
    }

    fn agrees_with(&self, row: &SqlRow) -> bool {
        row.get::<String>("app_id").as_deref() == Some(self.app.as_str())
    }
}

pub(super) async fn insert(
    connection: &mut Connection,
    vault: &Vault,
    keypair: &Keypair,
    sealed: &[u8],
) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = authenticate(vault, keypair)?;
    let sql = "INSERT INTO keypairs (id, app_id, version, doc, mac_key, mac, sealed)
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        keypair.id.as_str().into(),
        keypair.app.as_str().into(),
        keypair.version().into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        sealed.into(),
    ];
    connection.execute(sql, &values).await.map(drop)
}

pub(super) async fn find(
    connection: &mut Connection,
    vault: &Vault,
    id: &KeypairId,
) -> Result<Option<(Keypair, Vec<u8>)>> {
    let sql = "SELECT id, app_id, version, doc, mac_key, mac, sealed FROM keypairs WHERE id = $1";
    let Some(row) = connection.fetch_optional(sql, &[id.as_str().into()]).await? else { return Ok(None) };
    let keypair: Keypair = verify_row(vault, &row)?;
    let sealed = row.get("sealed").ok_or_else(|| tampered(Keypair::TABLE, id.as_str()))?;
    Ok(Some((keypair, sealed)))
}

pub(super) async fn of_app(connection: &mut Connection, vault: &Vault, app: &AppId) -> Result<Vec<Keypair>> {
    let sql = "SELECT id, app_id, version, doc, mac_key, mac FROM keypairs WHERE app_id = $1";
    let rows = connection.fetch_all(sql, &[app.as_str().into()]).await?;
    let mut keypairs: Vec<Keypair> = verify_rows(vault, &rows).collect();
    keypairs.sort_by_key(|keypair| keypair.created_at);
    Ok(keypairs)
}

pub(super) async fn erase_private_half(connection: &mut Connection, id: &KeypairId) -> Result<()> {
    let nothing: &[u8] = &[];
    let sql = "UPDATE keypairs SET sealed = $1 WHERE id = $2";
    connection.execute(sql, &[nothing.into(), id.as_str().into()]).await.map(drop)
}
