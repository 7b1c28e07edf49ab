//! The prebuilt Box UI Elements: files of a folder that the reader got themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Path as Segment, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::Page;

/// The elements that the page shows.
const NAMES: [&str; 4] = ["explorer", "picker", "uploader", "preview"];
const ENDINGS: [(&str, &str); 2] =
    [("js", "text/javascript; charset=utf-8"), ("css", "text/css; charset=utf-8")];

/// A folder that holds the elements.
#[derive(Clone, Debug)]
pub struct Elements(PathBuf);

/// A folder that does not hold them.
#[derive(Debug, thiserror::Error)]
#[error("{} is not the `dist` folder of box-ui-elements: there is no {file} in it", folder.display())]
pub struct MissingElements {
    folder: PathBuf,
    file: String,
}

impl Elements {
    /// The elements in `folder`.
    ///
    /// # Errors
    /// One of their files is not there.
    pub fn in_folder(folder: &Path) -> Result<Self, MissingElements> {
        let files = NAMES.iter().flat_map(|name| ENDINGS.map(|(ending, _)| format!("{name}.{ending}")));
        for file in files {
            if !folder.join(&file).is_file() {
                return Err(MissingElements { folder: folder.to_owned(), file });
            }
        }
        Ok(Self(folder.to_owned()))
    }
}

/// One of the elements' files, and no other file of the folder.
pub(super) async fn serve(State(page): State<Arc<Page>>, Segment(file): Segment<String>) -> Response {
    let known = file.split_once('.').filter(|(name, _)| NAMES.contains(name));
    let kind = known.and_then(|(_, ending)| ENDINGS.iter().find(|(known, _)| *known == ending));
    let Some((_, kind)) = kind else { return StatusCode::NOT_FOUND.into_response() };
    let Elements(folder) = &page.settings.elements;
    match tokio::fs::read(folder.join(&file)).await {
        Ok(bytes) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "max-age=3600")], bytes).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, file, "an element cannot be read");
            StatusCode::NOT_FOUND.into_response()
        }
    }
}
