//! Changes of credentials: tested at Box first, then written as a new generation.
//!
//! [`Credentials`] replaces the credentials of a tenant's own app or of a shared app. [`super::keypairs`] makes the
//! same switch to a keypair that the broker generated.

pub(super) mod switch;

use std::sync::Arc;

use self::switch::CredentialChange;
use super::access::require_everywhere;
use super::apps::AppRegistrationOutcome;
use super::candidate::CandidateApp;
use super::credential_input::{CredentialInput, check_enterprise};
use super::deps::Deps;
use super::error::RegistryError;
use super::registration::RegistrationOutcome;
use super::rows;
use crate::auth::RequestContext;
use crate::domain::grant::Permission;
use crate::domain::id::BoxId;
use crate::store::{AppRef, ChangedEntity, TenantRef};

/// The service that replaces credentials.
#[derive(Debug)]
pub struct Credentials {
    deps: Arc<Deps>,
}

impl Credentials {
    pub(super) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    /// Replaces the credentials of a tenant's own app, after Box has issued a token for the new ones. Equal credentials
    /// change nothing. `revoke_old` revokes the tokens of earlier credentials.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn replace_for_tenant(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        input: CredentialInput,
        revoke_old: bool,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let deps = &*self.deps;
        let (context, view) = switch::load_tenant_with_own_app(deps, context, tenant).await?;
        let parsed = input.parse()?;
        parsed.refuse_generated_key("POST …/keypairs makes a key for a tenant that is registered.")?;
        let enterprise = parsed.config.enterprise_id.as_ref();
        if enterprise.is_some_and(|enterprise| *enterprise != view.tenant.enterprise_id) {
            return Err(RegistryError::Conflict(
                "These credentials are for another enterprise; a tenant keeps its own. Register another tenant.",
            ));
        }
        let (id, owner) = (view.app.id.clone(), view.app.owner.clone());
        let candidate = CandidateApp::new(deps, id, owner, &parsed).await?;
        let warnings = parsed.warnings;
        if candidate.matches_if_readable(deps, &view.app).await? {
            // An admin who sends the same credentials has repaired something at Box: it is asked again.
            deps.broker.upstream().forget_refusals(&view);
            let (tenant, app) = (view.tenant.clone(), view.app.clone());
            let mut outcome = RegistrationOutcome::unchanged(tenant, app, warnings);
            // The request may repeat one that was interrupted before it revoked the old tokens.
            if revoke_old {
                outcome.warnings.extend(switch::revoke_older_tokens(deps, &view).await);
            }
            return Ok(outcome);
        }
        let (app, secrets) = candidate.merged_into(deps, &view.app).await?;
        let change = CredentialChange { app, secrets, keypair: None };
        let cause = context.audit_context();
        let mut outcome = switch::switch_tenant(deps, &view, change, &cause, warnings).await?;
        if revoke_old {
            outcome.warnings.extend(switch::revoke_older_tokens(deps, &outcome.view).await);
        }
        Ok(outcome)
    }

    /// Replaces a shared app's credentials, after Box has issued a token for the new ones if there is an enterprise to
    /// test them with. Equal credentials change nothing.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn replace_for_app(
        &self,
        context: &RequestContext,
        app: &AppRef,
        input: CredentialInput,
        enterprise: Option<BoxId>,
    ) -> Result<AppRegistrationOutcome, RegistryError> {
        let deps = &*self.deps;
        let context = require_everywhere(context, Permission::AppsWrite)?;
        let app = rows::apps::load_shared_app(deps, app).await?;
        let parsed = input.parse()?;
        parsed.refuse_generated_key("POST …/keypairs makes a key for an app that is registered.")?;
        if let Some(id) = &enterprise {
            check_enterprise(id)?;
        }
        let candidate = CandidateApp::new(deps, app.id.clone(), app.owner.clone(), &parsed).await?;
        let warnings = parsed.warnings;
        if candidate.matches_if_readable(deps, &app).await? {
            // An admin who sends the same credentials has repaired something at Box: it is asked again.
            deps.broker.forget(&ChangedEntity::App(app.id.clone()));
            return AppRegistrationOutcome::unchanged(deps, app, warnings).await;
        }
        let (app, secrets) = candidate.merged_into(deps, &app).await?;
        let change = CredentialChange { app, secrets, keypair: None };
        let enterprise = enterprise.or(parsed.config.enterprise_id);
        switch::switch_shared_app(deps, change, enterprise, &context.audit_context(), warnings).await
    }
}
