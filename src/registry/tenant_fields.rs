//! The bounds of the texts that admins choose freely: display names and labels.

use std::collections::BTreeMap;

use super::error::{FieldError, escape_pointer};
use crate::domain::printable::is_printable_line;

/// The maximum number of a tenant's labels.
const MAX_LABELS: usize = 64;
/// The maximum length of a label's key and of its value, in characters.
const MAX_LABEL_LENGTH: usize = 128;
/// The maximum length of a display name, in characters.
const MAX_DISPLAY_NAME_LENGTH: usize = 200;

/// Returns the errors in a tenant's display name and labels.
pub(super) fn check_fields(display_name: Option<&str>, labels: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if display_name.is_some_and(|name| !is_printable_line(name, MAX_DISPLAY_NAME_LENGTH)) {
        let detail = format!("A display name is 1 to {MAX_DISPLAY_NAME_LENGTH} printable characters.");
        errors.push(FieldError::at("/display_name", detail));
    }
    errors.extend(check_labels(labels, "/labels"));
    errors
}

/// Returns the errors in labels: those of a tenant, or those by which a grant selects tenants.
pub(super) fn check_labels(labels: &BTreeMap<String, String>, pointer: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if labels.len() > MAX_LABELS {
        errors.push(FieldError::at(pointer, format!("There are at most {MAX_LABELS} labels.")));
    }
    for (key, value) in labels {
        let fits = |text: &str| is_printable_line(text, MAX_LABEL_LENGTH);
        if !fits(key) || key.contains(':') || !fits(value) {
            let detail = format!(
                "A label's key and value are 1 to {MAX_LABEL_LENGTH} printable characters each, the key without `:`."
            );
            errors.push(FieldError::at(format!("{pointer}/{}", escape_pointer(key)), detail));
        }
    }
    errors
}
