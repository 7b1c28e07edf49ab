//! The API calls that Box UI Elements and the official SDKs make.
//!
//! This module owns the paths below `/2.0`, the permissions of each call and the JSON of its response. It must not
//! issue tokens.

mod changes;
mod context;
mod empty_lists;
mod fields;
mod files;
mod folders;
mod item_names;
mod json_body;
mod listing;
mod multipart;
mod representations;
mod search;
mod upload_headers;
mod upload_sessions;
mod uploads;
mod users;

use axum::body::BodyDataStream;
use axum::http::Method;

use crate::http::{ErrorResponse, SandboxRequest, SandboxResponse};
use crate::state::SandboxState;
use context::ApiContext;

/// Answers a call below `/2.0`. An upload reads its content from `body`; other calls have been read already.
pub(crate) async fn handle(
    state: &SandboxState,
    request: &SandboxRequest,
    body: &mut BodyDataStream,
) -> Result<SandboxResponse, ErrorResponse> {
    let context = ApiContext::authorize(state, request)?;
    let segments: Vec<&str> = request.api_path().split('/').skip(2).collect();
    match request.method {
        Method::GET => get(&context, &segments),
        Method::OPTIONS => uploads::preflight(&context, &segments),
        Method::POST => post(&context, &segments, body).await,
        Method::PUT => put(&context, &segments, body).await,
        Method::DELETE => delete(&context, &segments),
        _ => Err(ErrorResponse::method_not_allowed()),
    }
}

fn get(context: &ApiContext<'_>, segments: &[&str]) -> Result<SandboxResponse, ErrorResponse> {
    match segments {
        ["users", "me"] => users::me(context),
        ["users", id] => users::user(context, id),
        ["folders", id] => folders::show(context, id),
        ["folders", id, "items"] => folders::list_items(context, id),
        ["files", "upload_sessions", id] => upload_sessions::show(context, id),
        ["files", "upload_sessions", id, "parts"] => upload_sessions::list_parts(context, id),
        ["files", id] => files::show(context, id),
        ["files", id, "content"] => files::download(context, id),
        ["internal_files", id, "versions", _, "representations", _] => {
            files::show_representation(context, id)
        }
        ["internal_files", id, "versions", _, "representations", _, "content", ..] => {
            files::representation_content(context, id)
        }
        ["search"] => search::search(context),
        ["recent_items"] => search::recent_items(context),
        _ => empty_lists::list(context, segments),
    }
}

async fn post(
    context: &ApiContext<'_>,
    segments: &[&str],
    body: &mut BodyDataStream,
) -> Result<SandboxResponse, ErrorResponse> {
    match segments {
        ["folders"] => folders::create(context),
        ["files", "content"] => uploads::new_file(context, body).await,
        ["files", "upload_sessions"] => upload_sessions::open_for_new_file(context),
        ["files", "upload_sessions", id, "commit"] => upload_sessions::commit(context, id).await,
        ["files", "upload_sessions", id, "log"] => upload_sessions::log(context, id),
        ["files", id, "content"] => uploads::new_version(context, id, body).await,
        ["files", id, "upload_sessions"] => upload_sessions::open_for_new_version(context, id),
        ["metadata_queries", "execute_read"] => empty_lists::list(context, segments),
        _ => Err(ErrorResponse::method_not_allowed()),
    }
}

async fn put(
    context: &ApiContext<'_>,
    segments: &[&str],
    body: &mut BodyDataStream,
) -> Result<SandboxResponse, ErrorResponse> {
    match segments {
        ["folders", id] => changes::update_folder(context, id),
        ["files", "upload_sessions", id] => upload_sessions::upload_part(context, id, body).await,
        ["files", id] => changes::update_file(context, id),
        _ => Err(ErrorResponse::method_not_allowed()),
    }
}

fn delete(context: &ApiContext<'_>, segments: &[&str]) -> Result<SandboxResponse, ErrorResponse> {
    match segments {
        ["folders", id] => changes::delete_folder(context, id),
        ["files", "upload_sessions", id] => upload_sessions::abort(context, id),
        ["files", id] => changes::delete_file(context, id),
        _ => Err(ErrorResponse::method_not_allowed()),
    }
}
