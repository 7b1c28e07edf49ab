//! From a file's bytes to JSON, within bounds, and with a word on what was uploaded instead.

use serde_json::Value;
use serde_json::error::Category;

use super::ConfigFile;

/// The value, or what is wrong with the file as a whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > ConfigFile::MAX_BYTES {
        return Err(format!(
            "the file has {} bytes, more than the {} that are read; Box's config file has some 4,000: is this \
             another file?",
            bytes.len(),
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
    if depth(bytes) > ConfigFile::MAX_DEPTH {
        return Err(format!(
            "objects and arrays stand in one another more than {} deep; Box's config file goes three deep",
            ConfigFile::MAX_DEPTH
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // serde's own message is left out, as it may quote the file.
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Eof => format!("the JSON ends too early, at line {line}: the file is cut off"),
            _ => format!("this is not JSON: line {line}, column {column} cannot be read"),
        }
    })
}

/// How deep brackets stand in one another outside of strings; right for JSON, harmless for the rest.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
