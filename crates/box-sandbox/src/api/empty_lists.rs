//! The lists that pages ask for and that are always empty here.

use serde_json::json;

use super::context::ApiContext;
use crate::http::{ErrorResponse, SandboxResponse};
use crate::scopes::ItemAction;
use crate::world::ItemKind;

/// Answers with an empty list: collaborations, comments, tasks, versions, metadata and its templates, collections.
pub(super) fn list(context: &ApiContext<'_>, segments: &[&str]) -> Result<SandboxResponse, ErrorResponse> {
    match segments {
        ["folders", id, "collaborations" | "metadata" | "watermark"] => {
            context.item(ItemKind::Folder, id, ItemAction::Read)?;
        }
        ["files", id, "collaborations" | "comments" | "tasks" | "versions" | "metadata"] => {
            context.item(ItemKind::File, id, ItemAction::Read)?;
        }
        ["metadata_templates", "global" | "enterprise"]
        | ["metadata_queries", "execute_read"]
        | ["collections" | "collaborations"] => {}
        _ => return Err(ErrorResponse::not_found()),
    }
    Ok(SandboxResponse::json(json!({
        "total_count": 0, "entries": [], "offset": 0, "limit": 100, "next_marker": null, "prev_marker": null,
    })))
}
