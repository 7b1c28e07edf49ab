//! The page of a list that a query asks for.

use crate::domain::id::Name;
use crate::http::error::ApiError;
use crate::store::PageRequest;

/// `?limit=` and `&cursor=` of a list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The maximum number of items: 1 to 200; 50 if omitted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    pub limit: Option<String>,
    /// The `next_cursor` of the previous page.
    pub cursor: Option<String>,
}

/// Parses the page of a list that a query asks for.
pub(crate) fn page(limit: Option<&str>, cursor: Option<&str>) -> Result<PageRequest, ApiError> {
    let limit = self::limit(limit)?;
    let after = match cursor {
        None => None,
        Some(text) => {
            let name = data_encoding::BASE64URL_NOPAD
                .decode(text.as_bytes())
                .ok()
                .and_then(|bytes| Name::parse(std::str::from_utf8(&bytes).ok()?).ok());
            let detail = "A `cursor` is the `next_cursor` of an earlier answer.";
            Some(name.ok_or_else(|| ApiError::invalid("/cursor", detail))?)
        }
    };
    Ok(PageRequest { after, limit })
}

/// Parses the number of items that a query asks for: 1 to 200, 50 by default.
pub(crate) fn limit(text: Option<&str>) -> Result<usize, ApiError> {
    match text.map(str::parse) {
        None => Ok(50),
        Some(Ok(limit @ 1..=200)) => Ok(limit),
        Some(_) => Err(ApiError::invalid("/limit", "A list's `limit` is a number from 1 to 200.")),
    }
}

/// Returns the cursor of the page after `name`.
pub(crate) fn cursor(name: &Name) -> String {
    data_encoding::BASE64URL_NOPAD.encode(name.as_str().as_bytes())
}
