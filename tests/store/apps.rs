//! Apps, their credentials, and the sequence of generations.

use std::collections::BTreeSet;

use box_token_broker::domain::app::{AppSecrets, AppState};
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::id::Generation;
use box_token_broker::store::{AppRef, Conflict, PageRequest, StoreError, credentials_aad};

use super::harness::Harness;
use super::sample_rows::{all, event, name, next};

pub(crate) async fn an_app_is_read_as_it_was_written(harness: &Harness) {
    let app = harness.shared_app("vendor").await;
    let (_, own) = harness.own_tenant("acme").await;
    let zebra = harness.shared_app("zebra").await;
    let refs =
        [AppRef::Id(app.id.clone()), AppRef::Name(name("vendor")), AppRef::ClientId(app.client_id.clone())];
    for by in &refs {
        assert_eq!(harness.store.app(by).await, Ok(Some(app.clone())));
    }
    assert_eq!(harness.store.shared_apps(&all()).await, Ok(vec![app.clone(), zebra.clone()]));
    let behind = PageRequest { after: Some(name("vendor")), limit: 1 };
    assert_eq!(harness.store.shared_apps(&behind).await, Ok(vec![zebra]));

    let sealed = harness.store.credentials(&app.id, app.generation).await.unwrap().unwrap();
    let opened = harness.vault.open(&credentials_aad(&app.id, app.generation), &sealed.sealed).await.unwrap();
    assert!(AppSecrets::from_document(&opened).is_ok());
    let before = Generation(app.generation.0 - 1);
    assert_eq!(harness.store.credentials(&app.id, before).await, Ok(None));
    // Until there are newer credentials, every later generation was minted with these.
    assert_eq!(harness.store.credentials(&app.id, own.generation).await, Ok(Some(sealed)));

    let later = next(&app, |app| app.state = AppState::Suspended);
    harness.store.update_app(&later, &event(AuditAction::AppUpdate)).await.unwrap();
    assert_eq!(harness.store.app(&refs[0]).await, Ok(Some(later.clone())));
    let stale = harness.store.update_app(&later, &event(AuditAction::AppUpdate)).await;
    assert_eq!(stale, Err(StoreError::Conflict(Conflict::Version)));
}

pub(crate) async fn an_app_in_use_cannot_be_deleted(harness: &Harness) {
    let app = harness.shared_app("vendor").await;
    let tenant = harness.tenant_of(&app, "acme").await;
    let delete = event(AuditAction::AppDelete);
    assert_eq!(
        harness.store.delete_app(&app.id, app.version, &delete).await,
        Err(StoreError::Conflict(Conflict::InUse))
    );
    harness.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    harness.store.delete_app(&app.id, app.version, &delete).await.unwrap();
    assert_eq!(harness.store.app(&AppRef::Id(app.id.clone())).await, Ok(None));
    assert_eq!(harness.store.credentials(&app.id, app.generation).await, Ok(None));
    assert_eq!(
        harness.store.delete_app(&app.id, app.version, &delete).await,
        Err(StoreError::Conflict(Conflict::Version))
    );
}

pub(crate) async fn no_generation_is_returned_twice(harness: &Harness) {
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = harness.store.clone();
            tokio::spawn(async move { store.next_generation().await.unwrap() })
        })
        .collect();
    let mut given = BTreeSet::new();
    for task in tasks {
        assert!(given.insert(task.await.unwrap()));
    }
    let (tenant, _) = harness.own_tenant("acme").await;
    assert!(Some(&tenant.generation) > given.last());
    // Not even after everything was erased.
    harness.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    let store = harness.reopened(&harness.keys).await;
    assert!(store.next_generation().await.unwrap() > tenant.generation);
    assert!(given.first() > Some(&Generation(0)));
}
