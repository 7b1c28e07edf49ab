//! The world that a sandbox starts with: apps, enterprises, users, folders and files.
//!
//! This module owns the types of these things and the standard population. It must not know HTTP or tokens.

mod app;
mod enterprise;
mod item;
mod item_tree;
mod seed_data;

use std::collections::BTreeMap;

use crate::config::{AppConfig, PublicKey};

pub use app::{AppAuthMethod, AutomationUser, BoxApp};
pub use enterprise::{Enterprise, User};
pub(crate) use item::{Attribution, Author, FileVersion};
pub use item::{Collaborator, Item, ItemKind, ROOT};
pub use item_tree::ItemTree;

/// Everything that exists when a sandbox starts.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) apps: BTreeMap<String, BoxApp>,
    pub(crate) enterprises: BTreeMap<String, Enterprise>,
    pub(crate) revoke_descendants: bool,
    pub(crate) token_lifetime: i64,
    pub(crate) downscoped_lifetime: i64,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Returns a world without apps and enterprises. Full tokens live 3600 s, downscoped ones 4175 s (as in Box's
    /// samples), and a downscoped token outlives the revocation of its parent.
    #[must_use]
    pub fn new() -> Self {
        Self {
            apps: BTreeMap::new(),
            enterprises: BTreeMap::new(),
            revoke_descendants: false,
            token_lifetime: 3600,
            downscoped_lifetime: 4175,
        }
    }

    /// Returns a world with the apps of these config files, each authorised in its enterprise.
    ///
    /// The texts are config files as Box's developer console offers them for download. A config without a private key
    /// makes an app for the client credentials grant. Several files may name the same app or the same enterprise. Each
    /// enterprise gets the standard population of [`Enterprise::populated`]; the one of the first file is number 1.
    ///
    /// # Errors
    /// A sentence that says which file is unusable and why. It contains no secret.
    pub fn from_app_configs<Text: AsRef<str>>(texts: impl IntoIterator<Item = Text>) -> Result<Self, String> {
        let mut world = Self::new();
        for (position, text) in texts.into_iter().enumerate() {
            let config = AppConfig::parse(text.as_ref())
                .map_err(|problem| format!("app config {}: {problem}", position + 1))?;
            let auth =
                if config.key.is_some() { AppAuthMethod::Jwt } else { AppAuthMethod::ClientCredentials };
            let app = world
                .apps
                .entry(config.client_id.clone())
                .or_insert_with(|| BoxApp::new(config.client_id.clone(), config.client_secret, auth));
            if let Some(key) = config.key {
                app.auth = AppAuthMethod::Jwt;
                app.put_key(key);
            }
            if let Some(enterprise) = config.enterprise_id {
                app.authorized.insert(enterprise.clone());
                world.populate(&enterprise, None);
            }
        }
        Ok(world)
    }

    /// Adds an app, or replaces the one with the same client id.
    pub fn put_app(&mut self, app: BoxApp) -> &mut Self {
        self.apps.insert(app.client_id.clone(), app);
        self
    }

    /// Adds an enterprise, or replaces the one with the same id.
    pub fn put_enterprise(&mut self, enterprise: Enterprise) -> &mut Self {
        self.enterprises.insert(enterprise.id.clone(), enterprise);
        self
    }

    /// Adds an enterprise with the standard population and authorises an app in it.
    ///
    /// # Errors
    /// No app has this client id.
    pub fn add_enterprise(&mut self, client_id: &str, enterprise: &str, name: &str) -> Result<(), String> {
        self.existing_app(client_id)?.authorized.insert(enterprise.to_owned());
        self.populate(enterprise, Some(name));
        Ok(())
    }

    /// Adds a public key to an app, as its owner would by uploading it.
    ///
    /// # Errors
    /// No app has this client id, or `pem` is not an RSA public key.
    pub fn add_public_key(&mut self, client_id: &str, kid: &str, pem: &str) -> Result<(), String> {
        let key = PublicKey::from_pem(kid, pem);
        self.existing_app(client_id)?.put_key(key?);
        Ok(())
    }

    /// Sets whether revoking a token also revokes the tokens that were downscoped from it. Box does not document which
    /// of the two it does; the default is no.
    pub fn revoke_descendants(&mut self, revoke: bool) -> &mut Self {
        self.revoke_descendants = revoke;
        self
    }

    /// Sets the lifetimes of full and downscoped tokens, in seconds.
    pub fn token_lifetimes(&mut self, full: i64, downscoped: i64) -> &mut Self {
        (self.token_lifetime, self.downscoped_lifetime) = (full, downscoped);
        self
    }

    /// Adds a folder `Demo` with texts and pictures to each enterprise.
    pub fn add_demo_folders(&mut self) -> &mut Self {
        self.enterprises.values_mut().for_each(Enterprise::add_demo_folder);
        self
    }

    /// Returns the app with this client id.
    #[must_use]
    pub fn app(&self, client_id: &str) -> Option<&BoxApp> {
        self.apps.get(client_id)
    }

    /// Returns the app with this client id, to change its settings.
    pub fn app_mut(&mut self, client_id: &str) -> Option<&mut BoxApp> {
        self.apps.get_mut(client_id)
    }

    /// Returns all apps, ordered by client id.
    pub fn apps(&self) -> impl Iterator<Item = &BoxApp> {
        self.apps.values()
    }

    /// Returns the enterprise with this id.
    #[must_use]
    pub fn enterprise(&self, id: &str) -> Option<&Enterprise> {
        self.enterprises.get(id)
    }

    /// Returns the enterprise with this id, to change its users and items.
    pub fn enterprise_mut(&mut self, id: &str) -> Option<&mut Enterprise> {
        self.enterprises.get_mut(id)
    }

    /// Returns all enterprises, ordered by id.
    pub fn enterprises(&self) -> impl Iterator<Item = &Enterprise> {
        self.enterprises.values()
    }

    /// Returns the user with this id, and the user's enterprise.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<(&Enterprise, &User)> {
        self.enterprises.values().find_map(|enterprise| Some((enterprise, enterprise.user(id)?)))
    }

    fn existing_app(&mut self, client_id: &str) -> Result<&mut BoxApp, String> {
        self.apps.get_mut(client_id).ok_or_else(|| format!("no app has the client id {client_id}"))
    }

    fn populate(&mut self, id: &str, name: Option<&str>) {
        let number = self.enterprises.len() + 1;
        self.enterprises.entry(id.to_owned()).or_insert_with(|| {
            let name = name.map_or_else(|| format!("Enterprise {id}"), str::to_owned);
            Enterprise::populated(id, name, number)
        });
    }
}
