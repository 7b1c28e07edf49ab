//! Apps, their credentials and keypairs: how the rest of the broker finds and changes them. Secrets come
//! here sealed and leave sealed.

use async_trait::async_trait;

use super::{PageRequest, Result};
use crate::crypto::AadContext;
use crate::domain::app::{App, Keypair};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, ClientId, Generation, KeypairId, Name};
use crate::domain::tenant::Tenant;

/// A reference to an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppRef {
    /// By its immutable id, shared or a tenant's own.
    Id(AppId),
    /// A shared app, by its name.
    Name(Name),
    /// By Box's client ID, shared or a tenant's own.
    ClientId(ClientId),
}

/// An app to be inserted, with its secrets sealed for [`credentials_aad`].
#[derive(Clone, Copy, Debug)]
pub struct NewApp<'a> {
    /// The app.
    pub app: &'a App,
    /// Its sealed secrets.
    pub sealed: &'a [u8],
}

/// A switch of an app to new credentials.
#[derive(Clone, Copy, Debug)]
pub struct CredentialSwitch<'a> {
    /// The app after the switch, and its new secrets.
    pub app: NewApp<'a>,
    /// The tenant that owns the app, after the switch; `None` if the tenant does not change.
    pub tenant: Option<&'a Tenant>,
    /// The keypair that the credentials were made from: its private half is erased.
    pub keypair: Option<&'a KeypairId>,
}

/// The stored secrets of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredentials {
    /// Their generation.
    pub generation: Generation,
    /// The sealed document, to be opened with [`credentials_aad`].
    pub sealed: Vec<u8>,
}

/// Returns the context that an app's secrets of one generation are sealed for.
#[must_use]
pub fn credentials_aad(app: &AppId, generation: Generation) -> AadContext<'_> {
    AadContext { table: "credentials", row: app.as_str(), column: "sealed", version: generation.0 }
}

/// Returns the context that the private half of a keypair is sealed for.
#[must_use]
pub fn keypair_aad(keypair: &KeypairId) -> AadContext<'_> {
    AadContext { table: "keypairs", row: keypair.as_str(), column: "sealed", version: 1 }
}

/// The apps, credentials and keypairs in the database.
#[async_trait]
pub trait AppStore {
    /// Returns an app, shared or a tenant's own.
    async fn app(&self, by: &AppRef) -> Result<Option<App>>;
    /// Lists shared apps in the order of their names.
    async fn shared_apps(&self, page: &PageRequest) -> Result<Vec<App>>;
    /// Returns the sealed secrets that tokens of `generation` were minted with: the app's newest ones that
    /// are not newer than `generation`.
    async fn credentials(&self, app: &AppId, generation: Generation) -> Result<Option<StoredCredentials>>;
    /// Returns the number of tenants that an app serves, including deleted ones.
    async fn count_tenants_of_app(&self, app: &AppId) -> Result<u64>;
    /// Returns one of the active tenants that an app serves, if there is any.
    async fn active_tenant_of_app(&self, app: &AppId) -> Result<Option<Tenant>>;
    /// Inserts a shared app.
    async fn insert_app(&self, app: NewApp<'_>, event: &AuditEvent) -> Result<()>;
    /// Replaces the row of an app. Its version must be one more than the stored one; otherwise this fails
    /// with [`Conflict::Version`](super::Conflict::Version).
    async fn update_app(&self, app: &App, event: &AuditEvent) -> Result<()>;
    /// Switches an app to new credentials: replaces its row as [`AppStore::update_app`] does, and inserts
    /// the credentials beside the old ones.
    async fn switch_credentials(&self, switch: CredentialSwitch<'_>, event: &AuditEvent) -> Result<()>;
    /// Inserts a keypair with its private half, sealed for [`keypair_aad`].
    async fn insert_keypair(&self, keypair: &Keypair, sealed: &[u8], event: &AuditEvent) -> Result<()>;
    /// Returns a keypair and its sealed private half, which is empty after a switch to the keypair.
    async fn keypair(&self, id: &KeypairId) -> Result<Option<(Keypair, Vec<u8>)>>;
    /// Returns the keypairs that were made for an app, the oldest first.
    async fn keypairs_of_app(&self, app: &AppId) -> Result<Vec<Keypair>>;
    /// Erases a shared app and its credentials. Fails with [`Conflict::InUse`](super::Conflict::InUse) while
    /// tenants use it, and with [`Conflict::Version`](super::Conflict::Version) if it is not at `version`.
    async fn delete_app(&self, app: &AppId, version: i64, event: &AuditEvent) -> Result<()>;
}
