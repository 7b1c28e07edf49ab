//! The form that a request to the token endpoint carries.

use url::form_urlencoded;

use super::error::ErrorResponse;

/// The fields of a body of the type `application/x-www-form-urlencoded`.
///
/// It has no `Debug`: the fields contain secrets.
pub(crate) struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// Parses a body. A field without a value counts as missing (RFC 6749, section 3.2).
    pub(crate) fn parse(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body);
        Self(pairs.into_owned().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// Returns the value of a field. A field that is sent twice is an error (RFC 6749, section 3.2).
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>, ErrorResponse> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let first = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() {
            let description = format!("The '{name}' parameter was sent more than once");
            return Err(ErrorResponse::oauth("invalid_request", description));
        }
        Ok(first)
    }

    /// Returns the value of a field that is required.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ErrorResponse> {
        self.get(name)?.ok_or_else(|| ErrorResponse::missing_parameter(name))
    }

    /// Returns the first value of a field, even if the field is sent twice.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
