//! Grants as admins write and read them: parsed, checked against what the admin holds, and shown again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::auth::RequestContext;
use crate::domain::caller::CallerKind;
use crate::domain::grant::{Grant, Permission, SubjectPattern, TenantSelector};
use crate::domain::id::{Name, TenantId};
use crate::domain::resource::Resource;
use crate::domain::scope::ScopeSet;
use crate::registry::deps::Deps;
use crate::registry::error::{FieldError, RegistryError, require_none};
use crate::registry::tenant_fields::check_labels;
use crate::store::TenantRef;

/// The maximum number of a caller's grants.
const MAX_GRANTS: usize = 200;
/// The maximum length of each list in a grant.
const MAX_LIST_LENGTH: usize = 1000;

/// A grant as admins write and read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantSpec {
    /// A tenant's name or id, or `*` for all present and future tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// All tenants that have all of these labels; instead of `tenant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The permissions.
    pub permissions: Vec<Permission>,
    /// The subjects: `enterprise`, `user:*` or `user:` and an id. By default the service account alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["enterprise", "user:*"]))]
    pub subjects: Option<Vec<SubjectPattern>>,
    /// The permitted scopes; by default any. Only a grant without scopes and resources permits full tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<ScopeSet>,
    /// The permitted files and folders, matched exactly; by default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<Resource>>,
}

/// Returns grants as they can be sent back without changing the tenants that they select: a tenant by its name if that
/// name still belongs to it, else by its id. A new tenant with an old name inherits nothing.
pub(in crate::registry) async fn to_grant_specs(deps: &Deps, grants: &[Grant]) -> Vec<GrantSpec> {
    let mut specs = Vec::with_capacity(grants.len());
    for grant in grants {
        let (tenant, labels) = match &grant.tenants {
            TenantSelector::Every => (Some("*".to_owned()), None),
            TenantSelector::Labels(labels) => (None, Some(labels.clone())),
            TenantSelector::One { id, name } => {
                let holder = deps.broker.tenants().find(&TenantRef::Name(name.clone())).await;
                let has_name = matches!(holder, Ok(Some(view)) if view.tenant.id == *id);
                (Some(if has_name { name.to_string() } else { id.to_string() }), None)
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

/// Resolves and checks the grants that an admin wants to give to a caller. Each must lie within a grant of the admin.
/// Returns them with the context of the callers that hold all of them.
///
/// `held` are the caller's present grants: those on tenants that no longer exist may stay.
///
/// # Errors
/// [`RegistryError::Invalid`] with all errors of the grants, [`RegistryError::Forbidden`] if the admin holds less.
pub(super) async fn resolve_grants(
    deps: &Deps,
    context: &RequestContext,
    kind: CallerKind,
    specs: &[GrantSpec],
    held: &[Grant],
) -> Result<(RequestContext, Vec<Grant>), RegistryError> {
    if specs.len() > MAX_GRANTS {
        return Err(RegistryError::invalid("/grants", format!("A caller has at most {MAX_GRANTS} grants.")));
    }
    let mut errors = Vec::new();
    let mut grants = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let pointer = format!("/grants/{index}");
        let Some(tenants) = resolve_tenant_selector(deps, context, spec, held, &pointer, &mut errors).await?
        else {
            continue;
        };
        check_spec(spec, kind, &tenants, &pointer, &mut errors);
        let permissions: BTreeSet<Permission> = spec.permissions.iter().copied().collect();
        grants.push(Grant {
            tenants,
            permissions: permissions.into_iter().collect(),
            subjects: spec.subjects.clone().unwrap_or_else(|| vec![SubjectPattern::Enterprise]),
            scopes: spec.scopes.clone(),
            resources: spec.resources.clone(),
        });
    }
    require_none(errors)?;
    let allowed = context.those(|held| held.may_grant(&grants));
    let refusal = RegistryError::Forbidden("a grant reaches further than each of the granter's");
    Ok((allowed.ok_or(refusal)?, grants))
}

/// Returns the tenants that a grant selects. A tenant that the admin has no grant on is reported as absent.
async fn resolve_tenant_selector(
    deps: &Deps,
    context: &RequestContext,
    spec: &GrantSpec,
    held: &[Grant],
    pointer: &str,
    errors: &mut Vec<FieldError>,
) -> Result<Option<TenantSelector>, RegistryError> {
    let name = match (&spec.tenant, &spec.labels) {
        (Some(name), None) => name,
        (None, Some(labels)) if labels.is_empty() => {
            let detail = "Name at least one label, or `tenant: \"*\"` for all.";
            errors.push(FieldError::at(format!("{pointer}/labels"), detail));
            return Ok(None);
        }
        (None, Some(labels)) => {
            errors.extend(check_labels(labels, &format!("{pointer}/labels")));
            return Ok(Some(TenantSelector::Labels(labels.clone())));
        }
        _ => {
            errors.push(FieldError::at(pointer, "A grant has either `tenant` or `labels`."));
            return Ok(None);
        }
    };
    if name == "*" {
        return Ok(Some(TenantSelector::Every));
    }
    let view = match parse_tenant(name) {
        Some(TenantRef::Id(id)) if let Some(kept) = find_held_selector(held, &id) => return Ok(Some(kept)),
        Some(tenant) => deps.broker.tenants().find_for(context, &tenant).await?,
        None => None,
    };
    let visible = view.filter(|view| {
        let tenant = &view.tenant;
        context.any(|held| held.grants.iter().any(|grant| grant.applies_to(&tenant.id, &tenant.labels)))
    });
    match visible {
        Some(view) => {
            Ok(Some(TenantSelector::One { id: view.tenant.id.clone(), name: view.tenant.name.clone() }))
        }
        None => {
            errors.push(FieldError::at(format!("{pointer}/tenant"), "There is no such tenant."));
            Ok(None)
        }
    }
}

/// Returns the selector with which a caller's present grants name a tenant.
fn find_held_selector(held: &[Grant], tenant: &TenantId) -> Option<TenantSelector> {
    let matches =
        |selector: &&TenantSelector| matches!(selector, TenantSelector::One { id, .. } if id == tenant);
    held.iter().map(|grant| &grant.tenants).find(matches).cloned()
}

/// Parses a tenant's name or id, as in a path or a grant.
#[must_use]
pub fn parse_tenant(text: &str) -> Option<TenantRef> {
    TenantId::parse(text).map(TenantRef::Id).or_else(|_| Name::parse(text).map(TenantRef::Name)).ok()
}

fn check_spec(
    spec: &GrantSpec,
    kind: CallerKind,
    tenants: &TenantSelector,
    pointer: &str,
    errors: &mut Vec<FieldError>,
) {
    if spec.permissions.is_empty() {
        errors.push(FieldError::at(
            format!("{pointer}/permissions"),
            "A grant without permissions allows nothing.",
        ));
    }
    for (index, permission) in spec.permissions.iter().enumerate() {
        let pointer = format!("{pointer}/permissions/{index}");
        if kind == CallerKind::Service && !permission.is_allowed_for_services() {
            let detail = "A `service` holds only `tokens:`, `sessions:` and `webhooks:` permissions.";
            errors.push(FieldError::at(pointer, detail));
        } else if permission.requires_all_tenants() && *tenants != TenantSelector::Every {
            errors.push(FieldError::at(pointer, "This permission needs a grant on `tenant: \"*\"`."));
        }
    }
    let lengths = [
        ("/subjects", spec.subjects.as_ref().map(Vec::len)),
        ("/scopes", spec.scopes.as_ref().map(ScopeSet::len)),
        ("/resources", spec.resources.as_ref().map(Vec::len)),
    ];
    for (field, length) in lengths {
        if length.is_some_and(|length| length == 0 || length > MAX_LIST_LENGTH) {
            errors.push(FieldError::at(
                format!("{pointer}{field}"),
                format!("Name 1 to {MAX_LIST_LENGTH}, or leave the field out."),
            ));
        }
    }
}
