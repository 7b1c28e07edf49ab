//! What a sandbox knows before the first request: apps, enterprises, users, items.

use std::collections::BTreeMap;

use crate::config::parser::{self, ConfigFile};
use crate::world::enterprise::{Enterprise, User};

pub(crate) mod app;
pub(crate) mod enterprise;
pub(crate) mod item_tree;
mod seed_data;

pub use crate::world::app::{App, AuthMethod, PublicKey, ServiceAccount};

/// Everything that a sandbox knows when it starts.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) enterprises: BTreeMap<String, Enterprise>,
    pub(crate) children_die_with_parent: bool,
    pub(crate) token_life: i64,
    pub(crate) child_life: i64,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world without apps and enterprises, in which tokens live for 3600 s, downscoped ones for
    /// 4175 s (as in Box's samples), and a downscoped token outlives the revocation of its parent.
    #[must_use]
    pub fn new() -> Self {
        Self {
            apps: BTreeMap::new(),
            enterprises: BTreeMap::new(),
            children_die_with_parent: false,
            token_life: 3600,
            child_life: 4175,
        }
    }

    /// A world of the apps that these configs (as Box's developer console hands them out) describe,
    /// each authorised in its enterprise, which gets the standard population of
    /// [`Enterprise::populated`]: the first file's enterprise is number 1, the next new one number 2.
    /// A config without a private key makes an app for the client credentials grant. Several files
    /// may name one app or one enterprise.
    ///
    /// # Errors
    /// A sentence that says which file is unusable and why; it never repeats a secret.
    pub fn from_key_json<Text: AsRef<str>>(texts: impl IntoIterator<Item = Text>) -> Result<Self, String> {
        let mut world = Self::new();
        for (position, text) in texts.into_iter().enumerate() {
            let file = ConfigFile::read(text.as_ref())
                .map_err(|problem| format!("app config {}: {problem}", position + 1))?;
            let auth = if file.key.is_some() { AuthMethod::Jwt } else { AuthMethod::Ccg };
            let app = world
                .apps
                .entry(file.client_id.clone())
                .or_insert_with(|| App::new(file.client_id.clone(), file.client_secret, auth));
            if let Some(key) = file.key {
                app.auth = AuthMethod::Jwt;
                app.put_key(key);
            }
            if let Some(enterprise) = file.enterprise_id {
                app.authorized.insert(enterprise.clone());
                world.populate(&enterprise, None);
            }
        }
        Ok(world)
    }

    /// Adds an app, or replaces the one with its client id.
    pub fn put_app(&mut self, app: App) -> &mut Self {
        self.apps.insert(app.client_id.clone(), app);
        self
    }

    /// Adds an enterprise, or replaces the one with its id.
    pub fn put_enterprise(&mut self, enterprise: Enterprise) -> &mut Self {
        self.enterprises.insert(enterprise.id.clone(), enterprise);
        self
    }

    /// Adds an enterprise with the standard population and lets its admin authorise the app.
    ///
    /// # Errors
    /// There is no app of this client id.
    pub fn add_enterprise(&mut self, client_id: &str, enterprise: &str, name: &str) -> Result<(), String> {
        let app =
            self.apps.get_mut(client_id).ok_or_else(|| format!("no app has the client id {client_id}"))?;
        app.authorized.insert(enterprise.to_owned());
        self.populate(enterprise, Some(name));
        Ok(())
    }

    /// Adds a public key to an app, as its owner would by uploading it.
    ///
    /// # Errors
    /// There is no such app, or `pem` is no RSA public key.
    pub fn add_public_key(&mut self, client_id: &str, kid: &str, pem: &str) -> Result<(), String> {
        let app =
            self.apps.get_mut(client_id).ok_or_else(|| format!("no app has the client id {client_id}"))?;
        app.put_key(parser::public_key_of_pem(kid, pem)?);
        Ok(())
    }

    /// Whether revoking a token revokes what was downscoped from it. Nobody outside of Box knows
    /// what it does; without this, children live on.
    pub fn children_die_with_parent(&mut self, die: bool) -> &mut Self {
        self.children_die_with_parent = die;
        self
    }

    /// Sets how many seconds full and downscoped tokens live.
    pub fn token_lives(&mut self, full: i64, downscoped: i64) -> &mut Self {
        (self.token_life, self.child_life) = (full, downscoped);
        self
    }

    /// Gives each enterprise a folder `Demo` besides what it has, with texts and pictures to look at.
    pub fn furnish(&mut self) -> &mut Self {
        self.enterprises.values_mut().for_each(Enterprise::furnish);
        self
    }

    /// The app of a client id.
    #[must_use]
    pub fn app(&self, client_id: &str) -> Option<&App> {
        self.apps.get(client_id)
    }

    /// All apps, by client id.
    pub fn apps(&self) -> impl Iterator<Item = &App> {
        self.apps.values()
    }

    /// All enterprises, by id.
    pub fn enterprises(&self) -> impl Iterator<Item = &Enterprise> {
        self.enterprises.values()
    }

    /// The app of a client id, to change its settings.
    pub fn app_mut(&mut self, client_id: &str) -> Option<&mut App> {
        self.apps.get_mut(client_id)
    }

    /// The enterprise of an id.
    #[must_use]
    pub fn enterprise(&self, id: &str) -> Option<&Enterprise> {
        self.enterprises.get(id)
    }

    /// The enterprise of an id, to change its users and items.
    pub fn enterprise_mut(&mut self, id: &str) -> Option<&mut Enterprise> {
        self.enterprises.get_mut(id)
    }

    /// The user of an id and the enterprise that has them.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<(&Enterprise, &User)> {
        self.enterprises.values().find_map(|enterprise| Some((enterprise, enterprise.user(id)?)))
    }

    fn populate(&mut self, id: &str, name: Option<&str>) {
        let number = self.enterprises.len() + 1;
        self.enterprises.entry(id.to_owned()).or_insert_with(|| {
            let name = name.map_or_else(|| format!("Enterprise {id}"), str::to_owned);
            Enterprise::populated(id, name, number)
        });
    }
}
