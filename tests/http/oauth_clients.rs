//! What tests of the Box-compatible endpoints have in common: clients as they speak to Box.

use box_token_broker::auth::api_key;
use reqwest::RequestBuilder;

use crate::harness::Harness;
use crate::response::Reply;

/// A client's id for a key: about a tenant, or about the only one that there is.
pub(crate) fn client_id(key: &str, tenant: Option<&str>) -> String {
    let id = api_key::id_of(key).unwrap();
    let tenant = tenant.map(|tenant| format!("-{tenant}")).unwrap_or_default();
    format!("btb_{}{tenant}", id.public_part())
}

/// The fields with which a client tells who it is.
pub(crate) fn credentials(key: &str, tenant: Option<&str>) -> Vec<(&'static str, String)> {
    vec![("client_id", client_id(key, tenant)), ("client_secret", key.to_owned())]
}

/// The fields of a token exchange.
pub(crate) fn exchange(token: &str, scope: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
        ("subject_token", token.to_owned()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token".to_owned()),
        ("scope", scope.to_owned()),
    ]
}

impl Harness {
    pub(crate) fn oauth(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(&format!("/oauth2/{path}")))
    }

    pub(crate) async fn form(&self, path: &str, form: &[(&str, String)]) -> Reply {
        Reply::of(self.oauth(path).form(form).send().await.unwrap()).await
    }

    /// Asks for a token by client credentials, with these fields more.
    pub(crate) async fn ccg(&self, key: &str, tenant: Option<&str>, more: &[(&'static str, &str)]) -> Reply {
        let mut form = credentials(key, tenant);
        form.push(("grant_type", "client_credentials".to_owned()));
        form.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.form("token", &form).await
    }

    /// Exchanges a token without credentials, with these fields more.
    pub(crate) async fn exchanged(&self, token: &str, scope: &str, more: &[(&'static str, &str)]) -> Reply {
        let mut form = exchange(token, scope);
        form.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.form("token", &form).await
    }
}
