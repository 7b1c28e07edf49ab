//! The outcome of a registration, and of a change of credentials.

use std::sync::Arc;

use crate::broker::TenantContext;
use crate::domain::app::{App, Keypair};
use crate::domain::tenant::Tenant;
use crate::registry::diagnosis::{self, CheckResult, DiagnosticCheck};
use crate::registry::error::FieldError;

/// The outcome of registering a tenant or of changing its credentials.
#[derive(Debug)]
pub struct RegistrationOutcome {
    /// The tenant and its app.
    pub view: Arc<TenantContext>,
    /// The results of the checks.
    pub diagnosis: Vec<CheckResult>,
    /// The fields of the request that were ignored.
    pub warnings: Vec<FieldError>,
    /// False if the tenant existed before, with the same credentials.
    pub created: bool,
    /// The keypair that was generated for the tenant; its public half must be added to the app in Box.
    pub keypair: Option<Keypair>,
}

impl RegistrationOutcome {
    /// Returns the outcome of a request that changes nothing.
    pub(in crate::registry) fn unchanged(tenant: Tenant, app: App, warnings: Vec<FieldError>) -> Self {
        let diagnosis = vec![
            diagnosis::check_key(&app),
            CheckResult::skipped(
                DiagnosticCheck::Assertion,
                "These credentials are registered already; run the tenant's test.",
            ),
        ];
        let view = Arc::new(TenantContext { tenant, app });
        Self { view, diagnosis, warnings, created: false, keypair: None }
    }
}
