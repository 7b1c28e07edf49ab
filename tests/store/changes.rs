//! The log of changes.

use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::store::{ChangeRecord, ChangedEntity};

use super::harness::Harness;
use super::sample_rows::{at, event, next};

pub(crate) async fn changes_are_returned_once_and_in_order(harness: &Harness) {
    assert_eq!(harness.store.last_change_number().await, Ok(0));
    assert_eq!(harness.store.changes_since(0).await, Ok(Some(vec![])));
    let shared = harness.shared_app("vendor").await;
    let (tenant, own) = harness.own_tenant("acme").await;
    let caller = harness.caller("viewer").await;
    let later = next(&tenant, |_| ());
    harness.store.update_tenant(&later, &event(AuditAction::TenantUpdate)).await.unwrap();
    harness.store.delete_caller(&caller.id, 1, &event(AuditAction::CallerDelete)).await.unwrap();
    let all = harness.store.changes_since(0).await.unwrap().unwrap();
    let what: Vec<ChangedEntity> = all.iter().map(|change| change.entity.clone()).collect();
    let (tenant, caller) = (ChangedEntity::Tenant(tenant.id), ChangedEntity::Caller(caller.id));
    let expected = [
        ChangedEntity::App(shared.id),
        tenant.clone(),
        ChangedEntity::App(own.id),
        caller.clone(),
        tenant,
        caller,
    ];
    assert_eq!(what, expected);
    let last = harness.store.last_change_number().await.unwrap();
    assert_eq!(all.last().map(|change| change.number), Some(last));
    for seen in 0..=last {
        let new: Vec<ChangeRecord> = all.iter().filter(|change| change.number > seen).cloned().collect();
        assert_eq!(harness.store.changes_since(seen).await, Ok(Some(new)));
    }
    // The number is from another log, or from before the database was restored.
    assert_eq!(harness.store.changes_since(last + 1).await, Ok(None));
}

pub(crate) async fn a_change_log_with_a_hole_or_an_altered_row_returns_none(harness: &Harness) {
    for text in ["a", "b", "c", "d"] {
        harness.caller(text).await;
    }
    let whole = harness.store.changes_since(0).await.unwrap();
    let ChangedEntity::Caller(other) = whole.as_ref().unwrap()[3].entity.clone() else {
        panic!("a caller changed")
    };
    harness.database.hand.does("CREATE TABLE kept AS SELECT * FROM changes").await;
    let harm = [
        "DELETE FROM changes WHERE number = 2".to_owned(),
        format!("UPDATE changes SET item = '{other}' WHERE number = 2"),
        "UPDATE changes SET kind = 'tenant' WHERE number = 2".to_owned(),
        "UPDATE changes SET at = at + 1 WHERE number = 2".to_owned(),
        "UPDATE changes SET mac_key = 'x' WHERE number = 2".to_owned(),
        "DELETE FROM changes WHERE number = 1".to_owned(),
    ];
    for sql in harm {
        assert_eq!(harness.database.hand.does(&sql).await, 1, "{sql}");
        assert_eq!(harness.store.changes_since(0).await, Ok(None), "{sql}");
        assert_eq!(harness.store.changes_since(1).await, Ok(None), "{sql}");
        // A reader that is past the change is not affected.
        assert!(matches!(harness.store.changes_since(3).await, Ok(Some(new)) if new.len() == 1), "{sql}");
        harness.database.hand.does("DELETE FROM changes").await;
        let overriding = match harness.database.hand {
            super::harness::Hand::Sqlite(_) => "",
            super::harness::Hand::Postgres(_) => "OVERRIDING SYSTEM VALUE",
        };
        harness.database.hand.does(&format!("INSERT INTO changes {overriding} SELECT * FROM kept")).await;
        assert_eq!(harness.store.changes_since(0).await.unwrap(), whole);
    }
    // A row that was removed from the end is noticed as soon as another follows.
    harness.database.hand.does("DELETE FROM changes WHERE number = 4").await;
    harness.caller("e").await;
    assert_eq!(harness.store.changes_since(3).await, Ok(None));
}

pub(crate) async fn a_change_log_without_the_requested_changes_returns_none(harness: &Harness) {
    for text in ["a", "b", "c"] {
        harness.caller(text).await;
    }
    harness.store.delete_expired(at(60)).await.unwrap();
    assert!(matches!(harness.store.changes_since(0).await, Ok(Some(all)) if all.len() == 3));
    harness.store.delete_expired(at(2 * 60 * 60)).await.unwrap();
    assert_eq!(harness.store.changes_since(0).await, Ok(None));
    assert_eq!(harness.store.changes_since(2).await, Ok(None));
    assert_eq!(harness.store.last_change_number().await, Ok(3));
    assert_eq!(harness.store.changes_since(3).await, Ok(Some(vec![])));
    harness.caller("d").await;
    assert!(matches!(harness.store.changes_since(3).await, Ok(Some(new)) if new.len() == 1));
}

pub(crate) async fn changes_of_concurrent_writers_are_never_missed(harness: &Harness) {
    let other = harness.reopened(&harness.keys).await;
    let writers: Vec<_> = (0..24)
        .map(|number| {
            let store = if number % 2 == 0 { harness.store.clone() } else { other.clone() };
            tokio::spawn(async move {
                let caller = super::sample_rows::caller(&format!("c{number}"), vec![]);
                store.insert_caller(&caller, &event(AuditAction::CallerCreate)).await.unwrap();
            })
        })
        .collect();
    // A reader that continues from the last number it saw sees each change once.
    let (mut seen, mut last) = (0, 0);
    while seen < 24 {
        let new = harness.store.changes_since(last).await.unwrap().expect("the log has no hole");
        seen += new.len();
        last = new.last().map_or(last, |change| change.number);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!((seen, harness.store.last_change_number().await), (24, Ok(last)));
}
