//! To whom tokens were given. A row counts only at its own token, under its MAC.

use jiff::Timestamp;

use super::audit_writer::AuditWriter;
use super::authenticated_row::{left_out, mac_of, refused, verified};
use super::connection::Connection;
use super::engine::Engine;
use super::statement::SqlRow;
use super::{Result, StoreError, TokenRecipient};
use crate::crypto::{AadContext, RowMac, Vault, sha256_hex};
use crate::domain::id::TokenId;
use crate::domain::recipient::Recipient;

const TABLE: &str = "given";

/// Writes down who was given what; what stands there already stays as it is.
pub(super) async fn save(engine: &Engine, ledger: &AuditWriter, givings: &[TokenRecipient]) -> Result<()> {
    let mut session = engine.write().await?;
    for TokenRecipient { token, expires_at, recipient } in givings {
        let until = expires_at.as_millisecond();
        let doc =
            serde_json::to_string(recipient).map_err(|error| StoreError::Unexpected(error.to_string()))?;
        let digest = sha256_hex(doc.as_bytes());
        let RowMac { key, mac } = ledger.authenticate(&place(token.as_str()), &content(until, &doc));
        let sql = "INSERT INTO given (token_id, receiver, expires_at, doc, mac_key, mac)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (token_id, receiver) DO NOTHING";
        let values = [
            token.as_str().into(),
            (&digest).into(),
            until.into(),
            (&doc).into(),
            (&key).into(),
            (&mac).into(),
        ];
        session.run(sql, &values).await?;
    }
    session.commit().await
}

/// To whom a token was given. A row that is refused is left out, with an error logged.
pub(super) async fn recipients(engine: &Engine, vault: &Vault, token: &TokenId) -> Result<Vec<Recipient>> {
    let sql = "SELECT expires_at, doc, mac_key, mac FROM given WHERE token_id = $1 ORDER BY receiver";
    let rows = engine.read().await?.rows(sql, &[token.as_str().into()]).await?;
    Ok(rows.iter().filter_map(|row| left_out(read(vault, token, row))).collect())
}

/// Erases what is about tokens that died before `now`.
pub(super) async fn sweep(session: &mut Connection, now: Timestamp) -> Result<()> {
    let sql = "DELETE FROM given WHERE expires_at <= $1";
    session.run(sql, &[now.as_millisecond().into()]).await.map(drop)
}

fn read(vault: &Vault, token: &TokenId, row: &SqlRow) -> Result<Recipient> {
    let refused = || refused(TABLE, token.as_str());
    let (until, doc) = (row.get::<i64>("expires_at"), row.get::<String>("doc"));
    let (until, doc) = until.zip(doc).ok_or_else(refused)?;
    let mac = mac_of(row).ok_or_else(refused)?;
    verified(vault, &place(token.as_str()), &content(until, &doc), &mac, TABLE)?;
    serde_json::from_str(&doc).map_err(|_| refused())
}

fn place(token: &str) -> AadContext<'_> {
    AadContext { table: TABLE, row: token, column: "doc", version: 1 }
}

/// The end of the token, which has one length, and the document.
fn content(until: i64, doc: &str) -> Vec<u8> {
    [until.to_be_bytes().as_slice(), doc.as_bytes()].concat()
}
