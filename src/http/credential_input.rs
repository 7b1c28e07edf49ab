//! The credentials that a request sends, in one of two forms.

use crate::domain::app::AuthMethod;
use crate::domain::box_config::ConfigFile;
use crate::http::error::ApiError;
use crate::registry::{CredentialFields, CredentialInput};

/// The material of a registration, where exactly one form of it is there.
pub(crate) fn credential_input(
    config: Option<Box<ConfigFile>>,
    auth: Option<AuthMethod>,
    credentials: Option<Box<CredentialFields>>,
) -> Result<Option<CredentialInput>, ApiError> {
    match (config, credentials) {
        (Some(file), None) => {
            Ok(Some(CredentialInput::Config { file, auth: auth.unwrap_or(AuthMethod::Jwt) }))
        }
        (None, Some(_)) if auth.is_some() => {
            Err(ApiError::invalid("/auth", "With `credentials`, `auth` stands inside them."))
        }
        (None, Some(fields)) => Ok(Some(CredentialInput::Fields(fields))),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("/credentials", "Send `config` or `credentials`, not both."))
        }
    }
}
