//! Credentials that change: tested at Box first, then switched to as a new generation.

mod shared_app;

use std::sync::Arc;

use crate::auth::RequestContext;
use crate::box_api::BoxCredentials;
use crate::broker::{TenantContext, TokenError, credentials_of};
use crate::domain::app::{App, AppOwner, AppSecrets, AppState};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::grant::Permission;
use crate::domain::id::{BoxId, KeypairId};
use crate::domain::subject::Subject;
use crate::domain::tenant::{Tenant, TenantState};
use crate::registry::credential_input::CredentialInput;
use crate::registry::diagnosis::DiagnosticTokens;
use crate::registry::error::{CLIENT_ID_HELD, FieldError, RegistryError};
use crate::registry::registration::{RegistrationOutcome, TestedRegistration, unchanged};
use crate::registry::{Registry, on_what_stands};
use crate::store::{AppRef, ChangedEntity, CredentialSwitch, NewApp, StoreError, TenantRef};

/// What an app is switched to.
pub(super) struct NextCredentials<'a> {
    /// The app with its new public face; its generation and version are still the old ones.
    pub app: App,
    pub secrets: AppSecrets,
    /// The keypair that they were made of.
    pub keypair: Option<&'a KeypairId>,
}

/// Next credentials that passed their test.
pub(super) struct TestedCredentials {
    pub credentials: Arc<BoxCredentials>,
    pub tested: TestedRegistration,
}

impl Registry {
    /// Replaces a tenant's own credentials, after Box has given a token by the new ones. The same ones
    /// change nothing. `revoke_old` ends the tokens of earlier ones at Box.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is changed then.
    pub async fn replace_credentials(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        material: CredentialInput,
        revoke_old: bool,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let (context, view) = self.tenant_with_own_app(context, tenant).await?;
        let reading = material.read()?;
        reading.refuse_generated_key("POST …/keypairs makes a key for a tenant that is registered.")?;
        let enterprise = reading.config.enterprise_id.as_ref();
        if enterprise.is_some_and(|enterprise| *enterprise != view.tenant.enterprise_id) {
            return Err(RegistryError::Conflict(
                "These credentials are for another enterprise; a tenant keeps its own. Register another tenant.",
            ));
        }
        let key = self.decode(&reading).await?;
        let warnings = reading.warnings.clone();
        let (face, secrets) =
            self.new_app(view.app.id.clone(), view.app.owner.clone(), &reading, key.as_ref());
        if self.are_in_use(&view.app, &face, &secrets).await? {
            // Whoever sends them again has changed something at Box.
            self.broker.forgive(&view);
            let mut same = unchanged(view.tenant.clone(), view.app.clone(), warnings);
            // Whoever repeats a call that was cut off still wants the old tokens to end.
            if revoke_old {
                same.warnings.extend(self.revoke_older(&view).await);
            }
            return Ok(same);
        }
        let secrets = self.with_webhook_keys(&view.app, secrets).await?;
        let next = NextCredentials { app: with_face(&view.app, face), secrets, keypair: None };
        self.switch_own(&view, next, &context.audit_context(), warnings, revoke_old).await
    }

    /// Has the next requests mint anew: access or scopes changed in Box. Old tokens live on.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn flush_tenant(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<Arc<TenantContext>, RegistryError> {
        on_what_stands(|| self.flush_tenant_once(context, tenant)).await
    }

    async fn flush_tenant_once(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<Arc<TenantContext>, RegistryError> {
        let (context, current, view) = self.fresh(context, tenant, Permission::TenantsCredentials).await?;
        if current.state == TenantState::Deleted {
            return Err(RegistryError::Conflict("The tenant is deleted; restore it first."));
        }
        let next = Tenant { generation: self.store.next_generation().await?, ..current };
        let told = format!("was {}", view.generation().0);
        let event = self.event_of(&next, &context.audit_context(), AuditAction::TenantFlush, told);
        let tenant = self.replace(next, &event, None).await?;
        Ok(Arc::new(TenantContext { tenant, app: view.app.clone() }))
    }

    /// A tenant as it stands in the store, whose credentials this context may change, and which of its
    /// callers may.
    pub(super) async fn tenant_with_own_app(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<(RequestContext, Arc<TenantContext>), RegistryError> {
        let (context, _, view) = self.fresh(context, tenant, Permission::TenantsCredentials).await?;
        if view.app.is_shared() {
            return Err(RegistryError::Conflict(
                "This tenant is served by a shared app, whose credentials are changed under /v1/apps.",
            ));
        }
        if view.tenant.state == TenantState::Deleted {
            return Err(RegistryError::Conflict("The tenant is deleted; restore it first."));
        }
        Ok((context, view))
    }

    /// Switches a tenant's own app; a pending tenant comes into service by it.
    pub(super) async fn switch_own(
        &self,
        view: &TenantContext,
        next: NextCredentials<'_>,
        cause: &AuditContext,
        mut warnings: Vec<FieldError>,
        revoke_old: bool,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let proven = self.prove(&next, &view.tenant.enterprise_id, cause).await?;
        let tenant = proven_tenant(&view.tenant, &proven.tested);
        let changed = (tenant != view.tenant).then(|| Tenant {
            version: tenant.version + 1,
            updated_at: self.now(),
            ..tenant
        });
        let switched = self.commit(next, changed.as_ref(), cause, AuditAction::TenantCredentials).await;
        self.broker.forget(&ChangedEntity::Tenant(view.tenant.id.clone()));
        let TestedCredentials { credentials, tested: TestedRegistration { minted, account } } = proven;
        let app = match switched {
            Ok(app) => app,
            Err(error) => {
                self.write_off(&credentials, minted.token, cause).await;
                return Err(error);
            }
        };
        let view = Arc::new(TenantContext { tenant: changed.unwrap_or_else(|| view.tenant.clone()), app });
        let (token, in_service) = (minted.token.clone(), view.tenant.state == TenantState::Active);
        let mut minted = Some(minted);
        if in_service && let Some(minted) = minted.take() {
            // The switch stands, and the broker has seen to a token that it does not keep.
            if let Err(error) = self.broker.adopt(&view, minted, cause).await {
                tracing::warn!(tenant = %view.tenant.id, %error, "a new generation begins without its first token");
            }
        }
        let ledger = DiagnosticTokens { broker: &self.broker, view: Some(&view), cause };
        let diagnosis = self.findings(&view.app, &account, (&credentials, &token), ledger).await;
        if let Some(minted) = minted
            && let Err(error) =
                self.broker.write_off(&view, &Subject::ENTERPRISE, None, &credentials, minted, cause).await
        {
            tracing::warn!(tenant = %view.tenant.id, %error, "a test's token was not written down");
        }
        if revoke_old {
            warnings.extend(self.revoke_older(&view).await);
        }
        Ok(RegistrationOutcome { view, diagnosis, warnings, created: false, keypair: None })
    }

    /// Ends the tokens of earlier credentials, and tells of those that could not be ended.
    async fn revoke_older(&self, view: &TenantContext) -> Option<FieldError> {
        let detail = match self.broker.revoke_older(view).await {
            Ok(0) => return None,
            Ok(left) => format!("{left} older tokens could not be revoked; they live until they expire."),
            Err(error) => {
                tracing::warn!(tenant = %view.tenant.id, %error, "older tokens could not be revoked");
                "Older tokens could not be revoked; they live until they expire.".to_owned()
            }
        };
        Some(FieldError::at("/revoke_old", detail))
    }

    /// Has Box give a token by the next credentials.
    pub(super) async fn prove(
        &self,
        next: &NextCredentials<'_>,
        enterprise: &BoxId,
        cause: &AuditContext,
    ) -> Result<TestedCredentials, RegistryError> {
        self.require_free_client_id(&next.app).await?;
        let credentials = Arc::new(credentials_of(&next.app, next.secrets.clone())?);
        let tested = self.test_mint(&credentials, enterprise, cause).await?;
        Ok(TestedCredentials { credentials, tested })
    }

    /// Refuses a client ID that another app holds.
    pub(super) async fn require_free_client_id(&self, app: &App) -> Result<(), RegistryError> {
        let holder = self.store.app(&AppRef::ClientId(app.client_id.clone())).await?;
        match holder.is_none_or(|holder| holder.id == app.id) {
            true => Ok(()),
            false => Err(RegistryError::Conflict(CLIENT_ID_HELD)),
        }
    }

    /// Writes the switch down, as a new generation.
    pub(super) async fn commit(
        &self,
        next: NextCredentials<'_>,
        tenant: Option<&Tenant>,
        cause: &AuditContext,
        action: AuditAction,
    ) -> Result<App, RegistryError> {
        let NextCredentials { mut app, secrets, keypair } = next;
        let was = app.generation;
        app.generation = self.store.next_generation().await?;
        app.version += 1;
        app.updated_at = self.now();
        app.state = if app.state == AppState::Pending { AppState::Active } else { app.state };
        let sealed = self.seal(&app, &secrets).await?;
        let owner = match &app.owner {
            AppOwner::Tenant { id } => Some(id.clone()),
            AppOwner::Shared { .. } => None,
        };
        let event = AuditEvent {
            tenant: owner,
            app: Some(app.id.clone()),
            generation: Some(app.generation),
            detail: Some(format!("client ID {}, was generation {}", app.client_id, was.0)),
            ..cause.event(self.now(), action)
        };
        let new = NewApp { app: &app, sealed: &sealed };
        let switched =
            self.store.switch_credentials(CredentialSwitch { app: new, tenant, keypair }, &event).await;
        // Whether it was written or not: what is remembered may be old.
        self.broker.forget(&ChangedEntity::App(app.id.clone()));
        switched?;
        Ok(app)
    }

    /// Next secrets of an app with the webhook keys that are stored, where they came without any. Stored ones
    /// that cannot be opened are lost anyway.
    pub(super) async fn with_webhook_keys(
        &self,
        app: &App,
        secrets: AppSecrets,
    ) -> Result<AppSecrets, RegistryError> {
        match self.broker.secrets(app).await {
            Ok(stored) => Ok(secrets.with_webhook_keys_from(&stored)),
            Err(error @ TokenError::Store(StoreError::Unavailable(_))) => Err(error.into()),
            Err(error) => {
                tracing::warn!(app = %app.id, %error, "webhook keys are not kept, for they cannot be opened");
                Ok(secrets)
            }
        }
    }

    /// True where these are an app's credentials already. Stored ones that cannot be opened are not:
    /// new ones are what helps.
    pub(super) async fn are_in_use(
        &self,
        app: &App,
        face: &App,
        secrets: &AppSecrets,
    ) -> Result<bool, RegistryError> {
        match self.holds_these(app, face, secrets).await {
            Err(RegistryError::Token(
                TokenError::Sealed { .. }
                | TokenError::Corrupt(_)
                | TokenError::Store(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. }),
            )) => Ok(false),
            answer => answer,
        }
    }
}

/// The app with the public face that was read for it.
pub(super) fn with_face(app: &App, face: App) -> App {
    App { client_id: face.client_id, auth: face.auth, key: face.key, ..app.clone() }
}

/// The tenant as it is once its credentials passed their test.
pub(super) fn proven_tenant(tenant: &Tenant, tested: &TestedRegistration) -> Tenant {
    let proven = |state| if state == TenantState::Pending { TenantState::Active } else { state };
    let (state, locked_from) = (proven(tenant.state), tenant.locked_from.map(proven));
    Tenant { state, locked_from, service_account: Some(tested.account.clone()), ..tenant.clone() }
}
