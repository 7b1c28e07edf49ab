//! Registration of a shared app.

use super::{AppView, Apps};
use crate::auth::RequestContext;
use crate::domain::app::{App, AppOwner};
use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::id::{AppId, BoxId, Name};
use crate::registry::access::require_everywhere;
use crate::registry::candidate::{CandidateApp, seal};
use crate::registry::credential_input::{CredentialInput, check_enterprise};
use crate::registry::deps::Deps;
use crate::registry::diagnosis::{self, CheckResult};
use crate::registry::error::{CLIENT_ID_HELD, FieldError, RegistryError};
use crate::registry::rows;
use crate::registry::test_mint::test_shared_app;
use crate::store::{AppRef, NewApp};

/// A request to register a shared app.
#[derive(Debug)]
pub struct AppRegistration {
    /// The app's name.
    pub name: Name,
    /// The app's credentials.
    pub credentials: CredentialInput,
    /// An enterprise that authorised the app, for the test.
    pub enterprise_id: Option<BoxId>,
}

/// The outcome of registering a shared app or of changing its credentials.
#[derive(Debug)]
pub struct AppRegistrationOutcome {
    /// The app.
    pub app: AppView,
    /// The results of the checks.
    pub diagnosis: Vec<CheckResult>,
    /// The fields of the request that were ignored.
    pub warnings: Vec<FieldError>,
    /// True if this request created the app.
    pub created: bool,
}

impl AppRegistrationOutcome {
    /// Returns the outcome of a request that changes nothing.
    pub(in crate::registry) async fn unchanged(
        deps: &Deps,
        app: App,
        warnings: Vec<FieldError>,
    ) -> Result<Self, RegistryError> {
        let diagnosis = vec![diagnosis::check_key(&app)];
        Ok(Self { app: AppView::load(deps, app).await?, diagnosis, warnings, created: false })
    }
}

impl Apps {
    /// Refuses callers that may not register apps, before their request is parsed.
    ///
    /// # Errors
    /// [`RegistryError::Forbidden`].
    pub fn require_registration_permission(context: &RequestContext) -> Result<(), RegistryError> {
        require_everywhere(context, Permission::AppsWrite).map(drop)
    }

    /// Registers a shared app, after Box has issued a token for an enterprise if one is given.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is stored then.
    pub async fn register(
        &self,
        context: &RequestContext,
        registration: AppRegistration,
    ) -> Result<AppRegistrationOutcome, RegistryError> {
        let deps = &*self.deps;
        let context = require_everywhere(context, Permission::AppsWrite)?;
        let AppRegistration { name, credentials, enterprise_id } = registration;
        let parsed = credentials.parse()?;
        parsed.refuse_generated_key("Register the app with a key; `keypairs` makes the next one.")?;
        if let Some(id) = &enterprise_id {
            check_enterprise(id)?;
        }
        let owner = AppOwner::Shared { name: name.clone() };
        let candidate = CandidateApp::new(deps, deps.new_id(AppId::generate), owner, &parsed).await?;
        if let Some(known) = deps.store.app(&AppRef::Name(name)).await? {
            if !candidate.matches(deps, &known).await? {
                return Err(RegistryError::Conflict("The name is taken."));
            }
            return AppRegistrationOutcome::unchanged(deps, known, parsed.warnings).await;
        }
        let CandidateApp { mut app, secrets } = candidate;
        if deps.store.app(&AppRef::ClientId(app.client_id.clone())).await?.is_some() {
            return Err(RegistryError::Conflict(CLIENT_ID_HELD));
        }
        let enterprise = enterprise_id.as_ref().or(parsed.config.enterprise_id.as_ref());
        let cause = context.audit_context();
        let diagnosis = test_shared_app(deps, &app, &secrets, enterprise, &cause).await?;
        app.generation = deps.store.next_generation().await?;
        let sealed = seal(deps, &app, &secrets).await?;
        let event = rows::apps::app_event(deps, &cause, &app, AuditAction::AppCreate, None);
        deps.store.insert_app(NewApp { app: &app, sealed: &sealed }, &event).await?;
        let app = AppView { app, tenants: 0 };
        Ok(AppRegistrationOutcome { app, diagnosis, warnings: parsed.warnings, created: true })
    }
}
