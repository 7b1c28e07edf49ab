//! Minted tokens.

use box_token_broker::domain::app::AppState;
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::id::{BoxId, Generation};
use box_token_broker::domain::subject::Subject;
use box_token_broker::domain::tenant::TenantState;
use box_token_broker::domain::token_key::TokenKey;
use box_token_broker::store::{
    PageRequest, SaveOutcome, StoreError, TokenCursor, TokenFilter, TokenSelector, token_aad,
};

use super::harness::Harness;
use super::sample_rows::{at, event, next, token_key};

pub(crate) async fn the_live_token_that_expires_last_is_found(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    let user = TokenKey { subject: Subject::User { id: BoxId::parse("7").unwrap() }, ..key.clone() };
    let (short, filed) = harness.save(&key, &app, 600, false).await;
    assert_eq!(filed, SaveOutcome::Current);
    let (long, _) = harness.save(&key, &app, 3600, false).await;
    let (users, _) = harness.save(&user, &app, 9000, false).await;

    let found = harness.store.live_token(&key, at(0)).await.unwrap().unwrap();
    assert_eq!(
        (&found.id, &found.tenant, &found.app, found.expires_at),
        (&long, &tenant.id, &app.id, at(3600))
    );
    let opened = harness.vault.open(&token_aad(&found.id), &found.sealed).await.unwrap();
    assert_eq!(opened.expose(), format!("token {long}").as_bytes());
    assert_eq!(harness.store.live_token(&user, at(0)).await.unwrap().unwrap().id, users);
    assert_eq!(harness.store.live_token(&key, at(3600)).await, Ok(None));
    let other = TokenKey { generation: Generation(99), ..key.clone() };
    assert_eq!(harness.store.live_token(&other, at(0)).await, Ok(None));

    let alive = harness.store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, at(600)).await.unwrap();
    let ids: Vec<_> = alive.into_iter().map(|token| token.id).collect();
    assert_eq!(ids, [long, users]);
    assert!(!ids.contains(&short));
    assert_eq!(harness.actions().await, ["tenant.create", "token.mint", "token.mint", "token.mint"]);
}

/// Asserts that the token is saved for revocation only, is never found, and is recorded as discarded.
async fn is_fenced(harness: &Harness, key: &TokenKey, app: &box_token_broker::domain::app::App) {
    let (id, filed) = harness.save(key, app, 3600, false).await;
    assert_eq!(filed, SaveOutcome::Fenced);
    let found = harness.store.live_token(key, at(0)).await.unwrap();
    assert!(found.is_none_or(|token| token.id != id));
    let alive = harness.store.live_tokens_of_tenant(&key.tenant, &TokenSelector::All, at(0)).await.unwrap();
    assert!(alive.iter().any(|token| token.id == id));
    assert_eq!(harness.actions().await.pop().as_deref(), Some("token.discard"));
    let docs = harness.database.hand.reads("SELECT doc FROM audit ORDER BY at, number").await;
    assert!(docs.last().is_some_and(|doc| doc.contains("token.discard")));
}

pub(crate) async fn invariant_5_a_token_of_an_old_generation_is_fenced(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let old = token_key(&tenant, tenant.generation);
    // The app's credentials change, then the tenant's: each change makes a new generation.
    let app = next(&app, |app| app.generation = Generation(tenant.generation.0 + 1));
    harness.store.update_app(&app, &event(AuditAction::AppUpdate)).await.unwrap();
    is_fenced(harness, &old, &app).await;
    let newer = token_key(&tenant, app.generation);
    assert_eq!(harness.save(&newer, &app, 60, false).await.1, SaveOutcome::Current);
    let tenant = next(&tenant, |tenant| tenant.generation = Generation(app.generation.0 + 1));
    harness.store.update_tenant(&tenant, &event(AuditAction::TenantUpdate)).await.unwrap();
    is_fenced(harness, &newer, &app).await;
    let newest = token_key(&tenant, tenant.generation);
    assert_eq!(harness.save(&newest, &app, 60, false).await.1, SaveOutcome::Current);
    // Minted through an app that no longer serves the tenant.
    let other = harness.shared_app("vendor").await;
    is_fenced(
        harness,
        &TokenKey { subject: Subject::User { id: BoxId::parse("7").unwrap() }, ..newest },
        &other,
    )
    .await;
}

pub(crate) async fn invariant_5_a_token_of_a_tenant_out_of_service_is_fenced(harness: &Harness) {
    let (mut tenant, mut app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    for state in [TenantState::Suspended, TenantState::Deleted, TenantState::Active] {
        tenant = next(&tenant, |tenant| tenant.state = state);
        harness.store.update_tenant(&tenant, &event(AuditAction::TenantUpdate)).await.unwrap();
        if state != TenantState::Active {
            is_fenced(harness, &key, &app).await;
        }
    }
    app = next(&app, |app| app.state = AppState::Suspended);
    harness.store.update_app(&app, &event(AuditAction::AppUpdate)).await.unwrap();
    is_fenced(harness, &key, &app).await;
    app = next(&app, |app| app.state = AppState::Active);
    harness.store.update_app(&app, &event(AuditAction::AppUpdate)).await.unwrap();
    assert_eq!(harness.save(&key, &app, 60, false).await.1, SaveOutcome::Current);
}

pub(crate) async fn invariant_5_no_token_slips_past_a_change(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    let suspended = next(&tenant, |tenant| tenant.state = TenantState::Suspended);
    let store = harness.store.clone();
    let change = async {
        store.update_tenant(&suspended, &event(AuditAction::TenantUpdate)).await.unwrap();
        // A token that was saved as current was committed before the change, and the revocation sees it.
        store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, at(0)).await.unwrap()
    };
    let saves = futures::future::join_all((0..12).map(|_| harness.save(&key, &app, 60, false)));
    let (seen, saved) = futures::join!(change, saves);
    for (id, filed) in saved {
        let before_the_change = seen.iter().any(|token| token.id == id);
        assert!(
            filed == SaveOutcome::Fenced || before_the_change,
            "{id} was filed as current after the change"
        );
    }
}

pub(crate) async fn a_token_saved_as_discarded_is_only_listed_for_revocation(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    let (id, filed) = harness.save(&key, &app, 60, true).await;
    assert_eq!(filed, SaveOutcome::Fenced);
    assert_eq!(harness.store.live_token(&key, at(0)).await, Ok(None));
    assert_eq!(
        harness.store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, at(0)).await.unwrap()[0].id,
        id
    );
    // A manual edit of the database does not bring it back either.
    harness.database.hand.does("UPDATE tokens SET discarded = 0").await;
    assert_eq!(harness.store.live_token(&key, at(0)).await, Ok(None));
}

pub(crate) async fn a_token_of_a_purged_tenant_is_only_recorded(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    harness.store.purge_tenant(&tenant.id, &event(AuditAction::TenantPurge)).await.unwrap();
    let (_, filed) = harness.save(&token_key(&tenant, tenant.generation), &app, 60, false).await;
    assert_eq!(filed, SaveOutcome::Fenced);
    assert_eq!(harness.store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, at(0)).await, Ok(vec![]));
    assert_eq!(harness.actions().await, ["tenant.create", "tenant.purge", "token.discard"]);
}

pub(crate) async fn expired_and_revoked_tokens_are_erased(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    let (short, _) = harness.save(&key, &app, 60, false).await;
    let (long, _) = harness.save(&key, &app, 120, false).await;
    let (revoked, _) = harness.save(&key, &app, 180, false).await;
    harness.store.delete_expired(at(60)).await.unwrap();
    harness.store.delete_tokens(&[revoked, short]).await.unwrap();
    harness.store.delete_tokens(&[]).await.unwrap();
    assert_eq!(harness.database.hand.reads("SELECT id FROM tokens").await, [long.as_str()]);
    assert_eq!(
        harness.store.live_token(&key, at(0)).await.map(|token| token.unwrap().id),
        Ok::<_, StoreError>(long)
    );
}

pub(crate) async fn a_discarded_token_is_never_found_again(harness: &Harness) {
    let (tenant, app) = harness.own_tenant("acme").await;
    let key = token_key(&tenant, tenant.generation);
    let (one, _) = harness.save(&key, &app, 60, false).await;
    let (two, _) = harness.save(&key, &app, 120, false).await;
    harness.store.discard_tokens(&[]).await.unwrap();
    // Discarding again, and a token that no longer exists: both are skipped.
    let gone = box_token_broker::domain::id::TokenId::parse("tok_gone").unwrap();
    for _ in 0..2 {
        harness.store.discard_tokens(&[two.clone(), gone.clone()]).await.unwrap();
    }
    assert_eq!(harness.store.live_token(&key, at(0)).await.unwrap().map(|token| token.id), Some(one.clone()));
    let first = PageRequest { after: Some(TokenCursor::after(at(0))), limit: 10 };
    let waiting = harness.store.live_tokens(&TokenFilter::Discarded, &first).await.unwrap();
    assert_eq!(waiting.items.iter().map(|token| &token.id).collect::<Vec<_>>(), [&two]);
    harness.store.discard_tokens(std::slice::from_ref(&one)).await.unwrap();
    assert_eq!(harness.store.live_token(&key, at(0)).await, Ok(None));
    // A manual edit of the database does not remove the mark.
    harness.database.hand.does("UPDATE tokens SET discarded = 0").await;
    assert_eq!(harness.store.live_token(&key, at(0)).await, Ok(None));
}

pub(crate) async fn pages_list_every_live_token_once_and_skip_unreadable_rows(harness: &Harness) {
    let (acme, app) = harness.own_tenant("acme").await;
    let vendor = harness.shared_app("vendor").await;
    let north = harness.tenant_of(&vendor, "north").await;
    let (acmes, norths) = (token_key(&acme, acme.generation), token_key(&north, north.generation));
    let (mut of_acme, mut of_north) = (Vec::new(), Vec::new());
    for number in 0..7 {
        // Several tokens expire at the same moment.
        of_acme.push(harness.save(&acmes, &app, 60 + number / 3, number % 2 == 0).await.0);
        of_north.push(harness.save(&norths, &vendor, 60 + number / 3, false).await.0);
    }
    harness.save(&acmes, &app, 10, false).await;
    let walk = async |among: TokenFilter, limit: usize| {
        let (mut met, mut after) = (Vec::new(), Some(TokenCursor::after(at(10))));
        while after.is_some() {
            let page = harness.store.live_tokens(&among, &PageRequest { after, limit }).await.unwrap();
            met.extend(page.items.into_iter().map(|token| (token.expires_at, token.id, token.discarded)));
            after = page.next;
        }
        assert!(met.is_sorted(), "in the order of their ends");
        met
    };
    for limit in [1, 2, 3, 100] {
        let every = walk(TokenFilter::All, limit).await;
        assert_eq!(every.len(), 14);
        let ids = |met: Vec<(_, _, _)>| {
            met.into_iter().map(|(_, id, _)| id).collect::<std::collections::BTreeSet<_>>()
        };
        for (among, wanted) in [
            (TokenFilter::Tenant(acme.id.clone()), &of_acme),
            (TokenFilter::Tenant(north.id.clone()), &of_north),
            (TokenFilter::App(app.id.clone()), &of_acme),
            (TokenFilter::App(vendor.id.clone()), &of_north),
        ] {
            assert_eq!(ids(walk(among, limit).await), wanted.iter().cloned().collect());
        }
        let waiting = walk(TokenFilter::Discarded, limit).await;
        assert!(waiting.len() == 4 && waiting.iter().all(|(.., discarded)| *discarded));
    }
    // An unreadable row before all others.
    harness
        .database
        .hand
        .does("UPDATE tokens SET tenant_id = '' WHERE app_id = (SELECT id FROM apps WHERE name = 'vendor')")
        .await;
    for limit in [1, 100] {
        assert_eq!(walk(TokenFilter::All, limit).await.len(), 7);
    }
}
