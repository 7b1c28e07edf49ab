//! Tenants.

use box_token_broker::domain::app::AppOwner;
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::id::{ClientId, Generation};
use box_token_broker::domain::tenant::TenantState;
use box_token_broker::store::{
    AppRef, Conflict, NewApp, PageRequest, StoreError, TenantFilter, TenantRef, TokenSelector,
};

use super::harness::Harness;
use super::sample_rows::{self, all, at, event, name, next, token_key};

fn collides<T: std::fmt::Debug>(done: Result<T, StoreError>, with: Conflict) {
    assert_eq!(done.unwrap_err(), StoreError::Conflict(with));
}

pub(crate) async fn a_tenant_is_read_as_it_was_written(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    for by in [TenantRef::Id(tenant.id.clone()), TenantRef::Name(tenant.name.clone())] {
        assert_eq!(harness.store.tenant(&by).await, Ok(Some(tenant.clone())));
    }
    for by in [AppRef::Id(app.id.clone()), AppRef::ClientId(app.client_id.clone())] {
        assert_eq!(harness.store.app(&by).await, Ok(Some(app.clone())));
    }
    let later = next(&tenant, |tenant| {
        tenant.state = TenantState::Deleted;
        tenant.purge_at = Some(at(3600));
        tenant.service_account = None;
        tenant.policy.full_tokens = false;
    });
    harness.store.update_tenant(&later, &event(AuditAction::TenantDelete)).await.unwrap();
    assert_eq!(harness.store.tenant(&TenantRef::Id(tenant.id.clone())).await, Ok(Some(later.clone())));
    assert_eq!(harness.store.deleted_tenants().await, Ok(vec![later]));
    assert_eq!(harness.store.tenant(&TenantRef::Name(name("nobody"))).await, Ok(None));
    assert_eq!(harness.actions().await, ["tenant.create", "tenant.delete"]);
}

pub(crate) async fn tenants_are_listed_by_name_page_by_page(harness: &Harness) {
    let app = harness.shared_app("vendor").await;
    // In the order of bytes, not of a language.
    let names = ["a", "a-b", "a0", "aa", "b", "z-1", "z1", "zz"];
    for text in names.iter().rev() {
        harness.tenant_of(&app, text).await;
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = PageRequest { after: after.clone(), limit: 3 };
        let tenants = harness.store.tenants(&TenantFilter::default(), &page).await.unwrap();
        assert!(tenants.len() <= 3);
        let Some(last) = tenants.last() else { break };
        after = Some(last.name.clone());
        seen.extend(tenants.iter().map(|tenant| tenant.name.as_str().to_owned()));
    }
    assert_eq!(seen, names);
    let none = PageRequest { after: None, limit: 0 };
    assert_eq!(harness.store.tenants(&TenantFilter::default(), &none).await, Ok(vec![]));
}

pub(crate) async fn tenants_are_filtered_by_labels_and_state(harness: &Harness) {
    let app = harness.shared_app("vendor").await;
    for (text, team, state) in [
        ("a", "blue", TenantState::Active),
        ("b", "red", TenantState::Active),
        ("c", "blue", TenantState::Suspended),
        ("d", "blue", TenantState::Active),
    ] {
        let tenant = harness.tenant_of(&app, text).await;
        let tenant = next(&tenant, |tenant| {
            tenant.labels = [("team".to_owned(), team.to_owned()), ("env".to_owned(), "x".to_owned())].into();
            tenant.state = state;
        });
        harness.store.update_tenant(&tenant, &event(AuditAction::TenantUpdate)).await.unwrap();
    }
    let labels = [("team".to_owned(), "blue".to_owned()), ("env".to_owned(), "x".to_owned())];
    let blue = TenantFilter { labels: labels.into(), state: None };
    let names = async |filter: &TenantFilter, page: PageRequest| {
        let tenants = harness.store.tenants(filter, &page).await.unwrap();
        tenants.iter().map(|tenant| tenant.name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&blue, all()).await, ["a", "c", "d"]);
    // A page is filled although some rows in between are left out.
    assert_eq!(names(&blue, PageRequest { after: Some(name("a")), limit: 2 }).await, ["c", "d"]);
    let active = TenantFilter { state: Some(TenantState::Active), ..blue };
    assert_eq!(names(&active, all()).await, ["a", "d"]);
}

pub(crate) async fn each_conflict_names_what_is_taken(harness: &Harness) {
    let app = harness.shared_app("vendor").await;
    let (tenant, own) = harness.own_tenant("acme").await;
    let other = harness.tenant_of(&app, "other").await;
    let create = event(AuditAction::TenantCreate);
    let before = harness.actions().await;

    let same_name = sample_rows::tenant("acme", &app.id, Generation(90));
    collides(harness.store.insert_tenant(&same_name, None, &create).await, Conflict::Name);
    let mut same_enterprise = sample_rows::tenant("third", &app.id, Generation(90));
    same_enterprise.enterprise_id = other.enterprise_id.clone();
    collides(harness.store.insert_tenant(&same_enterprise, None, &create).await, Conflict::EnterpriseHeld);

    let mut second = sample_rows::app(AppOwner::Shared { name: name("second") }, Generation(91));
    second.client_id = own.client_id.clone();
    let sealed = harness.sealed(&second).await;
    let new = NewApp { app: &second, sealed: &sealed };
    collides(harness.store.insert_app(new, &create).await, Conflict::ClientIdHeld);
    second.client_id = ClientId::parse("free").unwrap();
    second.owner = AppOwner::Shared { name: name("vendor") };
    collides(
        harness.store.insert_app(NewApp { app: &second, sealed: &sealed }, &create).await,
        Conflict::Name,
    );

    // The same file registered twice at once: the conflict of the name explains the second failure.
    let mut again = sample_rows::tenant("acme", &own.id, Generation(92));
    let mut again_app = sample_rows::app(AppOwner::Tenant { id: again.id.clone() }, Generation(92));
    again.app = again_app.id.clone();
    again_app.client_id = own.client_id.clone();
    let sealed = harness.sealed(&again_app).await;
    let new = NewApp { app: &again_app, sealed: &sealed };
    collides(harness.store.insert_tenant(&again, Some(new), &create).await, Conflict::Name);
    again.name = name("again");
    collides(harness.store.insert_tenant(&again, Some(new), &create).await, Conflict::ClientIdHeld);

    let renamed = next(&tenant, |tenant| tenant.name = name("other"));
    collides(harness.store.update_tenant(&renamed, &create).await, Conflict::Name);
    let gone = sample_rows::tenant(
        "gone",
        &sample_rows::app(AppOwner::Shared { name: name("q") }, Generation(1)).id,
        Generation(1),
    );
    collides(harness.store.insert_tenant(&gone, None, &create).await, Conflict::Version);
    // The refused changes altered nothing and recorded nothing.
    assert_eq!(harness.actions().await, before);
    assert_eq!(harness.store.tenants(&TenantFilter::default(), &all()).await, Ok(vec![tenant, other]));
}

pub(crate) async fn one_of_two_tenant_updates_of_the_same_version_fails(harness: &Harness) {
    let (tenant, _) = harness.own_tenant("acme").await;
    let change = event(AuditAction::TenantUpdate);
    let changes = (0..8).map(|number| {
        let tenant = next(&tenant, |tenant| tenant.display_name = format!("{number}"));
        let (store, change) = (harness.store.clone(), change.clone());
        tokio::spawn(async move { (store.update_tenant(&tenant, &change).await, tenant) })
    });
    let mut winners = Vec::new();
    for change in changes.collect::<Vec<_>>() {
        match change.await.unwrap() {
            (Ok(()), tenant) => winners.push(tenant),
            (done, _) => collides(done, Conflict::Version),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(harness.store.tenant(&TenantRef::Id(tenant.id.clone())).await, Ok(winners.pop()));
    let skipped = next(&next(&tenant, |_| ()), |_| ());
    collides(harness.store.update_tenant(&next(&skipped, |_| ()), &change).await, Conflict::Version);
}

pub(crate) async fn purging_a_tenant_of_a_shared_app_keeps_the_app(harness: &Harness) {
    let app = harness.shared_app("vendor").await;
    let (first, second) = (harness.tenant_of(&app, "first").await, harness.tenant_of(&app, "second").await);
    assert_eq!(harness.store.count_tenants_of_app(&app.id).await, Ok(2));
    let deleted = next(&first, |tenant| tenant.state = TenantState::Deleted);
    harness.store.update_tenant(&deleted, &event(AuditAction::TenantDelete)).await.unwrap();
    assert_eq!(harness.store.count_tenants_of_app(&app.id).await, Ok(2));
    for (tenant, left) in [(&first, 1), (&second, 0)] {
        harness.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
        assert_eq!(harness.store.count_tenants_of_app(&app.id).await, Ok(left));
    }
    assert_eq!(harness.store.app(&AppRef::Id(app.id.clone())).await, Ok(Some(app.clone())));
    assert!(harness.store.credentials(&app.id, app.generation).await.unwrap().is_some());
}

pub(crate) async fn purging_a_tenant_erases_its_tokens_app_and_credentials(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let (other, _) = harness.own_tenant("other").await;
    harness.save(&token_key(&tenant, tenant.generation), &app, 60, false).await;
    harness.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    assert_eq!(harness.store.tenant(&TenantRef::Id(tenant.id.clone())).await, Ok(None));
    assert_eq!(harness.store.app(&AppRef::ClientId(app.client_id.clone())).await, Ok(None));
    assert_eq!(harness.store.credentials(&app.id, app.generation).await, Ok(None));
    assert_eq!(harness.store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, at(0)).await, Ok(vec![]));
    assert_eq!(harness.store.tenants(&TenantFilter::default(), &all()).await, Ok(vec![other]));
    collides(
        harness.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await,
        Conflict::Version,
    );
    // The name and the client ID are free again.
    let (mut again, mut again_app) = (tenant.clone(), app.clone());
    again.id = sample_rows::tenant("x", &app.id, app.generation).id;
    again_app.id = sample_rows::app(app.owner.clone(), app.generation).id;
    again_app.owner = AppOwner::Tenant { id: again.id.clone() };
    again.app = again_app.id.clone();
    let sealed = harness.sealed(&again_app).await;
    let new = NewApp { app: &again_app, sealed: &sealed };
    harness.store.insert_tenant(&again, Some(new), &event(AuditAction::TenantCreate)).await.unwrap();
}

pub(crate) async fn invariant_13_an_own_app_serves_no_second_tenant(harness: &Harness) {
    let (_, own) = harness.own_tenant("acme").await;
    let second = sample_rows::tenant("second", &own.id, Generation(90));
    let done = harness.store.insert_tenant(&second, None, &event(AuditAction::TenantCreate)).await;
    collides(done, Conflict::ClientIdHeld);
    assert_eq!(harness.store.count_tenants_of_app(&own.id).await, Ok(1));
}
