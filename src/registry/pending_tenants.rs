//! Customers who are not ready: stored untested, tried again and again, and in service by themselves
//! once Box gives a token for them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt;

use crate::box_api::{BoxCredentials, MintedToken};
use crate::broker::{TenantContext, TokenError};
use crate::clock::Monotonic;
use crate::domain::app::{App, AppSecrets, AppState};
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::id::TenantId;
use crate::domain::tenant::{ServiceAccount, Tenant, TenantState};
use crate::registry::Registry;
use crate::registry::diagnosis::{self, CheckResult, DiagnosticCheck};
use crate::registry::error::{FieldError, RegistryError};
use crate::registry::registration::RegistrationOutcome;
use crate::store::{AppRef, ChangedEntity, Conflict, StoreError, TenantRef};

/// How long a pending tenant is left alone after its first trial, and at most; the time doubles.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(6);
/// How many are tried at once.
const AT_ONCE: usize = 8;
/// How often somebody else's change in the very moment is made room for.
const ATTEMPTS: usize = 3;

/// When a pending tenant is tried next, and how long it is left alone after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryTimer {
    at: Monotonic,
    pause: Duration,
}

pub(super) type RetryTimers = HashMap<TenantId, RetryTimer>;

impl Registry {
    /// Stores a tenant that is not tested yet, and makes the key that it is to have.
    pub(super) async fn put_off(
        &self,
        view: Arc<TenantContext>,
        own: Option<&AppSecrets>,
        warnings: Vec<FieldError>,
        dry_run: bool,
        cause: &AuditContext,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let mut keypair = None;
        if !dry_run {
            self.insert(&view, own, cause).await?;
            if view.app.is_awaiting_key() {
                keypair = Some(self.keypair_for(&view.app, cause).await?);
            }
        }
        let when = match view.app.is_awaiting_key() {
            true => "It is tried when the keypair is activated.",
            false => "It is tried from time to time, and comes into service once Box gives a token.",
        };
        let diagnosis =
            vec![diagnosis::of_key(&view.app), CheckResult::skipped(DiagnosticCheck::Assertion, when)];
        Ok(RegistrationOutcome { view, diagnosis, warnings, created: true, keypair })
    }

    /// Tries those pending tenants whose time has come: first at once, then after a minute, and each
    /// time after twice as long, up to six hours.
    ///
    /// # Errors
    /// Where the store does not answer. What fails for one tenant shows in its health.
    pub async fn try_pending(self: &Arc<Self>) -> Result<(), StoreError> {
        let tenants = self.store.pending_tenants().await?;
        let due = self.due(tenants);
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, async |tenant| {
                if let Err(error) = self.verify(&TenantRef::Id(tenant.id.clone())).await {
                    tracing::info!(tenant = %tenant.id, %error, "a tenant stays pending");
                }
            })
            .await;
        Ok(())
    }

    fn due(&self, mut tenants: Vec<Tenant>) -> Vec<Tenant> {
        let now = self.clock.monotonic();
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut still: RetryTimers = tenants
            .iter()
            .map(|tenant| {
                let new = RetryTimer { at: now, pause: FIRST_PAUSE };
                (tenant.id.clone(), waits.get(&tenant.id).copied().unwrap_or(new))
            })
            .collect();
        tenants.retain(|tenant| {
            let Some(wait) = still.get_mut(&tenant.id).filter(|wait| wait.at <= now) else { return false };
            *wait = RetryTimer { at: now.plus(wait.pause), pause: (2 * wait.pause).min(LONGEST_PAUSE) };
            true
        });
        *waits = still;
        tenants
    }

    /// Tries a pending tenant at Box and brings it into service. All who ask at the same time share
    /// one trial. One that is not pending any more is well.
    ///
    /// # Errors
    /// What stands in its way; it stays pending then.
    pub async fn verify(self: &Arc<Self>, tenant: &TenantRef) -> Result<(), RegistryError> {
        let view = self.broker.view(tenant).await?.ok_or(RegistryError::Absent)?;
        let id = view.tenant.id.clone();
        let registry = Arc::clone(self);
        let trial = self.trials.join(id.clone(), || async move { registry.try_one(&id).await });
        trial.await.map_err(|_| TokenError::Crashed)?
    }

    async fn try_one(&self, id: &TenantId) -> Result<(), RegistryError> {
        let Some(view) = self.still_pending(id).await? else { return Ok(()) };
        let verified = self.try_at_box(&view).await;
        if let Err(error @ TokenError::Store(StoreError::Conflict(_))) = &verified {
            self.broker.note_failure(&view, error);
        }
        verified.map_err(|error| match error {
            TokenError::Store(error) => error.into(),
            error => error.into(),
        })
    }

    async fn try_at_box(&self, view: &TenantContext) -> Result<(), TokenError> {
        if view.app.is_awaiting_key() {
            return Err(TokenError::Pending);
        }
        if matches!(view.app.state, AppState::Suspended | AppState::Locked) {
            return Err(TokenError::Suspended);
        }
        let holder = self.store.app(&AppRef::ClientId(view.app.client_id.clone())).await?;
        if holder.is_some_and(|holder| holder.id != view.app.id) {
            return Err(StoreError::Conflict(Conflict::ClientIdHeld).into());
        }
        let (minted, credentials) = self.broker.knock(view).await?;
        let account = match self.upstream.service_account(&minted.token).await {
            Ok(account) => account,
            Err(error) => {
                self.write_off(&credentials, minted.token, &AuditContext::BROKER).await;
                let error = error.into();
                self.broker.note_failure(view, &error);
                return Err(error);
            }
        };
        self.bring_in(&view.tenant.id, account, (&credentials, minted)).await
    }

    /// Brings a tenant into service that Box gave a token for, and keeps the token as its first.
    async fn bring_in(
        &self,
        id: &TenantId,
        account: ServiceAccount,
        (credentials, minted): (&Arc<BoxCredentials>, MintedToken),
    ) -> Result<(), TokenError> {
        let cause = AuditContext::BROKER;
        let mut attempts = 0;
        let brought = loop {
            attempts += 1;
            let view = match self.still_pending(id).await {
                Ok(Some(view)) => view,
                Ok(None) => break Ok(None),
                Err(error) => break Err(error),
            };
            let now = self.now();
            let TenantContext { tenant, app } = &view;
            let tenant = Tenant {
                state: TenantState::Active,
                service_account: Some(account.clone()),
                version: tenant.version + 1,
                updated_at: now,
                ..tenant.clone()
            };
            let app = match app.is_shared() {
                true => app.clone(),
                false => {
                    App { state: AppState::Active, version: app.version + 1, updated_at: now, ..app.clone() }
                }
            };
            let told = format!("{} for enterprise {}", tenant.name, tenant.enterprise_id);
            let event = self.event_of(&tenant, &cause, AuditAction::TenantActivate, told);
            let own = (!app.is_shared()).then_some(&app);
            let admitted = self.store.activate_tenant(&tenant, own, &event).await;
            self.broker.forget(&ChangedEntity::Tenant(tenant.id.clone()));
            self.broker.forget(&ChangedEntity::App(app.id.clone()));
            match admitted {
                Ok(()) => break Ok(Some(TenantContext { tenant, app })),
                // Somebody changed it in this moment: look again.
                Err(StoreError::Conflict(Conflict::Version)) if attempts < ATTEMPTS => {}
                Err(error) => break Err(error),
            }
        };
        match brought {
            Ok(Some(view)) => {
                if let Err(error) = self.broker.adopt(&view, minted, &cause).await {
                    tracing::warn!(tenant = %id, %error, "a tenant begins without its first token");
                }
                Ok(())
            }
            Ok(None) => {
                self.write_off(credentials, minted.token, &cause).await;
                Ok(())
            }
            Err(error) => {
                self.write_off(credentials, minted.token, &cause).await;
                Err(error.into())
            }
        }
    }

    /// The tenant as it stands in the store, while it is pending.
    async fn still_pending(&self, id: &TenantId) -> Result<Option<TenantContext>, StoreError> {
        let tenant = self.store.tenant(&TenantRef::Id(id.clone())).await?;
        let app = match &tenant {
            Some(tenant) => self.store.app(&AppRef::Id(tenant.app.clone())).await?,
            None => None,
        };
        match tenant.zip(app) {
            Some((tenant, app)) if tenant.state == TenantState::Pending => {
                Ok(Some(TenantContext { tenant, app }))
            }
            found => {
                // Somebody else changed it, and what is remembered is old.
                self.broker.forget(&ChangedEntity::Tenant(id.clone()));
                if let Some((_, app)) = found {
                    self.broker.forget(&ChangedEntity::App(app.id));
                }
                Ok(None)
            }
        }
    }
}
