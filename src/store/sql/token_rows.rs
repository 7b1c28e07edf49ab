//! The rows of tokens, within a transaction. A MAC covers every column of a row.

use jiff::Timestamp;

use super::authenticated_row::{mac_of, tampered, verify_mac};
use super::connection::Connection;
use super::statement::{SqlRow, locking};
use crate::crypto::{AadContext, RowMac, Vault, sha256};
use crate::domain::id::{AppId, Generation, TenantId, TokenId};
use crate::store::{NewToken, Result, StoredToken};

const TABLE: &str = "tokens";

macro_rules! select {
    ($($rest:literal),+) => {
        concat!(
            "SELECT id, tenant_id, app_id, generation, subject, key_digest, fingerprint, minted_at, expires_at, ",
            "discarded, sealed, mac_key, mac FROM tokens ",
            $($rest),+
        )
    };
}
pub(super) use select;

/// The columns of a row.
pub(super) struct TokenColumns {
    id: String,
    tenant: String,
    app: String,
    generation: i64,
    subject: String,
    key_digest: Vec<u8>,
    fingerprint: String,
    minted_at: i64,
    expires_at: i64,
    discarded: i64,
    sealed: Vec<u8>,
}

impl TokenColumns {
    pub(super) fn of(token: &NewToken<'_>, discarded: bool) -> Self {
        Self {
            id: token.id.as_str().to_owned(),
            tenant: token.key.tenant.as_str().to_owned(),
            app: token.app.as_str().to_owned(),
            generation: token.key.generation.0,
            subject: token.key.subject.to_string(),
            key_digest: sha256(&token.key.encoding()).to_vec(),
            fingerprint: token.fingerprint.to_owned(),
            minted_at: token.minted_at.as_millisecond(),
            expires_at: token.expires_at.as_millisecond(),
            discarded: i64::from(discarded),
            sealed: token.sealed.to_vec(),
        }
    }

    pub(super) fn read(row: &SqlRow) -> Option<Self> {
        Some(Self {
            id: row.get("id")?,
            tenant: row.get("tenant_id")?,
            app: row.get("app_id")?,
            generation: row.get("generation")?,
            subject: row.get("subject")?,
            key_digest: row.get("key_digest")?,
            fingerprint: row.get("fingerprint")?,
            minted_at: row.get("minted_at")?,
            expires_at: row.get("expires_at")?,
            discarded: row.get("discarded")?,
            sealed: row.get("sealed")?,
        })
    }

    fn aad(&self) -> AadContext<'_> {
        AadContext { table: TABLE, row: &self.id, column: "row", version: 1 }
    }

    /// Returns the content that the MAC covers: every column, each preceded by its length.
    fn content(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        let numbers =
            [self.generation, self.minted_at, self.expires_at, self.discarded].map(i64::to_be_bytes);
        let texts = [&self.tenant, &self.app, &self.subject, &self.fingerprint].map(String::as_bytes);
        let sealed = sha256(&self.sealed);
        let digests = [self.key_digest.as_slice(), sealed.as_slice()];
        for field in numbers.iter().map(<[u8; 8]>::as_slice).chain(texts).chain(digests) {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        bytes
    }

    pub(super) fn into_token(self) -> Option<StoredToken> {
        Some(StoredToken {
            id: TokenId::parse(&self.id).ok()?,
            tenant: TenantId::parse(&self.tenant).ok()?,
            app: AppId::parse(&self.app).ok()?,
            generation: Generation(self.generation),
            subject: self.subject,
            minted_at: Timestamp::from_millisecond(self.minted_at).ok()?,
            discarded: self.discarded != 0,
            expires_at: Timestamp::from_millisecond(self.expires_at).ok()?,
            sealed: self.sealed,
        })
    }
}

pub(super) async fn insert(connection: &mut Connection, vault: &Vault, columns: &TokenColumns) -> Result<()> {
    let RowMac { key, mac } = vault.authenticate(&columns.aad(), &columns.content());
    let sql = "INSERT INTO tokens
         (id, tenant_id, app_id, generation, subject, key_digest, fingerprint, minted_at, expires_at, discarded,
          sealed, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let values = [
        (&columns.id).into(),
        (&columns.tenant).into(),
        (&columns.app).into(),
        columns.generation.into(),
        (&columns.subject).into(),
        (&columns.key_digest).into(),
        (&columns.fingerprint).into(),
        columns.minted_at.into(),
        columns.expires_at.into(),
        columns.discarded.into(),
        (&columns.sealed).into(),
        (&key).into(),
        (&mac).into(),
    ];
    connection.execute(sql, &values).await.map(drop)
}

/// Verifies and reads a row.
pub(super) fn verify(vault: &Vault, row: &SqlRow) -> Result<StoredToken> {
    let id: String = row.get("id").unwrap_or_default();
    let columns = TokenColumns::read(row).ok_or_else(|| tampered(TABLE, &id))?;
    let mac = mac_of(row).ok_or_else(|| tampered(TABLE, &id))?;
    verify_mac(vault, &columns.aad(), &columns.content(), &mac, TABLE)?;
    columns.into_token().ok_or_else(|| tampered(TABLE, &id))
}

/// Marks a row as discarded and authenticates it again. A row that does not exist or cannot be read is skipped.
pub(super) async fn discard(connection: &mut Connection, vault: &Vault, token: &str) -> Result<()> {
    let sql = locking!(select!("WHERE id = $1"), "FOR UPDATE");
    let row = connection.fetch_optional(sql, &[token.into()]).await?;
    let Some(columns) = row.and_then(|row| TokenColumns::read(&row)) else { return Ok(()) };
    let columns = TokenColumns { discarded: 1, ..columns };
    let RowMac { key, mac } = vault.authenticate(&columns.aad(), &columns.content());
    let sql = "UPDATE tokens SET discarded = 1, mac_key = $1, mac = $2 WHERE id = $3";
    connection.execute(sql, &[(&key).into(), (&mac).into(), token.into()]).await.map(drop)
}

/// Erases tokens that expired before `now`.
pub(super) async fn delete_expired(connection: &mut Connection, now: Timestamp) -> Result<()> {
    let sql = "DELETE FROM tokens WHERE expires_at <= $1";
    connection.execute(sql, &[now.as_millisecond().into()]).await.map(drop)
}
