//! The one sequence that all generations come from.
//!
//! A generation that is given twice would bring back tokens of credentials that were replaced, so
//! the counter decides something: it is authenticated like every row that does.

use super::authenticated_row::{mac_of, refused, verified};
use super::change_log::alone;
use super::connection::Connection;
use super::engine::Engine;
use super::statement::SqlRow;
use super::{Result, StoreError};
use crate::crypto::{AadContext, Vault};
use crate::domain::id::Generation;

const TABLE: &str = "generations";
const ROW: &str = "last";

pub(super) async fn next(engine: &Engine, vault: &Vault) -> Result<Generation> {
    let mut session = engine.write().await?;
    alone(&mut session).await?;
    let sql = "SELECT id, value, mac_key, mac FROM generations WHERE id = $1";
    let row = session.row(sql, &[ROW.into()]).await?;
    let last = match &row {
        Some(row) => read(vault, row)?,
        None if is_new(&mut session).await? => 0,
        // Somebody took the counter away: to begin again would give numbers twice.
        None => return Err(refused(TABLE, ROW)),
    };
    let next =
        last.checked_add(1).ok_or_else(|| StoreError::Unexpected("no generation is left".to_owned()))?;
    let mac = vault.authenticate(&place(next), &next.to_be_bytes());
    let sql = "INSERT INTO generations (id, value, mac_key, mac) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET value = excluded.value, mac_key = excluded.mac_key, mac = excluded.mac";
    session.run(sql, &[ROW.into(), next.into(), (&mac.key).into(), (&mac.mac).into()]).await?;
    session.commit().await?;
    Ok(Generation(next))
}

fn read(vault: &Vault, row: &SqlRow) -> Result<i64> {
    let value: i64 = row.get("value").ok_or_else(|| refused(TABLE, ROW))?;
    let mac = mac_of(row).ok_or_else(|| refused(TABLE, ROW))?;
    verified(vault, &place(value), &value.to_be_bytes(), &mac, TABLE)?;
    Ok(value)
}

/// True for a database in which no generation was ever used.
async fn is_new(session: &mut Connection) -> Result<bool> {
    let sql = "SELECT 1 AS used WHERE EXISTS (SELECT 1 FROM apps) OR EXISTS (SELECT 1 FROM tenants)
         OR EXISTS (SELECT 1 FROM credentials) OR EXISTS (SELECT 1 FROM tokens)";
    Ok(session.row(sql, &[]).await?.is_none())
}

fn place(value: i64) -> AadContext<'static> {
    AadContext { table: TABLE, row: ROW, column: "value", version: value }
}
