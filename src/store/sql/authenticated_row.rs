//! Authenticated rows: a JSON document under a MAC, and columns that must agree with the document.
//!
//! This file owns the format of such rows. A row that fails verification is refused alone; whether it is
//! reported or skipped is for the caller to say.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::statement::{Sql, SqlRow, SqlValue};
use crate::crypto::{AadContext, CryptoError, RowMac, Vault};
use crate::store::{Result, StoreError};

/// An entity that is stored as one authenticated document in one row.
pub(super) trait StoredDocument: Serialize + DeserializeOwned {
    const TABLE: &'static str;
    fn id(&self) -> &str;
    fn version(&self) -> i64;
    /// Returns true if every column that indexes the row agrees with the document.
    fn agrees_with(&self, row: &SqlRow) -> bool;
}

/// A document as it is written to its row.
pub(super) struct AuthenticatedDocument {
    pub(super) doc: String,
    pub(super) mac: RowMac,
}

/// Serialises a document and authenticates it for its row and version.
pub(super) fn authenticate<D: StoredDocument>(vault: &Vault, document: &D) -> Result<AuthenticatedDocument> {
    let doc = serde_json::to_string(document).map_err(|error| StoreError::Unexpected(error.to_string()))?;
    let mac = vault.authenticate(&aad::<D>(document.id(), document.version()), doc.as_bytes());
    Ok(AuthenticatedDocument { doc, mac })
}

/// Verifies and parses a row that was written with [`authenticate`].
pub(super) fn verify_row<D: StoredDocument>(vault: &Vault, row: &SqlRow) -> Result<D> {
    let id: String = row.get("id").unwrap_or_default();
    let refused = || tampered(D::TABLE, &id);
    let version = row.get("version").ok_or_else(refused)?;
    let doc: String = row.get("doc").ok_or_else(refused)?;
    let mac = mac_of(row).ok_or_else(refused)?;
    verify_mac(vault, &aad::<D>(&id, version), doc.as_bytes(), &mac, D::TABLE)?;
    let document: D = serde_json::from_str(&doc).map_err(|_| refused())?;
    if document.id() == id && document.version() == version && document.agrees_with(row) {
        Ok(document)
    } else {
        Err(refused())
    }
}

/// Verifies rows, and skips and logs those that fail.
pub(super) fn verify_rows<'a, D: StoredDocument>(
    vault: &'a Vault,
    rows: &'a [SqlRow],
) -> impl Iterator<Item = D> + 'a {
    rows.iter().filter_map(|row| ok_or_log(verify_row(vault, row)))
}

/// Runs a query that returns one row at most, and verifies the row.
pub(super) async fn fetch_document<D: StoredDocument>(
    connection: &mut Connection,
    vault: &Vault,
    sql: impl Into<Sql>,
    values: &[SqlValue<'_>],
) -> Result<Option<D>> {
    let row = connection.fetch_optional(sql, values).await?;
    row.map(|row| verify_row(vault, &row)).transpose()
}

/// Returns the content of a row, or logs why it was refused.
pub(super) fn ok_or_log<T>(row: Result<T>) -> Option<T> {
    row.inspect_err(|error| tracing::error!(%error, "a row of the database is left out")).ok()
}

/// Returns the MAC of a row.
pub(super) fn mac_of(row: &SqlRow) -> Option<RowMac> {
    Some(RowMac { key: row.get("mac_key")?, mac: row.get("mac")? })
}

/// Succeeds if `content` is what the broker wrote in this context.
///
/// # Errors
/// `KeyUnavailable` if the key is not in the key set; otherwise `Tampered`.
pub(super) fn verify_mac(
    vault: &Vault,
    aad: &AadContext<'_>,
    content: &[u8],
    mac: &RowMac,
    table: &'static str,
) -> Result<()> {
    vault.verify(aad, content, mac).map_err(|error| match error {
        CryptoError::KeyUnavailable { id: key } => {
            StoreError::KeyUnavailable { table, row: printable(aad.row), key }
        }
        CryptoError::Refused | CryptoError::Wrapper(_) => tampered(table, aad.row),
    })
}

/// Returns the error for a row that is not what the broker wrote.
pub(super) fn tampered(table: &'static str, id: &str) -> StoreError {
    StoreError::Tampered { table, id: printable(id) }
}

/// Returns an id for the log. After a manual edit of the database the column may hold any text; only the
/// characters of an id are shown.
fn printable(id: &str) -> String {
    id.chars().take(64).map(|letter| if letter.is_ascii_graphic() { letter } else { '?' }).collect()
}

fn aad<D: StoredDocument>(id: &str, version: i64) -> AadContext<'_> {
    AadContext { table: D::TABLE, row: id, column: "doc", version }
}
