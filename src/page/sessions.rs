//! The page's back end: opens browser sessions at the broker, and cancels them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use reqwest::redirect;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Page;

/// How long the broker may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What whoever may look can do, and what whoever may write can do as well (Box's scopes for the Explorer,
/// the Picker, the Uploader and the Preview).
const READ: [&str; 5] = ["base_explorer", "base_picker", "base_preview", "item_preview", "item_download"];
const WRITE: [&str; 6] =
    ["base_upload", "item_upload", "item_rename", "item_delete", "item_share", "annotation_view_all"];

/// What the page asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// Whether files may be changed.
    write: bool,
}

/// The one way to the broker.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
}

/// Opens a session for the page, on its one folder and for its one origin. A real application asks here who
/// is logged in.
pub(super) async fn open(State(page): State<Arc<Page>>, wish: Result<Json<Wish>, JsonRejection>) -> Response {
    let Json(wish) = match wish {
        Ok(wish) => wish,
        Err(rejection) => return (StatusCode::BAD_REQUEST, rejection.body_text()).into_response(),
    };
    let mut body = json!({
        "resources": [{ "type": "folder", "id": page.settings.folder }],
        "read": { "scopes": READ },
        "origins": [page.origin],
        "on_behalf_of": "whoever-looks-at-the-demo",
    });
    if let Some(user) = &page.settings.user {
        body["subject"] = json!({ "type": "user", "id": user });
    }
    if wish.write {
        body["write"] = json!({ "scopes": READ.iter().chain(&WRITE).collect::<Vec<_>>() });
    }
    let request = page.client.post(sessions(&page, None)).json(&body);
    passed_on(send(&page, request).await)
}

/// Cancels a session: its tokens are handed out no longer.
pub(super) async fn cancel(State(page): State<Arc<Page>>, Path(id): Path<String>) -> Response {
    let request = page.client.delete(sessions(&page, Some(&id)));
    passed_on(send(&page, request).await)
}

/// The broker's URL for the tenant's sessions, or for one of them.
fn sessions(page: &Page, id: Option<&str>) -> url::Url {
    let mut url = page.settings.broker.clone();
    // An http URL always has segments.
    if let Ok(mut segments) = url.path_segments_mut() {
        let path = ["v1", "tenants", &page.settings.tenant, "browser-sessions"];
        segments.pop_if_empty().extend(path.into_iter().chain(id));
    }
    url
}

async fn send(page: &Page, request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, Option<Value>)> {
    let response = request.bearer_auth(page.settings.key.expose()).send().await?;
    let status = response.status();
    let bytes = response.bytes().await?;
    Ok((status, serde_json::from_slice(&bytes).ok()))
}

/// The broker's answer, or that there is none.
fn passed_on(answer: reqwest::Result<(StatusCode, Option<Value>)>) -> Response {
    let keep_out = [(header::CACHE_CONTROL, "no-store")];
    match answer {
        Ok((status, Some(body))) => (status, keep_out, Json(body)).into_response(),
        Ok((status, None)) => (status, keep_out).into_response(),
        Err(error) => {
            tracing::warn!(error = %error.without_url(), "the broker does not answer the page's back end");
            (StatusCode::BAD_GATEWAY, keep_out, "The broker does not answer.").into_response()
        }
    }
}
