//! Switches of credentials, the keypairs that they are made of, and events without a change.

use box_token_broker::domain::app::{App, Keypair};
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::id::KeypairId;
use box_token_broker::domain::tenant::{Tenant, TenantState};
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::secret::SecretBytes;
use box_token_broker::store::{
    AppRef, ChangedEntity, Conflict, CredentialSwitch, NewApp, SaveOutcome, StoreError, TenantRef,
    keypair_aad,
};

use super::harness::Harness;
use super::sample_rows::{at, event, next, token_key};

/// The private half of every keypair.
const PRIVATE: &[u8] = b"the private half";

impl Harness {
    /// Inserts a keypair of an app, created so many seconds after the start of the test.
    async fn keypair(&self, app: &App, seconds: i64) -> Keypair {
        let keypair = Keypair {
            id: KeypairId::generate(&SystemEntropy),
            app: app.id.clone(),
            public_key: "-----BEGIN PUBLIC KEY-----\n".to_owned(),
            sha256: "11".repeat(32),
            bits: 2048,
            created_at: at(seconds),
        };
        let private = SecretBytes::new(PRIVATE.to_vec());
        let sealed = self.vault.seal(&keypair_aad(&keypair.id), &private).await.unwrap();
        self.store.insert_keypair(&keypair, &sealed, &event(AuditAction::KeypairCreate)).await.unwrap();
        keypair
    }

    /// Returns an app and its tenant with new credentials.
    async fn renewed(&self, app: &App, tenant: &Tenant) -> (App, Tenant) {
        let generation = self.store.next_generation().await.unwrap();
        (next(app, |app| app.generation = generation), next(tenant, |tenant| tenant.generation = generation))
    }

    async fn switched(&self, app: &App, tenant: &Tenant, keypair: &KeypairId) -> Result<(), StoreError> {
        let sealed = self.sealed(app).await;
        let new = NewApp { app, sealed: &sealed };
        let switch = CredentialSwitch { app: new, tenant: Some(tenant), keypair: Some(keypair) };
        self.store.switch_credentials(switch, &event(AuditAction::TenantCredentials)).await
    }

    /// Returns the private half of a keypair; `None` after a switch to it.
    async fn private_half(&self, id: &KeypairId) -> Option<Vec<u8>> {
        let (_, sealed) = self.store.keypair(id).await.unwrap().unwrap();
        if sealed.is_empty() {
            return None;
        }
        Some(self.vault.open(&keypair_aad(id), &sealed).await.unwrap().expose().to_vec())
    }
}

pub(crate) async fn keypairs_are_listed_by_age_and_erased_with_their_app(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let (_, other) = harness.own_tenant("other").await;
    let late = harness.keypair(&app, 20).await;
    let early = harness.keypair(&app, 10).await;
    let foreign = harness.keypair(&other, 0).await;
    assert_eq!(harness.store.keypairs_of_app(&app.id).await, Ok(vec![early.clone(), late.clone()]));
    assert_eq!(harness.store.keypairs_of_app(&other.id).await, Ok(vec![foreign.clone()]));
    assert_eq!(harness.private_half(&early.id).await.as_deref(), Some(PRIVATE));
    assert_eq!(harness.store.keypair(&KeypairId::generate(&SystemEntropy)).await, Ok(None));

    harness.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    assert_eq!(harness.store.keypairs_of_app(&app.id).await, Ok(vec![]));
    assert_eq!(harness.store.keypair(&late.id).await, Ok(None));
    assert_eq!(harness.database.hand.reads("SELECT id FROM keypairs").await, [foreign.id.as_str()]);
}

pub(crate) async fn invariant_6_an_altered_or_moved_keypair_is_refused_alone(harness: &Harness) {
    let (_, victim) = harness.own_tenant("victim").await;
    let (_, thief) = harness.own_tenant("thief").await;
    let (moved, whole) = (harness.keypair(&victim, 0).await, harness.keypair(&victim, 1).await);
    let own = harness.keypair(&thief, 2).await;
    let hand = &harness.database.hand;
    hand.does(&format!("UPDATE keypairs SET app_id = '{}' WHERE id = '{}'", thief.id, moved.id)).await;
    assert_eq!(harness.store.keypairs_of_app(&thief.id).await, Ok(vec![own.clone()]));
    assert!(matches!(harness.store.keypair(&moved.id).await, Err(StoreError::Tampered { .. })));
    // The private half cannot be opened under the id of another row either.
    let private = format!("(SELECT sealed FROM keypairs WHERE id = '{}')", whole.id);
    hand.does(&format!("UPDATE keypairs SET sealed = {private} WHERE id = '{}'", own.id)).await;
    let (_, sealed) = harness.store.keypair(&own.id).await.unwrap().unwrap();
    assert!(harness.vault.open(&keypair_aad(&own.id), &sealed).await.is_err());
    hand.does(&format!("UPDATE keypairs SET doc = replace(doc, '2048', '1024') WHERE id = '{}'", own.id))
        .await;
    assert_eq!(harness.store.keypairs_of_app(&thief.id).await, Ok(vec![]));
    assert_eq!(harness.store.keypairs_of_app(&victim.id).await, Ok(vec![whole.clone()]));
    assert_eq!(harness.private_half(&whole.id).await.as_deref(), Some(PRIVATE));
}

pub(crate) async fn a_switch_inserts_new_credentials_beside_the_old_ones(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let (used, unused) = (harness.keypair(&app, 0).await, harness.keypair(&app, 1).await);
    let old_key = token_key(&tenant, tenant.generation);
    harness.save(&old_key, &app, 60, false).await;
    let before = harness.store.last_change_number().await.unwrap();
    let (new_app, new_tenant) = harness.renewed(&app, &tenant).await;
    harness.switched(&new_app, &new_tenant, &used.id).await.unwrap();

    assert_eq!(harness.store.app(&AppRef::Id(app.id.clone())).await, Ok(Some(new_app.clone())));
    let by = TenantRef::Id(tenant.id.clone());
    assert_eq!(harness.store.tenant(&by).await, Ok(Some(new_tenant.clone())));
    for generation in [app.generation, new_app.generation] {
        let kept = harness.store.credentials(&app.id, generation).await.unwrap().unwrap();
        assert_eq!(kept.generation, generation);
    }
    // The private half is among the credentials now; the public half shows what they are made of.
    assert_eq!(harness.private_half(&used.id).await, None);
    assert_eq!(harness.private_half(&unused.id).await.as_deref(), Some(PRIVATE));
    assert_eq!(harness.store.keypairs_of_app(&app.id).await, Ok(vec![used, unused]));
    let changes = harness.store.changes_since(before).await.unwrap().unwrap();
    let changed: Vec<ChangedEntity> = changes.into_iter().map(|change| change.entity).collect();
    assert!(changed.contains(&ChangedEntity::App(app.id.clone())), "{changed:?}");
    assert!(changed.contains(&ChangedEntity::Tenant(tenant.id.clone())), "{changed:?}");
    assert_eq!(harness.actions().await.last().unwrap(), "tenant.credentials");
    assert_eq!(harness.save(&old_key, &new_app, 60, false).await.1, SaveOutcome::Fenced);

    // The old credentials stay exactly as long as there is a token to be revoked with them.
    harness.store.delete_expired(at(59)).await.unwrap();
    assert!(harness.store.credentials(&app.id, app.generation).await.unwrap().is_some());
    harness.store.delete_expired(at(60)).await.unwrap();
    assert_eq!(harness.store.credentials(&app.id, app.generation).await, Ok(None));
    assert!(harness.store.credentials(&app.id, new_app.generation).await.unwrap().is_some());
}

pub(crate) async fn a_switch_of_an_outdated_version_changes_nothing(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let keypair = harness.keypair(&app, 0).await;
    let (new_app, new_tenant) = harness.renewed(&app, &tenant).await;
    let before = harness.actions().await;
    // One of the two rows was changed meanwhile.
    let stale_app = next(&new_app, |_| ());
    let stale_tenant = next(&new_tenant, |_| ());
    for (app, tenant) in [(&stale_app, &new_tenant), (&new_app, &stale_tenant)] {
        let late = harness.switched(app, tenant, &keypair.id).await;
        assert_eq!(late, Err(StoreError::Conflict(Conflict::Version)));
    }
    assert_eq!(harness.store.app(&AppRef::Id(app.id.clone())).await, Ok(Some(app.clone())));
    assert_eq!(harness.store.tenant(&TenantRef::Id(tenant.id.clone())).await, Ok(Some(tenant)));
    let kept = harness.store.credentials(&app.id, new_app.generation).await.unwrap().unwrap();
    assert_eq!(kept.generation, app.generation);
    assert_eq!(harness.private_half(&keypair.id).await.as_deref(), Some(PRIVATE));
    assert_eq!(harness.actions().await, before);
}

pub(crate) async fn an_active_tenant_of_an_app_is_found(harness: &Harness) {
    let app = harness.shared_app("vendor").await;
    let (own, own_app) = harness.own_tenant("own").await;
    assert_eq!(harness.store.active_tenant_of_app(&app.id).await, Ok(None));
    assert_eq!(harness.store.active_tenant_of_app(&own_app.id).await, Ok(Some(own)));
    for (text, state) in
        [("a", TenantState::Suspended), ("b", TenantState::Deleted), ("c", TenantState::Active)]
    {
        let tenant = next(&harness.tenant_of(&app, text).await, |tenant| tenant.state = state);
        harness.store.update_tenant(&tenant, &event(AuditAction::TenantUpdate)).await.unwrap();
    }
    let last = harness.tenant_of(&app, "d").await;
    let found = harness.store.active_tenant_of_app(&app.id).await.unwrap().unwrap();
    assert_eq!(found.name.as_str(), "c");
    // A refused row hides no other row, and a manual edit of the state does not count.
    harness.database.hand.does("UPDATE tenants SET state = 'active' WHERE name IN ('a', 'b')").await;
    harness.database.hand.does("UPDATE tenants SET doc = replace(doc, 'blue', 'red') WHERE name = 'c'").await;
    assert_eq!(harness.store.active_tenant_of_app(&app.id).await, Ok(Some(last)));
}

pub(crate) async fn recording_an_event_changes_no_entity(harness: &Harness) {
    let (tenant, _) = harness.own_tenant("acme").await;
    let before = harness.store.last_change_number().await.unwrap();
    harness.store.record_events(&[event(AuditAction::TokenRevoke)], at(0)).await.unwrap();
    harness.store.record_events(&[event(AuditAction::TokenRevoke)], at(0)).await.unwrap();
    assert_eq!(harness.actions().await, ["tenant.create", "token.revoke", "token.revoke"]);
    assert_eq!(harness.store.last_change_number().await, Ok(before));
    assert_eq!(harness.store.tenant(&TenantRef::Id(tenant.id.clone())).await, Ok(Some(tenant)));
}
