//! Generated apps: config files as Box's developer console offers them for download, with fresh keys.

use std::fmt;

use serde_json::json;

use super::private_key::AppPrivateKey;
use crate::random;

/// The properties of an app to generate. Whatever is `None` is made up.
#[derive(Clone, Debug)]
pub struct AppSpec {
    /// The enterprise's id, in decimal digits.
    pub enterprise_id: Option<String>,
    /// The app's client id.
    pub client_id: Option<String>,
    /// The public key's id (`kid`).
    pub public_key_id: Option<String>,
    /// A key to use instead of generating one, which takes a good part of a second.
    pub key: Option<AppPrivateKey>,
    /// True for a config with a private key (`appAuth`). Otherwise the app uses the client credentials grant.
    pub with_key: bool,
    /// True for a config with webhook signature keys.
    pub with_webhooks: bool,
}

impl Default for AppSpec {
    fn default() -> Self {
        Self {
            enterprise_id: None,
            client_id: None,
            public_key_id: None,
            key: None,
            with_key: true,
            with_webhooks: false,
        }
    }
}

/// A generated app: the text of its config file, and the values in it.
#[derive(Clone)]
pub struct GeneratedApp {
    /// The config file as JSON text.
    pub json: String,
    /// `enterpriseID`.
    pub enterprise_id: String,
    /// `clientID`.
    pub client_id: String,
    /// `clientSecret`.
    pub client_secret: String,
    /// `publicKeyID`; empty if the app has no key.
    pub public_key_id: String,
    /// `passphrase`; empty if the app has no key.
    pub passphrase: String,
    /// The private key; `None` if the app uses the client credentials grant.
    pub key: Option<AppPrivateKey>,
}

impl GeneratedApp {
    /// Returns the name that Box gives such a file: `<enterpriseID>_<publicKeyID>_config.json`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}_{}_config.json", self.enterprise_id, self.public_key_id)
    }
}

/// Omits everything secret.
impl fmt::Debug for GeneratedApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedApp")
            .field("enterprise_id", &self.enterprise_id)
            .field("client_id", &self.client_id)
            .field("public_key_id", &self.public_key_id)
            .finish_non_exhaustive()
    }
}

/// Generates an app. This takes a good part of a second unless `spec` brings a key or needs none.
#[must_use]
pub fn generate_app(spec: &AppSpec) -> GeneratedApp {
    let key = spec.with_key.then(|| spec.key.clone().unwrap_or_else(|| AppPrivateKey::generate(2048)));
    let given_or = |given: &Option<String>, make: fn() -> String| given.clone().unwrap_or_else(make);
    let mut app = GeneratedApp {
        json: String::new(),
        enterprise_id: given_or(&spec.enterprise_id, || random::digits(8)),
        client_id: given_or(&spec.client_id, || random::lowercase(32)),
        client_secret: random::alphanumeric(32),
        public_key_id: String::new(),
        passphrase: String::new(),
        key,
    };
    let mut settings = json!({ "clientID": app.client_id, "clientSecret": app.client_secret });
    if let Some(key) = &app.key {
        app.public_key_id = given_or(&spec.public_key_id, || random::lowercase(8));
        app.passphrase = random::lowercase(32);
        settings["appAuth"] = json!({
            "publicKeyID": app.public_key_id,
            "privateKey": key.to_box_pem(&app.passphrase),
            "passphrase": app.passphrase,
        });
    }
    let mut config = json!({ "boxAppSettings": settings, "enterpriseID": app.enterprise_id });
    if spec.with_webhooks {
        config["webhooks"] =
            json!({ "primaryKey": random::alphanumeric(32), "secondaryKey": random::alphanumeric(32) });
    }
    app.json = format!("{config:#}\n");
    app
}
