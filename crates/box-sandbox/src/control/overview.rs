//! The overview of everything in the sandbox.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::apps::app_json;
use crate::state::SandboxState;
use crate::world::{Enterprise, Item, User};

/// Answers `GET /sandbox`.
pub(super) async fn show(State(state): State<Arc<SandboxState>>) -> Json<Value> {
    let enterprises: Vec<Value> =
        state.directory.enterprises().iter().map(|enterprise| enterprise_json(enterprise)).collect();
    let apps: Vec<Value> = state.directory.apps().iter().map(|app| app_json(app)).collect();
    Json(json!({ "now": state.now().to_string(), "apps": apps, "enterprises": enterprises }))
}

fn enterprise_json(enterprise: &Enterprise) -> Value {
    let user = |user: &User| {
        json!({
            "id": user.id, "name": user.name, "login": user.login, "managed": user.managed,
            "terms_of_service_required": user.terms_of_service_required,
        })
    };
    let item = |item: &Arc<Item>| {
        json!({
            "type": item.kind.as_str(), "id": item.id, "name": item.name, "parent": item.parent,
            "shared_link": item.shared_link,
        })
    };
    let users: Vec<Value> = enterprise.users.iter().map(user).collect();
    let items: Vec<Value> = enterprise.items.iter().map(item).collect();
    json!({ "id": enterprise.id, "name": enterprise.name, "users": users, "items": items })
}
