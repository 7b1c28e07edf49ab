//! What another process writes into the same database is heard of.

use std::sync::Arc;

use box_token_broker::auth::api_key;
use box_token_broker::clock::Clock as _;
use box_token_broker::crypto::{Vault, key_file};
use box_token_broker::domain::app::AppState;
use box_token_broker::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use box_token_broker::domain::id::Name;
use box_token_broker::domain::tenant::TenantState;
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::store::{self, AppRef, CallerRef, OpenMode, Store, TenantRef};

use crate::harness::{ADA, Harness};
use crate::token_requests::acme;

/// The same database, as another process has it.
pub(crate) async fn another(harness: &Harness) -> Arc<dyn Store> {
    let keys = key_file::read(&harness.key_file()).unwrap();
    let vault = Arc::new(Vault::local(&keys, Arc::new(SystemEntropy)).unwrap());
    store::open(&harness.settings.database, vault, OpenMode::Shared).await.unwrap()
}

pub(crate) fn event(harness: &Harness, action: AuditAction) -> AuditEvent {
    AuditContext::COMMAND_LINE.event(harness.clock.wall(), action)
}

pub(crate) fn by_name(name: &str) -> TenantRef {
    TenantRef::Name(Name::parse(name).unwrap())
}

async fn set_state(harness: &Harness, store: &Arc<dyn Store>, state: TenantState) {
    let mut tenant = store.tenant(&by_name("acme")).await.unwrap().unwrap();
    tenant.state = state;
    tenant.version += 1;
    store.update_tenant(&tenant, &event(harness, AuditAction::TenantUpdate)).await.unwrap();
    harness.broker().poll_changes().await;
}

#[tokio::test]
async fn invariant_5_a_tenant_that_another_process_suspends_is_out_of_service() {
    let (harness, key) = acme().await;
    let token = harness.token(&key, "acme").await.token();
    let store = another(&harness).await;
    set_state(&harness, &store, TenantState::Suspended).await;
    harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    set_state(&harness, &store, TenantState::Active).await;
    assert_eq!(harness.token(&key, "acme").await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_new_generation_of_another_process_leaves_old_tokens_behind() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    let store = another(&harness).await;
    let mut tenant = store.tenant(&by_name("acme")).await.unwrap().unwrap();
    tenant.generation = store.next_generation().await.unwrap();
    tenant.version += 1;
    store.update_tenant(&tenant, &event(&harness, AuditAction::TenantUpdate)).await.unwrap();
    harness.broker().poll_changes().await;
    let new = harness.token(&key, "acme").await.token();
    assert_ne!(new, old);
    assert_eq!(harness.token(&key, "acme").await.token(), new);
    harness.end().await;
}

#[tokio::test]
async fn r7_a_key_that_another_process_revokes_opens_nothing() {
    let (harness, key) = acme().await;
    harness.token(&key, "acme").await.token();
    let store = another(&harness).await;
    let mut caller = store.caller(&CallerRef::Key(api_key::id_of(&key).unwrap())).await.unwrap().unwrap();
    caller.keys.clear();
    caller.version += 1;
    store.update_caller(&caller, &event(&harness, AuditAction::KeyRevoke)).await.unwrap();
    harness.broker().poll_changes().await;
    harness.token(&key, "acme").await.refuses(401, "unauthenticated");
    harness.end().await;
}

#[tokio::test]
async fn r7_a_revoked_key_is_refused_within_two_seconds() {
    let (harness, key) = acme().await;
    harness.token(&key, "acme").await.token();
    let other = harness.service("other", crate::token_requests::any_token("acme")).await;
    harness.token(&other, "acme").await.token();
    let key_of = |key: &str| api_key::id_of(key).unwrap();
    // Here it is refused at once.
    let path = format!("/v1/callers/portal/keys/{}", key_of(&key).as_str());
    harness.delete(&harness.admin, &path).await.is(204);
    harness.token(&key, "acme").await.refuses(401, "unauthenticated");
    // Where another process revoked it, the requests themselves ask what changed, at the latest when
    // nobody did for two seconds.
    let store = another(&harness).await;
    let mut caller = store.caller(&CallerRef::Key(key_of(&other))).await.unwrap().unwrap();
    caller.keys.clear();
    caller.version += 1;
    store.update_caller(&caller, &event(&harness, AuditAction::KeyRevoke)).await.unwrap();
    harness.clock.advance(std::time::Duration::from_millis(2001));
    harness.token(&other, "acme").await.refuses(401, "unauthenticated");
    harness.end().await;
}

#[tokio::test]
async fn r7_an_app_that_another_process_suspends_is_out_of_service() {
    let (harness, key) = acme().await;
    harness.user_token(&key, "acme", ADA).await.token();
    let store = another(&harness).await;
    let tenant = store.tenant(&by_name("acme")).await.unwrap().unwrap();
    let mut app = store.app(&AppRef::Id(tenant.app)).await.unwrap().unwrap();
    app.state = AppState::Suspended;
    app.version += 1;
    store.update_app(&app, &event(&harness, AuditAction::AppUpdate)).await.unwrap();
    harness.broker().poll_changes().await;
    harness.user_token(&key, "acme", ADA).await.refuses(403, "tenant_suspended");
    harness.end().await;
}

#[tokio::test]
async fn a_caller_that_a_command_makes_beside_the_service_is_served() {
    let (harness, _) = acme().await;
    let command = tokio::process::Command::new(env!("CARGO_BIN_EXE_box-token-broker"))
        .args(["callers", "create", "--admin", "--name", "second"])
        .env_clear()
        .envs(harness.env().iter().cloned())
        .output();
    let output = command.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let admin = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    harness.token(&admin, "acme").await.token();
    assert_eq!(harness.get(&admin, "/v1/whoami").await.ok()["name"], "second");
    harness.end().await;
}

#[tokio::test]
async fn a_key_that_was_tried_before_it_existed_is_served_once_it_does() {
    let (harness, key) = acme().await;
    let store = another(&harness).await;
    let found = store.caller(&CallerRef::Key(api_key::id_of(&key).unwrap())).await.unwrap().unwrap();
    store.delete_caller(&found.id, found.version, &event(&harness, AuditAction::CallerDelete)).await.unwrap();
    harness.broker().poll_changes().await;
    harness.token(&key, "acme").await.refuses(401, "unauthenticated");
    store.insert_caller(&found, &event(&harness, AuditAction::CallerCreate)).await.unwrap();
    harness.broker().poll_changes().await;
    harness.token(&key, "acme").await.token();
    harness.end().await;
}
