//! The store of minted tokens on SQL, which keeps them until they expire.
//!
//! The row of a token decides whether the token can be found again, so a MAC covers the whole row. A token can
//! always be revoked: the lists for that purpose require no MAC.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::authenticated_row::ok_or_log;
use super::connection::Connection;
use super::statement::{SqlRow, SqlValue};
use super::timeout::with_timeout;
use super::token_rows::{TokenColumns, select, verify};
use super::{SqlStore, app_rows, recipients, tenant_rows, token_rows};
use crate::crypto::{Vault, sha256};
use crate::domain::app::AppState;
use crate::domain::audit_event::{AuditAction, AuditEvent};
use crate::domain::id::{TenantId, TokenId};
use crate::domain::recipient::Recipient;
use crate::domain::tenant::TenantState;
use crate::domain::token_key::TokenKey;
use crate::store::{
    NewToken, Page, PageRequest, Result, SaveOutcome, StoreError, StoredToken, TokenCursor, TokenFilter,
    TokenRecipient, TokenSelector, TokenStore,
};

/// Selects a page of the live tokens, in the order of their expiry.
macro_rules! select_page {
    ($condition:literal) => {
        select!(
            "WHERE expires_at >= $1 AND (expires_at > $1 OR id > $2) ",
            $condition,
            " ORDER BY expires_at, id LIMIT $3"
        )
    };
}

#[async_trait]
impl TokenStore for SqlStore {
    async fn save_token(&self, token: &NewToken<'_>, event: &AuditEvent) -> Result<SaveOutcome> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            let decision = lock_and_compare(&mut transaction, &self.vault, token).await?;
            match decision {
                SaveDecision::Current => transaction.record(event).await?,
                SaveDecision::Fenced | SaveDecision::Purged => {
                    let discard = AuditEvent { action: AuditAction::TokenDiscard, ..event.clone() };
                    transaction.record(&discard).await?;
                }
            }
            // The credentials that could revoke a purged tenant's token are erased, and so is the token.
            if decision != SaveDecision::Purged {
                let columns = TokenColumns::of(token, decision == SaveDecision::Fenced);
                token_rows::insert(&mut transaction, &self.vault, &columns).await?;
            }
            transaction.commit().await?;
            Ok(if decision == SaveDecision::Current { SaveOutcome::Current } else { SaveOutcome::Fenced })
        })
        .await
    }

    async fn live_token(&self, key: &TokenKey, now: Timestamp) -> Result<Option<StoredToken>> {
        with_timeout(async {
            let sql = select!(
                "WHERE key_digest = $1 AND discarded = 0 AND expires_at > $2 ORDER BY expires_at DESC"
            );
            let digest = sha256(&key.encoding());
            let values = [digest.as_slice().into(), now.as_millisecond().into()];
            let rows = self.engine.reader().await?.fetch_all(sql, &values).await?;
            Ok(rows.iter().find_map(|row| ok_or_log(verify(&self.vault, row))))
        })
        .await
    }

    async fn live_token_by_fingerprint(
        &self,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Option<StoredToken>> {
        with_timeout(async {
            let sql = select!("WHERE fingerprint = $1 AND discarded = 0 AND expires_at > $2");
            let values = [fingerprint.into(), now.as_millisecond().into()];
            let rows = self.engine.reader().await?.fetch_all(sql, &values).await?;
            Ok(rows.iter().find_map(|row| ok_or_log(verify(&self.vault, row))))
        })
        .await
    }

    async fn live_tokens_of_tenant(
        &self,
        tenant: &TenantId,
        selector: &TokenSelector,
        now: Timestamp,
    ) -> Result<Vec<StoredToken>> {
        let (sql, value) = match selector {
            TokenSelector::All => {
                (select!("WHERE tenant_id = $1 AND expires_at > $2 ORDER BY expires_at"), None)
            }
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
        let rows = with_timeout(async { self.engine.reader().await?.fetch_all(sql, &values).await }).await?;
        Ok(rows.iter().filter_map(|row| TokenColumns::read(row)?.into_token()).collect())
    }

    async fn live_tokens(
        &self,
        filter: &TokenFilter,
        page: &PageRequest<TokenCursor>,
    ) -> Result<Page<StoredToken, TokenCursor>> {
        let (sql, value) = match filter {
            TokenFilter::All => (select_page!(""), None),
            TokenFilter::Tenant(tenant) => (select_page!("AND tenant_id = $4"), Some(tenant.as_str())),
            TokenFilter::App(app) => (select_page!("AND app_id = $4"), Some(app.as_str())),
            TokenFilter::Discarded => (select_page!("AND discarded <> 0"), None),
        };
        let (expires_at, id) =
            page.after.as_ref().map_or((i64::MIN, ""), |after| (after.expires_at, after.id.as_str()));
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        let mut values = vec![expires_at.into(), id.into(), limit.into()];
        values.extend(value.map(SqlValue::from));
        let rows = with_timeout(async { self.engine.reader().await?.fetch_all(sql, &values).await }).await?;
        let next = rows.last().filter(|_| rows.len() == page.limit).and_then(cursor);
        let items: Vec<_> = rows.iter().filter_map(|row| TokenColumns::read(row)?.into_token()).collect();
        Ok(Page { refused: rows.len() - items.len(), items, next })
    }

    /// The rows are authenticated again, so that the mark cannot be removed from outside.
    async fn discard_tokens(&self, tokens: &[TokenId]) -> Result<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        with_timeout(async {
            let mut connection = self.engine.begin().await?;
            // Always in the same order, so that two transactions cannot deadlock.
            for token in tokens.iter().map(TokenId::as_str).collect::<BTreeSet<_>>() {
                token_rows::discard(&mut connection, &self.vault, token).await?;
            }
            connection.commit().await
        })
        .await
    }

    async fn delete_tokens(&self, tokens: &[TokenId]) -> Result<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        with_timeout(async {
            let mut connection = self.engine.begin().await?;
            for token in tokens {
                connection.execute("DELETE FROM tokens WHERE id = $1", &[token.as_str().into()]).await?;
            }
            connection.commit().await
        })
        .await
    }

    async fn save_recipients(&self, recipients: &[TokenRecipient]) -> Result<()> {
        with_timeout(async {
            let mut connection = self.engine.begin().await?;
            for recipient in recipients {
                recipients::insert(&mut connection, &self.vault, recipient).await?;
            }
            connection.commit().await
        })
        .await
    }

    async fn recipients(&self, token: &TokenId) -> Result<Vec<Recipient>> {
        with_timeout(async {
            recipients::of_token(&mut self.engine.reader().await?, &self.vault, token).await
        })
        .await
    }
}

/// The decision how to save a minted token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SaveDecision {
    Current,
    Fenced,
    Purged,
}

/// Locks tenant and app until the transaction ends and compares the token with them.
async fn lock_and_compare(
    connection: &mut Connection,
    vault: &Vault,
    token: &NewToken<'_>,
) -> Result<SaveDecision> {
    // A row that fails verification permits nothing; the token must be saved all the same, to be revoked.
    let tenant = match unless_refused(tenant_rows::lock(connection, vault, &token.key.tenant).await)? {
        LockedRow::Valid(tenant) => tenant,
        LockedRow::Refused => return Ok(SaveDecision::Fenced),
        LockedRow::Missing => return Ok(SaveDecision::Purged),
    };
    let app = match unless_refused(app_rows::lock(connection, vault, token.app).await)? {
        LockedRow::Valid(app) => app,
        LockedRow::Refused | LockedRow::Missing => return Ok(SaveDecision::Fenced),
    };
    let is_current = !token.discarded
        && tenant.state == TenantState::Active
        && app.state == AppState::Active
        && tenant.app == app.id
        && app.may_serve(&tenant.id)
        && tenant.effective_generation(&app) == token.key.generation;
    Ok(if is_current { SaveDecision::Current } else { SaveDecision::Fenced })
}

enum LockedRow<T> {
    Valid(T),
    Refused,
    Missing,
}

fn unless_refused<T>(row: Result<Option<T>>) -> Result<LockedRow<T>> {
    match row {
        Ok(Some(row)) => Ok(LockedRow::Valid(row)),
        Ok(None) => Ok(LockedRow::Missing),
        Err(error @ (StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })) => {
            tracing::error!(%error, "a token is discarded because of a row that is refused");
            Ok(LockedRow::Refused)
        }
        Err(error) => Err(error),
    }
}

/// Returns the position of a row, which may be one that cannot be read.
fn cursor(row: &SqlRow) -> Option<TokenCursor> {
    Some(TokenCursor { expires_at: row.get("expires_at")?, id: row.get("id")? })
}
