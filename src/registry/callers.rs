//! Who may call: callers, their grants and keys. Nobody hands on more than they hold, and to an
//! admin a caller who holds more does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::given;
use super::error::{Fault, RegistryError, unless_expected};
use super::tenants::{Listing, label_faults};
use super::{Registry, on_what_stands};
use crate::auth::{Identity, api_key};
use crate::clock::Clock;
use crate::crypto::Vault;
use crate::domain::caller::{ApiKey, Caller, CallerKind, Grant, Permission, SubjectPattern, TenantSelector};
use crate::domain::event::{Action, Actor, Cause, Event};
use crate::domain::id::{CallerId, KeyId, Name, TenantId};
use crate::domain::subject::{Resource, ScopeSet};
use crate::entropy::Entropy;
use crate::secret::SecretString;
use crate::store::{CallerRef, Changed, Page, Store, StoreError, TenantRef};

/// How many grants a caller may have, and how long each of a grant's lists may be.
const GRANTS: usize = 200;
const ENTRIES: usize = 1000;

/// A grant as admins write and read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantSpec {
    /// A tenant's name or id, or `*` for every tenant, also those to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Every tenant that bears all of these labels; instead of `tenant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// What it allows.
    pub permissions: Vec<Permission>,
    /// For whom: `enterprise`, `user:*` or `user:` and an id. The service account alone, where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["enterprise", "user:*"]))]
    pub subjects: Option<Vec<SubjectPattern>>,
    /// Within which scopes; any, where left out, and only then full tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<ScopeSet>,
    /// On which files and folders exactly; any, where left out, and only then full tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<Resource>>,
}

/// What a PATCH may change of a caller.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallerPatch {
    /// Another name.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub name: Option<Name>,
    /// Other grants, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<GrantSpec>, required = false)]
    pub grants: Option<Vec<GrantSpec>>,
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

/// A key that was just made; it is shown this once.
#[derive(Debug)]
pub struct NewKey {
    /// The key's id.
    pub id: KeyId,
    /// The key.
    pub key: SecretString,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Registry {
    /// Makes a caller, without any key yet.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn create_caller(
        &self,
        identity: &Identity,
        request_id: &str,
        name: Name,
        kind: CallerKind,
        grants: &[GrantSpec],
    ) -> Result<CallerView, RegistryError> {
        require_callers_write(identity)?;
        let grants = self.grants_of(identity, kind, grants, &[]).await?;
        let caller = Caller {
            id: self.new_id(CallerId::generate),
            name,
            kind,
            grants,
            keys: Vec::new(),
            created_at: self.now(),
            version: 1,
        };
        let cause = identity.cause(request_id);
        let event = event_of(&caller, &cause, self.now(), Action::CallerCreate, told(&caller));
        self.store.insert_caller(&caller, &event).await?;
        self.broker.forget(&Changed::Caller(caller.id.clone()));
        Ok(self.viewed(caller, BTreeMap::new()).await)
    }

    /// One caller.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] where there is none that this admin could have made.
    pub async fn caller(&self, identity: &Identity, caller: &CallerRef) -> Result<CallerView, RegistryError> {
        let caller = self.manageable(identity, caller).await?;
        let uses = self.store.key_uses(&caller.id).await?;
        Ok(self.viewed(caller, uses).await)
    }

    /// The callers that this admin could have made, in the order of their names.
    ///
    /// # Errors
    /// Where the admin manages no callers, or the store does not answer.
    pub async fn callers(
        &self,
        identity: &Identity,
        mut page: Page,
    ) -> Result<Listing<CallerView>, RegistryError> {
        require_callers_write(identity)?;
        let wanted = page.limit;
        let mut items: Vec<CallerView> = Vec::new();
        loop {
            page.limit = wanted + 1;
            let callers = self.store.callers(&page).await?;
            let was_last = callers.len() <= wanted;
            for caller in callers {
                if items.len() == wanted {
                    return Ok(Listing { next: items.last().map(|view| view.caller.name.clone()), items });
                }
                page.after = Some(caller.name.clone());
                if identity.caller.may_grant(&caller.grants) {
                    let uses = self.store.key_uses(&caller.id).await?;
                    items.push(self.viewed(caller, uses).await);
                }
            }
            if was_last {
                return Ok(Listing { items, next: None });
            }
        }
    }

    /// Changes a caller's name or grants.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn patch_caller(
        &self,
        identity: &Identity,
        request_id: &str,
        caller: &CallerRef,
        patch: &CallerPatch,
        expected: Option<i64>,
    ) -> Result<CallerView, RegistryError> {
        on_what_stands(|| self.patch_caller_once(identity, request_id, caller, patch, expected)).await
    }

    async fn patch_caller_once(
        &self,
        identity: &Identity,
        request_id: &str,
        caller: &CallerRef,
        patch: &CallerPatch,
        expected: Option<i64>,
    ) -> Result<CallerView, RegistryError> {
        let current = self.manageable(identity, caller).await?;
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        let mut next = current.clone();
        if let Some(name) = &patch.name {
            next.name = name.clone();
        }
        if let Some(grants) = &patch.grants {
            next.grants = self.grants_of(identity, current.kind, grants, &current.grants).await?;
        }
        if next != current {
            let cause = identity.cause(request_id);
            let event = event_of(&next, &cause, self.now(), Action::CallerUpdate, told(&next));
            next = self.replace_caller(next, &event, expected).await?;
        }
        let uses = self.store.key_uses(&next.id).await?;
        Ok(self.viewed(next, uses).await)
    }

    /// Erases a caller; its keys open nothing any more.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn delete_caller(
        &self,
        identity: &Identity,
        request_id: &str,
        caller: &CallerRef,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        on_what_stands(|| self.delete_caller_once(identity, request_id, caller, expected)).await
    }

    async fn delete_caller_once(
        &self,
        identity: &Identity,
        request_id: &str,
        caller: &CallerRef,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        let current = self.manageable(identity, caller).await?;
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        let cause = identity.cause(request_id);
        let event = event_of(&current, &cause, self.now(), Action::CallerDelete, told(&current));
        let deleted = self.store.delete_caller(&current.id, current.version, &event).await;
        self.broker.forget(&Changed::Caller(current.id));
        deleted.map_err(|error| unless_expected(expected, error))
    }

    /// Makes a key for a caller. Keys that have ended make room; two may live at once.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn create_key(
        &self,
        identity: &Identity,
        request_id: &str,
        caller: &CallerRef,
        expires_at: Option<Timestamp>,
    ) -> Result<NewKey, RegistryError> {
        on_what_stands(|| self.create_key_once(identity, request_id, caller, expires_at)).await
    }

    async fn create_key_once(
        &self,
        identity: &Identity,
        request_id: &str,
        caller: &CallerRef,
        expires_at: Option<Timestamp>,
    ) -> Result<NewKey, RegistryError> {
        let now = self.now();
        let mut next = self.manageable(identity, caller).await?;
        if expires_at.is_some_and(|end| end <= now) {
            return Err(RegistryError::invalid("/expires_at", "A key has to end in the future."));
        }
        next.keys.retain(|key| key.is_live(now));
        if next.keys.len() >= Caller::MAX_KEYS {
            return Err(RegistryError::Conflict("The caller has two live keys; revoke one of them first."));
        }
        let (new, stored) = make_key(self.entropy.as_ref(), &self.vault, now, expires_at);
        next.keys.push(stored);
        let cause = identity.cause(request_id);
        let event = event_of(&next, &cause, now, Action::KeyCreate, new.id.to_string());
        self.replace_caller(next, &event, None).await?;
        Ok(new)
    }

    /// Revokes a key: it opens nothing any more.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn revoke_key(
        &self,
        identity: &Identity,
        request_id: &str,
        caller: &CallerRef,
        key: &KeyId,
    ) -> Result<(), RegistryError> {
        on_what_stands(|| self.revoke_key_once(identity, request_id, caller, key)).await
    }

    async fn revoke_key_once(
        &self,
        identity: &Identity,
        request_id: &str,
        caller: &CallerRef,
        key: &KeyId,
    ) -> Result<(), RegistryError> {
        let mut next = self.manageable(identity, caller).await?;
        let before = next.keys.len();
        next.keys.retain(|kept| kept.id != *key);
        if next.keys.len() == before {
            return Err(RegistryError::Absent);
        }
        let cause = identity.cause(request_id);
        let event = event_of(&next, &cause, self.now(), Action::KeyRevoke, key.to_string());
        self.replace_caller(next, &event, None).await?;
        Ok(())
    }

    /// Grants as they can be sent back without changing what they bind: by a tenant's name where that
    /// still leads to it, else by its id. A name that is registered again inherits nothing.
    pub async fn specs_of(&self, grants: &[Grant]) -> Vec<GrantSpec> {
        let mut specs = Vec::with_capacity(grants.len());
        for grant in grants {
            let (tenant, labels) = match &grant.tenants {
                TenantSelector::Every => (Some("*".to_owned()), None),
                TenantSelector::Labels(labels) => (None, Some(labels.clone())),
                TenantSelector::One { id, name } => {
                    let named = self.broker.view(&TenantRef::Name(name.clone())).await;
                    let leads_there = matches!(named, Ok(Some(view)) if view.tenant.id == *id);
                    (Some(if leads_there { name.to_string() } else { id.to_string() }), None)
                }
            };
            specs.push(GrantSpec {
                tenant,
                labels,
                permissions: grant.permissions.clone(),
                subjects: Some(grant.subjects.clone()),
                scopes: grant.scopes.clone(),
                resources: grant.resources.clone(),
            });
        }
        specs
    }

    async fn viewed(&self, caller: Caller, uses: BTreeMap<KeyId, Timestamp>) -> CallerView {
        let grants = self.specs_of(&caller.grants).await;
        CallerView { caller, grants, uses }
    }

    /// The caller as it stands, where this admin could have made it.
    async fn manageable(&self, identity: &Identity, caller: &CallerRef) -> Result<Caller, RegistryError> {
        require_callers_write(identity)?;
        let found = self.store.caller(caller).await?;
        found.filter(|found| identity.caller.may_grant(&found.grants)).ok_or(RegistryError::Absent)
    }

    async fn replace_caller(
        &self,
        caller: Caller,
        event: &Event,
        expected: Option<i64>,
    ) -> Result<Caller, RegistryError> {
        let next = Caller { version: caller.version + 1, ..caller };
        let updated = self.store.update_caller(&next, event).await;
        self.broker.forget(&Changed::Caller(next.id.clone()));
        match updated {
            Ok(()) => Ok(next),
            Err(error) => Err(unless_expected(expected, error)),
        }
    }

    /// Reads grants, each of which has to fit inside one that the admin holds. Those on tenants that
    /// are gone stay, where the caller has them already.
    async fn grants_of(
        &self,
        identity: &Identity,
        kind: CallerKind,
        specs: &[GrantSpec],
        held: &[Grant],
    ) -> Result<Vec<Grant>, RegistryError> {
        let mut faults = Vec::new();
        if specs.len() > GRANTS {
            return Err(RegistryError::invalid("/grants", format!("A caller has at most {GRANTS} grants.")));
        }
        let mut grants = Vec::with_capacity(specs.len());
        for (place, spec) in specs.iter().enumerate() {
            let at = |field: &str| format!("/grants/{place}{field}");
            let Some(tenants) = self.selector_of(identity, spec, held, &at, &mut faults).await? else {
                continue;
            };
            check_spec(spec, kind, &tenants, &at, &mut faults);
            let permissions: BTreeSet<Permission> = spec.permissions.iter().copied().collect();
            grants.push(Grant {
                tenants,
                permissions: permissions.into_iter().collect(),
                subjects: spec.subjects.clone().unwrap_or_else(|| vec![SubjectPattern::Enterprise]),
                scopes: spec.scopes.clone(),
                resources: spec.resources.clone(),
            });
        }
        if !faults.is_empty() {
            return Err(RegistryError::Invalid(faults));
        }
        if !identity.caller.may_grant(&grants) {
            return Err(RegistryError::Forbidden("a grant reaches further than each of the granter's"));
        }
        Ok(grants)
    }

    /// Which tenants a grant names. A tenant that the admin has no grant on is as good as none.
    async fn selector_of(
        &self,
        identity: &Identity,
        spec: &GrantSpec,
        held: &[Grant],
        at: &(dyn Fn(&str) -> String + Sync),
        faults: &mut Vec<Fault>,
    ) -> Result<Option<TenantSelector>, RegistryError> {
        let name = match (&spec.tenant, &spec.labels) {
            (Some(name), None) => name,
            (None, Some(labels)) if labels.is_empty() => {
                faults.push(Fault::at(at("/labels"), "Name at least one label, or `tenant: \"*\"` for all."));
                return Ok(None);
            }
            (None, Some(labels)) => {
                faults.extend(label_faults(labels, &at("/labels")));
                return Ok(Some(TenantSelector::Labels(labels.clone())));
            }
            _ => {
                faults.push(Fault::at(at(""), "A grant has either `tenant` or `labels`."));
                return Ok(None);
            }
        };
        if name == "*" {
            return Ok(Some(TenantSelector::Every));
        }
        let view = match parse_tenant(name) {
            Some(TenantRef::Id(id)) if let Some(kept) = selector_on(held, &id) => return Ok(Some(kept)),
            Some(tenant) => self.broker.view(&tenant).await?,
            None => None,
        };
        let seen = view.filter(|view| {
            let tenant = &view.tenant;
            identity.caller.grants.iter().any(|grant| grant.is_on(&tenant.id, &tenant.labels))
        });
        match seen {
            Some(view) => {
                Ok(Some(TenantSelector::One { id: view.tenant.id.clone(), name: view.tenant.name.clone() }))
            }
            None => {
                faults.push(Fault::at(at("/tenant"), "There is no such tenant."));
                Ok(None)
            }
        }
    }
}

/// What the caller's grants say of this tenant already.
fn selector_on(held: &[Grant], tenant: &TenantId) -> Option<TenantSelector> {
    let is_it =
        |selector: &&TenantSelector| matches!(selector, TenantSelector::One { id, .. } if id == tenant);
    held.iter().map(|grant| &grant.tenants).find(is_it).cloned()
}

/// A tenant's name or id as it stands in a path or a grant.
#[must_use]
pub fn parse_tenant(text: &str) -> Option<TenantRef> {
    TenantId::parse(text).map(TenantRef::Id).or_else(|_| Name::parse(text).map(TenantRef::Name)).ok()
}

fn check_spec(
    spec: &GrantSpec,
    kind: CallerKind,
    tenants: &TenantSelector,
    at: &dyn Fn(&str) -> String,
    faults: &mut Vec<Fault>,
) {
    if spec.permissions.is_empty() {
        faults.push(Fault::at(at("/permissions"), "A grant without permissions allows nothing."));
    }
    for (place, permission) in spec.permissions.iter().enumerate() {
        let pointer = at(&format!("/permissions/{place}"));
        if kind == CallerKind::Service && !permission.suits_a_service() {
            let detail = "A `service` holds only `tokens:`, `sessions:` and `webhooks:` permissions.";
            faults.push(Fault::at(pointer, detail));
        } else if permission.needs_every_tenant() && *tenants != TenantSelector::Every {
            faults.push(Fault::at(pointer, "This permission needs a grant on `tenant: \"*\"`."));
        }
    }
    let lengths = [
        ("/subjects", spec.subjects.as_ref().map(Vec::len)),
        ("/scopes", spec.scopes.as_ref().map(ScopeSet::len)),
        ("/resources", spec.resources.as_ref().map(Vec::len)),
    ];
    for (field, length) in lengths {
        if length.is_some_and(|length| length == 0 || length > ENTRIES) {
            faults.push(Fault::at(at(field), format!("Name 1 to {ENTRIES}, or leave the field out.")));
        }
    }
}

fn require_callers_write(identity: &Identity) -> Result<(), RegistryError> {
    if identity.caller.holds(Permission::CallersWrite) {
        Ok(())
    } else {
        Err(RegistryError::Forbidden("no grant gives callers:write"))
    }
}

fn told(caller: &Caller) -> String {
    format!("{} with {} grants and {} keys", caller.name, caller.grants.len(), caller.keys.len())
}

fn event_of(caller: &Caller, cause: &Cause, now: Timestamp, action: Action, detail: String) -> Event {
    Event { caller: Some(caller.id.clone()), detail: Some(detail), ..cause.event(now, action) }
}

fn make_key(
    entropy: &dyn Entropy,
    vault: &Vault,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> (NewKey, ApiKey) {
    let id = KeyId::generate(entropy);
    let key = api_key::generate(&id, entropy);
    let peppered = vault.pepper(key.expose().as_bytes());
    let stored = ApiKey {
        id: id.clone(),
        digest: peppered.digest,
        pepper: peppered.pepper,
        created_at: now,
        expires_at,
    };
    (NewKey { id, key, expires_at }, stored)
}

/// Makes an admin that may do everything, with a key, for whoever has the database and the key set
/// in their hands.
///
/// # Errors
/// Where the name is taken or the store does not answer.
pub async fn create_admin(
    store: &Arc<dyn Store>,
    vault: &Vault,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    name: Name,
) -> Result<NewKey, StoreError> {
    let now = clock.wall();
    let (new, stored) = make_key(entropy, vault, now, None);
    let caller = Caller {
        id: CallerId::generate(entropy),
        name,
        kind: CallerKind::Admin,
        grants: vec![Grant::everything()],
        keys: vec![stored],
        created_at: now,
        version: 1,
    };
    let cause = Cause { actor: Actor::CommandLine, request_id: None };
    let event = event_of(&caller, &cause, now, Action::CallerCreate, told(&caller));
    store.insert_caller(&caller, &event).await?;
    Ok(new)
}
