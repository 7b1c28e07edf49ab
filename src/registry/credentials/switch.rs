//! The switch of an app to new credentials: tested, written as a new generation, first token kept.

use std::sync::Arc;

use crate::auth::RequestContext;
use crate::broker::{TenantContext, box_credentials};
use crate::domain::app::{App, AppSecrets, AppState};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::grant::Permission;
use crate::domain::id::{BoxId, KeypairId};
use crate::domain::subject::Subject;
use crate::domain::tenant::{ServiceAccount, Tenant, TenantState};
use crate::registry::apps::{AppRegistrationOutcome, AppView};
use crate::registry::candidate::seal;
use crate::registry::deps::Deps;
use crate::registry::diagnosis::DiagnosticTokens;
use crate::registry::error::{FieldError, RegistryError};
use crate::registry::registration::RegistrationOutcome;
use crate::registry::rows;
use crate::registry::test_mint::{
    TestedCredentials, checks_of_tested_tenant, revoke_test_token, test_mint, test_shared_app,
};
use crate::store::{ChangedEntity, CredentialSwitch, NewApp, TenantRef};

/// The new credentials of an app.
pub(in crate::registry) struct CredentialChange<'a> {
    /// The app with its new client ID and key; its generation and version are still the old ones.
    pub app: App,
    pub secrets: AppSecrets,
    /// The keypair that the key comes from, if the broker generated it.
    pub keypair: Option<&'a KeypairId>,
}

/// Loads a tenant with an app of its own whose credentials the caller may change.
///
/// # Errors
/// [`RegistryError::Conflict`] if the tenant is deleted or served by a shared app.
pub(in crate::registry) async fn load_tenant_with_own_app(
    deps: &Deps,
    context: &RequestContext,
    tenant: &TenantRef,
) -> Result<(RequestContext, Arc<TenantContext>), RegistryError> {
    let (context, view) =
        rows::tenants::load_tenant(deps, context, tenant, Permission::TenantsCredentials).await?;
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

/// Switches a tenant's own app to new credentials. A pending tenant is activated by it.
///
/// # Errors
/// Those of the test and of the store; nothing is changed then.
pub(in crate::registry) async fn switch_tenant(
    deps: &Deps,
    view: &TenantContext,
    change: CredentialChange<'_>,
    cause: &AuditContext,
    warnings: Vec<FieldError>,
) -> Result<RegistrationOutcome, RegistryError> {
    rows::apps::require_free_client_id(deps, &change.app).await?;
    let credentials = Arc::new(box_credentials(&change.app, change.secrets.clone())?);
    let tested = test_mint(deps, credentials, &view.tenant.enterprise_id, cause).await?;
    let tenant = tested_tenant(&view.tenant, &tested.account);
    let changed = (tenant != view.tenant).then(|| Tenant {
        version: tenant.version + 1,
        updated_at: deps.now(),
        ..tenant
    });
    let written =
        write_new_generation(deps, change, changed.as_ref(), cause, AuditAction::TenantCredentials).await;
    deps.broker.forget(&ChangedEntity::Tenant(view.tenant.id.clone()));
    let app = match written {
        Ok(app) => app,
        Err(error) => {
            revoke_test_token(deps, &tested.credentials, tested.minted.token, cause).await;
            return Err(error);
        }
    };
    let tenant = changed.unwrap_or_else(|| view.tenant.clone());
    finish_tenant_switch(deps, Arc::new(TenantContext { tenant, app }), tested, cause, warnings).await
}

/// Keeps the test's token as the tenant's first of the new generation, or revokes it if the tenant is out of service,
/// and runs the remaining checks.
async fn finish_tenant_switch(
    deps: &Deps,
    view: Arc<TenantContext>,
    tested: TestedCredentials,
    cause: &AuditContext,
    warnings: Vec<FieldError>,
) -> Result<RegistrationOutcome, RegistryError> {
    let TestedCredentials { credentials, minted, account } = tested;
    let (token, in_service) = (minted.token.clone(), view.tenant.state == TenantState::Active);
    let mut minted = Some(minted);
    if in_service
        && let Some(minted) = minted.take()
        // The switch is written, and the broker revokes a token that it does not keep.
        && let Err(error) = deps.broker.minter().adopt_test_token(&view, minted, cause).await
    {
        tracing::warn!(tenant = %view.tenant.id, %error, "a new generation begins without its first token");
    }
    let tokens = DiagnosticTokens { broker: &deps.broker, view: Some(&view), cause };
    let diagnosis = checks_of_tested_tenant(deps, &view.app, &account, (&credentials, &token), tokens).await;
    if let Some(minted) = minted
        && let Err(error) = deps
            .broker
            .minter()
            .discard_test_token(&view, (&Subject::ENTERPRISE, None), &credentials, minted, cause)
            .await
    {
        tracing::warn!(tenant = %view.tenant.id, %error, "a test's token was not written down");
    }
    Ok(RegistrationOutcome { view, diagnosis, warnings, created: false, keypair: None })
}

/// Switches a shared app to new credentials, tested with `enterprise` or with that of one of its active tenants.
///
/// # Errors
/// Those of the test and of the store; nothing is changed then.
pub(in crate::registry) async fn switch_shared_app(
    deps: &Deps,
    change: CredentialChange<'_>,
    enterprise: Option<BoxId>,
    cause: &AuditContext,
    warnings: Vec<FieldError>,
) -> Result<AppRegistrationOutcome, RegistryError> {
    let enterprise = match enterprise {
        Some(enterprise) => Some(enterprise),
        None => deps.store.active_tenant_of_app(&change.app.id).await?.map(|tenant| tenant.enterprise_id),
    };
    rows::apps::require_free_client_id(deps, &change.app).await?;
    let diagnosis = test_shared_app(deps, &change.app, &change.secrets, enterprise.as_ref(), cause).await?;
    let app = write_new_generation(deps, change, None, cause, AuditAction::AppCredentials).await?;
    let app = AppView::load(deps, app).await?;
    Ok(AppRegistrationOutcome { app, diagnosis, warnings, created: false })
}

/// Revokes the tokens of earlier generations. Returns a warning if some could not be revoked.
pub(in crate::registry) async fn revoke_older_tokens(
    deps: &Deps,
    view: &TenantContext,
) -> Option<FieldError> {
    let detail = match deps.broker.revocation().revoke_older_generations(view).await {
        Ok(0) => return None,
        Ok(left) => format!("{left} older tokens could not be revoked; they live until they expire."),
        Err(error) => {
            tracing::warn!(tenant = %view.tenant.id, %error, "older tokens could not be revoked");
            "Older tokens could not be revoked; they live until they expire.".to_owned()
        }
    };
    Some(FieldError::at("/revoke_old", detail))
}

/// Writes the new credentials as a new generation, together with the changed row of the tenant if there is one.
async fn write_new_generation(
    deps: &Deps,
    change: CredentialChange<'_>,
    tenant: Option<&Tenant>,
    cause: &AuditContext,
    action: AuditAction,
) -> Result<App, RegistryError> {
    let CredentialChange { mut app, secrets, keypair } = change;
    let old_generation = app.generation;
    app.generation = deps.store.next_generation().await?;
    app.version += 1;
    app.updated_at = deps.now();
    app.state = if app.state == AppState::Pending { AppState::Active } else { app.state };
    let sealed = seal(deps, &app, &secrets).await?;
    let event = AuditEvent {
        tenant: rows::apps::owning_tenant(&app).cloned(),
        app: Some(app.id.clone()),
        generation: Some(app.generation),
        detail: Some(format!("client ID {}, was generation {}", app.client_id, old_generation.0)),
        ..cause.event(deps.now(), action)
    };
    let new = NewApp { app: &app, sealed: &sealed };
    let written = deps.store.switch_credentials(CredentialSwitch { app: new, tenant, keypair }, &event).await;
    // After an error too: the write may have taken effect.
    deps.broker.forget(&ChangedEntity::App(app.id.clone()));
    written?;
    Ok(app)
}

/// Returns the tenant as it is after its credentials passed the test: active if it was pending, also under a lock.
fn tested_tenant(tenant: &Tenant, account: &ServiceAccount) -> Tenant {
    let activated = |state| if state == TenantState::Pending { TenantState::Active } else { state };
    let (state, locked_from) = (activated(tenant.state), tenant.locked_from.map(activated));
    Tenant { state, locked_from, service_account: Some(account.clone()), ..tenant.clone() }
}
