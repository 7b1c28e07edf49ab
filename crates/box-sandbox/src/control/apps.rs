//! The settings of apps.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{ControlError, JsonBody};
use crate::config::PublicKey;
use crate::state::SandboxState;
use crate::world::{AppAuthMethod, BoxApp};

/// A change of an app's settings. `None` keeps a setting.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppChange {
    client_secret: Option<String>,
    auth: Option<AuthMethodName>,
    authorized: Option<BTreeSet<String>>,
    user_tokens: Option<bool>,
    as_user_header: Option<bool>,
    enterprise_access: Option<bool>,
    scopes: Option<BTreeSet<String>>,
    origins: Option<BTreeSet<String>>,
    #[serde(default)]
    remove_keys: Vec<String>,
    #[serde(default)]
    add_keys: Vec<NewKey>,
}

/// The name of an authentication method in the JSON of the control plane.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuthMethodName {
    Jwt,
    Ccg,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    kid: String,
    /// A PEM text, `BEGIN PUBLIC KEY`.
    public_key: String,
}

impl AppChange {
    fn apply(self, app: &mut BoxApp) -> Result<(), String> {
        fn set<T>(setting: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *setting = value;
            }
        }
        let auth = self.auth.map(|auth| match auth {
            AuthMethodName::Jwt => AppAuthMethod::Jwt,
            AuthMethodName::Ccg => AppAuthMethod::ClientCredentials,
        });
        set(&mut app.client_secret, self.client_secret);
        set(&mut app.auth, auth);
        set(&mut app.authorized, self.authorized);
        set(&mut app.user_tokens, self.user_tokens);
        set(&mut app.as_user_header, self.as_user_header);
        set(&mut app.enterprise_access, self.enterprise_access);
        set(&mut app.scopes, self.scopes);
        set(&mut app.origins, self.origins);
        app.keys.retain(|key| !self.remove_keys.contains(&key.kid));
        for key in self.add_keys {
            app.put_key(PublicKey::from_pem(&key.kid, &key.public_key)?);
        }
        Ok(())
    }
}

/// Answers `GET /sandbox/apps/{client_id}`.
pub(super) async fn show(
    State(state): State<Arc<SandboxState>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, ControlError> {
    let app = state.directory.app(&client_id).ok_or_else(no_such_app)?;
    Ok(Json(app_json(&app)))
}

/// Answers `PATCH /sandbox/apps/{client_id}`.
pub(super) async fn update(
    State(state): State<Arc<SandboxState>>,
    Path(client_id): Path<String>,
    JsonBody(change): JsonBody<AppChange>,
) -> Result<Json<Value>, ControlError> {
    let updated = state.directory.update_app(&client_id, |app| change.apply(app));
    let app = updated.ok_or_else(no_such_app)?.map_err(ControlError::unprocessable)?;
    Ok(Json(app_json(&app)))
}

/// Returns the error for an unknown client id.
pub(super) fn no_such_app() -> ControlError {
    ControlError::not_found("no such app")
}

/// Returns an app without its secret.
pub(super) fn app_json(app: &BoxApp) -> Value {
    let accounts: Vec<Value> = app
        .authorized
        .iter()
        .map(|enterprise| {
            let account = app.automation_user(enterprise);
            json!({ "enterprise": enterprise, "id": account.id, "login": account.login })
        })
        .collect();
    json!({
        "client_id": app.client_id,
        "auth": if app.auth == AppAuthMethod::Jwt { "jwt" } else { "ccg" },
        "keys": app.keys.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(),
        "authorized": app.authorized,
        "service_accounts": accounts,
        "user_tokens": app.user_tokens,
        "as_user_header": app.as_user_header,
        "enterprise_access": app.enterprise_access,
        "scopes": app.scopes,
        "origins": app.origins,
    })
}
