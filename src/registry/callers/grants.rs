//! What callers are granted: read strictly, within what the granter holds, and told as it can be sent
//! back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::auth::RequestContext;
use crate::domain::caller::CallerKind;
use crate::domain::grant::{Grant, Permission, SubjectPattern, TenantSelector};
use crate::domain::id::{Name, TenantId};
use crate::domain::resource::Resource;
use crate::domain::scope::ScopeSet;
use crate::registry::Registry;
use crate::registry::error::{FieldError, RegistryError};
use crate::registry::tenants::label_faults;
use crate::store::TenantRef;

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

impl Registry {
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

    /// Reads grants, each of which has to fit inside one that the admin holds, and tells which of the
    /// admin's callers holds them all. Those on tenants that are gone stay, where the caller has them
    /// already.
    pub(super) async fn grants_of(
        &self,
        context: &RequestContext,
        kind: CallerKind,
        specs: &[GrantSpec],
        held: &[Grant],
    ) -> Result<(RequestContext, Vec<Grant>), RegistryError> {
        let mut faults = Vec::new();
        if specs.len() > GRANTS {
            return Err(RegistryError::invalid("/grants", format!("A caller has at most {GRANTS} grants.")));
        }
        let mut grants = Vec::with_capacity(specs.len());
        for (place, spec) in specs.iter().enumerate() {
            let at = |field: &str| format!("/grants/{place}{field}");
            let Some(tenants) = self.selector_of(context, spec, held, &at, &mut faults).await? else {
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
        let those = context.those(|held| held.may_grant(&grants));
        let refusal = RegistryError::Forbidden("a grant reaches further than each of the granter's");
        Ok((those.ok_or(refusal)?, grants))
    }

    /// Which tenants a grant names. A tenant that the admin has no grant on is as good as none.
    async fn selector_of(
        &self,
        context: &RequestContext,
        spec: &GrantSpec,
        held: &[Grant],
        at: &(dyn Fn(&str) -> String + Sync),
        faults: &mut Vec<FieldError>,
    ) -> Result<Option<TenantSelector>, RegistryError> {
        let name = match (&spec.tenant, &spec.labels) {
            (Some(name), None) => name,
            (None, Some(labels)) if labels.is_empty() => {
                faults.push(FieldError::at(
                    at("/labels"),
                    "Name at least one label, or `tenant: \"*\"` for all.",
                ));
                return Ok(None);
            }
            (None, Some(labels)) => {
                faults.extend(label_faults(labels, &at("/labels")));
                return Ok(Some(TenantSelector::Labels(labels.clone())));
            }
            _ => {
                faults.push(FieldError::at(at(""), "A grant has either `tenant` or `labels`."));
                return Ok(None);
            }
        };
        if name == "*" {
            return Ok(Some(TenantSelector::Every));
        }
        let view = match parse_tenant(name) {
            Some(TenantRef::Id(id)) if let Some(kept) = selector_on(held, &id) => return Ok(Some(kept)),
            Some(tenant) => self.broker.view_for(context, &tenant).await?,
            None => None,
        };
        let seen = view.filter(|view| {
            let tenant = &view.tenant;
            context.any(|held| held.grants.iter().any(|grant| grant.applies_to(&tenant.id, &tenant.labels)))
        });
        match seen {
            Some(view) => {
                Ok(Some(TenantSelector::One { id: view.tenant.id.clone(), name: view.tenant.name.clone() }))
            }
            None => {
                faults.push(FieldError::at(at("/tenant"), "There is no such tenant."));
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
    faults: &mut Vec<FieldError>,
) {
    if spec.permissions.is_empty() {
        faults.push(FieldError::at(at("/permissions"), "A grant without permissions allows nothing."));
    }
    for (place, permission) in spec.permissions.iter().enumerate() {
        let pointer = at(&format!("/permissions/{place}"));
        if kind == CallerKind::Service && !permission.is_allowed_for_services() {
            let detail = "A `service` holds only `tokens:`, `sessions:` and `webhooks:` permissions.";
            faults.push(FieldError::at(pointer, detail));
        } else if permission.requires_all_tenants() && *tenants != TenantSelector::Every {
            faults.push(FieldError::at(pointer, "This permission needs a grant on `tenant: \"*\"`."));
        }
    }
    let lengths = [
        ("/subjects", spec.subjects.as_ref().map(Vec::len)),
        ("/scopes", spec.scopes.as_ref().map(ScopeSet::len)),
        ("/resources", spec.resources.as_ref().map(Vec::len)),
    ];
    for (field, length) in lengths {
        if length.is_some_and(|length| length == 0 || length > ENTRIES) {
            faults.push(FieldError::at(at(field), format!("Name 1 to {ENTRIES}, or leave the field out.")));
        }
    }
}
