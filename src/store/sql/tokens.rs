//! Minted tokens, kept until they expire.
//!
//! A token's row decides whether the token can be found again, so it bears a MAC as a whole. To
//! revoke a token is never refused: what lists them for that asks for no MAC.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::audit_writer::AuditWriter;
use super::authenticated_row::{left_out, mac_of, refused, verified};
use super::change_log;
use super::connection::Connection;
use super::engine::Engine;
use super::statement::{SqlRow, SqlValue, holding};
use super::{
    NewToken, Result, SaveOutcome, StoredToken, TokenCursor, TokenFilter, TokenSelector, apps,
    browser_sessions, recipients, tenants,
};
use crate::crypto::{AadContext, RowMac, Vault, sha256};
use crate::domain::app::AppState;
use crate::domain::audit_event::{AuditAction, AuditEvent};
use crate::domain::id::{AppId, Generation, TenantId, TokenId};
use crate::domain::tenant::TenantState;
use crate::domain::token_key::TokenKey;

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

/// A stretch of those that are alive, in the order of their ends.
macro_rules! behind {
    ($condition:literal) => {
        select!(
            "WHERE expires_at >= $1 AND (expires_at > $1 OR id > $2) ",
            $condition,
            " ORDER BY expires_at, id LIMIT $3"
        )
    };
}

/// A row as its columns tell it.
struct TokenColumns {
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
    fn of(token: &NewToken<'_>, discarded: bool) -> Self {
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

    fn read(row: &SqlRow) -> Option<Self> {
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

    fn place(&self) -> AadContext<'_> {
        AadContext { table: TABLE, row: &self.id, column: "row", version: 1 }
    }

    /// Every column, each behind its length.
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

    fn token(self) -> Option<StoredToken> {
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

pub(super) async fn save(
    engine: &Engine,
    ledger: &AuditWriter,
    token: &NewToken<'_>,
    event: &AuditEvent,
) -> Result<SaveOutcome> {
    let mut session = engine.write().await?;
    let fate = judge(&mut session, ledger, token).await?;
    match fate {
        Fate::Current => ledger.write(&mut session, event).await?,
        Fate::Fenced | Fate::Purged => {
            ledger
                .write(&mut session, &AuditEvent { action: AuditAction::TokenDiscard, ..event.clone() })
                .await?;
        }
    }
    // The credentials that could revoke a purged tenant's token are erased, and so is the token.
    if fate != Fate::Purged {
        insert(&mut session, ledger, &TokenColumns::of(token, fate == Fate::Fenced)).await?;
    }
    session.commit().await?;
    Ok(if fate == Fate::Current { SaveOutcome::Current } else { SaveOutcome::Fenced })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Current,
    Fenced,
    Purged,
}

/// Compares a token with the tenant and app of the moment, which stay as they are until the
/// transaction ends.
async fn judge(session: &mut Connection, vault: &Vault, token: &NewToken<'_>) -> Result<Fate> {
    // A row that is refused allows nothing; the token must be kept all the same, to be revoked.
    let tenant = match fenced_if_refused(tenants::hold(session, vault, &token.key.tenant).await)? {
        Held::Row(tenant) => tenant,
        Held::Refused => return Ok(Fate::Fenced),
        Held::Gone => return Ok(Fate::Purged),
    };
    let app = match fenced_if_refused(apps::hold(session, vault, token.app).await)? {
        Held::Row(app) => app,
        Held::Refused | Held::Gone => return Ok(Fate::Fenced),
    };
    let current = !token.discarded
        && tenant.state == TenantState::Active
        && app.state == AppState::Active
        && tenant.app == app.id
        && app.may_serve(&tenant.id)
        && tenant.effective_generation(&app) == token.key.generation;
    Ok(if current { Fate::Current } else { Fate::Fenced })
}

enum Held<T> {
    Row(T),
    Refused,
    Gone,
}

fn fenced_if_refused<T>(row: Result<Option<T>>) -> Result<Held<T>> {
    use super::StoreError::{KeyUnavailable, Tampered};
    match row {
        Ok(Some(row)) => Ok(Held::Row(row)),
        Ok(None) => Ok(Held::Gone),
        Err(error @ (Tampered { .. } | KeyUnavailable { .. })) => {
            tracing::error!(%error, "a token is discarded because of a row that is refused");
            Ok(Held::Refused)
        }
        Err(error) => Err(error),
    }
}

async fn insert(session: &mut Connection, vault: &Vault, columns: &TokenColumns) -> Result<()> {
    let RowMac { key, mac } = vault.authenticate(&columns.place(), &columns.content());
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
    session.run(sql, &values).await.map(drop)
}

pub(super) async fn find(
    engine: &Engine,
    vault: &Vault,
    key: &TokenKey,
    now: Timestamp,
) -> Result<Option<StoredToken>> {
    let sql = select!("WHERE key_digest = $1 AND discarded = 0 AND expires_at > $2 ORDER BY expires_at DESC");
    let digest = sha256(&key.encoding());
    let rows =
        engine.read().await?.rows(sql, &[digest.as_slice().into(), now.as_millisecond().into()]).await?;
    Ok(rows.iter().find_map(|row| left_out(read(vault, row))))
}

pub(super) async fn with(
    engine: &Engine,
    vault: &Vault,
    fingerprint: &str,
    now: Timestamp,
) -> Result<Option<StoredToken>> {
    let sql = select!("WHERE fingerprint = $1 AND discarded = 0 AND expires_at > $2");
    let rows = engine.read().await?.rows(sql, &[fingerprint.into(), now.as_millisecond().into()]).await?;
    Ok(rows.iter().find_map(|row| left_out(read(vault, row))))
}

fn read(vault: &Vault, row: &SqlRow) -> Result<StoredToken> {
    let id: String = row.get("id").unwrap_or_default();
    let columns = TokenColumns::read(row).ok_or_else(|| refused(TABLE, &id))?;
    let mac = mac_of(row).ok_or_else(|| refused(TABLE, &id))?;
    verified(vault, &columns.place(), &columns.content(), &mac, TABLE)?;
    columns.token().ok_or_else(|| refused(TABLE, &id))
}

pub(super) async fn of_tenant(
    engine: &Engine,
    tenant: &TenantId,
    which: &TokenSelector,
    now: Timestamp,
) -> Result<Vec<StoredToken>> {
    let (sql, value) = match which {
        TokenSelector::All => (select!("WHERE tenant_id = $1 AND expires_at > $2 ORDER BY expires_at"), None),
        TokenSelector::Subject(subject) => (
            select!("WHERE tenant_id = $1 AND expires_at > $2 AND subject = $3 ORDER BY expires_at"),
            Some(subject.to_string()),
        ),
        TokenSelector::Fingerprint(fingerprint) => (
            select!("WHERE tenant_id = $1 AND expires_at > $2 AND fingerprint = $3"),
            Some(fingerprint.clone()),
        ),
    };
    let mut values = vec![tenant.as_str().into(), now.as_millisecond().into()];
    values.extend(value.as_ref().map(SqlValue::from));
    let rows = engine.read().await?.rows(sql, &values).await?;
    Ok(rows.iter().filter_map(|row| TokenColumns::read(row)?.token()).collect())
}

pub(super) async fn stretch(
    engine: &Engine,
    among: &TokenFilter,
    after: &TokenCursor,
    limit: usize,
) -> Result<(Vec<StoredToken>, Option<TokenCursor>)> {
    let (sql, value) = match among {
        TokenFilter::All => (behind!(""), None),
        TokenFilter::Tenant(tenant) => (behind!("AND tenant_id = $4"), Some(tenant.as_str())),
        TokenFilter::App(app) => (behind!("AND app_id = $4"), Some(app.as_str())),
        TokenFilter::Discarded => (behind!("AND discarded <> 0"), None),
    };
    let mut values = vec![after.0.into(), (&after.1).into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    values.extend(value.map(SqlValue::from));
    let rows = engine.read().await?.rows(sql, &values).await?;
    // A row that cannot be read is passed over, and does not end the walk.
    let last = rows.last().filter(|_| rows.len() == limit);
    let next = last.and_then(|row| Some(TokenCursor(row.get("expires_at")?, row.get("id")?)));
    Ok((rows.iter().filter_map(|row| TokenColumns::read(row)?.token()).collect(), next))
}

/// Marks rows as discarded and authenticates them anew, so that nobody takes the mark away.
pub(super) async fn discard(engine: &Engine, vault: &Vault, tokens: &[TokenId]) -> Result<()> {
    if tokens.is_empty() {
        return Ok(());
    }
    let mut session = engine.write().await?;
    // In one order, so that two who do it never wait for each other.
    for token in tokens.iter().map(TokenId::as_str).collect::<BTreeSet<_>>() {
        let sql = holding!(select!("WHERE id = $1"), "FOR UPDATE");
        let row = session.row(sql, &[token.into()]).await?;
        let Some(columns) = row.and_then(|row| TokenColumns::read(&row)) else { continue };
        let columns = TokenColumns { discarded: 1, ..columns };
        let RowMac { key, mac } = vault.authenticate(&columns.place(), &columns.content());
        let sql = "UPDATE tokens SET discarded = 1, mac_key = $1, mac = $2 WHERE id = $3";
        session.run(sql, &[(&key).into(), (&mac).into(), token.into()]).await?;
    }
    session.commit().await
}

pub(super) async fn forget(engine: &Engine, tokens: &[TokenId]) -> Result<()> {
    if tokens.is_empty() {
        return Ok(());
    }
    let mut session = engine.write().await?;
    for token in tokens {
        session.run("DELETE FROM tokens WHERE id = $1", &[token.as_str().into()]).await?;
    }
    session.commit().await
}

/// Erases what died before `now`, sessions that ended long ago, and changes that everybody has long seen.
pub(super) async fn sweep(engine: &Engine, now: Timestamp) -> Result<()> {
    let mut session = engine.write().await?;
    session.run("DELETE FROM tokens WHERE expires_at <= $1", &[now.as_millisecond().into()]).await?;
    recipients::sweep(&mut session, now).await?;
    apps::sweep(&mut session).await?;
    browser_sessions::sweep(&mut session, now).await?;
    changes::sweep(&mut session, now).await?;
    session.commit().await
}
