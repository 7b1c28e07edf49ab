//! How JSON from outside becomes a type: strictly, and with words for whoever wrote it.

mod deserializer;

use serde::{Deserialize, Deserializer};

use self::deserializer::StrictDeserializer;
use crate::registry::error::{FieldError, pointer_of};

/// Why a document is not what it should be.
#[derive(Debug)]
pub enum DecodeError {
    /// It is not JSON at all.
    NotJson(serde_json::Error),
    /// One of its values is not what is expected there.
    Fault(FieldError),
}

/// Reads a document.
///
/// # Errors
/// The first thing that is wrong. No value is quoted: it may be a secret in the wrong place.
pub fn decode<'de, T, D>(document: D) -> Result<T, DecodeError>
where
    T: Deserialize<'de>,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(StrictDeserializer(document)).map_err(|error| {
        let pointer = pointer_of(error.path());
        let error = error.into_inner();
        let message = error.to_string();
        if error.is_data() {
            DecodeError::Fault(FieldError::at(pointer, in_plain_words(&message)))
        } else if message.starts_with("recursion limit") {
            // How it goes on down there helps nobody: the field of the whole is named.
            let field = pointer.match_indices('/').nth(1).map_or(&*pointer, |(end, _)| &pointer[..end]);
            DecodeError::Fault(FieldError::at(
                field,
                "Objects and arrays stand too deep in one another here.",
            ))
        } else {
            DecodeError::NotJson(error)
        }
    })
}

/// For a field of a patch that may be left out and cannot be removed: `null` is refused.
///
/// # Errors
/// As `T`'s own.
pub(super) fn non_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    field: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// serde's message without the value that it quotes, and without words that only Rust has.
fn in_plain_words(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    if !message.starts_with("invalid ") && !message.starts_with("unknown variant ") {
        return message.to_owned();
    }
    let expected = message.rfind(", expected ").map(|place| &message[place + ", expected ".len()..]);
    match expected {
        Some(expected) => format!("Expected {}.", plain(expected)),
        None => "This value has no use here.".to_owned(),
    }
}

/// What serde expects, in JSON's own words.
fn plain(expected: &str) -> &str {
    match expected {
        "a map" => "a JSON object",
        "a sequence" => "an array",
        "a boolean" => "`true` or `false`",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if expected.starts_with("struct ") => "a JSON object",
        other => other,
    }
}
