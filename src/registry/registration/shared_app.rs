//! Registration of a tenant on a vendor's shared app.

use std::sync::Arc;

use super::draft::{RegistrationMode, TenantDraft};
use super::insertion::{NewTenant, insert_pending_tenant, insert_tested_tenant, next_generation};
use super::outcome::RegistrationOutcome;
use crate::broker::TenantContext;
use crate::domain::app::AppState;
use crate::domain::audit_event::AuditContext;
use crate::domain::id::{BoxId, Name, TenantId};
use crate::domain::tenant::TenantState;
use crate::registry::credential_input::check_enterprise;
use crate::registry::deps::Deps;
use crate::registry::error::RegistryError;
use crate::registry::test_mint::test_mint;
use crate::store::{AppRef, TenantRef};

/// Registers a tenant on a shared app.
///
/// # Errors
/// Those of the test at Box, and conflicts with what is registered.
pub(super) async fn register(
    deps: &Deps,
    draft: TenantDraft,
    (app, enterprise_id): (Name, BoxId),
    mode: RegistrationMode,
    cause: &AuditContext,
) -> Result<RegistrationOutcome, RegistryError> {
    let app = deps.store.app(&AppRef::Name(app)).await?.ok_or_else(|| {
        RegistryError::invalid("/app", "There is no shared app of that name; POST /v1/apps registers one.")
    })?;
    if app.state != AppState::Active {
        return Err(RegistryError::Conflict("This shared app is out of service."));
    }
    check_enterprise(&enterprise_id)?;
    if let Some(known) = deps.store.tenant(&TenantRef::Name(draft.name.clone())).await? {
        let same = known.state != TenantState::Deleted
            && known.app == app.id
            && known.enterprise_id == enterprise_id;
        return match same {
            true => Ok(RegistrationOutcome::unchanged(known, app, Vec::new())),
            false => Err(RegistryError::Conflict("The name is taken.")),
        };
    }
    let (tenant_id, now) = (deps.new_id(TenantId::generate), deps.now());
    let tested = match mode.verify_later {
        true => None,
        false => {
            let credentials = deps.broker.credentials().of_app(&app).await?;
            Some(test_mint(deps, credentials, &enterprise_id, cause).await?)
        }
    };
    let generation = next_generation(deps, mode).await?;
    let account = tested.as_ref().map(|tested| tested.account.clone());
    let tenant = draft.into_tenant(tenant_id, &app, enterprise_id, generation, now, account);
    let view = Arc::new(TenantContext { tenant, app });
    let new = NewTenant { view, secrets: None, warnings: Vec::new() };
    match tested {
        None => insert_pending_tenant(deps, new, cause, mode.dry_run).await,
        Some(tested) => insert_tested_tenant(deps, new, tested, cause, mode.dry_run).await,
    }
}
