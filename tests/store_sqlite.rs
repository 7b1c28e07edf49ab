//! The store on SQLite: the conformance suite, and tests that concern the file only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "the suite serves the other engine too")]
mod store;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use box_token_broker::config::DatabaseUrl;
use box_token_broker::crypto::KeySet;
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::store::{
    MigrationReport, OpenError, OpenMode, TenantRef, TokenSelector, migrate, open,
};
use store::harness::{Harness, vault};
use store::sample_rows::{event, token_key};

store::conformance!(Harness::sqlite);

fn any_vault() -> Arc<box_token_broker::crypto::Vault> {
    vault(&KeySet::generate(&SystemEntropy))
}

#[tokio::test]
async fn the_files_are_accessible_to_their_owner_alone() {
    let harness = Harness::sqlite().await;
    harness.own_tenant("acme").await;
    for ending in ["", "-wal", "-shm", ".lock"] {
        let mut path = harness.path().into_os_string();
        path.push(ending);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
    harness.end().await;
}

#[tokio::test]
async fn only_one_serve_runs_at_a_time_with_commands_beside_it() {
    let harness = Harness::sqlite().await;
    let second = open(&harness.url, any_vault(), OpenMode::Exclusive).await.unwrap_err();
    assert_eq!(second, OpenError::AnotherServe { database: harness.path().display().to_string() });
    assert!(second.to_string().contains("another `serve`"));
    assert!(matches!(migrate(&harness.url).await, Err(OpenError::AnotherServe { .. })));

    let beside = harness.reopened(&harness.keys).await;
    let (tenant, _) = harness.own_tenant("acme").await;
    let by = TenantRef::Id(tenant.id.clone());
    assert_eq!(beside.tenant(&by).await, Ok(Some(tenant.clone())));
    beside.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    assert_eq!(harness.store.tenant(&by).await, Ok(None));

    let Harness { store, url, .. } = harness;
    drop(store);
    // The folder and the file were removed with the harness: a new file is created.
    std::fs::create_dir_all(match &url {
        DatabaseUrl::Sqlite(path) => path.parent().unwrap(),
        DatabaseUrl::Postgres(_) => unreachable!(),
    })
    .unwrap();
    assert!(open(&url, any_vault(), OpenMode::Exclusive).await.is_ok());
}

#[tokio::test]
async fn the_lock_is_released_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("broker.db"));
    for _ in 0..3 {
        let store = open(&url, any_vault(), OpenMode::Exclusive).await.unwrap();
        store.ping().await.unwrap();
    }
}

#[tokio::test]
async fn purging_a_tenant_leaves_no_sealed_byte_in_the_files() {
    let harness = Harness::sqlite().await;
    let (kept, kept_app) = harness.own_tenant("kept").await;
    let (tenant, app) = harness.own_tenant("acme").await;
    harness.save(&token_key(&kept, kept.generation), &kept_app, 60, false).await;
    harness.save(&token_key(&tenant, tenant.generation), &app, 60, false).await;
    let sealed = async |app: &box_token_broker::domain::app::App,
                        tenant: &box_token_broker::domain::id::TenantId| {
        let token = harness
            .store
            .live_tokens_of_tenant(tenant, &TokenSelector::All, store::sample_rows::at(0))
            .await
            .unwrap()
            .remove(0);
        [harness.store.credentials(&app.id, app.generation).await.unwrap().unwrap().sealed, token.sealed]
    };
    let erased = sealed(&app, &tenant.id).await;
    let staying = sealed(&kept_app, &kept.id).await;
    let found = |blobs: &[Vec<u8>; 2]| {
        let files: Vec<Vec<u8>> = ["", "-wal"]
            .iter()
            .map(|ending| {
                let mut path = harness.path().into_os_string();
                path.push(ending);
                std::fs::read(path).unwrap()
            })
            .collect();
        // Long blobs are split over pages: look for pieces of them, behind the name of the key that
        // all have in front.
        blobs
            .iter()
            .flat_map(|blob| blob[32..].chunks_exact(16))
            .any(|piece| files.iter().any(|file| file.windows(piece.len()).any(|window| window == piece)))
    };
    assert!(found(&erased));
    harness.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    assert!(!found(&erased));
    assert!(found(&staying), "the searcher finds what is there");
    harness.end().await;
}

#[tokio::test]
async fn a_schema_is_migrated_once_and_a_foreign_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("broker.db"));
    assert_eq!(migrate(&url).await, Ok(MigrationReport { from: 0, to: 6 }));
    assert_eq!(migrate(&url).await, Ok(MigrationReport { from: 6, to: 6 }));
    let harness = Harness::sqlite().await;
    let Harness { store, database, url, .. } = &harness;
    let hand = &database.hand;
    store.ping().await.unwrap();
    hand.does("INSERT INTO schema_versions (version, checksum) VALUES (7, 'x')").await;
    let newer = open(url, any_vault(), OpenMode::Shared).await.unwrap_err();
    assert!(matches!(newer, OpenError::NewerSchema { found: 7, known: 6, .. }), "{newer}");
    hand.does("UPDATE schema_versions SET checksum = 'x'").await;
    let foreign = open(url, any_vault(), OpenMode::Shared).await.unwrap_err();
    assert!(matches!(foreign, OpenError::ForeignSchema { version: 1, .. }), "{foreign}");
    harness.end().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_created_is_reported() {
    let url = DatabaseUrl::Sqlite("/nonexistent/folder/broker.db".into());
    let error = open(&url, any_vault(), OpenMode::Shared).await.unwrap_err();
    assert!(matches!(error, OpenError::File { .. }));
    assert!(error.to_string().starts_with("/nonexistent/folder/broker.db: "), "{error}");
    let folder = tempfile::tempdir().unwrap();
    for how in [OpenMode::Shared, OpenMode::Exclusive] {
        let error = open(&DatabaseUrl::Sqlite(folder.path().into()), any_vault(), how).await.unwrap_err();
        assert_eq!(error, OpenError::Folder { path: folder.path().into() });
    }
    let path = folder.path().join("broker.db");
    std::fs::write(&path, "no database at all, but long enough to have a header, as it seems to it ....")
        .unwrap();
    let error = open(&DatabaseUrl::Sqlite(path), any_vault(), OpenMode::Exclusive).await.unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error}");
}

#[tokio::test]
async fn several_processes_can_create_the_schema_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("broker.db"));
    let opened = futures::future::join_all((0..4).map(|_| open(&url, any_vault(), OpenMode::Shared))).await;
    for store in opened {
        store.unwrap().ping().await.unwrap();
    }
}
