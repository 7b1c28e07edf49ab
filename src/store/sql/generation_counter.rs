//! The counter that all generations come from.
//!
//! A generation that is returned twice would bring back tokens of credentials that were replaced. The counter
//! is therefore authenticated like every row that decides something.

use super::authenticated_row::{mac_of, tampered, verify_mac};
use super::change_log::lock_numbering;
use super::connection::Connection;
use super::engine::Engine;
use super::statement::SqlRow;
use crate::crypto::{AadContext, Vault};
use crate::domain::id::Generation;
use crate::store::{Result, StoreError};

const TABLE: &str = "generations";
const ROW: &str = "last";

/// Increments the counter and returns its new value.
pub(super) async fn next_generation(engine: &Engine, vault: &Vault) -> Result<Generation> {
    let mut connection = engine.begin().await?;
    lock_numbering(&mut connection).await?;
    let sql = "SELECT id, value, mac_key, mac FROM generations WHERE id = $1";
    let row = connection.fetch_optional(sql, &[ROW.into()]).await?;
    let last = match &row {
        Some(row) => verify(vault, row)?,
        None if is_unused(&mut connection).await? => 0,
        // The counter was removed: a new one would return numbers twice.
        None => return Err(tampered(TABLE, ROW)),
    };
    let next =
        last.checked_add(1).ok_or_else(|| StoreError::Unexpected("no generation is left".to_owned()))?;
    let mac = vault.authenticate(&aad(next), &next.to_be_bytes());
    let sql = "INSERT INTO generations (id, value, mac_key, mac) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET value = excluded.value, mac_key = excluded.mac_key, mac = excluded.mac";
    connection.execute(sql, &[ROW.into(), next.into(), (&mac.key).into(), (&mac.mac).into()]).await?;
    connection.commit().await?;
    Ok(Generation(next))
}

fn verify(vault: &Vault, row: &SqlRow) -> Result<i64> {
    let value: i64 = row.get("value").ok_or_else(|| tampered(TABLE, ROW))?;
    let mac = mac_of(row).ok_or_else(|| tampered(TABLE, ROW))?;
    verify_mac(vault, &aad(value), &value.to_be_bytes(), &mac, TABLE)?;
    Ok(value)
}

/// Returns true for a database in which no generation was ever used.
async fn is_unused(connection: &mut Connection) -> Result<bool> {
    let sql = "SELECT 1 AS used WHERE EXISTS (SELECT 1 FROM apps) OR EXISTS (SELECT 1 FROM tenants)
         OR EXISTS (SELECT 1 FROM credentials) OR EXISTS (SELECT 1 FROM tokens)";
    Ok(connection.fetch_optional(sql, &[]).await?.is_none())
}

fn aad(value: i64) -> AadContext<'static> {
    AadContext { table: TABLE, row: ROW, column: "value", version: value }
}
