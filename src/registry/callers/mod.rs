//! Who may call: callers, their grants and keys. Nobody hands on more than they hold, and to an
//! admin a caller who holds more does not exist.

pub mod api_keys;
pub mod grants;
mod trusts;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::auth::RequestContext;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::caller::{Caller, CallerKind, CallerState};
use crate::domain::grant::Permission;
use crate::domain::id::{CallerId, KeyId, Name};
use crate::domain::rate_limit::RateLimit;
use crate::registry::callers::grants::GrantSpec;
use crate::registry::error::{RegistryError, unless_expected};
use crate::registry::strict_json::{self, DecodeError, non_null};
use crate::registry::tenants::ListPage;
use crate::registry::{Registry, changes, on_what_stands, shortened};
use crate::store::{CallerRef, ChangedEntity, PageRequest, StoreError};

/// What a PATCH may change of a caller.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallerPatch {
    /// Another name.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = String, required = false)]
    pub name: Option<Name>,
    /// Other grants, all of them.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = Vec<GrantSpec>, required = false)]
    pub grants: Option<Vec<GrantSpec>>,
    /// How often it may ask; `null` leaves it to the settings.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = Option<RateLimit>)]
    pub rate_limit: Option<Value>,
    /// `active` lifts a lock, for those who may lock the caller.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = RequestedCallerState, required = false)]
    pub state: Option<RequestedCallerState>,
}

/// The state that a PATCH can give a caller: it is locked in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestedCallerState {
    /// Its keys open it.
    Active,
}

/// A caller to be made.
#[derive(Debug)]
pub struct NewCaller {
    /// Its name.
    pub name: Name,
    /// Service or admin.
    pub kind: CallerKind,
    /// What it may do.
    pub grants: Vec<GrantSpec>,
    /// How often it may ask, instead of what the settings say.
    pub rate_limit: Option<RateLimit>,
}

/// A caller, and when its keys were last used.
#[derive(Debug)]
pub struct CallerView {
    /// The caller.
    pub caller: Caller,
    /// Its grants, as they can be sent back.
    pub grants: Vec<GrantSpec>,
    /// When its keys were last used, within a minute.
    pub uses: BTreeMap<KeyId, Timestamp>,
}

impl Registry {
    /// Makes a caller, without any key yet.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn create_caller(
        &self,
        context: &RequestContext,
        new: NewCaller,
    ) -> Result<CallerView, RegistryError> {
        let context = require_callers_write(context)?;
        let NewCaller { name, kind, grants, rate_limit } = new;
        let (context, grants) = self.grants_of(&context, kind, &grants, &[]).await?;
        let caller = Caller {
            id: self.new_id(CallerId::generate),
            name,
            kind,
            state: CallerState::Active,
            locked_at: None,
            grants,
            keys: Vec::new(),
            rate_limit,
            trusts: Vec::new(),
            created_at: self.now(),
            version: 1,
        };
        let cause = context.audit_context();
        let event = event_of(&caller, &cause, self.now(), AuditAction::CallerCreate, told(&caller));
        self.store.insert_caller(&caller, &event).await?;
        self.broker.forget(&ChangedEntity::Caller(caller.id.clone()));
        Ok(self.viewed(caller, BTreeMap::new()).await)
    }

    /// One caller.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] where there is none that this admin could have made.
    pub async fn caller(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
    ) -> Result<CallerView, RegistryError> {
        let (_, caller) = self.manageable(context, caller).await?;
        let uses = self.store.last_key_uses(&caller.id).await?;
        Ok(self.viewed(caller, uses).await)
    }

    /// The callers that this admin could have made, in the order of their names.
    ///
    /// # Errors
    /// Where the admin manages no callers, or the store does not answer.
    pub async fn callers(
        &self,
        context: &RequestContext,
        mut page: PageRequest,
    ) -> Result<ListPage<CallerView>, RegistryError> {
        let context = require_callers_write(context)?;
        let wanted = page.limit;
        let mut items: Vec<CallerView> = Vec::new();
        loop {
            page.limit = wanted + 1;
            let callers = self.store.callers(&page).await?;
            let was_last = callers.len() <= wanted;
            for caller in callers {
                page.after = Some(caller.name.clone());
                if !context.any(|held| held.may_grant(&caller.grants)) {
                    continue;
                }
                // Only what the admin may see tells them that there is more.
                if items.len() == wanted {
                    return Ok(ListPage { next: items.last().map(|view| view.caller.name.clone()), items });
                }
                let uses = self.store.last_key_uses(&caller.id).await?;
                items.push(self.viewed(caller, uses).await);
            }
            if was_last {
                return Ok(ListPage { items, next: None });
            }
        }
    }

    /// Changes a caller's name, grants or rate limit, or lifts its lock. Its own limit nobody changes: whom
    /// it restricts does not lift it.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn patch_caller(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        patch: &CallerPatch,
        expected: Option<i64>,
    ) -> Result<CallerView, RegistryError> {
        on_what_stands(|| self.patch_caller_once(context, caller, patch, expected)).await
    }

    async fn patch_caller_once(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        patch: &CallerPatch,
        expected: Option<i64>,
    ) -> Result<CallerView, RegistryError> {
        let (mut context, current) = self.manageable(context, caller).await?;
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        let mut next = current.clone();
        if let Some(name) = &patch.name {
            next.name = name.clone();
        }
        if let Some(grants) = &patch.grants {
            (context, next.grants) = self.grants_of(&context, current.kind, grants, &current.grants).await?;
        }
        if let Some(patch) = &patch.rate_limit {
            next.rate_limit = limit_under(patch, &current)?;
        }
        if next.rate_limit != current.rate_limit {
            let told = "nobody sets a limit that is on themselves";
            let other = |one: &Caller| one.id != current.id;
            context = context.those(other).ok_or(RegistryError::Forbidden(told))?;
        }
        if patch.state.is_some() && current.state == CallerState::Locked {
            let told = "no grant gives lockdown over all that the caller holds";
            let may_lock = |one: &Caller| one.may_lock(&current.grants);
            context = context.those(may_lock).ok_or(RegistryError::Forbidden(told))?;
            (next.state, next.locked_at) = (CallerState::Active, None);
        }
        if next != current {
            // What the lock reaches is out of circulation before grants or lock are others.
            self.finish_caller(&current).await?;
            let cause = context.audit_context();
            let told = changes(&fields(&current), &fields(&next));
            let event = event_of(&next, &cause, self.now(), AuditAction::CallerUpdate, told);
            next = self.replace_caller(next, &event, expected).await?;
        }
        let uses = self.store.last_key_uses(&next.id).await?;
        Ok(self.viewed(next, uses).await)
    }

    /// Erases a caller; its keys open nothing any more.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn delete_caller(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        on_what_stands(|| self.delete_caller_once(context, caller, expected)).await
    }

    async fn delete_caller_once(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        let (context, current) = self.manageable(context, caller).await?;
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        self.finish_caller(&current).await?;
        let cause = context.audit_context();
        let event = event_of(&current, &cause, self.now(), AuditAction::CallerDelete, told(&current));
        let deleted = self.store.delete_caller(&current.id, current.version, &event).await;
        self.broker.forget(&ChangedEntity::Caller(current.id.clone()));
        deleted.map_err(|error| unless_expected(expected, error))?;
        self.end_orphans(&current, &cause, |_| true).await;
        Ok(())
    }

    async fn viewed(&self, caller: Caller, uses: BTreeMap<KeyId, Timestamp>) -> CallerView {
        let grants = self.specs_of(&caller.grants).await;
        CallerView { caller, grants, uses }
    }

    /// The caller as it stands, where this admin could have made it, and which of the admin's callers.
    pub(super) async fn manageable(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
    ) -> Result<(RequestContext, Caller), RegistryError> {
        let context = require_callers_write(context)?;
        self.known_to(&context, caller).await?.ok_or(RegistryError::Absent)
    }

    /// The caller as it stands, where it exists to this admin, and the callers to whom it does.
    pub(super) async fn known_to(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
    ) -> Result<Option<(RequestContext, Caller)>, RegistryError> {
        let found = self.stored_caller(context, caller, Permission::CallersWrite).await?;
        Ok(found.and_then(|found| Some((context.those(|held| held.may_grant(&found.grants))?, found))))
    }

    /// The caller as it stands, whoever asks. Where its row is refused nobody can say any more what it
    /// holds, so only those who have `permission` over all callers learn of it.
    pub(super) async fn stored_caller(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        permission: Permission,
    ) -> Result<Option<Caller>, StoreError> {
        match self.store.caller(caller).await {
            Err(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })
                if !context.any(|held| held.holds_everywhere(permission)) =>
            {
                Ok(None)
            }
            found => found,
        }
    }

    pub(super) async fn replace_caller(
        &self,
        caller: Caller,
        event: &AuditEvent,
        expected: Option<i64>,
    ) -> Result<Caller, RegistryError> {
        let next = Caller { version: caller.version + 1, ..caller };
        let updated = self.store.update_caller(&next, event).await;
        self.broker.forget(&ChangedEntity::Caller(next.id.clone()));
        match updated {
            Ok(()) => Ok(next),
            Err(error) => Err(unless_expected(expected, error)),
        }
    }
}

fn require_callers_write(context: &RequestContext) -> Result<RequestContext, RegistryError> {
    let those = context.those(|caller| caller.holds(Permission::CallersWrite));
    those.ok_or(RegistryError::Forbidden("no grant gives callers:write"))
}

/// What a caller's rate limit becomes under a merge patch (RFC 7396) of its own.
fn limit_under(patch: &Value, current: &Caller) -> Result<Option<RateLimit>, RegistryError> {
    let mut document = serde_json::json!({ "rate_limit": current.rate_limit });
    json_patch::merge(&mut document["rate_limit"], patch);
    let read: Limited = strict_json::decode(&document).map_err(|error| match error {
        DecodeError::Fault(fault) => RegistryError::Invalid(vec![fault]),
        DecodeError::NotJson(error) => RegistryError::invalid("/rate_limit", error.to_string()),
    })?;
    Ok(read.rate_limit)
}

/// The part of a caller that [`limit_under`] reads, so that faults are told by their place in the whole.
#[derive(Deserialize)]
struct Limited {
    rate_limit: Option<RateLimit>,
}

pub(super) fn told(caller: &Caller) -> String {
    shortened(format!("{}, {} keys: {}", caller.name, caller.keys.len(), fields(caller)))
}

/// What of a caller can be changed.
fn fields(caller: &Caller) -> Value {
    let Caller { name, grants, rate_limit, state, .. } = caller;
    serde_json::json!({ "name": name, "grants": grants, "rate_limit": rate_limit, "state": state })
}

pub(super) fn event_of(
    caller: &Caller,
    cause: &AuditContext,
    now: Timestamp,
    action: AuditAction,
    detail: String,
) -> AuditEvent {
    AuditEvent { caller: Some(caller.id.clone()), detail: Some(detail), ..cause.event(now, action) }
}
