//! The administration of the broker: admins register customers and their Box apps, maintain them, and decide who may
//! call.
//!
//! [`Registry`] holds one service per noun. A service checks the caller's permissions, parses and tests the input,
//! writes the row with its audit record, and then makes the broker forget its cached copy. Code that two services need
//! is in the modules below them: `access` and `retry` (permissions, conflicts), `rows` (load and replace), `candidate`
//! and `test_mint` (new credentials), `session_cancellation` and `lock_enforcement`.
//!
//! This module knows nothing of HTTP, releases no tokens, and shows a secret only when it creates one.

mod access;
mod apps;
mod audit;
mod audit_detail;
pub mod callers;
mod candidate;
mod credential_input;
mod credentials;
mod deps;
pub mod diagnosis;
mod error;
mod keypairs;
mod lock_enforcement;
mod lockdown;
mod page;
mod pending_tenants;
pub mod policy;
mod registration;
mod retry;
mod rows;
mod session_cancellation;
mod sessions;
pub mod strict_json;
mod tenant_fields;
mod tenants;
mod test_mint;

use std::sync::Arc;

pub use self::apps::{AppPatch, AppRegistration, AppRegistrationOutcome, AppView, Apps};
pub use self::audit::{AuditQuery, AuditReader};
pub use self::callers::Callers;
pub use self::credential_input::{CredentialFields, CredentialInput};
pub use self::credentials::Credentials;
pub use self::error::{FieldError, RegistryError};
pub use self::keypairs::{Keypairs, activation_steps};
pub use self::lockdown::{LockdownOutcome, Lockdowns};
pub use self::page::ListPage;
pub use self::pending_tenants::PendingTenants;
pub use self::policy::PolicyExplainer;
pub use self::registration::{AppSource, RegistrationOutcome, TenantRegistrar, TenantRegistration};
pub use self::rows::shared_app_name;
pub use self::sessions::{CreatedSession, SessionPage, SessionSpec, Sessions};
pub use self::tenants::{HealthState, HealthView, RequestedState, Tenants, check_tenant_patch};

use self::deps::Deps;
use crate::broker::{Broker, BrokerParts};
use crate::config;

/// The services for admins, one per noun.
#[derive(Debug)]
pub struct Registry {
    /// Reads, changes, tests and deletes tenants.
    pub tenants: Tenants,
    /// Registers tenants.
    pub registrar: TenantRegistrar,
    /// Tries and activates pending tenants.
    pub pending_tenants: Arc<PendingTenants>,
    /// Registers, changes and deletes shared apps.
    pub apps: Apps,
    /// Replaces the credentials of tenants and shared apps.
    pub credentials: Credentials,
    /// Generates and activates keypairs.
    pub keypairs: Keypairs,
    /// Creates, changes and deletes callers, their API keys and trusts.
    pub callers: Callers,
    /// Explains decisions.
    pub policy: PolicyExplainer,
    /// Opens, lists and cancels browser sessions.
    pub sessions: Sessions,
    /// Locks tenants, shared apps and callers.
    pub lockdowns: Lockdowns,
    /// Reads the audit.
    pub audit: AuditReader,
}

impl Registry {
    /// Creates the services from the parts of the broker that they administer.
    #[must_use]
    pub fn new(parts: BrokerParts, broker: Arc<Broker>, settings: &config::Settings) -> Self {
        let tasks = parts.tasks.clone();
        let deps = &Arc::new(Deps::new(parts, broker));
        let issuers = settings.auth.oidc.iter().map(|issuer| issuer.issuer.clone()).collect();
        let pending_tenants = Arc::new(PendingTenants::new(Arc::clone(deps), tasks));
        let pending = Arc::clone(&pending_tenants);
        Self {
            tenants: Tenants::new(Arc::clone(deps), pending, settings.tenants.purge_after),
            registrar: TenantRegistrar::new(Arc::clone(deps)),
            pending_tenants,
            apps: Apps::new(Arc::clone(deps)),
            credentials: Credentials::new(Arc::clone(deps)),
            keypairs: Keypairs::new(Arc::clone(deps)),
            callers: Callers::new(Arc::clone(deps), issuers),
            policy: PolicyExplainer::new(Arc::clone(deps)),
            sessions: Sessions::new(Arc::clone(deps)),
            lockdowns: Lockdowns::new(Arc::clone(deps)),
            audit: AuditReader::new(Arc::clone(deps)),
        }
    }
}
