//! Media types by file name extension.

/// Returns the media type of a file with this name.
pub(crate) fn of_file_name(name: &str) -> &'static str {
    match extension(name).as_str() {
        "txt" | "md" | "log" | "csv" | "rs" | "py" | "js" | "ts" | "css" | "yml" | "toml" => {
            "text/plain; charset=utf-8"
        }
        "json" => "application/json",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// Returns the extension of a file name, in lower case and without the dot; empty if there is none.
pub(crate) fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).unwrap_or_default()
}
