//! Keypairs that were made here and wait for Box to learn their public half.

use super::audit_writer::AuditWriter;
use super::authenticated_row::{AuthenticatedDocument, StoredDocument, read, read_each, refused, write};
use super::change_log::record;
use super::engine::Engine;
use super::statement::SqlRow;
use super::{ChangedEntity, Result};
use crate::crypto::Vault;
use crate::domain::app::Keypair;
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, KeypairId};

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
    engine: &Engine,
    ledger: &AuditWriter,
    keypair: &Keypair,
    sealed: &[u8],
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    let AuthenticatedDocument { doc, mac } = write(ledger, keypair)?;
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
    session.run(sql, &values).await?;
    record(&mut session, ledger, event, &[ChangedEntity::App(keypair.app.clone())]).await?;
    session.commit().await
}

pub(super) async fn find(
    engine: &Engine,
    vault: &Vault,
    id: &KeypairId,
) -> Result<Option<(Keypair, Vec<u8>)>> {
    let sql = "SELECT id, app_id, version, doc, mac_key, mac, sealed FROM keypairs WHERE id = $1";
    let Some(row) = engine.read().await?.row(sql, &[id.as_str().into()]).await? else { return Ok(None) };
    let keypair: Keypair = read(vault, &row)?;
    let sealed = row.get("sealed").ok_or_else(|| refused(Keypair::TABLE, id.as_str()))?;
    Ok(Some((keypair, sealed)))
}

pub(super) async fn of_app(engine: &Engine, vault: &Vault, app: &AppId) -> Result<Vec<Keypair>> {
    let sql = "SELECT id, app_id, version, doc, mac_key, mac FROM keypairs WHERE app_id = $1";
    let rows = engine.read().await?.rows(sql, &[app.as_str().into()]).await?;
    let mut keypairs: Vec<Keypair> = read_each(vault, &rows).collect();
    keypairs.sort_by_key(|keypair| keypair.created_at);
    Ok(keypairs)
}
