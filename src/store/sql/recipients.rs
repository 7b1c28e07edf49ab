//! The rows of the recipients of tokens. A row counts only for its own token, under its MAC.

use jiff::Timestamp;

use super::authenticated_row::{mac_of, ok_or_log, tampered, verify_mac};
use super::connection::Connection;
use super::statement::SqlRow;
use crate::crypto::{AadContext, RowMac, Vault, sha256_hex};
use crate::domain::id::TokenId;
use crate::domain::recipient::Recipient;
use crate::store::{Result, StoreError, TokenRecipient};

const TABLE: &str = "given";

/// Inserts a recipient; an existing row stays as it is.
pub(super) async fn insert(
    connection: &mut Connection,
    vault: &Vault,
    TokenRecipient { token, expires_at, recipient }: &TokenRecipient,
) -> Result<()> {
    let expires_at = expires_at.as_millisecond();
    let doc = serde_json::to_string(recipient).map_err(|error| StoreError::Unexpected(error.to_string()))?;
    let digest = sha256_hex(doc.as_bytes());
    let RowMac { key, mac } = vault.authenticate(&aad(token.as_str()), &content(expires_at, &doc));
    let sql = "INSERT INTO given (token_id, receiver, expires_at, doc, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (token_id, receiver) DO NOTHING";
    let values = [
        token.as_str().into(),
        (&digest).into(),
        expires_at.into(),
        (&doc).into(),
        (&key).into(),
        (&mac).into(),
    ];
    connection.execute(sql, &values).await.map(drop)
}

/// Returns the recipients of a token; rows that fail verification are skipped and logged.
pub(super) async fn of_token(
    connection: &mut Connection,
    vault: &Vault,
    token: &TokenId,
) -> Result<Vec<Recipient>> {
    let sql = "SELECT expires_at, doc, mac_key, mac FROM given WHERE token_id = $1 ORDER BY receiver";
    let rows = connection.fetch_all(sql, &[token.as_str().into()]).await?;
    Ok(rows.iter().filter_map(|row| ok_or_log(verify(vault, token, row))).collect())
}

/// Erases the recipients of tokens that expired before `now`.
pub(super) async fn delete_expired(connection: &mut Connection, now: Timestamp) -> Result<()> {
    let sql = "DELETE FROM given WHERE expires_at <= $1";
    connection.execute(sql, &[now.as_millisecond().into()]).await.map(drop)
}

fn verify(vault: &Vault, token: &TokenId, row: &SqlRow) -> Result<Recipient> {
    let refused = || tampered(TABLE, token.as_str());
    let (expires_at, doc) = (row.get::<i64>("expires_at"), row.get::<String>("doc"));
    let (expires_at, doc) = expires_at.zip(doc).ok_or_else(refused)?;
    let mac = mac_of(row).ok_or_else(refused)?;
    verify_mac(vault, &aad(token.as_str()), &content(expires_at, &doc), &mac, TABLE)?;
    serde_json::from_str(&doc).map_err(|_| refused())
}

fn aad(token: &str) -> AadContext<'_> {
    AadContext { table: TABLE, row: token, column: "doc", version: 1 }
}

/// Returns the content that the MAC covers: the expiry of the token, which has a fixed length, and the document.
fn content(expires_at: i64, doc: &str) -> Vec<u8> {
    [expires_at.to_be_bytes().as_slice(), doc.as_bytes()].concat()
}
