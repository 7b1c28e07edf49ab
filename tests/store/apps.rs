//! Apps, their credentials, and the sequence of generations.

use std::collections::BTreeSet;

use box_token_broker::domain::app::{AppSecrets, AppState};
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::id::Generation;
use box_token_broker::store::{AppRef, Conflict, PageRequest, StoreError, credentials_aad};

use super::ground::Ground;
use super::sample::{all, event, name, next};

pub(crate) async fn an_app_comes_back_as_it_was_written(ground: &Ground) {
    let app = ground.shared_app("vendor").await;
    let (_, own) = ground.own_tenant("acme").await;
    let zebra = ground.shared_app("zebra").await;
    let refs =
        [AppRef::Id(app.id.clone()), AppRef::Name(name("vendor")), AppRef::ClientId(app.client_id.clone())];
    for by in &refs {
        assert_eq!(ground.store.app(by).await, Ok(Some(app.clone())));
    }
    assert_eq!(ground.store.shared_apps(&all()).await, Ok(vec![app.clone(), zebra.clone()]));
    let behind = PageRequest { after: Some(name("vendor")), limit: 1 };
    assert_eq!(ground.store.shared_apps(&behind).await, Ok(vec![zebra]));

    let sealed = ground.store.credentials(&app.id, app.generation).await.unwrap().unwrap();
    let opened = ground.vault.open(&credentials_aad(&app.id, app.generation), &sealed.sealed).await.unwrap();
    assert!(AppSecrets::from_document(&opened).is_ok());
    let before = Generation(app.generation.0 - 1);
    assert_eq!(ground.store.credentials(&app.id, before).await, Ok(None));
    // Until there are others, these are what every later generation was minted with.
    assert_eq!(ground.store.credentials(&app.id, own.generation).await, Ok(Some(sealed)));

    let later = next(&app, |app| app.state = AppState::Suspended);
    ground.store.update_app(&later, &event(AuditAction::AppUpdate)).await.unwrap();
    assert_eq!(ground.store.app(&refs[0]).await, Ok(Some(later.clone())));
    let stale = ground.store.update_app(&later, &event(AuditAction::AppUpdate)).await;
    assert_eq!(stale, Err(StoreError::Conflict(Conflict::Version)));
}

pub(crate) async fn an_app_in_use_stays(ground: &Ground) {
    let app = ground.shared_app("vendor").await;
    let tenant = ground.tenant_of(&app, "acme").await;
    let delete = event(AuditAction::AppDelete);
    assert_eq!(
        ground.store.delete_app(&app.id, app.version, &delete).await,
        Err(StoreError::Conflict(Conflict::InUse))
    );
    ground.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    ground.store.delete_app(&app.id, app.version, &delete).await.unwrap();
    assert_eq!(ground.store.app(&AppRef::Id(app.id.clone())).await, Ok(None));
    assert_eq!(ground.store.credentials(&app.id, app.generation).await, Ok(None));
    assert_eq!(
        ground.store.delete_app(&app.id, app.version, &delete).await,
        Err(StoreError::Conflict(Conflict::Version))
    );
}

pub(crate) async fn no_generation_is_given_twice(ground: &Ground) {
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = ground.store.clone();
            tokio::spawn(async move { store.next_generation().await.unwrap() })
        })
        .collect();
    let mut given = BTreeSet::new();
    for task in tasks {
        assert!(given.insert(task.await.unwrap()));
    }
    let (tenant, _) = ground.own_tenant("acme").await;
    assert!(Some(&tenant.generation) > given.last());
    // Not even once everything is gone.
    ground.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    let store = ground.reopened(&ground.keys).await;
    assert!(store.next_generation().await.unwrap() > tenant.generation);
    assert!(given.first() > Some(&Generation(0)));
}
