//! Downscoping by token exchange (RFC 8693), and revocation (RFC 7009).

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::api;
use crate::http::error::Refusal;
use crate::http::request::Form;
use crate::http::response::Answer;
use crate::oauth::assertion;
use crate::oauth::grants::{client, missing};
use crate::scopes;
use crate::state::Upstream;
use crate::tokens::{Confinement, Token, sha256};
use crate::world::enterprise::Enterprise;
use crate::world::item_tree::{ItemKind, ROOT};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// The token-exchange grant.
pub(crate) fn token(box_: &Upstream, form: &Form) -> Result<Answer, Refusal> {
    let now = box_.now();
    if form.one("client_id")?.is_some() || form.one("client_secret")?.is_some() {
        client(box_, form)?;
    }
    if form.required("subject_token_type")? != ACCESS_TOKEN {
        return Err(Refusal::grant("invalid_request", "The 'subject_token_type' specified is invalid"));
    }
    let parent_sha256 = sha256(form.required("subject_token")?);
    let parent = box_.tokens.find(&parent_sha256).filter(|token| token.live(now));
    let parent = parent.ok_or_else(|| {
        Refusal::grant("invalid_grant", "The 'subject_token' specified is invalid or has expired")
    })?;
    if form.one("client_id")?.is_some_and(|id| id != parent.client_id) {
        return Err(Refusal::grant("invalid_client", "The client credentials are invalid"));
    }
    let scopes = scopes(form, &parent)?;
    let enterprise = box_.enterprise(&parent.enterprise).ok_or_else(invalid_resource)?;
    let confinement = confinement(form, &enterprise, &parent)?;
    let annotator = annotator(box_, form, &parent)?;
    let restricted_to = match &confinement {
        Some(confinement) => restricted_to(&scopes, &object(&enterprise, confinement)),
        None => json!([]),
    };
    let mut child = Token::new(&parent.client_id, &parent.enterprise, parent.subject.clone(), scopes);
    child.confinement = confinement.or_else(|| parent.confinement.clone());
    child.annotator = annotator.or_else(|| parent.annotator.clone());
    child.parent = Some(parent_sha256);
    let app = box_.app(&parent.client_id).ok_or_else(invalid_resource)?;
    let life = box_.life(&app, true);
    let (text, sha256) = box_.tokens.issue(child, now, life);
    let body = json!({
        "access_token": text,
        "expires_in": life,
        "restricted_to": restricted_to,
        "token_type": "bearer",
        "issued_token_type": ACCESS_TOKEN,
    });
    Ok(Answer::json(body).issuing(sha256))
}

/// `POST /oauth2/revoke`. The client's credentials may be left out, as SDKs do that were given a token
/// alone; where they are there, they must be right.
pub(crate) fn revoke(box_: &Upstream, form: &Form) -> Result<Answer, Refusal> {
    let named = form.one("client_id")?.is_some() || form.one("client_secret")?.is_some();
    let app = if named { Some(client(box_, form)?) } else { None };
    let sha256 = sha256(form.required("token")?);
    match box_.tokens.find(&sha256) {
        Some(token) if app.is_some_and(|app| token.client_id != app.client_id) => {
            Err(Refusal::grant("unauthorized_client", "The token was not issued to this client"))
        }
        // A token that was never there is as dead as one that was revoked: success (RFC 7009, 2.2).
        _ => {
            box_.tokens.revoke(&sha256, box_.children_die_with_parent);
            Ok(Answer::empty(StatusCode::OK))
        }
    }
}

/// The scopes asked for: each known, and held by the parent. A full token holds what was granted to
/// the app when it was minted.
fn scopes(form: &Form, parent: &Token) -> Result<Vec<String>, Refusal> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in form.required("scope")?.split(' ').filter(|scope| !scope.is_empty()) {
        if !scopes::KNOWN.contains(&scope) {
            let description =
                format!("The 'scope' specified is unknown: {}", crate::http::request::bounded(scope));
            return Err(Refusal::grant("invalid_scope", description));
        }
        if !parent.scopes.iter().any(|held| held == scope) {
            let description = format!("The scope {scope} has not been granted to the app or token");
            return Err(
                Refusal::grant("insufficient_scope", description).with_status(StatusCode::UNAUTHORIZED)
            );
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    if scopes.is_empty() { Err(missing("scope")) } else { Ok(scopes) }
}

fn invalid_resource() -> Refusal {
    Refusal::grant("invalid_resource", "The target resource is invalid")
}

/// The item that the new token is confined to, which its parent must be able to see.
fn confinement(form: &Form, enterprise: &Enterprise, parent: &Token) -> Result<Option<Confinement>, Refusal> {
    match (form.one("resource")?, form.one("box_shared_link")?) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            let description = "Only one of 'resource' and 'box_shared_link' may be given";
            Err(Refusal::grant("invalid_request", description))
        }
        (Some(resource), None) => {
            let (kind, id) = typed(resource).ok_or_else(invalid_resource)?;
            if id == ROOT && kind == ItemKind::Folder {
                let free = parent.confinement.as_ref().is_none_or(|confinement| confinement.id == ROOT);
                let here = Confinement { kind, id: id.to_owned(), by_link: false };
                return if free { Ok(Some(here)) } else { Err(invalid_resource()) };
            }
            let item =
                enterprise.tree.item(id).filter(|item| item.kind == kind).ok_or_else(invalid_resource)?;
            if !api::reaches(&enterprise.tree, parent, &parent.subject.member(), item) {
                return Err(invalid_resource());
            }
            let by_link = parent.confinement.as_ref().is_some_and(|confinement| confinement.by_link);
            Ok(Some(Confinement { kind, id: item.id.clone(), by_link }))
        }
        (None, Some(link)) => {
            let item = enterprise.tree.linked(link).ok_or_else(invalid_resource)?;
            // A token confined before stays within its confines.
            if let Some(confinement) = &parent.confinement
                && !enterprise.tree.within(item, &confinement.id)
            {
                return Err(invalid_resource());
            }
            Ok(Some(Confinement { kind: item.kind, id: item.id.clone(), by_link: true }))
        }
    }
}

/// The item that a `resource` names: Box wants its own host there, whatever host is called.
pub(crate) fn typed(resource: &str) -> Option<(ItemKind, &str)> {
    let rest = resource.strip_prefix("https://api.box.com/2.0/")?;
    let (kind, id) = rest.split_once('/')?;
    let kind = match kind {
        "files" => ItemKind::File,
        "folders" => ItemKind::Folder,
        _ => return None,
    };
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some((kind, id))
}

fn annotator(box_: &Upstream, form: &Form, parent: &Token) -> Result<Option<String>, Refusal> {
    match (form.one("actor_token")?, form.one("actor_token_type")?) {
        (None, None) => Ok(None),
        (Some(text), Some(ID_TOKEN)) => {
            assertion::annotator(&parent.client_id, text, box_.now(), &box_.replays).map(Some)
        }
        (Some(_), Some(_)) => {
            Err(Refusal::grant("invalid_request", "The 'actor_token_type' specified is invalid"))
        }
        (Some(_), None) => Err(missing("actor_token_type")),
        (None, Some(_)) => Err(missing("actor_token")),
    }
}

fn object(enterprise: &Enterprise, confinement: &Confinement) -> Value {
    enterprise.tree.item(&confinement.id).map_or_else(|| api::mini(&api::root()), |item| api::mini(item))
}

fn restricted_to(scopes: &[String], object: &Value) -> Value {
    scopes.iter().map(|scope| json!({ "scope": scope, "object": object })).collect()
}
