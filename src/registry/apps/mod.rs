//! Shared apps: a vendor's Box app that serves many customers.
//!
//! A tenant's own app is no concern of this module: it is registered and changed with its tenant.

mod registration;

use std::sync::Arc;

use serde::Deserialize;

pub use self::registration::{AppRegistration, AppRegistrationOutcome};

use super::access::require_everywhere;
use super::deps::Deps;
use super::error::{RegistryError, conflict_error, require_version};
use super::lock_enforcement::enforce_app_lock;
use super::page::ListPage;
use super::retry::retry_on_conflict;
use super::rows;
use super::strict_json::non_null;
use super::tenants::RequestedState;
use crate::auth::RequestContext;
use crate::domain::app::{App, AppState};
use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::store::{AppRef, ChangedEntity, PageRequest};

/// The fields of an app that a PATCH can change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppPatch {
    /// The state.
    #[serde(default, deserialize_with = "non_null")]
    pub state: Option<RequestedState>,
}

/// A shared app and the number of its tenants.
#[derive(Debug)]
pub struct AppView {
    /// The app.
    pub app: App,
    /// The number of tenants that it serves, including deleted ones.
    pub tenants: u64,
}

impl AppView {
    pub(super) async fn load(deps: &Deps, app: App) -> Result<Self, RegistryError> {
        let tenants = deps.store.count_tenants_of_app(&app.id).await?;
        Ok(Self { app, tenants })
    }
}

/// The service of shared apps.
#[derive(Debug)]
pub struct Apps {
    deps: Arc<Deps>,
}

impl Apps {
    pub(super) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    /// Returns a page of the shared apps, ordered by name.
    ///
    /// # Errors
    /// If the caller neither manages nor uses apps.
    pub async fn list(
        &self,
        context: &RequestContext,
        mut page: PageRequest,
    ) -> Result<ListPage<AppView>, RegistryError> {
        require_app_reader(context)?;
        let limit = page.limit;
        page.limit = limit + 1;
        let mut apps = self.deps.store.shared_apps(&page).await?;
        let has_next = apps.len() > limit;
        apps.truncate(limit);
        let next = apps.last().filter(|_| has_next).and_then(rows::apps::shared_app_name).cloned();
        let mut items = Vec::with_capacity(apps.len());
        for app in apps {
            items.push(AppView::load(&self.deps, app).await?);
        }
        Ok(ListPage { items, next })
    }

    /// Returns one shared app.
    ///
    /// # Errors
    /// If there is none, or the caller neither manages nor uses apps.
    pub async fn get(&self, context: &RequestContext, app: &AppRef) -> Result<AppView, RegistryError> {
        require_app_reader(context)?;
        let app = rows::apps::load_shared_app(&self.deps, app).await?;
        AppView::load(&self.deps, app).await
    }

    /// Takes a shared app and all its tenants in or out of service. `expected` is the version in `If-Match`.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn patch(
        &self,
        context: &RequestContext,
        app: &AppRef,
        patch: &AppPatch,
        expected: Option<i64>,
    ) -> Result<AppView, RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let mut context = require_everywhere(context, Permission::AppsWrite)?;
            let current = rows::apps::load_shared_app(deps, app).await?;
            require_version(expected, current.version)?;
            let state = patch.state.map_or(current.state, AppState::from);
            if state == current.state {
                return AppView::load(deps, current).await;
            }
            if current.state == AppState::Locked {
                context = require_everywhere(&context, Permission::Lockdown)?;
                enforce_app_lock(deps, current.id.clone()).await?;
            }
            let next = App { state, version: current.version + 1, updated_at: deps.now(), ..current };
            let (cause, detail) = (context.audit_context(), Some(format!("state {state:?}")));
            let event = rows::apps::app_event(deps, &cause, &next, AuditAction::AppUpdate, detail);
            rows::apps::replace_app(deps, &next, &event, expected).await?;
            AppView::load(deps, next).await
        })
        .await
    }

    /// Deletes a shared app that serves no tenant.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn delete(
        &self,
        context: &RequestContext,
        app: &AppRef,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let context = require_everywhere(context, Permission::AppsWrite)?;
            let app = rows::apps::load_shared_app(deps, app).await?;
            require_version(expected, app.version)?;
            let cause = context.audit_context();
            let event = rows::apps::app_event(deps, &cause, &app, AuditAction::AppDelete, None);
            let deleted = deps.store.delete_app(&app.id, app.version, &event).await;
            deps.broker.forget(&ChangedEntity::App(app.id));
            deleted.map_err(|error| conflict_error(expected, error))
        })
        .await
    }
}

fn require_app_reader(context: &RequestContext) -> Result<(), RegistryError> {
    require_everywhere(context, Permission::AppsWrite)
        .or_else(|_| require_everywhere(context, Permission::AppsUse))
        .map(drop)
}
