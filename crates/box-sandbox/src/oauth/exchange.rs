//! Downscoping by token exchange (RFC 8693).

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{assertion, client};
use crate::digest::sha256_hex;
use crate::http::{ErrorResponse, FormFields, SandboxResponse, loggable};
use crate::item_json;
use crate::scopes;
use crate::state::SandboxState;
use crate::tokens::{IssuedToken, ItemRestriction};
use crate::world::{Enterprise, Item, ItemKind, ROOT};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// Answers a request that exchanges a token for a downscoped one.
pub(super) fn exchange(state: &SandboxState, form: &FormFields) -> Result<SandboxResponse, ErrorResponse> {
    let now = state.now();
    client::authenticate_if_named(state, form)?;
    if form.required("subject_token_type")? != ACCESS_TOKEN {
        let description = "The 'subject_token_type' specified is invalid";
        return Err(ErrorResponse::oauth("invalid_request", description));
    }
    let parent_sha256 = sha256_hex(form.required("subject_token")?);
    let parent = state.tokens.find(&parent_sha256).filter(|token| token.is_live(now)).ok_or_else(|| {
        let description = "The 'subject_token' specified is invalid or has expired";
        ErrorResponse::oauth("invalid_grant", description)
    })?;
    if form.get("client_id")?.is_some_and(|id| id != parent.client_id) {
        return Err(client::invalid_client());
    }
    let scopes = requested_scopes(form, &parent)?;
    let enterprise = state.directory.enterprise(&parent.enterprise).ok_or_else(invalid_resource)?;
    let restriction = requested_restriction(form, &enterprise, &parent)?;
    let annotator = annotator(state, form, &parent)?;
    let restricted_to = match &restriction {
        Some(restriction) => restricted_to(&scopes, &enterprise, restriction),
        None => json!([]),
    };
    let mut child = IssuedToken::new(&parent.client_id, &parent.enterprise, parent.subject.clone(), scopes);
    child.restriction = restriction.or_else(|| parent.restriction.clone());
    child.annotator = annotator.or_else(|| parent.annotator.clone());
    child.parent = Some(parent_sha256);
    let app = state.directory.app(&parent.client_id).ok_or_else(invalid_resource)?;
    let (text, sha256, lifetime) = state.issue_token(&app, child);
    let body = json!({
        "access_token": text,
        "expires_in": lifetime,
        "restricted_to": restricted_to,
        "token_type": "bearer",
        "issued_token_type": ACCESS_TOKEN,
    });
    Ok(SandboxResponse::json(body).with_issued_token(sha256))
}

/// Returns the requested scopes. Each must be known and held by the parent.
fn requested_scopes(form: &FormFields, parent: &IssuedToken) -> Result<Vec<String>, ErrorResponse> {
    let mut requested: Vec<String> = Vec::new();
    for scope in form.required("scope")?.split(' ').filter(|scope| !scope.is_empty()) {
        if !scopes::KNOWN.contains(&scope) {
            let description = format!("The 'scope' specified is unknown: {}", loggable(scope));
            return Err(ErrorResponse::oauth("invalid_scope", description));
        }
        if !parent.scopes.iter().any(|held| held == scope) {
            let description = format!("The scope {scope} has not been granted to the app or token");
            let error = ErrorResponse::oauth("insufficient_scope", description);
            return Err(error.with_status(StatusCode::UNAUTHORIZED));
        }
        if !requested.iter().any(|known| known == scope) {
            requested.push(scope.to_owned());
        }
    }
    if requested.is_empty() { Err(ErrorResponse::missing_parameter("scope")) } else { Ok(requested) }
}

fn invalid_resource() -> ErrorResponse {
    ErrorResponse::oauth("invalid_resource", "The target resource is invalid")
}

/// Returns the requested restriction, if any. The parent must be able to see the item.
fn requested_restriction(
    form: &FormFields,
    enterprise: &Enterprise,
    parent: &IssuedToken,
) -> Result<Option<ItemRestriction>, ErrorResponse> {
    match (form.get("resource")?, form.get("box_shared_link")?) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            let description = "Only one of 'resource' and 'box_shared_link' may be given";
            Err(ErrorResponse::oauth("invalid_request", description))
        }
        (Some(resource), None) => restriction_to_resource(resource, enterprise, parent).map(Some),
        (None, Some(link)) => restriction_to_link(link, enterprise, parent).map(Some),
    }
}

fn restriction_to_resource(
    resource: &str,
    enterprise: &Enterprise,
    parent: &IssuedToken,
) -> Result<ItemRestriction, ErrorResponse> {
    let (kind, id) = parse_resource(resource).ok_or_else(invalid_resource)?;
    if id == ROOT && kind == ItemKind::Folder {
        let unrestricted = parent.restriction.as_ref().is_none_or(|restriction| restriction.id == ROOT);
        let root = ItemRestriction { kind, id: id.to_owned(), by_link: false };
        return if unrestricted { Ok(root) } else { Err(invalid_resource()) };
    }
    let item = enterprise.items.item(id).filter(|item| item.kind == kind).ok_or_else(invalid_resource)?;
    if !parent.reaches(&enterprise.items, &parent.subject.collaborator(), item) {
        return Err(invalid_resource());
    }
    let by_link = parent.restriction.as_ref().is_some_and(|restriction| restriction.by_link);
    Ok(ItemRestriction { kind, id: item.id.clone(), by_link })
}

fn restriction_to_link(
    link: &str,
    enterprise: &Enterprise,
    parent: &IssuedToken,
) -> Result<ItemRestriction, ErrorResponse> {
    let item = enterprise.items.by_shared_link(link).ok_or_else(invalid_resource)?;
    // A child of a restricted token stays within the restriction.
    if let Some(restriction) = &parent.restriction
        && !enterprise.items.is_within(item, &restriction.id)
    {
        return Err(invalid_resource());
    }
    Ok(ItemRestriction { kind: item.kind, id: item.id.clone(), by_link: true })
}

/// Returns the kind and id of the item that a `resource` names. Its host must be Box's, no matter which host is called.
fn parse_resource(resource: &str) -> Option<(ItemKind, &str)> {
    let rest = resource.strip_prefix("https://api.box.com/2.0/")?;
    let (kind, id) = rest.split_once('/')?;
    let kind = match kind {
        "files" => ItemKind::File,
        "folders" => ItemKind::Folder,
        _ => return None,
    };
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some((kind, id))
}

/// Returns the annotator whom the `actor_token` names, if there is one.
fn annotator(
    state: &SandboxState,
    form: &FormFields,
    parent: &IssuedToken,
) -> Result<Option<String>, ErrorResponse> {
    match (form.get("actor_token")?, form.get("actor_token_type")?) {
        (None, None) => Ok(None),
        (Some(text), Some(ID_TOKEN)) => {
            assertion::verify_annotator(&parent.client_id, text, state.now(), &state.used_jtis).map(Some)
        }
        (Some(_), Some(_)) => {
            let description = "The 'actor_token_type' specified is invalid";
            Err(ErrorResponse::oauth("invalid_request", description))
        }
        (Some(_), None) => Err(ErrorResponse::missing_parameter("actor_token_type")),
        (None, Some(_)) => Err(ErrorResponse::missing_parameter("actor_token")),
    }
}

fn restricted_to(scopes: &[String], enterprise: &Enterprise, restriction: &ItemRestriction) -> Value {
    let object = match enterprise.items.item(&restriction.id) {
        Some(item) => item_json::mini(item),
        None => item_json::mini(&Item::root()),
    };
    scopes.iter().map(|scope| json!({ "scope": scope, "object": object })).collect()
}
