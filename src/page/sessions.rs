//! The page's back end, which opens and cancels browser sessions at the broker.

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

use super::PageState;

/// The time within which the broker must respond.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The scopes of a session that may read. Source: Box's documentation of the Explorer, the Picker and the Preview.
const READ_SCOPES: [&str; 5] =
    ["base_explorer", "base_picker", "base_preview", "item_preview", "item_download"];

/// The further scopes of a session that may write. Source: Box's documentation of the Explorer and the Uploader.
const WRITE_SCOPES: [&str; 6] =
    ["base_upload", "item_upload", "item_rename", "item_delete", "item_share", "annotation_view_all"];

/// The page's request for a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionRequest {
    /// True if the session may change files.
    write: bool,
}

/// Returns the HTTP client for the broker.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
}

/// Answers `POST /session`: opens a session for the page's folder and origin. A real application checks here who is
/// logged in.
pub(super) async fn open(
    State(page): State<Arc<PageState>>,
    request: Result<Json<SessionRequest>, JsonRejection>,
) -> Response {
    let Json(session) = match request {
        Ok(session) => session,
        Err(rejection) => return (StatusCode::BAD_REQUEST, rejection.body_text()).into_response(),
    };
    let mut body = json!({
        "resources": [{ "type": "folder", "id": page.settings.folder }],
        "read": { "scopes": READ_SCOPES },
        "origins": [page.origin],
        "on_behalf_of": "whoever-looks-at-the-demo",
    });
    if let Some(user) = &page.settings.user {
        body["subject"] = json!({ "type": "user", "id": user });
    }
    if session.write {
        body["write"] = json!({ "scopes": READ_SCOPES.iter().chain(&WRITE_SCOPES).collect::<Vec<_>>() });
    }
    let request = page.client.post(sessions_url(&page, None)).json(&body);
    forward(send(&page, request).await)
}

/// Answers `DELETE /session/{id}`: cancels a session, which gets no more tokens.
pub(super) async fn cancel(State(page): State<Arc<PageState>>, Path(id): Path<String>) -> Response {
    let request = page.client.delete(sessions_url(&page, Some(&id)));
    forward(send(&page, request).await)
}

/// Returns the broker's URL for the tenant's sessions, or for one of them.
fn sessions_url(page: &PageState, id: Option<&str>) -> url::Url {
    let mut url = page.settings.broker.clone();
    // An http URL always has segments.
    if let Ok(mut segments) = url.path_segments_mut() {
        let path = ["v1", "tenants", &page.settings.tenant, "browser-sessions"];
        segments.pop_if_empty().extend(path.into_iter().chain(id));
    }
    url
}

async fn send(
    page: &PageState,
    request: reqwest::RequestBuilder,
) -> reqwest::Result<(StatusCode, Option<Value>)> {
    let response = request.bearer_auth(page.settings.key.expose()).send().await?;
    let status = response.status();
    let bytes = response.bytes().await?;
    Ok((status, serde_json::from_slice(&bytes).ok()))
}

/// Returns the broker's response, or 502 if there is none.
fn forward(response: reqwest::Result<(StatusCode, Option<Value>)>) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    match response {
        Ok((status, Some(body))) => (status, no_store, Json(body)).into_response(),
        Ok((status, None)) => (status, no_store).into_response(),
        Err(error) => {
            tracing::warn!(error = %error.without_url(), "the broker does not answer the page's back end");
            (StatusCode::BAD_GATEWAY, no_store, "The broker does not answer.").into_response()
        }
    }
}
