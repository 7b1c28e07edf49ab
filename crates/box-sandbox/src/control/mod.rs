//! The control plane under `/sandbox`: what tests and people use to arrange and to look.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::parser::public_key_of_pem;
use crate::state::Upstream;
use crate::state::faults::Order;
use crate::state::journal::Filter;
use crate::tokens::Token;
use crate::world::app::{App, AuthMethod};
use crate::world::enterprise::{Enterprise, User};
use crate::world::item_tree::Item;

type Body<T> = Result<Json<T>, JsonRejection>;
type Asked<T> = Result<Query<T>, QueryRejection>;
type Box_ = State<Arc<Upstream>>;

/// How large parts of a file may be, in bytes: each is in memory while it comes.
const PART_SIZES: std::ops::RangeInclusive<u64> = 1_048_576..=67_108_864;

/// The routes below `/sandbox`.
pub(crate) fn routes() -> Router<Arc<Upstream>> {
    Router::new()
        .route("/sandbox", get(overview))
        .route("/sandbox/faults", post(add_fault).get(faults).delete(lift_faults))
        .route("/sandbox/faults/{id}", delete(lift_fault))
        .route("/sandbox/clock", put(set_clock).get(clock))
        .route("/sandbox/token-life", put(set_token_life))
        .route("/sandbox/apps/{client_id}", patch(change_app).get(app))
        .route("/sandbox/journal", get(journal).delete(forget_journal))
        .route("/sandbox/journal/count", get(count_journal))
        .route("/sandbox/storage", put(set_storage).get(storage))
        .route("/sandbox/tokens", delete(kill_tokens))
        .route("/sandbox/tokens/{sha256}", get(token).delete(kill_token))
        .route(
            "/sandbox/{*rest}",
            axum::routing::any(async || problem(StatusCode::NOT_FOUND, "no such route")),
        )
}

fn problem(status: StatusCode, text: impl Into<String>) -> Response {
    (status, Json(json!({ "error": text.into() }))).into_response()
}

fn unprocessable(text: impl Into<String>) -> Response {
    problem(StatusCode::UNPROCESSABLE_ENTITY, text)
}

async fn overview(State(box_): Box_) -> Response {
    let enterprises: Vec<Value> = box_.enterprises().iter().map(|one| enterprise_overview(one)).collect();
    let apps: Vec<Value> = box_.apps().iter().map(|app| app_overview(app)).collect();
    Json(json!({ "now": box_.now().to_string(), "apps": apps, "enterprises": enterprises })).into_response()
}

fn enterprise_overview(enterprise: &Enterprise) -> Value {
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
    let items: Vec<Value> = enterprise.tree.items().map(item).collect();
    json!({ "id": enterprise.id, "name": enterprise.name, "users": users, "items": items })
}

/// An app without its secret.
fn app_overview(app: &App) -> Value {
    let accounts: Vec<Value> = app
        .authorized
        .iter()
        .map(|enterprise| {
            let account = app.service_account(enterprise);
            json!({ "enterprise": enterprise, "id": account.id, "login": account.login })
        })
        .collect();
    json!({
        "client_id": app.client_id,
        "auth": if app.auth == AuthMethod::Jwt { "jwt" } else { "ccg" },
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

async fn add_fault(State(box_): Box_, order: Body<Order>) -> Response {
    match order.map(|Json(order)| box_.faults.add(order)) {
        Ok(Ok(id)) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Ok(Err(reason)) => unprocessable(reason),
        Err(rejection) => unprocessable(rejection.body_text()),
    }
}

async fn faults(State(box_): Box_) -> Response {
    Json(json!({ "items": box_.faults.all() })).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfClient {
    client_id: Option<String>,
}

async fn lift_faults(State(box_): Box_, of: Asked<OfClient>) -> Response {
    match of {
        Ok(Query(of)) => {
            box_.faults.lift_all(of.client_id.as_deref());
            StatusCode::NO_CONTENT.into_response()
        }
        Err(rejection) => unprocessable(rejection.body_text()),
    }
}

async fn lift_fault(State(box_): Box_, Path(id): Path<u64>) -> Response {
    if box_.faults.lift(id) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        problem(StatusCode::NOT_FOUND, "no such fault")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skew {
    skew_seconds: i64,
}

async fn set_clock(State(box_): Box_, skew: Body<Skew>) -> Response {
    match skew {
        Ok(Json(skew)) => {
            box_.skew(skew.skew_seconds);
            clock(State(box_)).await
        }
        Err(rejection) => unprocessable(rejection.body_text()),
    }
}

async fn clock(State(box_): Box_) -> Response {
    Json(json!({ "now": box_.now().to_string() })).into_response()
}

/// How long new tokens live, in seconds; of one app where it is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenLife {
    seconds: Option<i64>,
    child_seconds: Option<i64>,
    client_id: Option<String>,
}

async fn set_token_life(State(box_): Box_, life: Body<TokenLife>) -> Response {
    let Json(life) = match life {
        Ok(life) => life,
        Err(rejection) => return unprocessable(rejection.body_text()),
    };
    let Some(client_id) = &life.client_id else {
        box_.set_lives(life.seconds, life.child_seconds);
        return StatusCode::NO_CONTENT.into_response();
    };
    let changed = box_.change_app(client_id, |app| {
        app.token_life = life.seconds.or(app.token_life);
        app.child_life = life.child_seconds.or(app.child_life);
        Ok::<(), std::convert::Infallible>(())
    });
    match changed {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => problem(StatusCode::NOT_FOUND, "no such app"),
    }
}

/// A change of an app's settings; what is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppChange {
    client_secret: Option<String>,
    auth: Option<Auth>,
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

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Auth {
    Jwt,
    Ccg,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    kid: String,
    /// `BEGIN PUBLIC KEY`.
    public_key: String,
}

impl AppChange {
    fn apply(self, app: &mut App) -> Result<(), String> {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut app.client_secret, self.client_secret);
        set(&mut app.authorized, self.authorized);
        set(&mut app.user_tokens, self.user_tokens);
        set(&mut app.as_user_header, self.as_user_header);
        set(&mut app.enterprise_access, self.enterprise_access);
        set(&mut app.scopes, self.scopes);
        set(&mut app.origins, self.origins);
        match self.auth {
            Some(Auth::Jwt) => app.auth = AuthMethod::Jwt,
            Some(Auth::Ccg) => app.auth = AuthMethod::Ccg,
            None => {}
        }
        app.keys.retain(|key| !self.remove_keys.contains(&key.kid));
        for key in self.add_keys {
            app.put_key(public_key_of_pem(&key.kid, &key.public_key)?);
        }
        Ok(())
    }
}

async fn app(State(box_): Box_, Path(client_id): Path<String>) -> Response {
    match box_.app(&client_id) {
        Some(app) => Json(app_overview(&app)).into_response(),
        None => problem(StatusCode::NOT_FOUND, "no such app"),
    }
}

async fn change_app(State(box_): Box_, Path(client_id): Path<String>, change: Body<AppChange>) -> Response {
    let Json(change) = match change {
        Ok(change) => change,
        Err(rejection) => return unprocessable(rejection.body_text()),
    };
    match box_.change_app(&client_id, |app| change.apply(app)) {
        Some(Ok(app)) => Json(app_overview(&app)).into_response(),
        Some(Err(reason)) => unprocessable(reason),
        None => problem(StatusCode::NOT_FOUND, "no such app"),
    }
}

async fn journal(State(box_): Box_, filter: Asked<Filter>) -> Response {
    match filter {
        Ok(Query(filter)) => Json(json!({ "items": box_.journal.read(&filter) })).into_response(),
        Err(rejection) => unprocessable(rejection.body_text()),
    }
}

async fn count_journal(State(box_): Box_, filter: Asked<Filter>) -> Response {
    match filter {
        Ok(Query(filter)) => Json(json!({ "count": box_.journal.count(&filter) })).into_response(),
        Err(rejection) => unprocessable(rejection.body_text()),
    }
}

async fn forget_journal(State(box_): Box_, filter: Asked<Filter>) -> Response {
    match filter {
        Ok(Query(filter)) => {
            box_.journal.forget(&filter);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(rejection) => unprocessable(rejection.body_text()),
    }
}

async fn token(State(box_): Box_, Path(sha256): Path<String>) -> Response {
    let Some(token) = box_.tokens.find(&sha256.to_ascii_lowercase()) else {
        return problem(StatusCode::NOT_FOUND, "no token has this SHA-256");
    };
    let resource = token.confinement.as_ref().map(|confinement| {
        json!({ "type": confinement.kind.as_str(), "id": confinement.id, "by_link": confinement.by_link })
    });
    Json(json!({
        "live": token.live(box_.now()),
        "subject": token.subject.label(),
        "client_id": token.client_id,
        "enterprise": token.enterprise,
        "scopes": token.scopes,
        "resource": resource,
        "annotator": token.annotator,
        "parent": token.parent,
        "expires_at": token.expires_at.to_string(),
    }))
    .into_response()
}

/// Ends one token, as Box may at any moment.
async fn kill_token(State(box_): Box_, Path(sha256): Path<String>) -> Response {
    let sha256 = sha256.to_ascii_lowercase();
    if box_.tokens.find(&sha256).is_none() {
        return problem(StatusCode::NOT_FOUND, "no token has this SHA-256");
    }
    box_.tokens.revoke(&sha256, false);
    StatusCode::NO_CONTENT.into_response()
}

/// Whose tokens to end; without any field, all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    client_id: Option<String>,
    subject: Option<String>,
}

async fn kill_tokens(State(box_): Box_, whose: Asked<Whose>) -> Response {
    let Query(whose) = match whose {
        Ok(whose) => whose,
        Err(rejection) => return unprocessable(rejection.body_text()),
    };
    let fits = |token: &Token| {
        whose.client_id.as_ref().is_none_or(|id| *id == token.client_id)
            && whose.subject.as_ref().is_none_or(|subject| *subject == token.subject.label())
    };
    Json(json!({ "count": box_.tokens.kill(box_.now(), fits) })).into_response()
}

/// What is kept of uploaded files, and from which size on they come in parts; what is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Storage {
    kept_bytes: Option<u64>,
    least_in_parts: Option<u64>,
    part_size: Option<u64>,
}

async fn set_storage(State(box_): Box_, change: Body<Storage>) -> Response {
    let Json(change) = match change {
        Ok(change) => change,
        Err(rejection) => return unprocessable(rejection.body_text()),
    };
    let is_part = |size: u64| size.is_power_of_two() && PART_SIZES.contains(&size);
    if change.part_size.is_some_and(|size| !is_part(size)) {
        return unprocessable("part_size is a power of two between 1048576 and 67108864");
    }
    if let Some(bytes) = change.kept_bytes {
        box_.allowance.set_limit(bytes);
    }
    box_.set_parts(change.least_in_parts, change.part_size);
    storage(State(box_)).await
}

async fn storage(State(box_): Box_) -> Response {
    let (least, size) = box_.parts();
    Json(json!({
        "kept_bytes": box_.allowance.limit(), "used_bytes": box_.allowance.kept(),
        "least_in_parts": least, "part_size": size,
    }))
    .into_response()
}
