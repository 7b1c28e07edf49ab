//! Rows that decide something: a document under a MAC, and columns that must agree with it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::statement::SqlRow;
use super::{Result, StoreError};
use crate::crypto::{AadContext, CryptoError, RowMac, Vault};

/// What is kept as one authenticated document in one row.
pub(super) trait StoredDocument: Serialize + DeserializeOwned {
    const TABLE: &'static str;
    fn id(&self) -> &str;
    fn version(&self) -> i64;
    /// True where every column by which the row is looked up says what the document says.
    fn agrees_with(&self, row: &SqlRow) -> bool;
}

/// A document as it is written.
pub(super) struct AuthenticatedDocument {
    pub(super) doc: String,
    pub(super) mac: RowMac,
}

/// Authenticates a document for its row and version.
pub(super) fn write<D: StoredDocument>(vault: &Vault, document: &D) -> Result<AuthenticatedDocument> {
    let doc = serde_json::to_string(document).map_err(|error| StoreError::Unexpected(error.to_string()))?;
    let mac = vault.authenticate(&place::<D>(document.id(), document.version()), doc.as_bytes());
    Ok(AuthenticatedDocument { doc, mac })
}

/// Reads a row, if it is one that [`write`] made, where and as it stands.
pub(super) fn read<D: StoredDocument>(vault: &Vault, row: &SqlRow) -> Result<D> {
    let id: String = row.get("id").unwrap_or_default();
    let refused = || refused(D::TABLE, &id);
    let version = row.get("version").ok_or_else(refused)?;
    let doc: String = row.get("doc").ok_or_else(refused)?;
    let mac = mac_of(row).ok_or_else(refused)?;
    verified(vault, &place::<D>(&id, version), doc.as_bytes(), &mac, D::TABLE)?;
    let document: D = serde_json::from_str(&doc).map_err(|_| refused())?;
    if document.id() == id && document.version() == version && document.agrees_with(row) {
        Ok(document)
    } else {
        Err(refused())
    }
}

/// Reads rows and leaves out those that are refused, each of which costs nobody but itself.
pub(super) fn read_each<'a, D: StoredDocument>(
    vault: &'a Vault,
    rows: &'a [SqlRow],
) -> impl Iterator<Item = D> + 'a {
    rows.iter().filter_map(|row| left_out(read(vault, row)))
}

/// The content of a row, with an error in the log where it was refused.
pub(super) fn left_out<T>(row: Result<T>) -> Option<T> {
    row.inspect_err(|error| tracing::error!(%error, "a row of the database is left out")).ok()
}

/// The MAC that a row bears.
pub(super) fn mac_of(row: &SqlRow) -> Option<RowMac> {
    Some(RowMac { key: row.get("mac_key")?, mac: row.get("mac")? })
}

/// Succeeds where `content` is what the broker wrote at this place.
pub(super) fn verified(
    vault: &Vault,
    place: &AadContext<'_>,
    content: &[u8],
    mac: &RowMac,
    table: &'static str,
) -> Result<()> {
    vault.verify(place, content, mac).map_err(|error| match error {
        CryptoError::KeyUnavailable { id: key } => {
            StoreError::KeyUnavailable { table, row: printable(place.row), key }
        }
        CryptoError::Refused | CryptoError::Wrapper(_) => refused(table, place.row),
    })
}

pub(super) fn refused(table: &'static str, id: &str) -> StoreError {
    StoreError::Tampered { table, id: printable(id) }
}

/// What stands in an id's column may be anybody's text; a log shows only what an id may look like.
fn printable(id: &str) -> String {
    id.chars().take(64).map(|letter| if letter.is_ascii_graphic() { letter } else { '?' }).collect()
}

fn place<D: StoredDocument>(id: &str, version: i64) -> AadContext<'_> {
    AadContext { table: D::TABLE, row: id, column: "doc", version }
}
