//! The requests that the broker sends to Box, and their form.

use std::borrow::Cow;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::assertion::{SigningError, actor_token, assertion, subject_of};
use super::credentials::{AppAuthentication, BoxCredentials};
use super::diagnosis::CallKind;
use super::upstream::SentSecrets;
use crate::domain::id::BoxId;
use crate::domain::resource::{Resource, ResourceType};
use crate::domain::restriction::{Restriction, RestrictionTarget};
use crate::domain::subject::Subject;
use crate::entropy::Entropy;
use crate::secret::SecretString;

/// One request to Box. It is prepared anew for each attempt, because no assertion may be sent twice.
#[derive(Clone, Copy)]
pub(super) enum BoxRequest<'a> {
    /// Mint a full token.
    Mint { credentials: &'a BoxCredentials, enterprise: &'a BoxId, subject: &'a Subject },
    /// Exchange a full token for a restricted one (RFC 8693).
    Exchange { credentials: &'a BoxCredentials, parent: &'a SecretString, restriction: &'a Restriction },
    /// Revoke a token (RFC 7009).
    Revoke { credentials: &'a BoxCredentials, token: &'a SecretString },
    /// Ask for the user of a token, or whether it may act as a user.
    Me { token: &'a SecretString, only_enterprise: bool, as_user: Option<&'a BoxId> },
    /// Ask for the folders that contain an item.
    Ancestors { token: &'a SecretString, item: &'a Resource },
}

/// A request as it is sent.
pub(super) struct PreparedRequest {
    /// The path below the API's address.
    pub path: Cow<'static, str>,
    /// The query, which never contains a secret.
    pub query: Option<&'static str>,
    /// The encoded form; `None` makes it a GET.
    pub form: Option<Zeroizing<String>>,
    /// The token in the `Authorization` header.
    pub bearer: Option<SecretString>,
    /// The user in the `As-User` header.
    pub as_user: Option<BoxId>,
    /// Every secret in the request.
    pub sent: SentSecrets,
}

impl BoxRequest<'_> {
    /// Returns the kind of call, by which a refusal is interpreted.
    pub(super) fn kind(&self) -> CallKind {
        match self {
            Self::Mint { .. } => CallKind::Grant,
            Self::Exchange { .. } => CallKind::Exchange,
            Self::Revoke { .. } => CallKind::Revocation,
            Self::Me { as_user: None, .. } | Self::Ancestors { .. } => CallKind::Api,
            Self::Me { as_user: Some(_), .. } => CallKind::ApiAsUser,
        }
    }

    /// Prepares the request for one attempt; `box_now` is Box's time as far as it is known.
    ///
    /// # Errors
    /// If the assertion cannot be signed.
    pub(super) async fn prepare(
        &self,
        box_now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<PreparedRequest, SigningError> {
        match *self {
            Self::Mint { credentials, enterprise, subject } => {
                let (kind, id) = subject_of(enterprise, subject);
                let mut form = SecretForm::of_client(credentials);
                match &credentials.proof {
                    AppAuthentication::Jwt { public_key_id, signer } => {
                        let client_id = &credentials.client_id;
                        let subject = (kind, id);
                        let jwt =
                            assertion(client_id, public_key_id, &**signer, subject, box_now, entropy).await?;
                        form.add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                        form.add_secret("assertion", &jwt);
                    }
                    AppAuthentication::Ccg => {
                        form.add("grant_type", "client_credentials");
                        form.add("box_subject_type", kind);
                        form.add("box_subject_id", id.as_str());
                    }
                }
                Ok(form.into_request("oauth2/token"))
            }
            Self::Exchange { credentials, parent, restriction } => {
                let mut form = SecretForm::of_client(credentials);
                form.add("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
                form.add_secret("subject_token", parent.expose());
                form.add("subject_token_type", "urn:ietf:params:oauth:token-type:access_token");
                form.add("scope", &restriction.scopes.space_separated());
                match &restriction.target {
                    RestrictionTarget::Anything => {}
                    RestrictionTarget::Resource(resource) => form.add("resource", &address(resource)),
                    RestrictionTarget::SharedLink(link) => form.add_secret("box_shared_link", link.as_str()),
                }
                if let Some(annotator) = &restriction.annotator {
                    let jwt = actor_token(&credentials.client_id, annotator, box_now, entropy);
                    form.add_secret("actor_token", &jwt);
                    form.add("actor_token_type", "urn:ietf:params:oauth:token-type:id_token");
                }
                Ok(form.into_request("oauth2/token"))
            }
            Self::Revoke { credentials, token } => {
                let mut form = SecretForm::of_client(credentials);
                form.add_secret("token", token.expose());
                Ok(form.into_request("oauth2/revoke"))
            }
            Self::Me { token, only_enterprise, as_user } => Ok(PreparedRequest {
                query: only_enterprise.then_some("fields=enterprise"),
                as_user: as_user.cloned(),
                ..PreparedRequest::of_api(token, "2.0/users/me")
            }),
            Self::Ancestors { token, item } => Ok(PreparedRequest {
                query: Some("fields=path_collection"),
                ..PreparedRequest::of_api(token, format!("2.0/{}/{}", collection(item), item.id))
            }),
        }
    }
}

/// Returns Box's name for a file or folder in `resource`: it uses Box's own address, whatever host is called.
fn address(resource: &Resource) -> String {
    format!("https://api.box.com/2.0/{}/{}", collection(resource), resource.id)
}

fn collection(resource: &Resource) -> &'static str {
    match resource.kind {
        ResourceType::File => "files",
        ResourceType::Folder => "folders",
    }
}

impl PreparedRequest {
    /// Prepares an API call with a token.
    fn of_api(token: &SecretString, path: impl Into<Cow<'static, str>>) -> Self {
        let mut sent = SentSecrets::default();
        sent.add(token.expose());
        Self { path: path.into(), query: None, form: None, bearer: Some(token.clone()), as_user: None, sent }
    }
}

/// A form that remembers which of its values are secret.
#[derive(Default)]
struct SecretForm {
    fields: Vec<(&'static str, Zeroizing<String>)>,
    sent: SentSecrets,
}

impl SecretForm {
    fn of_client(credentials: &BoxCredentials) -> Self {
        let mut form = Self::default();
        form.add("client_id", credentials.client_id.as_str());
        form.add_secret("client_secret", credentials.client_secret.expose());
        form
    }

    fn add(&mut self, name: &'static str, value: &str) {
        self.fields.push((name, Zeroizing::new(value.to_owned())));
    }

    fn add_secret(&mut self, name: &'static str, value: &str) {
        self.sent.add(value);
        self.add(name, value);
    }

    fn into_request(self, path: &'static str) -> PreparedRequest {
        // Room for every byte as `%XX`: a text that grew would leave copies behind that are not wiped.
        let room = self.fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
        let mut serializer = url::form_urlencoded::Serializer::new(String::with_capacity(room));
        for (name, value) in &self.fields {
            serializer.append_pair(name, value);
        }
        let form = Some(Zeroizing::new(serializer.finish()));
        PreparedRequest { path: path.into(), query: None, form, bearer: None, as_user: None, sent: self.sent }
    }
}
