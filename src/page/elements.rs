//! The prebuilt Box UI Elements, which the reader downloads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Path as Segment, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::PageState;

/// The names of the elements that the page shows.
const NAMES: [&str; 4] = ["explorer", "picker", "uploader", "preview"];

/// The extensions and media types of an element's files.
const EXTENSIONS: [(&str, &str); 2] =
    [("js", "text/javascript; charset=utf-8"), ("css", "text/css; charset=utf-8")];

/// A folder that contains the elements.
#[derive(Clone, Debug)]
pub struct ElementsFolder(PathBuf);

/// The error for a folder that does not contain them.
#[derive(Debug, thiserror::Error)]
#[error("{} is not the `dist` folder of box-ui-elements: there is no {file} in it", folder.display())]
pub struct MissingElementFile {
    folder: PathBuf,
    file: String,
}

impl ElementsFolder {
    /// Checks that a folder contains the elements.
    ///
    /// # Errors
    /// One of their files is missing.
    pub fn open(folder: &Path) -> Result<Self, MissingElementFile> {
        let files =
            NAMES.iter().flat_map(|name| EXTENSIONS.map(|(extension, _)| format!("{name}.{extension}")));
        for file in files {
            if !folder.join(&file).is_file() {
                return Err(MissingElementFile { folder: folder.to_owned(), file });
            }
        }
        Ok(Self(folder.to_owned()))
    }
}

/// Answers with a file of an element. No other file of the folder is served.
pub(super) async fn serve(State(page): State<Arc<PageState>>, Segment(file): Segment<String>) -> Response {
    let known = file.split_once('.').filter(|(name, _)| NAMES.contains(name));
    let media_type =
        known.and_then(|(_, extension)| EXTENSIONS.iter().find(|(known, _)| *known == extension));
    let Some((_, media_type)) = media_type else { return StatusCode::NOT_FOUND.into_response() };
    let ElementsFolder(folder) = &page.settings.elements;
    match tokio::fs::read(folder.join(&file)).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, *media_type), (header::CACHE_CONTROL, "max-age=3600")], bytes)
            .into_response(),
        Err(error) => {
            tracing::warn!(%error, file, "an element cannot be read");
            StatusCode::NOT_FOUND.into_response()
        }
    }
}
