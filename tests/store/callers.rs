//! Callers and their keys.

use std::collections::BTreeMap;

use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::id::KeyId;
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::store::{CallerRef, Conflict, PageRequest, StoreError};

use super::harness::Harness;
use super::sample_rows::{self, all, api_key, at, event, name, next, trust};

const STALE: StoreError = StoreError::Conflict(Conflict::Version);

pub(crate) async fn a_caller_is_read_as_it_was_written(harness: &Harness) {
    let (viewer, admin) = (harness.caller("viewer").await, harness.caller("admin").await);
    let refs = [
        CallerRef::Id(viewer.id.clone()),
        CallerRef::Name(name("viewer")),
        CallerRef::Key(viewer.keys[0].id.clone()),
    ];
    for by in &refs {
        assert_eq!(harness.store.caller(by).await, Ok(Some(viewer.clone())));
    }
    assert_eq!(harness.store.callers(&all()).await, Ok(vec![admin.clone(), viewer.clone()]));
    let behind = PageRequest { after: Some(name("admin")), limit: 5 };
    assert_eq!(harness.store.callers(&behind).await, Ok(vec![viewer.clone()]));
    let twin = sample_rows::caller("viewer", vec![]);
    let done = harness.store.insert_caller(&twin, &event(AuditAction::CallerCreate)).await;
    assert_eq!(done, Err(StoreError::Conflict(Conflict::Name)));

    let delete = event(AuditAction::CallerDelete);
    assert_eq!(harness.store.delete_caller(&viewer.id, 2, &delete).await, Err(STALE));
    assert_eq!(harness.store.caller(&refs[2]).await, Ok(Some(viewer.clone())));
    harness.store.delete_caller(&viewer.id, 1, &delete).await.unwrap();
    for by in &refs {
        assert_eq!(harness.store.caller(by).await, Ok(None));
    }
    assert_eq!(harness.store.callers(&all()).await, Ok(vec![admin]));
}

pub(crate) async fn a_key_finds_its_caller_until_it_is_revoked(harness: &Harness) {
    let caller = harness.caller("viewer").await;
    let (first, second) = (caller.keys[0].id.clone(), api_key());
    let both = next(&caller, |caller| caller.keys.push(second.clone()));
    harness.store.update_caller(&both, &event(AuditAction::KeyCreate)).await.unwrap();
    for key in [&first, &second.id] {
        assert_eq!(harness.store.caller(&CallerRef::Key(key.clone())).await, Ok(Some(both.clone())));
    }
    let one = next(&both, |caller| caller.keys.retain(|key| key.id == second.id));
    harness.store.update_caller(&one, &event(AuditAction::KeyRevoke)).await.unwrap();
    assert_eq!(harness.store.caller(&CallerRef::Key(first)).await, Ok(None));
    assert_eq!(harness.store.caller(&CallerRef::Key(second.id)).await, Ok(Some(one)));
}

pub(crate) async fn an_issuer_finds_only_callers_whose_own_rows_trust_it(harness: &Harness) {
    let (one, other) = (harness.caller("one").await, harness.caller("other").await);
    let trusting = async |issuer: &str| {
        let callers = harness.store.callers_trusting_issuer(issuer).await.unwrap();
        callers.into_iter().map(|caller| caller.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(trusting("https://a.example").await, [""; 0]);
    let create = event(AuditAction::TrustCreate);
    let both = ["https://a.example", "https://b.example", "https://b.example"].map(trust).to_vec();
    let one = next(&one, |caller| caller.trusts = both);
    harness.store.update_caller(&one, &create).await.unwrap();
    let other = next(&other, |caller| caller.trusts.push(trust("https://b.example")));
    harness.store.update_caller(&other, &create).await.unwrap();
    assert_eq!(trusting("https://a.example").await, ["one"]);
    let mut two = [&one, &other];
    two.sort_by_key(|caller| caller.id.clone());
    let in_order = two.map(|caller| caller.name.to_string());
    assert_eq!(trusting("https://b.example").await, in_order);
    assert_eq!(harness.store.callers_trusting_issuer("https://a.example").await, Ok(vec![one.clone()]));
    assert_eq!(trusting("https://b.example/").await, [""; 0]);

    // The index names the caller, but the caller's row does not list the key.
    let forged = format!("INSERT INTO caller_trusts VALUES ('https://a.example', '{}')", other.id);
    harness.database.hand.does(&forged).await;
    assert_eq!(trusting("https://a.example").await, ["one"]);
    // A refused row does not affect the other rows.
    harness.database.hand.does("UPDATE callers SET version = 9 WHERE name = 'other'").await;
    assert_eq!(trusting("https://b.example").await, ["one"]);

    let without =
        next(&one, |caller| caller.trusts.retain(|trust| trust.conditions.issuer == "https://a.example"));
    harness.store.update_caller(&without, &event(AuditAction::TrustDelete)).await.unwrap();
    assert_eq!(trusting("https://b.example").await, [""; 0]);
    harness
        .store
        .delete_caller(&without.id, without.version, &event(AuditAction::CallerDelete))
        .await
        .unwrap();
    assert_eq!(trusting("https://a.example").await, [""; 0]);
}

pub(crate) async fn one_of_two_caller_updates_of_the_same_version_fails(harness: &Harness) {
    let caller = harness.caller("viewer").await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, caller) =
                (harness.store.clone(), next(&caller, |caller| caller.keys.push(api_key())));
            tokio::spawn(async move { store.update_caller(&caller, &event(AuditAction::KeyCreate)).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert_eq!(error, STALE),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(harness.database.hand.reads("SELECT key_id FROM api_keys").await.len(), 2);
}

pub(crate) async fn the_latest_use_of_a_key_is_recorded(harness: &Harness) {
    let caller = harness.caller("viewer").await;
    let key = caller.keys[0].id.clone();
    assert_eq!(harness.store.last_key_uses(&caller.id).await, Ok(BTreeMap::new()));
    let gone = KeyId::generate(&SystemEntropy);
    harness
        .store
        .record_key_uses(&[(key.clone(), at(20)), (gone, at(30)), (key.clone(), at(10))])
        .await
        .unwrap();
    harness.store.record_key_uses(&[]).await.unwrap();
    assert_eq!(harness.store.last_key_uses(&caller.id).await, Ok([(key.clone(), at(20))].into()));
    // An update of the caller keeps it.
    let later = next(&caller, |caller| caller.keys.push(api_key()));
    harness.store.update_caller(&later, &event(AuditAction::KeyCreate)).await.unwrap();
    assert_eq!(harness.store.last_key_uses(&caller.id).await, Ok([(key, at(20))].into()));
}
