//! Shared apps: one Box app of a vendor's that serves many customers.

use serde::Deserialize;

use crate::auth::RequestContext;
use crate::broker::credentials_of;
use crate::domain::app::{App, AppOwner, AppState};
use crate::domain::audit_event::{AuditAction, AuditEvent};
use crate::domain::grant::Permission;
use crate::domain::id::{AppId, BoxId, Name};
use crate::registry::credential_input::{CredentialInput, check_enterprise};
use crate::registry::diagnosis::{self, CheckResult, DiagnosticCheck};
use crate::registry::error::{CLIENT_ID_HELD, FieldError, RegistryError, unless_expected};
use crate::registry::strict_json::non_null;
use crate::registry::tenants::{ListPage, RequestedState};
use crate::registry::{Registry, on_what_stands, require_everywhere};
use crate::store::{AppRef, ChangedEntity, NewApp, PageRequest};

/// A shared app to be registered.
#[derive(Debug)]
pub struct AppRegistration {
    /// Its name.
    pub name: Name,
    /// Its credentials.
    pub material: CredentialInput,
    /// An enterprise that authorised it, to test it with.
    pub enterprise_id: Option<BoxId>,
}

/// What a PATCH may change of an app.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppPatch {
    /// In service or not.
    #[serde(default, deserialize_with = "non_null")]
    pub state: Option<RequestedState>,
}

/// A shared app and how many tenants it serves.
#[derive(Debug)]
pub struct AppView {
    /// The app.
    pub app: App,
    /// How many tenants it serves, deleted ones counting.
    pub tenants: u64,
}

/// A shared app that was registered, or is already.
#[derive(Debug)]
pub struct RegisteredApp {
    /// The app.
    pub app: AppView,
    /// What was checked.
    pub diagnosis: Vec<CheckResult>,
    /// What the request held that has no use here.
    pub warnings: Vec<FieldError>,
    /// False where it was registered before, with the same credentials.
    pub created: bool,
}

impl Registry {
    /// Refuses whoever may register no apps, whatever they sent.
    ///
    /// # Errors
    /// [`RegistryError::Forbidden`].
    pub fn may_register_apps(context: &RequestContext) -> Result<(), RegistryError> {
        require_everywhere(context, Permission::AppsWrite).map(drop)
    }

    /// Registers a shared app, after Box has given a token for the enterprise where one is named.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is stored then.
    pub async fn register_app(
        &self,
        context: &RequestContext,
        registration: AppRegistration,
    ) -> Result<RegisteredApp, RegistryError> {
        let context = require_everywhere(context, Permission::AppsWrite)?;
        let AppRegistration { name, material, enterprise_id } = registration;
        let reading = material.read()?;
        reading.refuse_generated_key("Register the app with a key; `keypairs` makes the next one.")?;
        if let Some(id) = &enterprise_id {
            check_enterprise(id)?;
        }
        let key = self.decode(&reading).await?;
        let warnings = reading.warnings.clone();
        let owner = AppOwner::Shared { name: name.clone() };
        let (mut app, secrets) = self.new_app(self.new_id(AppId::generate), owner, &reading, key.as_ref());
        if let Some(known) = self.store.app(&AppRef::Name(name)).await? {
            if !self.holds_these(&known, &app, &secrets).await? {
                return Err(RegistryError::Conflict("The name is taken."));
            }
            let diagnosis = vec![diagnosis::of_key(&known)];
            return Ok(RegisteredApp {
                app: self.counted(known).await?,
                diagnosis,
                warnings,
                created: false,
            });
        }
        if self.store.app(&AppRef::ClientId(app.client_id.clone())).await?.is_some() {
            return Err(RegistryError::Conflict(CLIENT_ID_HELD));
        }
        let mut diagnosis = vec![diagnosis::of_key(&app)];
        match enterprise_id.as_ref().or(reading.config.enterprise_id.as_ref()) {
            None => {
                let why = "Name an `enterprise_id` that authorised the app to have this checked.";
                diagnosis.push(CheckResult::skipped(DiagnosticCheck::Assertion, why));
            }
            Some(enterprise) => {
                let credentials = std::sync::Arc::new(credentials_of(&app, secrets.clone())?);
                let cause = context.audit_context();
                let tested = self.test_mint(&credentials, enterprise, &cause).await?;
                // No tenant is there yet whose token it could be.
                self.write_off(&credentials, tested.minted.token, &cause).await;
                diagnosis.push(CheckResult::pass(
                    DiagnosticCheck::Assertion,
                    "Box gave a token for the enterprise.",
                ));
                diagnosis.push(CheckResult::pass(DiagnosticCheck::ServiceAccount, tested.account.login));
                diagnosis.push(diagnosis::of_clock(&self.upstream));
            }
        }
        app.generation = self.store.next_generation().await?;
        let sealed = self.seal(&app, &secrets).await?;
        let event = self.app_event(&context, &app, AuditAction::AppCreate, None);
        self.store.insert_app(NewApp { app: &app, sealed: &sealed }, &event).await?;
        Ok(RegisteredApp { app: AppView { app, tenants: 0 }, diagnosis, warnings, created: true })
    }

    /// The shared apps, in the order of their names.
    ///
    /// # Errors
    /// Where the caller neither manages nor uses apps.
    pub async fn apps(
        &self,
        context: &RequestContext,
        mut page: PageRequest,
    ) -> Result<ListPage<AppView>, RegistryError> {
        require_app_reader(context)?;
        let wanted = page.limit;
        page.limit = wanted + 1;
        let mut apps = self.store.shared_apps(&page).await?;
        let more = apps.len() > wanted;
        apps.truncate(wanted);
        let next = apps.last().filter(|_| more).and_then(name_of).cloned();
        let mut items = Vec::with_capacity(apps.len());
        for app in apps {
            items.push(self.counted(app).await?);
        }
        Ok(ListPage { items, next })
    }

    /// One shared app.
    ///
    /// # Errors
    /// Where there is none, or the caller neither manages nor uses apps.
    pub async fn app(&self, context: &RequestContext, app: &AppRef) -> Result<AppView, RegistryError> {
        require_app_reader(context)?;
        let app = self.shared_app(app).await?;
        self.counted(app).await
    }

    /// Takes a shared app in or out of service, and with it every tenant that it serves.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn patch_app(
        &self,
        context: &RequestContext,
        app: &AppRef,
        patch: &AppPatch,
        expected: Option<i64>,
    ) -> Result<AppView, RegistryError> {
        on_what_stands(|| self.patch_app_once(context, app, patch, expected)).await
    }

    async fn patch_app_once(
        &self,
        context: &RequestContext,
        app: &AppRef,
        patch: &AppPatch,
        expected: Option<i64>,
    ) -> Result<AppView, RegistryError> {
        let mut context = require_everywhere(context, Permission::AppsWrite)?;
        let current = self.shared_app(app).await?;
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        let state = patch.state.map_or(current.state, AppState::from);
        if state == current.state {
            return self.counted(current).await;
        }
        if current.state == AppState::Locked {
            context = require_everywhere(&context, Permission::Lockdown)?;
            self.finish_app(current.id.clone()).await?;
        }
        let next = App { state, version: current.version + 1, updated_at: self.now(), ..current };
        let told = Some(format!("state {state:?}"));
        let event = self.app_event(&context, &next, AuditAction::AppUpdate, told);
        let updated = self.store.update_app(&next, &event).await;
        self.broker.forget(&ChangedEntity::App(next.id.clone()));
        match updated {
            Ok(()) => self.counted(next).await,
            Err(error) => Err(unless_expected(expected, error)),
        }
    }

    /// Erases a shared app that serves nobody.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn delete_app(
        &self,
        context: &RequestContext,
        app: &AppRef,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        on_what_stands(|| self.delete_app_once(context, app, expected)).await
    }

    async fn delete_app_once(
        &self,
        context: &RequestContext,
        app: &AppRef,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        let context = require_everywhere(context, Permission::AppsWrite)?;
        let app = self.shared_app(app).await?;
        if expected.is_some_and(|version| version != app.version) {
            return Err(RegistryError::Precondition);
        }
        let event = self.app_event(&context, &app, AuditAction::AppDelete, None);
        let deleted = self.store.delete_app(&app.id, app.version, &event).await;
        self.broker.forget(&ChangedEntity::App(app.id));
        deleted.map_err(|error| unless_expected(expected, error))
    }

    /// A tenant's own app is not on this list: it is seen through its tenant alone.
    pub(super) async fn shared_app(&self, app: &AppRef) -> Result<App, RegistryError> {
        let found = self.store.app(app).await?;
        found.filter(App::is_shared).ok_or(RegistryError::Absent)
    }

    pub(super) async fn counted(&self, app: App) -> Result<AppView, RegistryError> {
        let tenants = self.store.count_tenants_of_app(&app.id).await?;
        Ok(AppView { app, tenants })
    }

    pub(super) fn app_event(
        &self,
        context: &RequestContext,
        app: &App,
        action: AuditAction,
        detail: Option<String>,
    ) -> AuditEvent {
        AuditEvent {
            app: Some(app.id.clone()),
            generation: Some(app.generation),
            detail: detail.or_else(|| name_of(app).map(ToString::to_string)),
            ..context.audit_context().event(self.now(), action)
        }
    }
}

fn require_app_reader(context: &RequestContext) -> Result<(), RegistryError> {
    require_everywhere(context, Permission::AppsWrite)
        .or_else(|_| require_everywhere(context, Permission::AppsUse))
        .map(drop)
}

/// The name of a shared app.
#[must_use]
pub fn name_of(app: &App) -> Option<&Name> {
    match &app.owner {
        AppOwner::Shared { name } => Some(name),
        AppOwner::Tenant { .. } => None,
    }
}
