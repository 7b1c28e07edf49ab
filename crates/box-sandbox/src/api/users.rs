//! Users: whoever acts, and others of their enterprise.

use serde_json::{Value, json};

use crate::api::context::View;
use crate::http::error::Refusal;
use crate::http::response::Answer;
use crate::scopes;
use crate::tokens::Subject;
use crate::world::item_tree::Person;

/// `GET /2.0/users/me`.
pub(crate) fn me(view: &View<'_>) -> Result<Answer, Refusal> {
    identity(view)?;
    if let Subject::User(id) = &view.actor {
        view.enterprise.user(id).ok_or_else(Refusal::not_found)?;
    }
    Ok(shown(view, &view.person()))
}

/// `GET /2.0/users/{id}`.
pub(crate) fn user(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    identity(view)?;
    let own = view.person();
    if own.id == id {
        return me(view);
    }
    let user = view.enterprise.user(id).ok_or_else(Refusal::not_found)?;
    Ok(shown(view, &Person { id: user.id.clone(), name: user.name.clone(), login: user.login.clone() }))
}

/// A downscoped token speaks of its subject only where it may act for it as a whole.
fn identity(view: &View<'_>) -> Result<(), Refusal> {
    let token = view.token;
    let full = token.parent.is_none();
    let whole = token.confinement.is_none() && scopes::allow_identity(&token.scopes);
    if full || whole { Ok(()) } else { Err(Refusal::insufficient()) }
}

fn shown(view: &View<'_>, person: &Person) -> Answer {
    let mut whole = whole(person);
    let Some(fields) = view.call.query("fields") else { return Answer::json(whole) };
    let enterprise = &view.enterprise;
    whole["enterprise"] = json!({ "type": "enterprise", "id": enterprise.id, "name": enterprise.name });
    let asked: Vec<&str> = fields.split(',').map(str::trim).collect();
    if let Value::Object(map) = &mut whole {
        map.retain(|field, _| field == "type" || field == "id" || asked.contains(&field.as_str()));
    }
    Answer::json(whole)
}

fn whole(person: &Person) -> Value {
    let Person { id, name, login } = person;
    json!({
        "type": "user", "id": id, "name": name, "login": login, "status": "active", "language": "en",
        "timezone": "Etc/UTC", "space_amount": 10_737_418_240_u64, "space_used": 0, "job_title": "",
        "max_upload_size": 5_368_709_120_u64, "phone": "", "address": "",
        "avatar_url": format!("https://app.box.com/api/avatar/large/{id}"),
        "created_at": "2024-01-01T00:00:00Z", "modified_at": "2024-01-01T00:00:00Z",
    })
}
