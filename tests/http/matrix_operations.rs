//! The operations as their routes declare them, and what the matrix of isolation has to know beside that: whom an
//! operation is about, and what a right caller sends.

use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::grant::Permission;
use box_token_broker::http::route::{Access, Route};
use serde_json::{Value, json};
use utoipa::openapi::path::Operation as Described;

use crate::browser_fixture::PORTAL;
use crate::harness::GRACE;

/// An enterprise of the vendor's that no tenant has.
pub(crate) const SPARE_ENTERPRISE: &str = "9099";

/// An operation, as its route declares it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    /// The path's template, such as `/v1/tenants/{tenant}`.
    pub(crate) path: String,
    /// What a caller's grant has to give; nothing, where it is about the caller alone.
    pub(crate) permission: Option<Permission>,
    /// What it has to give as well, in some requests.
    pub(crate) beside: Option<Permission>,
    /// Whether that has to be a grant on every tenant.
    pub(crate) everywhere: bool,
    /// What the audit calls it.
    pub(crate) audit: String,
    /// On which listener it is.
    pub(crate) group: String,
    /// The statuses of its successes.
    pub(crate) successes: Vec<u16>,
    pub(crate) row: Row,
}

/// Whom an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A tenant, which path, query or body names.
    Tenant,
    /// A caller, whom the path names.
    Caller,
    /// The tenants that the grants of a caller to come name.
    Grants,
    /// Whatever of many the caller may see.
    List,
    /// The broker as a whole: nobody but those with a grant on every tenant.
    Broker,
    /// Whoever asks.
    Oneself,
    /// A page, which comes with a session: no caller's own credential opens it.
    Page,
}

/// Which record a success leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// One of the declared action.
    Declared,
    /// One of this action: the declared one is that of refusals.
    As(&'static str),
    /// None: it only reads.
    Nothing,
}

/// Makes the body of a right request.
type Body = fn(&Things) -> Value;

/// What the matrix knows of an operation beside what its route declares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) about: About,
    /// The query's template.
    pub(crate) query: &'static str,
    pub(crate) body: Option<Body>,
    pub(crate) recorded: Recorded,
    /// The form of a right request, for what speaks Box; the credentials come to it.
    pub(crate) form: Option<FormOf>,
}

/// Makes the form of a right request, without the credentials.
type FormOf = fn(&Things) -> Vec<(&'static str, String)>;

/// The things that a request names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Things {
    pub(crate) tenant: String,
    pub(crate) app: String,
    pub(crate) caller: String,
    pub(crate) key: String,
    pub(crate) trust: String,
    pub(crate) keypair: String,
    /// A browser session of the tenant.
    pub(crate) session: String,
    /// By what id Box knows the keypair.
    pub(crate) kid: String,
    /// A name that nothing bears yet.
    pub(crate) fresh: String,
    /// The name of whoever asks.
    pub(crate) asker: String,
    /// Credentials that are to be used from now on.
    pub(crate) credentials: Value,
    /// An issuer of the settings.
    pub(crate) issuer: String,
}

impl Operation {
    /// True where the answer to whoever may not is as if it were done: nothing happens, and it is recorded.
    pub(crate) fn keeps_quiet(&self) -> bool {
        self.id == "oauth_revoke"
    }
}

impl Things {
    /// A path or a query of this template that names them.
    pub(crate) fn named(&self, template: &str) -> String {
        let names = [
            ("{tenant}", &self.tenant),
            ("{app}", &self.app),
            ("{caller}", &self.caller),
            ("{key}", &self.key),
            ("{trust}", &self.trust),
            ("{keypair}", &self.keypair),
            ("{session}", &self.session),
        ];
        let path = names.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value));
        assert!(!path.contains('{'), "{path}: the matrix does not know what to put there");
        path
    }
}

/// Returns every operation among the routes.
///
/// # Errors
/// A message that says what is missing for one of them, and where to add it.
pub(crate) fn operations(routes: &[Route]) -> Result<Vec<Operation>, String> {
    let mut all = Vec::new();
    for route in routes {
        if let (Some(described), Some(audit)) = (route.operation(), route.audit()) {
            let operation = read(route, described, audit);
            all.push(operation.map_err(|problem| format!("{} {}: {problem}", route.method(), route.path()))?);
        }
    }
    all.sort_by(|one, other| (&one.path, &one.method).cmp(&(&other.path, &other.method)));
    let variants = all.iter().flat_map(variants).collect::<Vec<_>>();
    Ok(all.into_iter().chain(variants).collect())
}

/// The same operation with what needs more than its route declares; the document says it in words.
fn variants(operation: &Operation) -> Vec<Operation> {
    let variant = |name: &str, permission, beside, query, body| Operation {
        id: format!("{} {name}", operation.id),
        permission: Some(permission),
        beside,
        row: Row { query, body, ..operation.row },
        ..operation.clone()
    };
    match operation.id.as_str() {
        "delete_tenant" => {
            let purged = variant("at once", Permission::TenantsPurge, None, "?purge=now", None);
            vec![Operation { everywhere: true, ..purged }]
        }
        "patch_tenant" => {
            let labels: Body = |of| json!({ "labels": { "tier": of.fresh } });
            let labelled = variant("labels", Permission::TenantsWrite, None, "", Some(labels));
            let active: Body = |_| json!({ "state": "active" });
            let write = Some(Permission::TenantsWrite);
            let lifted = variant("locked", Permission::Lockdown, write, "", Some(active));
            vec![Operation { everywhere: true, ..labelled }, lifted]
        }
        "patch_app" => {
            let active: Body = |_| json!({ "state": "active" });
            vec![variant("locked", Permission::Lockdown, Some(Permission::AppsWrite), "", Some(active))]
        }
        "register_tenant" => {
            let shared: Body =
                |new| json!({ "tenant": new.fresh, "app": "portal", "enterprise_id": SPARE_ENTERPRISE });
            let create = Some(Permission::TenantsCreate);
            vec![variant("on a shared app", Permission::AppsUse, create, "?verify=later", Some(shared))]
        }
        _ => Vec::new(),
    }
}

fn read(route: &Route, described: &Described, audit: AuditAction) -> Result<Operation, String> {
    let id = described.operation_id.as_deref().ok_or("it has no `operationId`")?;
    let row = row(id).ok_or_else(|| {
        format!("add a row for `{id}` to `row` in tests/http/matrix_operations.rs: whom it is about, and what a right caller sends")
    })?;
    let (permission, access) = (route.access().permission(), route.access());
    let fits = match row.about {
        About::Oneself => access == Access::AnyCaller,
        About::Page => access == Access::BrowserSession,
        _ => permission.is_some(),
    };
    if !fits {
        return Err("only what is about the caller alone, or a page's, needs no permission".to_owned());
    }
    Ok(Operation {
        id: id.to_owned(),
        method: route.method().to_string(),
        path: route.path().to_owned(),
        permission,
        beside: None,
        everywhere: row.about == About::Broker,
        audit: audit.as_str().to_owned(),
        group: route.group().name().to_owned(),
        successes: described.responses.responses.keys().filter_map(|status| status.parse().ok()).collect(),
        row,
    })
}

/// What the matrix knows of an operation; `None` for one that it has never heard of.
#[rustfmt::skip]
fn row(id: &str) -> Option<Row> {
    use About::{Broker, Caller, Grants, List, Oneself, Page, Tenant};
    use Recorded::{As, Declared, Nothing};
    let (about, query, body, recorded): (_, _, Option<Body>, _) = match id {
        "list_apps" | "read_app" => (Broker, "", None, Nothing),
        "register_app" => (Broker, "", Some(|new| json!({ "app": new.fresh, "credentials": client(new, Value::Null) })), Declared),
        "delete_app" | "make_app_keypair" | "lock_app" => (Broker, "", None, Declared),
        "patch_app" => (Broker, "", Some(|_| json!({ "state": "suspended" })), Declared),
        "replace_app_credentials" => (Broker, "", Some(|of| json!({ "credentials": of.credentials })), Declared),
        "activate_app_keypair" | "activate_keypair" => {
            let about = if id == "activate_keypair" { Tenant } else { Broker };
            (about, "", Some(|of| json!({ "public_key_id": of.kid })), Declared)
        }
        "read_audit" => (Tenant, "?tenant={tenant}", None, Nothing),
        "read_audit_checkpoint" => (Broker, "", None, Nothing),
        "list_callers" | "list_tenants" => (List, "", None, Nothing),
        "create_caller" => (Grants, "", Some(|new| json!({ "name": new.fresh, "kind": "admin",
            "grants": [{ "tenant": new.tenant, "permissions": ["callers:write"] }] })), Declared),
        "read_caller" => (Caller, "", None, Nothing),
        "delete_caller" | "revoke_key" | "delete_trust" | "lock_caller" => (Caller, "", None, Declared),
        "patch_caller" => (Caller, "", Some(|of| json!({ "name": of.fresh })), Declared),
        "create_key" => (Caller, "", Some(|_| json!({})), Declared),
        "create_trust" => (Caller, "", Some(|of| json!({ "issuer": of.issuer, "audience": "broker", "subject": of.fresh })), Declared),
        "explain_policy" => (Tenant, "", Some(|of| json!({ "caller": of.asker, "tenant": of.tenant })), Nothing),
        "register_tenant" => (Broker, "?verify=later", Some(|new| json!({ "tenant": new.fresh, "credentials": client(new, json!("5005")) })), Declared),
        "read_tenant" => (Tenant, "", None, Nothing),
        "delete_tenant" | "flush_tenant" | "make_keypair" | "lock_tenant" => (Tenant, "", None, Declared),
        "patch_tenant" => (Tenant, "", Some(|of| json!({ "display_name": of.fresh })), Declared),
        "replace_credentials" => (Tenant, "", Some(|of| json!({ "credentials": of.credentials })), Declared),
        "test_tenant" => (Tenant, "", Some(|_| json!({})), As("token.discard")),
        "mint_token" => (Tenant, "", None, Declared),
        "downscope_token" => (Tenant, "", Some(|_| json!({ "scopes": ["item_preview"] })), Declared),
        "revoke_token" => (Tenant, "", Some(|_| json!({ "subject": { "type": "enterprise" } })), Declared),
        "verify_webhook" => (Tenant, "", Some(|_| json!({ "headers": {}, "body": "" })), Nothing),
        "oauth_token" | "oauth_revoke" => (Tenant, "", None, Declared),
        "whoami" => (Oneself, "", None, Nothing),
        "open_browser_session" => (Tenant, "", Some(|_| json!({ "resources": [{ "type": "folder", "id": "1" }],
            "read": { "preset": "explorer" }, "origins": [PORTAL] })), Declared),
        "list_browser_sessions" => (Tenant, "", None, Nothing),
        "cancel_browser_sessions" => (Tenant, "?on_behalf_of=ada", None, Declared),
        "cancel_browser_session" => (Tenant, "", None, Declared),
        "browser_tokens" => (Page, "", Some(|_| json!({ "ids": ["folder_1"] })), Declared),
        _ => return None,
    };
    let form: Option<FormOf> = match id {
        // A token that nobody asks for otherwise: what is given again is recorded with what was given before.
        "oauth_token" => Some(|_| ccg_form()),
        "oauth_revoke" => Some(|_| vec![("token", "made-up".to_owned())]),
        _ => None,
    };
    Some(Row { about, query, body, recorded, form })
}

fn ccg_form() -> Vec<(&'static str, String)> {
    let fields =
        [("grant_type", "client_credentials"), ("box_subject_type", "user"), ("box_subject_id", GRACE)];
    fields.map(|(name, value)| (name, value.to_owned())).into()
}

/// Credentials of an app that Box has never heard of, and is not asked about.
fn client(new: &Things, enterprise: Value) -> Value {
    let id = new.fresh.replace('-', "");
    json!({ "client_id": id, "client_secret": "s".repeat(32), "enterprise_id": enterprise, "auth": "ccg" })
}
