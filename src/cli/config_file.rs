//! Reads Box's config file for the commands.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::failure::Failure;
use crate::domain::box_config::ConfigFile;

/// Reads the config's JSON document. The broker validates its content.
pub(super) fn read(path: &Path) -> Result<Value, Failure> {
    let refuse = |what: String| Failure::failed(format!("{}: {what}", path.display()));
    let mut text = Vec::new();
    // One byte above the limit shows that the file is too long.
    let limit = ConfigFile::MAX_BYTES as u64 + 1;
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut text))
    }
    .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    match ConfigFile::from_text(&text) {
        Ok(file) => Ok(file.into_document()),
        Err(problem) => Err(refuse(format!("{}. {}", problem.detail, problem.fix))),
    }
}
