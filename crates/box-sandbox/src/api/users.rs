//! Users: the actor, and others of the actor's enterprise.

use serde_json::{Value, json};

use super::context::ApiContext;
use crate::http::{ErrorResponse, SandboxResponse};
use crate::scopes;
use crate::tokens::TokenSubject;
use crate::world::Author;

/// Answers `GET /2.0/users/me`.
pub(super) fn me(context: &ApiContext<'_>) -> Result<SandboxResponse, ErrorResponse> {
    check_covers_account(context)?;
    if let TokenSubject::User(id) = &context.actor {
        context.enterprise.user(id).ok_or_else(ErrorResponse::not_found)?;
    }
    Ok(respond(context, &context.author()))
}

/// Answers `GET /2.0/users/{id}`.
pub(super) fn user(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    check_covers_account(context)?;
    if context.author().id == id {
        return me(context);
    }
    let user = context.enterprise.user(id).ok_or_else(ErrorResponse::not_found)?;
    let user = Author { id: user.id.clone(), name: user.name.clone(), login: user.login.clone() };
    Ok(respond(context, &user))
}

/// Refuses a downscoped token that does not cover its subject's account as a whole.
fn check_covers_account(context: &ApiContext<'_>) -> Result<(), ErrorResponse> {
    let token = context.token;
    let is_full = token.parent.is_none();
    let covers_account = token.restriction.is_none() && scopes::cover_account(&token.scopes);
    if is_full || covers_account { Ok(()) } else { Err(ErrorResponse::insufficient_permissions()) }
}

fn respond(context: &ApiContext<'_>, user: &Author) -> SandboxResponse {
    let mut json = user_json(user);
    let Some(fields) = context.request.query("fields") else { return SandboxResponse::json(json) };
    let enterprise = &context.enterprise;
    json["enterprise"] = json!({ "type": "enterprise", "id": enterprise.id, "name": enterprise.name });
    let selected: Vec<&str> = fields.split(',').map(str::trim).collect();
    if let Value::Object(object) = &mut json {
        object.retain(|field, _| field == "type" || field == "id" || selected.contains(&field.as_str()));
    }
    SandboxResponse::json(json)
}

fn user_json(user: &Author) -> Value {
    let Author { id, name, login } = user;
    json!({
        "type": "user", "id": id, "name": name, "login": login, "status": "active", "language": "en",
        "timezone": "Etc/UTC", "space_amount": 10_737_418_240_u64, "space_used": 0, "job_title": "",
        "max_upload_size": 5_368_709_120_u64, "phone": "", "address": "",
        "avatar_url": format!("https://app.box.com/api/avatar/large/{id}"),
        "created_at": "2024-01-01T00:00:00Z", "modified_at": "2024-01-01T00:00:00Z",
    })
}
