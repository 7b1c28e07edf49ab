//! JSON request bodies. Fields that Box does not know are ignored, as Box does.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::http::{ErrorResponse, SandboxRequest};

/// The longest name of an item, in characters.
const MAX_NAME_LENGTH: usize = 255;

/// Parses the body of a request, which must be a JSON object.
pub(super) fn parse_request(request: &SandboxRequest) -> Result<Map<String, Value>, ErrorResponse> {
    parse(&request.body)
}

/// Parses a JSON object.
pub(super) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, ErrorResponse> {
    serde_json::from_slice(bytes)
        .map_err(|problem| ErrorResponse::bad_request(format!("The body must be a JSON object: {problem}")))
}

/// Returns a field that must be a string if it is there.
pub(super) fn string(body: &Map<String, Value>, field: &str) -> Result<Option<String>, ErrorResponse> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ErrorResponse::bad_request(format!("'{field}' must be a text"))),
    }
}

/// Returns a field that must be a whole number if it is there. Some clients send it as a string.
pub(super) fn number(body: &Map<String, Value>, field: &str) -> Result<Option<u64>, ErrorResponse> {
    let number = match body.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    number.map(Some).ok_or_else(|| ErrorResponse::bad_request(format!("'{field}' must be a whole number")))
}

/// Returns the id of an item if it is there. Some clients send it as a number.
pub(super) fn id(body: &Map<String, Value>, field: &str) -> Result<Option<String>, ErrorResponse> {
    match body.get(field) {
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        _ => string(body, field),
    }
}

/// Returns the id of the parent folder if it is there.
pub(super) fn parent_id(body: &Map<String, Value>) -> Result<Option<String>, ErrorResponse> {
    match body.get("parent") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(parent)) => id(parent, "id"),
        Some(_) => Err(ErrorResponse::bad_request("'parent' must be an object with an 'id'")),
    }
}

/// Returns the name of an item if it is there.
pub(super) fn item_name(body: &Map<String, Value>) -> Result<Option<String>, ErrorResponse> {
    string(body, "name")?.map(valid_item_name).transpose()
}

/// Returns the parent folder and the name of a new item, both of which are required.
pub(super) fn new_item(body: &Map<String, Value>) -> Result<(String, String), ErrorResponse> {
    let name = item_name(body)?.ok_or_else(|| ErrorResponse::missing_field("name"))?;
    let folder = parent_id(body)?.ok_or_else(|| ErrorResponse::missing_field("parent.id"))?;
    Ok((folder, name))
}

/// Returns a name if Box accepts it for an item.
pub(super) fn valid_item_name(name: String) -> Result<String, ErrorResponse> {
    let refuse = |code, message: &str| Err(ErrorResponse::api(StatusCode::BAD_REQUEST, code, message));
    if name.chars().count() > MAX_NAME_LENGTH {
        return refuse("item_name_too_long", "The name has more than 255 characters");
    }
    let is_forbidden = |one: char| matches!(one, '/' | '\\') || one.is_control();
    if name.is_empty() || name == "." || name == ".." || name.trim() != name || name.contains(is_forbidden) {
        return refuse(
            "item_name_invalid",
            "The name is empty, '.' or '..', has a slash or control character, or begins or ends with a space",
        );
    }
    Ok(name)
}
