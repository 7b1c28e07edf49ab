//! The credentials of an app.

use serde::Serialize;

use crate::domain::app::AuthMethod;

/// Credentials, field by field.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Credentials)]
pub(crate) struct CredentialsSchema {
    /// The app's client ID.
    client_id: String,
    /// Its client secret.
    #[schema(write_only)]
    client_secret: String,
    /// The customer's enterprise.
    enterprise_id: Option<String>,
    /// The app's authentication method.
    auth: AuthMethod,
    /// The id that Box gave to the public key; with `jwt`.
    public_key_id: Option<String>,
    /// The private key in PEM; with `jwt`.
    #[schema(write_only)]
    private_key: Option<String>,
    /// Its passphrase, if it has one.
    #[schema(write_only)]
    passphrase: Option<String>,
    /// With `jwt`, instead of a key: the broker makes a keypair, and the tenant is pending until the keypair
    /// is activated. Only for a new tenant.
    #[schema(required = false, default = false)]
    generate_key: bool,
}
