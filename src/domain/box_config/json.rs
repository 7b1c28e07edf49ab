//! Parsing of a config file's bytes as JSON, within bounds, with hints about common mistakes.

use serde_json::Value;
use serde_json::error::Category;

use super::ConfigFile;

/// Returns the JSON value, or the problem with the file as a whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > ConfigFile::MAX_BYTES {
        return Err(format!(
            "the file has more than the {} bytes that are read; Box's config file has some 4,000: is this another \
             file?",
            ConfigFile::MAX_BYTES
        ));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if bytes.starts_with(b"-----BEGIN") {
        return Err("this is a PEM text alone; give Box's whole config file, a JSON object that holds the \
                    private key"
            .to_owned());
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("the file is UTF-16; save it as UTF-8".to_owned());
    }
    let value = serde_json::from_slice(bytes).map_err(|error| {
        // serde's own message is dropped, because it may quote the file.
        if error.to_string().starts_with("recursion limit") {
            return too_deep();
        }
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Eof => format!("the JSON ends too early, at line {line}: the file is cut off"),
            _ => format!("this is not JSON: line {line}, column {column} cannot be read"),
        }
    })?;
    check_depth(&value)?;
    Ok(value)
}

/// Checks that the value is not nested too deeply for a config.
pub(super) fn check_depth(value: &Value) -> Result<(), String> {
    if is_within(value, ConfigFile::MAX_DEPTH) { Ok(()) } else { Err(too_deep()) }
}

fn too_deep() -> String {
    format!(
        "objects and arrays stand in one another more than {} deep; Box's config file goes three deep",
        ConfigFile::MAX_DEPTH
    )
}

fn is_within(value: &Value, levels: usize) -> bool {
    let inner = levels.checked_sub(1);
    match value {
        Value::Array(items) => inner.is_some_and(|levels| items.iter().all(|item| is_within(item, levels))),
        Value::Object(fields) => {
            inner.is_some_and(|levels| fields.values().all(|field| is_within(field, levels)))
        }
        _ => true,
    }
}
