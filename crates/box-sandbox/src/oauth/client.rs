//! Authentication of the app that calls the token endpoint.

use std::sync::Arc;

use crate::http::{ErrorResponse, FormFields};
use crate::state::SandboxState;
use crate::world::BoxApp;

/// Returns the app whose id and secret the form contains.
pub(super) fn authenticate(state: &SandboxState, form: &FormFields) -> Result<Arc<BoxApp>, ErrorResponse> {
    let (app, secret_matches) = identify(state, form)?;
    if secret_matches { Ok(app) } else { Err(invalid_client()) }
}

/// Returns the app whose id and secret the form contains; `None` if it contains neither.
pub(super) fn authenticate_if_named(
    state: &SandboxState,
    form: &FormFields,
) -> Result<Option<Arc<BoxApp>>, ErrorResponse> {
    let named = form.get("client_id")?.is_some() || form.get("client_secret")?.is_some();
    if named { authenticate(state, form).map(Some) } else { Ok(None) }
}

/// Returns the app whose id the form contains, and whether the secret is right.
pub(super) fn identify(
    state: &SandboxState,
    form: &FormFields,
) -> Result<(Arc<BoxApp>, bool), ErrorResponse> {
    let app = state.directory.app(form.required("client_id")?).ok_or_else(invalid_client)?;
    let secret_matches = form.required("client_secret")? == app.client_secret;
    Ok((app, secret_matches))
}

/// Returns the error for wrong client credentials.
pub(super) fn invalid_client() -> ErrorResponse {
    ErrorResponse::oauth("invalid_client", "The client credentials are invalid")
}
