//! The registration of tenants: credentials are parsed, tested at Box, then stored.
//!
//! A tenant comes with an app of its own or is served by a shared one. It can be stored untested, as pending;
//! [`super::pending_tenants`] tests it later. This module stores new tenants and never changes existing ones.

mod draft;
mod insertion;
mod outcome;
mod own_app;
mod shared_app;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::outcome::RegistrationOutcome;

use self::draft::{RegistrationMode, TenantDraft};
use super::access::require_everywhere;
use super::credential_input::CredentialInput;
use super::deps::Deps;
use super::error::{RegistryError, require_none};
use super::tenant_fields::check_fields;
use crate::auth::RequestContext;
use crate::domain::grant::Permission;
use crate::domain::id::{BoxId, Name};
use crate::domain::policy::Policy;

/// A request to register a tenant.
#[derive(Debug)]
pub struct TenantRegistration {
    /// The tenant's name.
    pub name: Name,
    /// The name for people; by default the tenant's name.
    pub display_name: Option<String>,
    /// The tenant's labels.
    pub labels: BTreeMap<String, String>,
    /// The tenant's policy.
    pub policy: Policy,
    /// The app that serves the tenant.
    pub source: AppSource,
    /// True to store the tenant untested; it becomes active once Box issues a token for it.
    pub verify_later: bool,
}

/// The app that serves a new tenant.
#[derive(Debug)]
pub enum AppSource {
    /// An app of its own.
    Own(CredentialInput),
    /// A vendor's shared app.
    Shared {
        /// The app's name.
        app: Name,
        /// The customer's enterprise.
        enterprise_id: BoxId,
    },
}

/// The service that registers tenants.
#[derive(Debug)]
pub struct TenantRegistrar {
    deps: Arc<Deps>,
}

impl TenantRegistrar {
    pub(super) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    /// Refuses callers that may not register tenants, before their request is parsed.
    ///
    /// # Errors
    /// [`RegistryError::Forbidden`].
    pub fn require_permission(context: &RequestContext) -> Result<(), RegistryError> {
        require_everywhere(context, Permission::TenantsCreate).map(drop)
    }

    /// Registers a tenant after Box has issued a token for it, or as pending. A dry run does everything except
    /// storing the tenant.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is stored then.
    pub async fn register(
        &self,
        context: &RequestContext,
        registration: TenantRegistration,
        dry_run: bool,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let context = require_everywhere(context, Permission::TenantsCreate)?;
        let TenantRegistration { name, display_name, labels, policy, source, verify_later } = registration;
        require_none(check_fields(display_name.as_deref(), &labels))?;
        let draft = TenantDraft {
            display_name: display_name.unwrap_or_else(|| name.as_str().to_owned()),
            name,
            labels,
            policy,
        };
        let mode = RegistrationMode { verify_later, dry_run };
        match source {
            AppSource::Own(input) => {
                own_app::register(&self.deps, draft, input, mode, &context.audit_context()).await
            }
            AppSource::Shared { app, enterprise_id } => {
                let context = require_everywhere(&context, Permission::AppsUse)?;
                let cause = context.audit_context();
                shared_app::register(&self.deps, draft, (app, enterprise_id), mode, &cause).await
            }
        }
    }
}
