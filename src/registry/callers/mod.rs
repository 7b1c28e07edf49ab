//! Callers: created, read, listed, changed, deleted, with their grants, API keys and trusts.
//!
//! No admin can grant more than they hold, and an admin cannot see a caller that holds more. Callers are locked by
//! the module `lockdown`.

pub mod api_keys;
pub mod grants;
mod patch;
mod trusts;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

pub use self::patch::{CallerPatch, RequestedCallerState};

use self::grants::GrantSpec;
use super::deps::Deps;
use super::error::{RegistryError, conflict_error, require_version};
use super::lock_enforcement::enforce_caller_lock;
use super::page::ListPage;
use super::retry::retry_on_conflict;
use super::rows::callers::{caller_event, describe_caller, load_managed_caller, require_callers_write};
use super::session_cancellation::cancel_orphaned_sessions;
use crate::auth::RequestContext;
use crate::domain::audit_event::AuditAction;
use crate::domain::caller::{Caller, CallerKind, CallerState};
use crate::domain::grant::Grant;
use crate::domain::id::{CallerId, KeyId, Name};
use crate::domain::rate_limit::RateLimit;
use crate::store::{CallerRef, ChangedEntity, PageRequest};

/// A request to create a caller.
#[derive(Debug)]
pub struct CallerSpec {
    /// The caller's name.
    pub name: Name,
    /// Service or admin.
    pub kind: CallerKind,
    /// The caller's grants.
    pub grants: Vec<GrantSpec>,
    /// The caller's rate limit; `None` for that of the settings.
    pub rate_limit: Option<RateLimit>,
}

/// A caller, its grants as they can be sent back, and the last use of its keys.
#[derive(Debug)]
pub struct CallerView {
    /// The caller.
    pub caller: Caller,
    /// Its grants, as they can be sent back.
    pub grants: Vec<GrantSpec>,
    /// The last use of each key, accurate to a minute.
    pub uses: BTreeMap<KeyId, Timestamp>,
}

/// The service of callers.
#[derive(Debug)]
pub struct Callers {
    deps: Arc<Deps>,
    /// The OIDC issuers in the settings, which trusts may name.
    issuers: Vec<String>,
}

impl Callers {
    pub(super) fn new(deps: Arc<Deps>, issuers: Vec<String>) -> Self {
        Self { deps, issuers }
    }

    /// Creates a caller without any key.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is stored then.
    pub async fn create(
        &self,
        context: &RequestContext,
        spec: CallerSpec,
    ) -> Result<CallerView, RegistryError> {
        let deps = &*self.deps;
        let context = require_callers_write(context)?;
        let CallerSpec { name, kind, grants, rate_limit } = spec;
        let (context, grants) = grants::resolve_grants(deps, &context, kind, &grants, &[]).await?;
        let caller = Caller {
            id: deps.new_id(CallerId::generate),
            name,
            kind,
            state: CallerState::Active,
            locked_at: None,
            grants,
            keys: Vec::new(),
            rate_limit,
            trusts: Vec::new(),
            created_at: deps.now(),
            version: 1,
        };
        let cause = context.audit_context();
        let event =
            caller_event(&caller, &cause, deps.now(), AuditAction::CallerCreate, describe_caller(&caller));
        deps.store.insert_caller(&caller, &event).await?;
        deps.broker.forget(&ChangedEntity::Caller(caller.id.clone()));
        Ok(self.view(caller, BTreeMap::new()).await)
    }

    /// Returns one caller.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] if this admin cannot see such a caller.
    pub async fn get(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
    ) -> Result<CallerView, RegistryError> {
        let (_, caller) = load_managed_caller(&self.deps, context, caller).await?;
        self.view_with_uses(caller).await
    }

    /// Returns a page of the callers that this admin can see, ordered by name.
    ///
    /// # Errors
    /// If the admin may not manage callers, or the store does not answer.
    pub async fn list(
        &self,
        context: &RequestContext,
        mut page: PageRequest,
    ) -> Result<ListPage<CallerView>, RegistryError> {
        let context = require_callers_write(context)?;
        let limit = page.limit;
        let mut items: Vec<CallerView> = Vec::new();
        loop {
            // One more row than the page holds shows whether there is a next page.
            page.limit = limit + 1;
            let callers = self.deps.store.callers(&page).await?;
            let was_last = callers.len() <= limit;
            for caller in callers {
                page.after = Some(caller.name.clone());
                if !context.any(|held| held.may_grant(&caller.grants)) {
                    continue;
                }
                // A next page is announced only for a caller that the admin can see.
                if items.len() == limit {
                    return Ok(ListPage { next: items.last().map(|view| view.caller.name.clone()), items });
                }
                items.push(self.view_with_uses(caller).await?);
            }
            if was_last {
                return Ok(ListPage { items, next: None });
            }
        }
    }

    /// Deletes a caller; its keys, trusts and sessions are refused from then on. `expected` is the version in
    /// `If-Match`.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn delete(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let (context, current) = load_managed_caller(deps, context, caller).await?;
            require_version(expected, current.version)?;
            // A lock's tokens must be revoked while the row still says which grants they came from.
            enforce_caller_lock(deps, &current).await?;
            let cause = context.audit_context();
            let action = AuditAction::CallerDelete;
            let event = caller_event(&current, &cause, deps.now(), action, describe_caller(&current));
            let deleted = deps.store.delete_caller(&current.id, current.version, &event).await;
            deps.broker.forget(&ChangedEntity::Caller(current.id.clone()));
            deleted.map_err(|error| conflict_error(expected, error))?;
            cancel_orphaned_sessions(deps, &current, &cause, |_| true).await;
            Ok(())
        })
        .await
    }

    /// Returns grants as they can be sent back.
    pub async fn grant_specs(&self, grants: &[Grant]) -> Vec<GrantSpec> {
        grants::to_grant_specs(&self.deps, grants).await
    }

    async fn view(&self, caller: Caller, uses: BTreeMap<KeyId, Timestamp>) -> CallerView {
        let grants = grants::to_grant_specs(&self.deps, &caller.grants).await;
        CallerView { caller, grants, uses }
    }

    async fn view_with_uses(&self, caller: Caller) -> Result<CallerView, RegistryError> {
        let uses = self.deps.store.last_key_uses(&caller.id).await?;
        Ok(self.view(caller, uses).await)
    }
}
