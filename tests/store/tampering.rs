//! Manual edits of the database: whatever they change, the store returns nothing that the broker did not write, and
//! each altered row is refused alone.

use box_token_broker::crypto::KeySet;
use box_token_broker::domain::app::App;
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::caller::Caller;
use box_token_broker::domain::tenant::Tenant;
use box_token_broker::domain::token_key::TokenKey;
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::store::{
    AppRef, CallerRef, PageRequest, SaveOutcome, StoreError, TenantFilter, TenantRef, TokenSelector,
    credentials_aad,
};

use super::harness::{Hand, Harness, Holds};
use super::sample_rows::{all, at, event, name, next, token_key};

/// Everything that a database has of one customer.
struct Side {
    tenant: Tenant,
    app: App,
    shared: App,
    caller: Caller,
    key: TokenKey,
}

/// Inserts two customers: one to be tampered with, and one that must not be affected.
async fn sides(harness: &Harness) -> (Side, Side) {
    (side(harness, "victim").await, side(harness, "bystander").await)
}

async fn side(harness: &Harness, text: &str) -> Side {
    let shared = harness.shared_app(text).await;
    let (tenant, app) = harness.own_tenant(text).await;
    let caller = harness.caller(text).await;
    let key = token_key(&tenant, tenant.generation);
    assert_eq!(harness.save(&key, &app, 3600, false).await.1, SaveOutcome::Current);
    harness.save(&key, &app, 7200, true).await;
    harness.store.record_key_uses(&[(caller.keys[0].id.clone(), at(1))]).await.unwrap();
    Side { tenant, app, shared, caller, key }
}

/// Asserts that a read returned what was written, or nothing.
fn or_nothing<T: PartialEq + std::fmt::Debug>(read: Result<Option<T>, StoreError>, written: &T, after: &str) {
    match read {
        Ok(None) | Err(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. }) => {}
        Ok(Some(read)) => assert_eq!(&read, written, "after {after}"),
        Err(error) => panic!("{error} after {after}"),
    }
}

impl Side {
    /// Asserts that every read of this side returns what was written, or nothing.
    async fn says_nothing_else(&self, harness: &Harness, after: &str) {
        let store = &harness.store;
        for by in [TenantRef::Id(self.tenant.id.clone()), TenantRef::Name(self.tenant.name.clone())] {
            or_nothing(store.tenant(&by).await, &self.tenant, after);
        }
        for app in [&self.app, &self.shared] {
            for by in [AppRef::Id(app.id.clone()), AppRef::ClientId(app.client_id.clone())] {
                or_nothing(store.app(&by).await, app, after);
            }
            if let Some(sealed) = store.credentials(&app.id, app.generation).await.unwrap() {
                let place = credentials_aad(&app.id, app.generation);
                if let Ok(opened) = harness.vault.open(&place, &sealed.sealed).await {
                    assert!(opened.expose().windows(4).any(|four| four == b"hush"), "after {after}");
                }
            }
        }
        or_nothing(store.app(&AppRef::Name(self.tenant.name.clone())).await, &self.shared, after);
        let key = self.caller.keys[0].id.clone();
        for by in [
            CallerRef::Id(self.caller.id.clone()),
            CallerRef::Name(self.caller.name.clone()),
            CallerRef::Key(key),
        ] {
            or_nothing(store.caller(&by).await, &self.caller, after);
        }
        if let Some(token) = store.live_token(&self.key, at(0)).await.unwrap() {
            assert_eq!(
                (token.tenant, token.app, token.expires_at),
                (self.tenant.id.clone(), self.app.id.clone(), at(3600)),
                "after {after}"
            );
        }
        store.live_tokens_of_tenant(&self.tenant.id, &TokenSelector::All, at(0)).await.unwrap();
        store.last_key_uses(&self.caller.id).await.unwrap();
    }

    /// Asserts that every read of this side returns exactly what was written.
    async fn is_whole(&self, harness: &Harness, after: &str) {
        let store = &harness.store;
        let tenant = store.tenant(&TenantRef::Name(self.tenant.name.clone())).await;
        assert_eq!(tenant, Ok(Some(self.tenant.clone())), "after {after}");
        for app in [&self.app, &self.shared] {
            assert_eq!(
                store.app(&AppRef::ClientId(app.client_id.clone())).await,
                Ok(Some(app.clone())),
                "after {after}"
            );
            let sealed = store.credentials(&app.id, app.generation).await.unwrap().unwrap();
            harness.vault.open(&credentials_aad(&app.id, app.generation), &sealed.sealed).await.unwrap();
        }
        let key = CallerRef::Key(self.caller.keys[0].id.clone());
        assert_eq!(store.caller(&key).await, Ok(Some(self.caller.clone())), "after {after}");
        let token = store.live_token(&self.key, at(0)).await.unwrap().expect(after);
        assert_eq!(token.expires_at, at(3600));
    }

    async fn is_listed(&self, harness: &Harness, after: &str) {
        let tenants = harness.store.tenants(&TenantFilter::default(), &all()).await.unwrap();
        assert!(tenants.contains(&self.tenant), "after {after}");
        assert!(harness.store.shared_apps(&all()).await.unwrap().contains(&self.shared), "after {after}");
        assert!(harness.store.callers(&all()).await.unwrap().contains(&self.caller), "after {after}");
    }
}

/// Asserts that no list contains anything that was not written.
async fn lists_hold_only(sides: [&Side; 2], harness: &Harness, after: &str) {
    for tenant in harness.store.tenants(&TenantFilter::default(), &all()).await.unwrap() {
        assert!(sides.iter().any(|side| side.tenant == tenant), "after {after}");
    }
    for app in harness.store.shared_apps(&all()).await.unwrap() {
        assert!(sides.iter().any(|side| side.shared == app), "after {after}");
    }
    for caller in harness.store.callers(&all()).await.unwrap() {
        assert!(sides.iter().any(|side| side.caller == caller), "after {after}");
    }
    assert_eq!(harness.store.deleted_tenants().await, Ok(vec![]), "after {after}");
}

/// Returns the tables with a row of the victim, and the conditions that select it and the bystander's row.
fn rows(victim: &Side, bystander: &Side) -> Vec<(&'static str, String, String)> {
    let id = |id: &str| format!("id = '{id}'");
    vec![
        ("apps", id(victim.app.id.as_str()), id(bystander.app.id.as_str())),
        ("apps", id(victim.shared.id.as_str()), id(bystander.shared.id.as_str())),
        ("tenants", id(victim.tenant.id.as_str()), id(bystander.tenant.id.as_str())),
        ("callers", id(victim.caller.id.as_str()), id(bystander.caller.id.as_str())),
        ("credentials", format!("app_id = '{}'", victim.app.id), format!("app_id = '{}'", bystander.app.id)),
        (
            "api_keys",
            format!("caller_id = '{}'", victim.caller.id),
            format!("caller_id = '{}'", bystander.caller.id),
        ),
        (
            "tokens",
            format!("discarded = 0 AND tenant_id = '{}'", victim.tenant.id),
            format!("discarded = 0 AND tenant_id = '{}'", bystander.tenant.id),
        ),
        (
            "tokens",
            format!("discarded = 1 AND tenant_id = '{}'", victim.tenant.id),
            format!("discarded = 1 AND tenant_id = '{}'", bystander.tenant.id),
        ),
    ]
}

/// Returns the values that a manual edit may write into a column.
fn alterations(hand: &Hand, table: &str, column: &str, holds: Holds, neighbour: &str) -> Vec<String> {
    let mut values = vec!["NULL".to_owned(), format!("(SELECT {column} FROM {table} WHERE {neighbour})")];
    match holds {
        Holds::Text => {
            values.extend(["''", "'zzz'"].map(str::to_owned));
            values.extend(
                ["ten_forged", "app_forged", "cal_forged", "deleted"].map(|text| format!("'{text}'")),
            );
            for (from, to) in [
                ("active", "deleted"),
                ("active", "suspended"),
                ("\"full_tokens\":true", "\"full_tokens\":false"),
                ("\"keys\":", "\"keyz\":"),
                ("{", "{ "),
                ("1", "2"),
            ] {
                values.push(format!("replace({column}, '{from}', '{to}')"));
            }
        }
        Holds::Number => {
            values.extend(["0", "1", "-1"].map(str::to_owned));
            values.extend([format!("{column} + 1"), "9223372036854775807".to_owned()]);
        }
        Holds::Bytes => {
            values.extend([hand.bytes(""), hand.bytes("00"), hand.bytes(&"07".repeat(32))]);
            values.push(match hand {
                Hand::Sqlite(_) => format!("CAST(substr({column}, 2) AS BLOB)"),
                Hand::Postgres(_) => format!("set_byte({column}, 9, get_byte({column}, 9) # 1)"),
            });
        }
    }
    values
}

pub(crate) async fn invariant_6_a_row_with_an_altered_column_is_refused_alone(harness: &Harness) {
    let (victim, bystander) = sides(harness).await;
    victim.is_whole(harness, "nothing").await;
    for (table, its, others) in rows(&victim, &bystander) {
        harness.database.hand.does(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
        for (column, holds) in harness.database.hand.columns(table).await {
            let mut done = 0;
            for value in alterations(&harness.database.hand, table, &column, holds, &others) {
                let sql = format!("UPDATE {table} SET {column} = {value} WHERE {its}");
                // An edit that the database itself refuses changes nothing.
                if harness.database.hand.tries(&sql).await != Some(1) {
                    continue;
                }
                done += 1;
                victim.says_nothing_else(harness, &sql).await;
                bystander.is_whole(harness, &sql).await;
                bystander.is_listed(harness, &sql).await;
                lists_hold_only([&victim, &bystander], harness, &sql).await;
                harness.database.hand.does(&format!("DELETE FROM {table}")).await;
                harness.database.hand.does(&format!("INSERT INTO {table} SELECT * FROM kept")).await;
            }
            assert!(done > 0, "{table}.{column} was never altered");
        }
        harness.database.hand.does("DROP TABLE kept").await;
        victim.is_whole(harness, "all was put back").await;
    }
}

pub(crate) async fn invariant_6_a_deleted_row_permits_nothing(harness: &Harness) {
    let (victim, bystander) = sides(harness).await;
    for (table, its, _) in rows(&victim, &bystander) {
        let sql = format!("DELETE FROM {table} WHERE {its}");
        harness.database.hand.does(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
        assert_eq!(harness.database.hand.does(&sql).await, 1, "{sql}");
        victim.says_nothing_else(harness, &sql).await;
        bystander.is_whole(harness, &sql).await;
        lists_hold_only([&victim, &bystander], harness, &sql).await;
        harness.database.hand.does(&format!("DELETE FROM {table}")).await;
        harness.database.hand.does(&format!("INSERT INTO {table} SELECT * FROM kept")).await;
        harness.database.hand.does("DROP TABLE kept").await;
    }
    let key = CallerRef::Key(victim.caller.keys[0].id.clone());
    harness
        .database
        .hand
        .does(&format!("DELETE FROM api_keys WHERE caller_id = '{}'", victim.caller.id))
        .await;
    assert_eq!(harness.store.caller(&key).await, Ok(None));
    // A missing counter does not start the generations again.
    harness.database.hand.does("DELETE FROM generations").await;
    assert!(matches!(harness.store.next_generation().await, Err(StoreError::Tampered { .. })));
}

pub(crate) async fn invariant_6_rows_inserted_from_outside_are_refused(harness: &Harness) {
    let (victim, bystander) = sides(harness).await;
    let table_of = |done: Result<(), StoreError>| match done {
        Err(StoreError::Tampered { table, .. }) => table,
        other => panic!("{other:?}"),
    };
    // A copy of a valid row under another id, name and client ID, even with an adapted document.
    harness
        .database
        .hand
        .does(&format!(
            "INSERT INTO callers SELECT 'cal_forged', 'forged', version,
             replace(replace(doc, id, 'cal_forged'), name, 'forged'), mac_key, mac
             FROM callers WHERE id = '{}'",
            victim.caller.id
        ))
        .await;
    let forged = CallerRef::Name(name("forged"));
    assert_eq!(table_of(harness.store.caller(&forged).await.map(drop)), "callers");
    harness
        .database
        .hand
        .does(&format!(
            "INSERT INTO apps (id, name, client_id, version, doc, mac_key, mac)
             SELECT 'app_forged', 'forged', 'forged', version, replace(doc, id, 'app_forged'), mac_key, mac
             FROM apps WHERE id = '{}'",
            victim.shared.id
        ))
        .await;
    let forged = AppRef::Name(name("forged"));
    assert_eq!(table_of(harness.store.app(&forged).await.map(drop)), "apps");
    harness
        .database
        .hand
        .does(&format!(
            "INSERT INTO tenants SELECT 'ten_forged', 'forged', '{}', '1', state, purge_at, version,
             replace(doc, id, 'ten_forged'), mac_key, mac FROM tenants WHERE id = '{}'",
            bystander.app.id, victim.tenant.id
        ))
        .await;
    let forged = TenantRef::Name(name("forged"));
    assert_eq!(table_of(harness.store.tenant(&forged).await.map(drop)), "tenants");
    // A key from outside that the index assigns to a caller with many permissions.
    harness
        .database
        .hand
        .does(&format!(
            "INSERT INTO api_keys (key_id, caller_id) VALUES ('key_forged', '{}')",
            victim.caller.id
        ))
        .await;
    let forged = box_token_broker::domain::id::KeyId::parse("key_forged").unwrap();
    assert_eq!(harness.store.caller(&CallerRef::Key(forged)).await, Ok(None));
    // A copy of a token under another key.
    harness
        .database
        .hand
        .does(&format!(
            "INSERT INTO tokens SELECT 'tok_forged', '{0}', app_id, generation, subject,
             (SELECT key_digest FROM tokens WHERE tenant_id = '{0}' AND discarded = 0), fingerprint, minted_at,
             expires_at + 1, discarded, sealed, mac_key, mac
             FROM tokens WHERE tenant_id = '{1}' AND discarded = 0",
            bystander.tenant.id, victim.tenant.id
        ))
        .await;
    for side in [&victim, &bystander] {
        side.is_whole(harness, "rows were put in").await;
        side.is_listed(harness, "rows were put in").await;
    }
    lists_hold_only([&victim, &bystander], harness, "rows were put in").await;
}

pub(crate) async fn invariant_6_rows_that_were_exchanged_are_refused(harness: &Harness) {
    let (victim, bystander) = sides(harness).await;
    let swaps = [
        ("tenants", victim.tenant.id.as_str(), bystander.tenant.id.as_str()),
        ("apps", victim.shared.id.as_str(), bystander.shared.id.as_str()),
        ("callers", victim.caller.id.as_str(), bystander.caller.id.as_str()),
    ];
    for (table, one, other) in swaps {
        for columns in [&["doc", "mac_key", "mac"][..], &["id"], &["name"]] {
            harness.database.hand.does(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
            let from = |column: &&str, id: &str| format!("(SELECT {column} FROM kept WHERE id = '{id}')");
            let set = |other: &str| {
                let values = columns.iter().map(|column| format!("{column} = {}", from(column, other)));
                values.collect::<Vec<_>>().join(", ")
            };
            // Values of unique columns are moved away first.
            if columns.len() == 1 {
                let column = columns[0];
                harness
                    .database
                    .hand
                    .does(&format!("UPDATE {table} SET {column} = 'aside' WHERE id = '{one}'"))
                    .await;
                let there = from(&column, one);
                harness
                    .database
                    .hand
                    .does(&format!("UPDATE {table} SET {column} = {there} WHERE id = '{other}'"))
                    .await;
                let there = from(&column, other);
                harness
                    .database
                    .hand
                    .does(&format!("UPDATE {table} SET {column} = {there} WHERE {column} = 'aside'"))
                    .await;
            } else {
                harness
                    .database
                    .hand
                    .does(&format!("UPDATE {table} SET {} WHERE id = '{one}'", set(other)))
                    .await;
                harness
                    .database
                    .hand
                    .does(&format!("UPDATE {table} SET {} WHERE id = '{other}'", set(one)))
                    .await;
            }
            let refused = match table {
                "tenants" => harness.store.tenant(&TenantRef::Id(victim.tenant.id.clone())).await.map(drop),
                "apps" => harness.store.app(&AppRef::Id(victim.shared.id.clone())).await.map(drop),
                _ => harness.store.caller(&CallerRef::Id(victim.caller.id.clone())).await.map(drop),
            };
            assert!(matches!(refused, Err(StoreError::Tampered { .. })), "{table} {columns:?}: {refused:?}");
            harness.database.hand.does(&format!("DELETE FROM {table}")).await;
            harness.database.hand.does(&format!("INSERT INTO {table} SELECT * FROM kept")).await;
            harness.database.hand.does("DROP TABLE kept").await;
        }
    }
    victim.is_whole(harness, "all was put back").await;
}

pub(crate) async fn invariant_6_a_list_continues_behind_refused_rows(harness: &Harness) {
    let app = harness.shared_app("vendor").await;
    let mut tenants = Vec::new();
    for text in ["a", "b", "c", "d", "e", "f"] {
        tenants.push(harness.tenant_of(&app, text).await);
    }
    harness.database.hand.does("UPDATE tenants SET doc = 'x' WHERE name IN ('a', 'b', 'c', 'e')").await;
    let page = PageRequest { after: None, limit: 1 };
    let first = harness.store.tenants(&TenantFilter::default(), &page).await;
    assert_eq!(first, Ok(vec![tenants[3].clone()]));
    let page = PageRequest { after: Some(name("d")), limit: 2 };
    assert_eq!(harness.store.tenants(&TenantFilter::default(), &page).await, Ok(vec![tenants[5].clone()]));
}

pub(crate) async fn a_row_with_a_missing_key_is_refused_alone(harness: &Harness) {
    let (old, app) = harness.own_tenant("old").await;
    let old_caller = harness.caller("old").await;
    let token = token_key(&old, old.generation);
    harness.save(&token, &app, 60, false).await;
    // From here on another key set is used, and the old keys are lost.
    let keys = KeySet::generate(&SystemEntropy);
    let store = harness.reopened(&keys).await;
    let unavailable = |done: Result<(), StoreError>| matches!(done, Err(StoreError::KeyUnavailable { .. }));
    assert!(unavailable(store.tenant(&TenantRef::Id(old.id.clone())).await.map(drop)));
    assert!(unavailable(store.app(&AppRef::Id(app.id.clone())).await.map(drop)));
    assert!(unavailable(store.caller(&CallerRef::Key(old_caller.keys[0].id.clone())).await.map(drop)));
    assert_eq!(store.live_token(&token, at(0)).await, Ok(None));
    let caller = super::sample_rows::caller("young", vec![]);
    store.insert_caller(&caller, &event(AuditAction::CallerCreate)).await.unwrap();
    assert_eq!(store.callers(&all()).await, Ok(vec![caller]));
    // A purge needs no key.
    store.purge_tenant(&old.id, &event(AuditAction::TenantPurge)).await.unwrap();
    assert_eq!(store.credentials(&app.id, app.generation).await, Ok(None));
}

pub(crate) async fn a_token_is_fenced_if_its_tenants_row_is_refused(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    harness.database.hand.does("UPDATE apps SET version = version + 1").await;
    assert_eq!(harness.save(&key, &app, 60, false).await.1, SaveOutcome::Fenced);
    harness.database.hand.does("UPDATE apps SET version = version - 1").await;
    harness.database.hand.does("UPDATE tenants SET mac_key = 'lost'").await;
    assert_eq!(harness.save(&key, &app, 60, false).await.1, SaveOutcome::Fenced);
    assert_eq!(
        harness.store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, at(0)).await.unwrap().len(),
        2
    );
    assert_eq!(harness.store.live_token(&key, at(0)).await, Ok(None));
}

pub(crate) async fn a_counter_that_was_set_back_returns_no_generation(harness: &Harness) {
    let (tenant, _) = harness.own_tenant("acme").await;
    let refused = async |sql: &str| {
        assert_eq!(harness.database.hand.does(sql).await, 1, "{sql}");
        let done = harness.store.next_generation().await;
        assert!(
            matches!(done, Err(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })),
            "{sql}: {done:?}"
        );
    };
    harness.database.hand.does("CREATE TABLE kept AS SELECT * FROM generations").await;
    for sql in [
        "UPDATE generations SET value = value - 1",
        "UPDATE generations SET value = 0",
        "UPDATE generations SET mac_key = 'lost'",
        "UPDATE generations SET mac = (SELECT mac FROM tenants)",
        "UPDATE generations SET id = 'first'",
        "DELETE FROM generations",
    ] {
        refused(sql).await;
        harness.database.hand.does("DELETE FROM generations").await;
        harness.database.hand.does("INSERT INTO generations SELECT * FROM kept").await;
    }
    assert!(harness.store.next_generation().await.unwrap() > tenant.generation);
    let later = next(&tenant, |_| ());
    harness.store.update_tenant(&later, &event(AuditAction::TenantUpdate)).await.unwrap();
}
