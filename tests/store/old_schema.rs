//! The migration of a database that an older program wrote.
//!
//! The rows of version 1 are those of today but for what came later (`apps.pending`, keypairs): their
//! documents and MACs are made in the same way. So they are written here by today's store, and copied
//! into a schema that only the first migration made.

use box_token_broker::config::DatabaseUrl;
use box_token_broker::crypto::sha256_hex;
use box_token_broker::domain::app::{AppOwner, AppSecrets, AppState};
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::id::Generation;
use box_token_broker::store::{
    self, AppRef, CallerRef, Conflict, MigrationReport, NewApp, OpenMode, SaveOutcome, StoreError, TenantRef,
    TokenSelector, credentials_aad, token_aad,
};

use super::database::Database;
use super::harness::{Hand, Harness};
use super::sample_rows::{self, all, at, event, name, next, token_key};

/// The tables of version 1; referenced tables come first.
const TABLES: [&str; 8] =
    ["apps", "credentials", "tenants", "callers", "api_keys", "tokens", "generations", "changes"];

/// Creates an empty database of the same engine at version 1.
async fn version_1(like: &DatabaseUrl) -> Database {
    let (database, script) = match like {
        DatabaseUrl::Sqlite(_) => {
            let database = Database::sqlite().await;
            let tables = "SELECT 'DROP TABLE ' || name FROM sqlite_schema
                 WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
            for drop in database.hand.reads(tables).await {
                database.hand.does(&drop).await;
            }
            (database, include_str!("../../migrations/sqlite/0001_foundation.sql"))
        }
        DatabaseUrl::Postgres(_) => {
            let database = Database::postgres().await;
            database.hand.does("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
            (database, include_str!("../../migrations/postgres/0001_foundation.sql"))
        }
    };
    let hand = &database.hand;
    hand.does(script).await;
    hand.does("CREATE TABLE schema_versions (version BIGINT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL)")
        .await;
    let checksum = sha256_hex(script.as_bytes());
    hand.does(&format!("INSERT INTO schema_versions (version, checksum) VALUES (1, '{checksum}')")).await;
    database
}

/// Copies all rows, limited to the columns that the other database has.
async fn copy(from: &Hand, to: &Hand) {
    let (literal, overriding) = match to {
        Hand::Sqlite(_) => ("quote", ""),
        Hand::Postgres(_) => ("quote_nullable", "OVERRIDING SYSTEM VALUE "),
    };
    for table in TABLES {
        let columns: Vec<String> = to.columns(table).await.into_iter().map(|(column, _)| column).collect();
        let values: Vec<String> = columns.iter().map(|column| format!("{literal}({column})")).collect();
        let rows = format!(
            "SELECT 'INSERT INTO {table} ({}) {overriding}VALUES (' || {} || ')' FROM {table}",
            columns.join(", "),
            values.join(" || ', ' || "),
        );
        for insert in from.reads(&rows).await {
            to.does(&insert).await;
        }
    }
    if let Hand::Postgres(_) = to {
        for (table, number) in [("events", "seq"), ("changes", "number")] {
            let sequence = format!("pg_get_serial_sequence('{table}', '{number}')");
            to.does(&format!("SELECT setval({sequence}, MAX({number})) FROM {table}")).await;
        }
    }
}

pub(crate) async fn a_database_of_version_1_is_migrated_and_stays_usable(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let vendor = harness.shared_app("vendor").await;
    let served = harness.tenant_of(&vendor, "served").await;
    let caller = harness.caller("portal").await;
    let key = token_key(&tenant, tenant.generation);
    let (token, _) = harness.save(&key, &app, 60, false).await;
    harness.save(&key, &app, 120, true).await;

    let database = version_1(&harness.url).await;
    copy(&harness.database.hand, &database.hand).await;
    let url = database.url.clone();
    assert_eq!(store::migrate(&url).await, Ok(MigrationReport { from: 1, to: 6 }));
    let (keys, vault) = (harness.keys.clone(), harness.vault.clone());
    let store = store::open(&url, vault.clone(), OpenMode::Exclusive).await.unwrap();
    let migrated = Harness { url, keys, vault, store, database };
    let store = &migrated.store;

    // Every row passes verification.
    for tenant in [&tenant, &served] {
        assert_eq!(store.tenant(&TenantRef::Id(tenant.id.clone())).await, Ok(Some(tenant.clone())));
    }
    for app in [&app, &vendor] {
        assert_eq!(store.app(&AppRef::ClientId(app.client_id.clone())).await, Ok(Some(app.clone())));
        let kept = store.credentials(&app.id, app.generation).await.unwrap().unwrap();
        assert_eq!(kept.generation, app.generation);
        let place = credentials_aad(&app.id, kept.generation);
        let opened = migrated.vault.open(&place, &kept.sealed).await.unwrap();
        assert_eq!(AppSecrets::from_document(&opened).unwrap().client_id, app.client_id);
        assert_eq!(store.keypairs_of_app(&app.id).await, Ok(vec![]));
    }
    let by_key = CallerRef::Key(caller.keys[0].id.clone());
    assert_eq!(store.caller(&by_key).await, Ok(Some(caller)));
    assert_eq!(store.pending_tenants().await, Ok(vec![]));
    assert_eq!(store.changes_since(0).await, harness.store.changes_since(0).await);
    // The old events were in no chain: the audit starts again.
    assert_eq!(migrated.actions().await, Vec::<String>::new());

    // Tokens are alive; discarded ones are only listed for revocation.
    let live = store.live_token(&key, at(0)).await.unwrap().unwrap();
    assert_eq!(live.id, token);
    assert!(migrated.vault.open(&token_aad(&live.id), &live.sealed).await.is_ok());
    assert_eq!(store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, at(0)).await.unwrap().len(), 2);

    // The database works like one that was never older.
    assert_eq!(migrated.save(&key, &app, 180, false).await.1, SaveOutcome::Current);
    assert!(store.next_generation().await.unwrap() > served.generation);
    let later = next(&vendor, |app| app.state = AppState::Suspended);
    store.update_app(&later, &event(AuditAction::AppUpdate)).await.unwrap();
    assert_eq!(store.shared_apps(&all()).await, Ok(vec![later]));
    // Active tenants hold client ID and enterprise as before.
    let mut second = sample_rows::app(AppOwner::Shared { name: name("second") }, Generation(900));
    second.client_id = app.client_id.clone();
    let sealed = migrated.sealed(&second).await;
    let taken =
        store.insert_app(NewApp { app: &second, sealed: &sealed }, &event(AuditAction::AppCreate)).await;
    assert_eq!(taken, Err(StoreError::Conflict(Conflict::ClientIdHeld)));
    let mut rival = sample_rows::tenant("rival", &vendor.id, Generation(901));
    rival.enterprise_id = served.enterprise_id.clone();
    let taken = store.insert_tenant(&rival, None, &event(AuditAction::TenantCreate)).await;
    assert_eq!(taken, Err(StoreError::Conflict(Conflict::EnterpriseHeld)));
    migrated.end().await;
}
