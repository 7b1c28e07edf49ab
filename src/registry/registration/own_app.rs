//! Registration of a tenant with a Box app of its own.

use std::sync::Arc;

use super::draft::{RegistrationMode, TenantDraft};
use super::insertion::{NewTenant, insert_pending_tenant, insert_tested_tenant, next_generation};
use super::outcome::RegistrationOutcome;
use crate::broker::{TenantContext, box_credentials};
use crate::domain::app::{AppOwner, AppState};
use crate::domain::audit_event::AuditContext;
use crate::domain::id::{AppId, BoxId, TenantId};
use crate::domain::tenant::{Tenant, TenantState};
use crate::registry::candidate::CandidateApp;
use crate::registry::credential_input::CredentialInput;
use crate::registry::deps::Deps;
use crate::registry::error::{CLIENT_ID_HELD, FieldError, RegistryError};
use crate::registry::rows;
use crate::registry::test_mint::test_mint;
use crate::store::{AppRef, TenantRef};

/// Registers a tenant with its own app.
///
/// # Errors
/// Those of parsing the input, of the test at Box, and conflicts with what is registered.
pub(super) async fn register(
    deps: &Deps,
    draft: TenantDraft,
    input: CredentialInput,
    mode: RegistrationMode,
    cause: &AuditContext,
) -> Result<RegistrationOutcome, RegistryError> {
    let parsed = input.parse()?;
    let Some(enterprise_id) = parsed.config.enterprise_id.clone() else {
        return Err(RegistryError::invalid(
            parsed.enterprise_pointer,
            "A tenant is an enterprise: its ID is needed (Admin Console › Account & Billing shows it).",
        ));
    };
    let (tenant_id, app_id) = (deps.new_id(TenantId::generate), deps.new_id(AppId::generate));
    let owner = AppOwner::Tenant { id: tenant_id.clone() };
    let candidate = CandidateApp::new(deps, app_id, owner, &parsed).await?;
    let warnings = parsed.warnings;
    if let Some(known) = deps.store.tenant(&TenantRef::Name(draft.name.clone())).await? {
        return repeat_registration(deps, known, &candidate, &enterprise_id, warnings, cause).await;
    }
    let CandidateApp { mut app, secrets } = candidate;
    if deps.store.app(&AppRef::ClientId(app.client_id.clone())).await?.is_some() {
        return Err(RegistryError::Conflict(CLIENT_ID_HELD));
    }
    let now = deps.now();
    let untested = mode.verify_later || app.is_awaiting_key();
    let tested = match untested {
        true => None,
        false => {
            let credentials = Arc::new(box_credentials(&app, secrets.clone())?);
            Some(test_mint(deps, credentials, &enterprise_id, cause).await?)
        }
    };
    app.generation = next_generation(deps, mode).await?;
    if untested {
        app.state = AppState::Pending;
    }
    let account = tested.as_ref().map(|tested| tested.account.clone());
    let tenant = draft.into_tenant(tenant_id, &app, enterprise_id, app.generation, now, account);
    let view = Arc::new(TenantContext { tenant, app });
    let new = NewTenant { view, secrets: Some(secrets), warnings };
    match tested {
        None => insert_pending_tenant(deps, new, cause, mode.dry_run).await,
        Some(tested) => insert_tested_tenant(deps, new, tested, cause, mode.dry_run).await,
    }
}

/// Answers a request for a name that exists: success if the tenant has the same credentials, else a conflict.
async fn repeat_registration(
    deps: &Deps,
    known: Tenant,
    candidate: &CandidateApp,
    enterprise_id: &BoxId,
    warnings: Vec<FieldError>,
    cause: &AuditContext,
) -> Result<RegistrationOutcome, RegistryError> {
    let taken = || RegistryError::Conflict("The name is taken.");
    let stored = deps.store.app(&AppRef::Id(known.app.clone())).await?.ok_or_else(taken)?;
    let same_tenant =
        known.state != TenantState::Deleted && known.enterprise_id == *enterprise_id && !stored.is_shared();
    if !same_tenant || !candidate.matches(deps, &stored).await? {
        return Err(taken());
    }
    let keypair = match stored.is_awaiting_key() {
        true => Some(rows::keypairs::find_or_create_keypair(deps, &known, &stored, cause).await?),
        false => None,
    };
    Ok(RegistrationOutcome { keypair, ..RegistrationOutcome::unchanged(known, stored, warnings) })
}
