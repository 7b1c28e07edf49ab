//! The text that an audit record holds about a change.

use serde_json::Value;

/// The maximum length of an audit record's detail, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// Describes a change: each field that differs, with its old and its new value.
pub(super) fn describe_changes(old: &Value, new: &Value) -> String {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return String::new() };
    let changed = new.iter().filter_map(|(field, value)| {
        let before = old.get(field).unwrap_or(&Value::Null);
        (before != value).then(|| format!("{field}: {before} -> {value}"))
    });
    truncate(changed.collect::<Vec<_>>().join("; "))
}

/// Cuts a text to the maximum length and marks the cut with an ellipsis.
pub(super) fn truncate(mut text: String) -> String {
    if text.len() > MAX_LENGTH {
        text.truncate(text.floor_char_boundary(MAX_LENGTH));
        text.push('\u{2026}');
    }
    text
}
