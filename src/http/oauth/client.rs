//! OAuth clients: an API key in the form of client credentials.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::BASE64;

use crate::auth::{AuthError, RequestContext, api_key};
use crate::domain::grant::TenantSelector;
use crate::domain::id::{KeyId, TenantId};
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::error::box_shape::is_basic;
use crate::http::extract::{AuthenticatedRequest, NoQuery, authenticate, query};
use crate::http::rate_limits as limits;
use crate::http::request_log::RequestLog;
use crate::registry::callers::grants::parse_tenant;
use crate::secret::SecretString;
use crate::store::TenantRef;

/// A request, before it is known who calls.
#[derive(Debug)]
pub(crate) struct OAuthRequest {
    pub(crate) log: RequestLog,
    /// Whose credentials stand in `Authorization`.
    header: HeaderCredential,
}

/// Whose credentials stand in `Authorization`.
#[derive(Debug)]
enum HeaderCredential {
    /// No client's. Some SDKs send the token that they want exchanged as a bearer's: it says nothing here.
    Nobody,
    OAuthClient(ClientCredentials),
    /// Credentials that were meant as a client's and cannot be read.
    Unreadable,
}

/// Client credentials as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCredentials {
    pub(crate) id: String,
    pub(crate) secret: SecretString,
}

/// A client that is known, and the tenant it is about: none, where it names none and has no grants either.
#[derive(Debug)]
pub(crate) struct OAuthClient {
    pub(crate) caller: AuthenticatedRequest,
    tenant: Option<TenantRef>,
}

impl OAuthClient {
    /// The caller and the tenant.
    ///
    /// # Errors
    /// No credentials.
    pub(crate) fn with_tenant(self) -> Result<(AuthenticatedRequest, TenantRef), ApiError> {
        let tenant = self.tenant.ok_or_else(tenant_not_named)?;
        Ok((self.caller, tenant))
    }

    /// The caller, and the tenant where there is one.
    pub(crate) fn into_parts(self) -> (AuthenticatedRequest, Option<TenantRef>) {
        (self.caller, self.tenant)
    }
}

impl FromRequestParts<Api> for OAuthRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _api: &Api) -> Result<Self, ApiError> {
        // What should stand in the form would stand in logs.
        let NoQuery {} = query(parts.uri.query().unwrap_or_default())?;
        Ok(Self {
            log: parts.extensions.get::<RequestLog>().cloned().unwrap_or_default(),
            header: HeaderCredential::read(&parts.headers),
        })
    }
}

impl HeaderCredential {
    fn read(headers: &HeaderMap) -> Self {
        let mut basic = headers.get_all(header::AUTHORIZATION).iter().filter(|value| is_basic(value));
        let Some(value) = basic.next() else { return Self::Nobody };
        match (credentials(value), basic.next()) {
            (Some(credentials), None) => Self::OAuthClient(credentials),
            _ => Self::Unreadable,
        }
    }
}

fn credentials(value: &HeaderValue) -> Option<ClientCredentials> {
    let (_, text) = value.to_str().ok()?.split_once(' ')?;
    let decoded = BASE64.decode(text.trim().as_bytes()).ok()?;
    let decoded = SecretString::new(String::from_utf8(decoded).ok()?);
    let (id, secret) = decoded.expose().split_once(':')?;
    Some(ClientCredentials { id: id.to_owned(), secret: SecretString::new(secret.to_owned()) })
}

impl OAuthRequest {
    /// The client whose credentials came, in the header or in the form; `None` where none did.
    ///
    /// # Errors
    /// If the credentials authenticate nobody, name no tenant although they must, or exceed a rate limit.
    pub(crate) async fn client(
        &self,
        api: &Api,
        id: Option<String>,
        secret: Option<SecretString>,
    ) -> Result<Option<OAuthClient>, ApiError> {
        let ClientCredentials { id, secret } = match (&self.header, id, secret) {
            (HeaderCredential::Nobody, None, None) => return Ok(None),
            (HeaderCredential::Nobody, Some(id), Some(secret)) => ClientCredentials { id, secret },
            (HeaderCredential::OAuthClient(given), id, secret)
                if id.as_ref().is_none_or(|id| *id == given.id)
                    && secret.as_ref().is_none_or(|secret| *secret == given.secret) =>
            {
                given.clone()
            }
            (HeaderCredential::OAuthClient(_), ..) => {
                let twice = "Different client credentials stand in `Authorization` and in the form.";
                return Err(ApiError::Malformed(twice.to_owned()));
            }
            _ => return Err(self.unauthenticated(api)),
        };
        let key = api_key::id_of(secret.expose());
        let Some((_, tenant)) = read_id(&id).filter(|(named, _)| Some(named) == key.as_ref()) else {
            return Err(self.unauthenticated(api));
        };
        let since = api.authenticator.change_token();
        let context = authenticate(api, &self.log, Some(secret.expose())).await?;
        let tenant = match tenant {
            Some(tenant) => Some(tenant),
            None if context.any(|caller| !caller.grants.is_empty()) => {
                Some(TenantRef::Id(only_tenant(&context).ok_or_else(tenant_not_named)?))
            }
            None => None,
        };
        if let Some(tenant) = &tenant {
            self.log.set_tenant(tenant);
        }
        let context = limits::count_about(api, context, tenant.clone(), false).await?;
        let caller = AuthenticatedRequest::new(context, since, self.log.clone());
        Ok(Some(OAuthClient { caller, tenant }))
    }

    /// Returns the error for a client that must authenticate and did not.
    pub(crate) fn unauthenticated(&self, api: &Api) -> ApiError {
        limits::unauthenticated(api, self.log.peer(), AuthError::Unauthenticated)
    }
}

/// Reads a client's id: `btb_` and a key's id, and behind `-` the tenant.
pub(crate) fn read_id(text: &str) -> Option<(KeyId, Option<TenantRef>)> {
    let rest = text.strip_prefix("btb_")?;
    match rest.split_once('-') {
        None => Some((KeyId::from_public_part(rest).ok()?, None)),
        Some((key, tenant)) => Some((KeyId::from_public_part(key).ok()?, Some(parse_tenant(tenant)?))),
    }
}

/// The one tenant that all grants name, one that is deleted or gone counting as any other.
fn only_tenant(context: &RequestContext) -> Option<TenantId> {
    let mut grants = context.callers().flat_map(|opened| &opened.caller.grants);
    let named = |selector: &TenantSelector| match selector {
        TenantSelector::One { id, .. } => Some(id.clone()),
        TenantSelector::Every | TenantSelector::Labels(_) => None,
    };
    let first = named(&grants.next()?.tenants)?;
    grants.all(|grant| named(&grant.tenants).as_ref() == Some(&first)).then_some(first)
}

fn tenant_not_named() -> ApiError {
    let detail = "The caller's grants do not all name one tenant: `client_id` is `btb_` and the key's id, `-`, and \
                  the tenant's name or id.";
    ApiError::invalid("/client_id", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_names_a_key_and_perhaps_a_tenant() {
        let key = KeyId::from_public_part("aZ09").unwrap();
        let by_name = |name: &str| parse_tenant(name).unwrap();
        for (text, expected) in [
            ("btb_aZ09", Some(None)),
            ("btb_aZ09-acme", Some(Some(by_name("acme")))),
            ("btb_aZ09-acme-2", Some(Some(by_name("acme-2")))),
            ("btb_aZ09-ten_b", Some(Some(by_name("ten_b")))),
            ("btb_aZ09-", None),
            ("btb_aZ09-Acme", None),
            ("btb_-acme", None),
            ("btb_", None),
            ("btb_a_b", None),
            ("aZ09", None),
            ("", None),
        ] {
            assert_eq!(read_id(text), expected.map(|tenant| (key.clone(), tenant)), "{text}");
        }
    }
}
