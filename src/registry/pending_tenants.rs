//! Pending tenants: stored untested, tried at Box again and again, and activated once Box issues a token.
//!
//! It owns the times of the next attempts, which are kept in memory only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio_util::task::TaskTracker;

use super::deps::Deps;
use super::error::RegistryError;
use super::rows;
use super::test_mint::{TestedCredentials, revoke_test_token};
use crate::broker::{TenantContext, TokenError};
use crate::clock::Monotonic;
use crate::domain::app::{App, AppState};
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::id::TenantId;
use crate::domain::tenant::{ServiceAccount, Tenant, TenantState};
use crate::flight::Flights;
use crate::store::{AppRef, ChangedEntity, Conflict, StoreError, TenantRef};

/// The pause after a pending tenant's first attempt; it doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_hours(6);
/// The number of pending tenants that are tried at a time.
const CONCURRENCY: usize = 8;
/// The number of attempts to write an activation while the tenant's row keeps changing.
const MAX_ACTIVATION_ATTEMPTS: usize = 3;

/// The time of a pending tenant's next attempt, and the pause after it.
#[derive(Clone, Copy, Debug)]
struct RetryTimer {
    due: Monotonic,
    pause: Duration,
}

type RetryTimers = HashMap<TenantId, RetryTimer>;

/// The service that tries and activates pending tenants.
#[derive(Debug)]
pub struct PendingTenants {
    deps: Arc<Deps>,
    attempts: Flights<TenantId, Result<(), RegistryError>>,
    timers: Mutex<RetryTimers>,
}

impl PendingTenants {
    pub(super) fn new(deps: Arc<Deps>, tasks: TaskTracker) -> Self {
        Self { deps, attempts: Flights::new(tasks), timers: Mutex::default() }
    }

    /// Tries the pending tenants that are due: at once, then after a minute, and then after pauses that double up to
    /// six hours.
    ///
    /// # Errors
    /// If the store does not answer. The failure of one tenant shows in its health.
    pub async fn try_due(self: &Arc<Self>) -> Result<(), StoreError> {
        let tenants = self.deps.store.pending_tenants().await?;
        let due = self.take_due(tenants);
        futures::stream::iter(due)
            .for_each_concurrent(CONCURRENCY, async |tenant| {
                if let Err(error) = self.verify(&TenantRef::Id(tenant.id.clone())).await {
                    tracing::info!(tenant = %tenant.id, %error, "a tenant stays pending");
                }
            })
            .await;
        Ok(())
    }

    /// Returns the tenants that are due, sets their next timers and drops the timers of tenants not pending any more.
    fn take_due(&self, mut tenants: Vec<Tenant>) -> Vec<Tenant> {
        let now = self.deps.clock.monotonic();
        let mut timers = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pending: RetryTimers = tenants
            .iter()
            .map(|tenant| {
                let new = RetryTimer { due: now, pause: FIRST_PAUSE };
                (tenant.id.clone(), timers.get(&tenant.id).copied().unwrap_or(new))
            })
            .collect();
        tenants.retain(|tenant| {
            let Some(timer) = pending.get_mut(&tenant.id).filter(|timer| timer.due <= now) else {
                return false;
            };
            *timer = RetryTimer { due: now.plus(timer.pause), pause: (2 * timer.pause).min(MAX_PAUSE) };
            true
        });
        *timers = pending;
        tenants
    }

    /// Tries a pending tenant at Box and activates it. Simultaneous calls share one attempt. A tenant that is no longer
    /// pending is a success.
    ///
    /// # Errors
    /// The reason why the tenant stays pending.
    pub async fn verify(self: &Arc<Self>, tenant: &TenantRef) -> Result<(), RegistryError> {
        let view = self.deps.broker.tenants().find(tenant).await?.ok_or(RegistryError::Absent)?;
        let id = view.tenant.id.clone();
        let deps = Arc::clone(&self.deps);
        let attempt = self.attempts.join(id.clone(), || async move { verify_and_activate(&deps, &id).await });
        attempt.await.map_err(|_| TokenError::Crashed)?
    }
}

async fn verify_and_activate(deps: &Deps, id: &TenantId) -> Result<(), RegistryError> {
    let Some(view) = load_pending(deps, id).await? else { return Ok(()) };
    let verified = verify_with_box(deps, &view).await;
    if let Err(error @ TokenError::Store(StoreError::Conflict(_))) = &verified {
        deps.broker.upstream().note_failure(&view.tenant.id, error);
    }
    verified.map_err(|error| match error {
        TokenError::Store(error) => error.into(),
        error => error.into(),
    })
}

async fn verify_with_box(deps: &Deps, view: &TenantContext) -> Result<(), TokenError> {
    if view.app.is_awaiting_key() {
        return Err(TokenError::Pending);
    }
    if matches!(view.app.state, AppState::Suspended | AppState::Locked) {
        return Err(TokenError::Suspended);
    }
    let holder = deps.store.app(&AppRef::ClientId(view.app.client_id.clone())).await?;
    if holder.is_some_and(|holder| holder.id != view.app.id) {
        return Err(StoreError::Conflict(Conflict::ClientIdHeld).into());
    }
    let (minted, credentials) = deps.broker.minter().retry_mint(view).await?;
    match deps.box_client.service_account(&minted.token).await {
        Ok(account) => {
            store_activation(deps, &view.tenant.id, TestedCredentials { credentials, minted, account }).await
        }
        Err(error) => {
            revoke_test_token(deps, &credentials, minted.token, &AuditContext::BROKER).await;
            let error = error.into();
            deps.broker.upstream().note_failure(&view.tenant.id, &error);
            Err(error)
        }
    }
}

/// Activates a tenant and keeps the test's token as its first. The token is revoked if the tenant was not activated.
async fn store_activation(deps: &Deps, id: &TenantId, tested: TestedCredentials) -> Result<(), TokenError> {
    let cause = AuditContext::BROKER;
    let TestedCredentials { credentials, minted, account } = tested;
    let activated = activate(deps, id, &account, &cause).await;
    if let Ok(Some(view)) = &activated {
        if let Err(error) = deps.broker.minter().adopt_test_token(view, minted, &cause).await {
            tracing::warn!(tenant = %id, %error, "a tenant begins without its first token");
        }
    } else {
        revoke_test_token(deps, &credentials, minted.token, &cause).await;
    }
    Ok(activated.map(drop)?)
}

/// Writes the rows of an activated tenant and of its own app. Returns `None` if it is not pending any more.
async fn activate(
    deps: &Deps,
    id: &TenantId,
    account: &ServiceAccount,
    cause: &AuditContext,
) -> Result<Option<TenantContext>, StoreError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let Some(TenantContext { tenant, app }) = load_pending(deps, id).await? else { return Ok(None) };
        let now = deps.now();
        let tenant = Tenant {
            state: TenantState::Active,
            service_account: Some(account.clone()),
            version: tenant.version + 1,
            updated_at: now,
            ..tenant
        };
        let app = match app.is_shared() {
            true => app,
            false => App { state: AppState::Active, version: app.version + 1, updated_at: now, ..app },
        };
        let detail = format!("{} for enterprise {}", tenant.name, tenant.enterprise_id);
        let event = rows::tenants::tenant_event(deps, &tenant, cause, AuditAction::TenantActivate, detail);
        let own_app = (!app.is_shared()).then_some(&app);
        let admitted = deps.store.activate_tenant(&tenant, own_app, &event).await;
        deps.broker.forget(&ChangedEntity::Tenant(tenant.id.clone()));
        deps.broker.forget(&ChangedEntity::App(app.id.clone()));
        match admitted {
            Ok(()) => return Ok(Some(TenantContext { tenant, app })),
            Err(StoreError::Conflict(Conflict::Version)) if attempts < MAX_ACTIVATION_ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the tenant and its app from the store while it is pending. Otherwise makes the broker forget its copies,
/// which are out of date.
async fn load_pending(deps: &Deps, id: &TenantId) -> Result<Option<TenantContext>, StoreError> {
    let tenant = deps.store.tenant(&TenantRef::Id(id.clone())).await?;
    let app = match &tenant {
        Some(tenant) => deps.store.app(&AppRef::Id(tenant.app.clone())).await?,
        None => None,
    };
    match tenant.zip(app) {
        Some((tenant, app)) if tenant.state == TenantState::Pending => {
            Ok(Some(TenantContext { tenant, app }))
        }
        found => {
            deps.broker.forget(&ChangedEntity::Tenant(id.clone()));
            if let Some((_, app)) = found {
                deps.broker.forget(&ChangedEntity::App(app.id));
            }
            Ok(None)
        }
    }
}
