//! JSON bodies of calls, read by hand: Box passes over what it does not know.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::http::error::Refusal;
use crate::http::request::Call;

/// The longest name of an item, in characters.
const LONGEST_NAME: usize = 255;

/// The call's body, which must be a JSON object.
pub(crate) fn object(call: &Call) -> Result<Map<String, Value>, Refusal> {
    parse(&call.body)
}

/// A JSON object.
pub(crate) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let object = serde_json::from_slice(bytes);
    object.map_err(|problem| Refusal::bad_request(format!("The body must be a JSON object: {problem}")))
}

/// A text, where it is there.
pub(crate) fn text(body: &Map<String, Value>, field: &str) -> Result<Option<String>, Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::bad_request(format!("'{field}' must be a text"))),
    }
}

/// A whole number, where it is there; some senders write it as a text.
pub(crate) fn number(body: &Map<String, Value>, field: &str) -> Result<Option<u64>, Refusal> {
    let number = match body.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    number.map(Some).ok_or_else(|| Refusal::bad_request(format!("'{field}' must be a whole number")))
}

/// The id in `parent`, where it is there.
pub(crate) fn parent(body: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    match body.get("parent") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(parent)) => id(parent, "id"),
        Some(_) => Err(Refusal::bad_request("'parent' must be an object with an 'id'")),
    }
}

/// An item's id, where it is there: a text, or a number as some senders have it.
pub(crate) fn id(body: &Map<String, Value>, field: &str) -> Result<Option<String>, Refusal> {
    match body.get(field) {
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        _ => text(body, field),
    }
}

/// An item's new name, where it is there.
pub(crate) fn name(body: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    text(body, "name")?.map(checked_name).transpose()
}

/// A name that Box takes.
pub(crate) fn checked_name(name: String) -> Result<String, Refusal> {
    let refuse = |code, message: &str| Err(Refusal::api(StatusCode::BAD_REQUEST, code, message));
    if name.chars().count() > LONGEST_NAME {
        return refuse("item_name_too_long", "The name has more than 255 characters");
    }
    let odd = |one: char| matches!(one, '/' | '\\') || one.is_control();
    if name.is_empty() || name == "." || name == ".." || name.trim() != name || name.contains(odd) {
        return refuse(
            "item_name_invalid",
            "The name is empty, '.' or '..', has a slash or control character, or begins or ends with a space",
        );
    }
    Ok(name)
}
