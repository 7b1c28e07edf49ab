//! Storing a new tenant: after a successful test, or as pending.

use std::sync::Arc;

use super::draft::RegistrationMode;
use super::outcome::RegistrationOutcome;
use crate::broker::TenantContext;
use crate::domain::app::AppSecrets;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::id::Generation;
use crate::registry::candidate::seal;
use crate::registry::deps::Deps;
use crate::registry::diagnosis::{self, CheckResult, DiagnosticCheck, DiagnosticTokens};
use crate::registry::error::{FieldError, RegistryError};
use crate::registry::rows;
use crate::registry::test_mint::{TestedCredentials, checks_of_tested_tenant, revoke_test_token};
use crate::store::{ChangedEntity, NewApp};

/// A tenant that is ready to be stored.
pub(super) struct NewTenant {
    pub view: Arc<TenantContext>,
    /// The secrets of the tenant's own app; `None` on a shared app.
    pub secrets: Option<AppSecrets>,
    /// The fields of the request that were ignored.
    pub warnings: Vec<FieldError>,
}

/// Returns the next generation. A dry run does not use up a number.
pub(super) async fn next_generation(
    deps: &Deps,
    mode: RegistrationMode,
) -> Result<Generation, RegistryError> {
    match mode.dry_run {
        true => Ok(Generation(0)),
        false => Ok(deps.store.next_generation().await?),
    }
}

/// Stores a tenant that passed its test, and keeps the test's token as its first. A dry run stores nothing and
/// revokes the token.
///
/// # Errors
/// Those of the store; the token is revoked then.
pub(super) async fn insert_tested_tenant(
    deps: &Deps,
    new: NewTenant,
    tested: TestedCredentials,
    cause: &AuditContext,
    dry_run: bool,
) -> Result<RegistrationOutcome, RegistryError> {
    let TestedCredentials { credentials, minted, account } = tested;
    let token = minted.token.clone();
    let view = Arc::clone(&new.view);
    if !dry_run {
        if let Err(error) = insert_tenant(deps, &new, cause).await {
            revoke_test_token(deps, &credentials, token, cause).await;
            return Err(error);
        }
        // The tenant is stored, and the broker revokes a token that it does not keep.
        if let Err(error) = deps.broker.minter().adopt_test_token(&view, minted, cause).await {
            tracing::warn!(tenant = %view.tenant.id, %error, "a tenant begins without its first token");
        }
    }
    let stored = (!dry_run).then_some(&*view);
    let tokens = DiagnosticTokens { broker: &deps.broker, view: stored, cause };
    let diagnosis = checks_of_tested_tenant(deps, &view.app, &account, (&credentials, &token), tokens).await;
    if dry_run {
        revoke_test_token(deps, &credentials, token, cause).await;
    }
    Ok(RegistrationOutcome { view, diagnosis, warnings: new.warnings, created: true, keypair: None })
}

/// Stores an untested tenant as pending, and generates its key if its app is to have one. A dry run stores nothing.
///
/// # Errors
/// Those of the store.
pub(super) async fn insert_pending_tenant(
    deps: &Deps,
    new: NewTenant,
    cause: &AuditContext,
    dry_run: bool,
) -> Result<RegistrationOutcome, RegistryError> {
    let app = &new.view.app;
    let mut keypair = None;
    if !dry_run {
        insert_tenant(deps, &new, cause).await?;
        if app.is_awaiting_key() {
            keypair = Some(rows::keypairs::create_keypair(deps, app, cause).await?);
        }
    }
    let when = match app.is_awaiting_key() {
        true => "It is tried when the keypair is activated.",
        false => "It is tried from time to time, and comes into service once Box gives a token.",
    };
    let diagnosis = vec![diagnosis::check_key(app), CheckResult::skipped(DiagnosticCheck::Assertion, when)];
    let NewTenant { view, warnings, .. } = new;
    Ok(RegistrationOutcome { view, diagnosis, warnings, created: true, keypair })
}

async fn insert_tenant(deps: &Deps, new: &NewTenant, cause: &AuditContext) -> Result<(), RegistryError> {
    let view = &new.view;
    let sealed = match &new.secrets {
        Some(secrets) => Some(seal(deps, &view.app, secrets).await?),
        None => None,
    };
    let new_app = sealed.as_deref().map(|sealed| NewApp { app: &view.app, sealed });
    let event = AuditEvent {
        tenant: Some(view.tenant.id.clone()),
        app: Some(view.app.id.clone()),
        generation: Some(view.generation()),
        detail: Some(format!("{} for enterprise {}", view.tenant.name, view.tenant.enterprise_id)),
        ..cause.event(deps.now(), AuditAction::TenantCreate)
    };
    let inserted = deps.store.insert_tenant(&view.tenant, new_app, &event).await;
    // The broker may have cached that there is no tenant of this name.
    deps.broker.forget(&ChangedEntity::Tenant(view.tenant.id.clone()));
    Ok(inserted?)
}
