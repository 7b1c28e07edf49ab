//! The store of callers on SQL, and the indexes that lead from an API key or an issuer to them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqlStore;
use super::authenticated_row::{
    AuthenticatedDocument, StoredDocument, authenticate, fetch_document, verify_rows,
};
use super::connection::Connection;
use super::statement::{SqlRow, locking};
use super::timeout::with_timeout;
use crate::crypto::Vault;
use crate::domain::audit_event::AuditEvent;
use crate::domain::caller::Caller;
use crate::domain::id::{CallerId, KeyId};
use crate::store::{CallerRef, CallerStore, ChangedEntity, Conflict, PageRequest, Result, StoreError};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, version, doc, mac_key, mac FROM callers ", $rest)
    };
}

impl StoredDocument for Caller {
    const TABLE: &'static str = "callers";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn agrees_with(&self, row: &SqlRow) -> bool {
        row.get::<String>("name").as_deref() == Some(self.name.as_str())
    }
}

#[async_trait]
impl CallerStore for SqlStore {
    async fn caller(&self, by: &CallerRef) -> Result<Option<Caller>> {
        let (sql, value) = match by {
            CallerRef::Id(id) => (select!("WHERE id = $1"), id.as_str()),
            CallerRef::Name(name) => (select!("WHERE name = $1"), name.as_str()),
            CallerRef::Key(id) => {
                (select!("WHERE id = (SELECT caller_id FROM api_keys WHERE key_id = $1)"), id.as_str())
            }
        };
        with_timeout(async {
            let mut connection = self.engine.reader().await?;
            let caller: Option<Caller> =
                fetch_document(&mut connection, &self.vault, sql, &[value.into()]).await?;
            Ok(caller.filter(|caller| match by {
                CallerRef::Key(id) => lists_key(caller, id),
                CallerRef::Id(_) | CallerRef::Name(_) => true,
            }))
        })
        .await
    }

    async fn callers(&self, page: &PageRequest) -> Result<Vec<Caller>> {
        let sql = select!("WHERE name > $1 ORDER BY name LIMIT $2");
        with_timeout(self.list_by_name(sql, page, |_| true)).await
    }

    async fn callers_trusting_issuer(&self, issuer: &str) -> Result<Vec<Caller>> {
        with_timeout(async {
            let sql =
                select!("WHERE id IN (SELECT caller_id FROM caller_trusts WHERE issuer = $1) ORDER BY id");
            let rows = self.engine.reader().await?.fetch_all(sql, &[issuer.into()]).await?;
            Ok(verify_rows(&self.vault, &rows).filter(|caller| trusts_issuer(caller, issuer)).collect())
        })
        .await
    }

    async fn insert_caller(&self, caller: &Caller, event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            insert(&mut transaction, &self.vault, caller).await?;
            index_keys(&mut transaction, caller).await?;
            index_trusts(&mut transaction, caller).await?;
            let changed = [ChangedEntity::Caller(caller.id.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn update_caller(&self, caller: &Caller, event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            replace(&mut transaction, &self.vault, caller).await?;
            index_keys(&mut transaction, caller).await?;
            index_trusts(&mut transaction, caller).await?;
            let changed = [ChangedEntity::Caller(caller.id.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn delete_caller(&self, id: &CallerId, version: i64, event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            transaction.execute("DELETE FROM api_keys WHERE caller_id = $1", &[id.as_str().into()]).await?;
            transaction
                .execute("DELETE FROM caller_trusts WHERE caller_id = $1", &[id.as_str().into()])
                .await?;
            let sql = "DELETE FROM callers WHERE id = $1 AND version = $2";
            if transaction.execute(sql, &[id.as_str().into(), version.into()]).await? == 0 {
                return Err(StoreError::Conflict(Conflict::Version));
            }
            let changed = [ChangedEntity::Caller(id.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    /// A single statement for all keys would need an array, which SQLite does not have.
    async fn record_key_uses(&self, uses: &[(KeyId, Timestamp)]) -> Result<()> {
        if uses.is_empty() {
            return Ok(());
        }
        with_timeout(async {
            let mut connection = self.engine.begin().await?;
            let sql = "UPDATE api_keys SET last_used_at = $1
                 WHERE key_id = $2 AND (last_used_at IS NULL OR last_used_at < $1)";
            // Always in the same order, so that two processes cannot deadlock.
            for (key, at) in uses.iter().collect::<BTreeSet<_>>() {
                connection.execute(sql, &[at.as_millisecond().into(), key.as_str().into()]).await?;
            }
            connection.commit().await
        })
        .await
    }

    async fn last_key_uses(&self, caller: &CallerId) -> Result<BTreeMap<KeyId, Timestamp>> {
        with_timeout(async {
            let sql =
                "SELECT key_id, last_used_at FROM api_keys WHERE caller_id = $1 AND last_used_at IS NOT NULL";
            let rows = self.engine.reader().await?.fetch_all(sql, &[caller.as_str().into()]).await?;
            Ok(rows.iter().filter_map(read_last_use).collect())
        })
        .await
    }
}

fn read_last_use(row: &SqlRow) -> Option<(KeyId, Timestamp)> {
    let key = KeyId::parse(&row.get::<String>("key_id")?).ok()?;
    Some((key, Timestamp::from_millisecond(row.get("last_used_at")?).ok()?))
}

/// Returns the caller and locks its row against changes until the transaction ends.
pub(super) async fn lock(
    connection: &mut Connection,
    vault: &Vault,
    id: &CallerId,
) -> Result<Option<Caller>> {
    let sql = locking!(select!("WHERE id = $1"), "FOR SHARE");
    fetch_document(connection, vault, sql, &[id.as_str().into()]).await
}

/// Returns true if the caller's own row lists the key, which the index alone does not prove.
fn lists_key(caller: &Caller, id: &KeyId) -> bool {
    let is_listed = caller.keys.iter().any(|key| key.id == *id);
    if !is_listed {
        tracing::error!(key = %id, caller = %caller.id, "the index of API keys names a caller that has no such key");
    }
    is_listed
}

/// Returns true if the caller's own row has a trust of the issuer, which the index alone does not prove.
fn trusts_issuer(caller: &Caller, issuer: &str) -> bool {
    let is_trusted = caller.trusts.iter().any(|trust| trust.conditions.issuer == issuer);
    if !is_trusted {
        tracing::error!(issuer, caller = %caller.id, "the index of trusts names a caller that has no such trust");
    }
    is_trusted
}

async fn insert(connection: &mut Connection, vault: &Vault, caller: &Caller) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = authenticate(vault, caller)?;
    let sql = "INSERT INTO callers (id, name, version, doc, mac_key, mac) VALUES ($1, $2, $3, $4, $5, $6)";
    let values = [
        caller.id.as_str().into(),
        caller.name.as_str().into(),
        caller.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
    ];
    connection.execute(sql, &values).await.map(drop)
}

/// Replaces the row of a caller, whose version must be one more than the stored one.
async fn replace(connection: &mut Connection, vault: &Vault, caller: &Caller) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = authenticate(vault, caller)?;
    let sql = "UPDATE callers SET name = $1, version = $2, doc = $3, mac_key = $4, mac = $5
         WHERE id = $6 AND version = $7";
    let values = [
        caller.name.as_str().into(),
        caller.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        caller.id.as_str().into(),
        (caller.version - 1).into(),
    ];
    if connection.execute(sql, &values).await? == 0 {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    Ok(())
}

/// Brings the index of API keys in line with the caller's row.
async fn index_keys(connection: &mut Connection, caller: &Caller) -> Result<()> {
    let listed: BTreeSet<&str> = caller.keys.iter().map(|key| key.id.as_str()).collect();
    let sql = "SELECT key_id FROM api_keys WHERE caller_id = $1";
    let rows = connection.fetch_all(sql, &[caller.id.as_str().into()]).await?;
    for key in rows.iter().filter_map(|row| row.get::<String>("key_id")) {
        if !listed.contains(key.as_str()) {
            connection.execute("DELETE FROM api_keys WHERE key_id = $1", &[(&key).into()]).await?;
        }
    }
    let sql = "INSERT INTO api_keys (key_id, caller_id) VALUES ($1, $2)
         ON CONFLICT (key_id) DO UPDATE SET caller_id = excluded.caller_id";
    for key in listed {
        connection.execute(sql, &[key.into(), caller.id.as_str().into()]).await?;
    }
    Ok(())
}

/// Brings the index of trusted issuers in line with the caller's row.
async fn index_trusts(connection: &mut Connection, caller: &Caller) -> Result<()> {
    let id = caller.id.as_str();
    connection.execute("DELETE FROM caller_trusts WHERE caller_id = $1", &[id.into()]).await?;
    let issuers: BTreeSet<&str> =
        caller.trusts.iter().map(|trust| trust.conditions.issuer.as_str()).collect();
    for issuer in issuers {
        let sql = "INSERT INTO caller_trusts (issuer, caller_id) VALUES ($1, $2)";
        connection.execute(sql, &[issuer.into(), id.into()]).await?;
    }
    Ok(())
}
