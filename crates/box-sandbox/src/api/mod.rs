//! The API calls that Box UI Elements and the official SDKs make, under Box's rules of who may do what.

use axum::body::BodyDataStream;
use axum::http::Method;

use crate::http::error::Refusal;
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::state::Upstream;
use crate::world::app::App;

mod body;
mod changes;
mod context;
mod fields;
mod files;
mod folders;
mod lists;
mod multipart;
mod sessions;
mod upload;
mod users;

use context::View;
pub(crate) use context::reaches;
pub(crate) use fields::{mini, root};

/// A call under `/2.0`, by a token that may be dead. Uploads read their bytes from `body`; the others
/// were read before.
pub(crate) async fn answer(
    box_: &Upstream,
    call: &Call,
    body: &mut BodyDataStream,
) -> Result<Answer, Refusal> {
    let view = View::of(box_, call)?;
    let segments: Vec<&str> = call.api_path().split('/').skip(2).collect();
    match call.method {
        Method::GET => read(&view, &segments),
        Method::OPTIONS => upload::preflight(&view, &segments),
        Method::POST => post(&view, &segments, body).await,
        Method::PUT => put(&view, &segments, body).await,
        Method::DELETE => delete(&view, &segments),
        _ => Err(Refusal::method_not_allowed()),
    }
}

fn read(view: &View<'_>, segments: &[&str]) -> Result<Answer, Refusal> {
    match segments {
        ["users", "me"] => users::me(view),
        ["users", id] => users::user(view, id),
        ["folders", id] => folders::folder(view, id),
        ["folders", id, "items"] => folders::items(view, id),
        ["files", "upload_sessions", id] => sessions::status(view, id),
        ["files", "upload_sessions", id, "parts"] => sessions::parts(view, id),
        ["files", id] => files::file(view, id),
        ["files", id, "content"] => files::download(view, id),
        ["internal_files", id, "versions", _, "representations", _] => files::representation(view, id),
        ["internal_files", id, "versions", _, "representations", _, "content", ..] => files::shown(view, id),
        ["search"] => lists::search(view),
        ["recent_items"] => lists::recent(view),
        _ => lists::empty(view, segments),
    }
}

async fn post(view: &View<'_>, segments: &[&str], body: &mut BodyDataStream) -> Result<Answer, Refusal> {
    match segments {
        ["folders"] => folders::create(view),
        ["files", "content"] => upload::file(view, body).await,
        ["files", "upload_sessions"] => sessions::open(view),
        ["files", "upload_sessions", id, "commit"] => sessions::commit(view, id).await,
        ["files", "upload_sessions", id, "log"] => sessions::log(view, id),
        ["files", id, "content"] => upload::version(view, id, body).await,
        ["files", id, "upload_sessions"] => sessions::open_version(view, id),
        ["metadata_queries", "execute_read"] => lists::empty(view, segments),
        _ => Err(Refusal::method_not_allowed()),
    }
}

async fn put(view: &View<'_>, segments: &[&str], body: &mut BodyDataStream) -> Result<Answer, Refusal> {
    match segments {
        ["folders", id] => changes::folder(view, id),
        ["files", "upload_sessions", id] => sessions::part(view, id, body).await,
        ["files", id] => changes::file(view, id),
        _ => Err(Refusal::method_not_allowed()),
    }
}

fn delete(view: &View<'_>, segments: &[&str]) -> Result<Answer, Refusal> {
    match segments {
        ["folders", id] => changes::delete_folder(view, id),
        ["files", "upload_sessions", id] => sessions::abort(view, id),
        ["files", id] => changes::delete_file(view, id),
        _ => Err(Refusal::method_not_allowed()),
    }
}

/// The app of the call's token, dead or not: its pages may read why they are refused.
pub(crate) fn app_of(box_: &Upstream, call: &Call) -> Option<std::sync::Arc<App>> {
    call.token.as_ref().and_then(|token| box_.app(&token.client_id))
}
