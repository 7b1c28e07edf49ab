//! Browser sessions.

use box_token_broker::domain::app::App;
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::caller::Caller;
use box_token_broker::domain::id::{BoxId, SessionId};
use box_token_broker::domain::on_behalf_of::OnBehalfOf;
use box_token_broker::domain::origin::Origin;
use box_token_broker::domain::resource::{Resource, ResourceType};
use box_token_broker::domain::scope::ScopePreset;
use box_token_broker::domain::session::{BrowserSession, SessionCredential, SessionOwner};
use box_token_broker::domain::subject::Subject;
use box_token_broker::domain::tenant::Tenant;
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::store::{
    ChangedEntity, Conflict, NewBrowserSession, PageRequest, SessionFilter, SessionSelector, StoreError,
    TenantRef,
};

use super::harness::{Hand, Harness};
use super::sample_rows::{at, event, next};

/// A tenant, its app, and the caller that opens its sessions.
struct Scene {
    tenant: Tenant,
    app: App,
    caller: Caller,
}

impl Scene {
    async fn new(harness: &Harness, name: &str) -> Self {
        let (tenant, app) = harness.own_tenant(name).await;
        Self { tenant, app, caller: harness.caller(&format!("{name}-portal")).await }
    }

    fn session(&self, age: i64, who: Option<&str>) -> BrowserSession {
        BrowserSession {
            id: SessionId::generate(&SystemEntropy),
            tenant: self.tenant.id.clone(),
            subject: Subject::ENTERPRISE,
            resources: vec![Resource { kind: ResourceType::Folder, id: BoxId::parse("7").unwrap() }],
            read: ScopePreset::Explorer.scopes(),
            write: Some(ScopePreset::Uploader.scopes()),
            origins: vec![Origin::parse("https://app.example.com").unwrap()],
            owner: SessionOwner {
                caller: self.caller.id.clone(),
                credential: SessionCredential::Key(self.caller.keys[0].id.clone()),
            },
            on_behalf_of: who.map(|who| OnBehalfOf::parse(who).unwrap()),
            min_ttl: Some(60),
            created_at: at(age),
            expires_at: at(age + 3600),
            cancelled_at: None,
            version: 1,
        }
    }

    async fn opened(&self, harness: &Harness, age: i64, who: Option<&str>) -> BrowserSession {
        let session = self.session(age, who);
        self.open(harness, &session).await.unwrap();
        session
    }

    async fn open(&self, harness: &Harness, session: &BrowserSession) -> Result<(), StoreError> {
        let Self { tenant, app, caller } = self;
        let new = NewBrowserSession { session, tenant, app, caller };
        harness.store.insert_browser_session(&new, &event(AuditAction::SessionCreate)).await
    }
}

fn filter(of: SessionSelector) -> SessionFilter {
    SessionFilter { selector: of, on_behalf_of: None, expires_after: at(0) }
}

async fn listed(harness: &Harness, filter: &SessionFilter) -> Vec<BrowserSession> {
    harness.store.browser_sessions(filter, &PageRequest { after: None, limit: 100 }).await.unwrap().items
}

pub(crate) async fn a_session_is_read_as_it_was_written(harness: &Harness) {
    let scene = Scene::new(harness, "acme").await;
    let session = scene.opened(harness, 0, Some("ada \u{1F4E6}")).await;
    assert_eq!(harness.store.browser_session(&session.id).await, Ok(Some(session)));
    let absent = SessionId::generate(&SystemEntropy);
    assert_eq!(harness.store.browser_session(&absent).await, Ok(None));
}

pub(crate) async fn sessions_are_listed_by_owner_and_age(harness: &Harness) {
    let (acme, globex) = (Scene::new(harness, "acme").await, Scene::new(harness, "globex").await);
    let mut all = Vec::new();
    for age in [5, 1, 3, 3, 2] {
        all.push(acme.opened(harness, age, (age == 3).then_some("ada")).await);
    }
    let others = globex.opened(harness, 4, None).await;
    all.sort_by_key(|session| (session.created_at, session.id.clone()));
    let of_acme = filter(SessionSelector::Tenant(acme.tenant.id.clone()));
    assert_eq!(listed(harness, &of_acme).await, all);
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let page = harness.store.browser_sessions(&of_acme, &PageRequest { after, limit: 2 }).await.unwrap();
        walked.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(walked, all);
    let hers = SessionFilter { on_behalf_of: OnBehalfOf::parse("ada").ok(), ..of_acme.clone() };
    assert_eq!(listed(harness, &hers).await.len(), 2);
    assert_eq!(listed(harness, &SessionFilter { expires_after: at(3603), ..of_acme }).await, all[4..]);
    assert_eq!(
        listed(harness, &filter(SessionSelector::App(globex.app.id.clone()))).await,
        std::slice::from_ref(&others)
    );
    assert_eq!(listed(harness, &filter(SessionSelector::Caller(globex.caller.id.clone()))).await, [others]);
    assert_eq!(listed(harness, &filter(SessionSelector::Caller(acme.caller.id))).await, all);
}

pub(crate) async fn a_session_is_cancelled_and_reported_as_changed_once(harness: &Harness) {
    let scene = Scene::new(harness, "acme").await;
    let (one, other) = (scene.opened(harness, 0, None).await, scene.opened(harness, 0, None).await);
    let before = harness.store.last_change_number().await.unwrap();
    let cancel = event(AuditAction::SessionCancel);
    let ids = [one.id.clone(), SessionId::generate(&SystemEntropy)];
    assert_eq!(harness.store.cancel_browser_sessions(&ids, &cancel).await, Ok(1));
    assert_eq!(harness.store.cancel_browser_sessions(&ids, &cancel).await, Ok(0));
    let changes = harness.store.changes_since(before).await.unwrap().unwrap();
    let told: Vec<ChangedEntity> = changes.into_iter().map(|change| change.entity).collect();
    assert_eq!(
        told,
        [ChangedEntity::Session(one.id.clone())],
        "an opened one concerns nobody, a cancelled one once"
    );
    let expected = next(&one, |session| session.cancelled_at = Some(at(0)));
    assert_eq!(harness.store.browser_session(&one.id).await, Ok(Some(expected)));
    assert_eq!(harness.store.browser_session(&other.id).await, Ok(Some(other)));
}

pub(crate) async fn a_session_is_refused_if_its_tenant_app_or_caller_changed(harness: &Harness) {
    let scene = Scene::new(harness, "acme").await;
    let stale = Err(StoreError::Conflict(Conflict::Version));
    let session = scene.session(0, None);
    let tenant = next(&scene.tenant, |tenant| tenant.display_name = "Acme".to_owned());
    harness.store.update_tenant(&tenant, &event(AuditAction::TenantUpdate)).await.unwrap();
    assert_eq!(scene.open(harness, &session).await, stale);
    let scene = Scene { tenant, ..scene };
    let caller = next(&scene.caller, |caller| caller.grants.clear());
    harness.store.update_caller(&caller, &event(AuditAction::CallerUpdate)).await.unwrap();
    assert_eq!(scene.open(harness, &session).await, stale);
    let scene = Scene { caller, ..scene };
    let app = next(&scene.app, |app| app.fence = app.generation);
    harness.store.update_app(&app, &event(AuditAction::AppUpdate)).await.unwrap();
    assert_eq!(scene.open(harness, &session).await, stale);
    assert_eq!(harness.store.browser_session(&session.id).await, Ok(None));
    let scene = Scene { app, ..scene };
    assert_eq!(scene.open(harness, &session).await, Ok(()));
    harness.store.purge_tenant(&scene.tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    assert_eq!(harness.store.tenant(&TenantRef::Id(scene.tenant.id.clone())).await, Ok(None));
    assert_eq!(harness.store.browser_session(&session.id).await, Ok(None));
    assert_eq!(scene.open(harness, &scene.session(0, None)).await, stale);
}

pub(crate) async fn invariant_6_an_altered_session_is_refused_alone(harness: &Harness) {
    let scene = Scene::new(harness, "acme").await;
    let (one, other) =
        (scene.opened(harness, 0, Some("ada")).await, scene.opened(harness, 9, Some("grace")).await);
    let hand: &Hand = &harness.database.hand;
    hand.does("CREATE TABLE kept AS SELECT * FROM sessions").await;
    let mut tried = 0;
    for (column, _) in hand.columns("sessions").await {
        let beside = format!("(SELECT {column} FROM kept WHERE id = '{}')", other.id);
        let differs = format!("SELECT id FROM kept WHERE id = '{}' AND {column} <> {beside}", one.id);
        if column == "id" || hand.reads(&differs).await.is_empty() {
            continue;
        }
        tried += 1;
        hand.does(&format!("UPDATE sessions SET {column} = {beside} WHERE id = '{}'", one.id)).await;
        let refused = harness.store.browser_session(&one.id).await;
        assert!(
            matches!(refused, Err(StoreError::Tampered { table: "sessions", .. })),
            "{column}: {refused:?}"
        );
        assert_eq!(harness.store.browser_session(&other.id).await, Ok(Some(other.clone())));
        let of = filter(SessionSelector::Tenant(scene.tenant.id.clone()));
        assert_eq!(listed(harness, &of).await, std::slice::from_ref(&other), "{column}");
        let ids = [one.id.clone()];
        assert_eq!(
            harness.store.cancel_browser_sessions(&ids, &event(AuditAction::SessionCancel)).await,
            Ok(0)
        );
        hand.does("DELETE FROM sessions").await;
        hand.does("INSERT INTO sessions SELECT * FROM kept").await;
    }
    assert!(tried >= 5, "{tried}");
    assert_eq!(harness.store.browser_session(&one.id).await, Ok(Some(one)));
}

pub(crate) async fn a_session_is_erased_a_day_after_its_end(harness: &Harness) {
    let scene = Scene::new(harness, "acme").await;
    let (old, young) = (scene.opened(harness, 0, None).await, scene.opened(harness, 10, None).await);
    let day = 24 * 3600;
    harness.store.delete_expired(at(3600 + day - 1)).await.unwrap();
    assert!(harness.store.browser_session(&old.id).await.unwrap().is_some());
    harness.store.delete_expired(at(3600 + day)).await.unwrap();
    assert_eq!(harness.store.browser_session(&old.id).await, Ok(None));
    assert_eq!(harness.store.browser_session(&young.id).await, Ok(Some(young)));
}
