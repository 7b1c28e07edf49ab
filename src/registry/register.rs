//! How a customer's Box account comes under the broker: read, tested at Box, then stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diagnosis::{self, Check, Finding, Ledger};
use super::error::{CLIENT_ID_HELD, Fault, RegistryError};
use super::material::{Material, Reading, check_enterprise};
use super::{Registry, cause_of, require_everywhere};
use crate::auth::Identity;
use crate::box_api::{Credentials, Minted};
use crate::broker::{View, credentials_of};
use crate::domain::app::{App, AppSecrets, AppState, KeyInfo, Owner};
use crate::domain::caller::Permission;
use crate::domain::event::{Action, Cause, Event};
use crate::domain::id::{AppId, BoxId, Name, TenantId};
use crate::domain::policy::Policy;
use crate::domain::signing_key::SigningKey;
use crate::domain::subject::Subject;
use crate::domain::tenant::{ServiceAccount, Tenant, TenantState};
use crate::store::{AppRef, NewApp, TenantRef, place_of_credentials};

/// A tenant to be registered.
#[derive(Debug)]
pub struct Registration {
    /// Its name.
    pub name: Name,
    /// The name people read.
    pub display_name: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its policy.
    pub policy: Policy,
    /// By what it is served.
    pub source: Source,
}

/// By what a tenant is served.
#[derive(Debug)]
pub enum Source {
    /// An app of its own.
    Own(Material),
    /// A vendor's shared app.
    Shared {
        /// The app's name.
        app: Name,
        /// The customer's enterprise.
        enterprise_id: BoxId,
    },
}

/// A tenant that was registered, or would be, or is already.
#[derive(Debug)]
pub struct Registered {
    /// The tenant and its app.
    pub view: Arc<View>,
    /// What was checked.
    pub diagnosis: Vec<Finding>,
    /// What the request held that has no use here.
    pub warnings: Vec<Fault>,
    /// False where it was registered before, with the same credentials.
    pub created: bool,
}

impl Registry {
    /// Refuses whoever may register no tenants, whatever they sent.
    ///
    /// # Errors
    /// [`RegistryError::Forbidden`].
    pub fn may_register(identity: &Identity) -> Result<(), RegistryError> {
        require_everywhere(identity, Permission::TenantsCreate)
    }

    /// Registers a tenant, after Box has given a token for it. `dry_run` does all but store it.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is stored then.
    pub async fn register(
        &self,
        identity: &Identity,
        request_id: &str,
        registration: Registration,
        dry_run: bool,
    ) -> Result<Registered, RegistryError> {
        Self::may_register(identity)?;
        let cause = cause_of(identity, request_id);
        let Registration { name, display_name, labels, policy, source } = registration;
        super::tenants::check_fields(display_name.as_deref(), &labels)?;
        let fields = Fields {
            display_name: display_name.unwrap_or_else(|| name.as_str().to_owned()),
            name,
            labels,
            policy,
        };
        match source {
            Source::Own(material) => self.register_own(fields, material, &cause, dry_run).await,
            Source::Shared { app, enterprise_id } => {
                require_everywhere(identity, Permission::AppsUse)?;
                self.register_on_shared(fields, app, enterprise_id, &cause, dry_run).await
            }
        }
    }

    async fn register_own(
        &self,
        fields: Fields,
        material: Material,
        cause: &Cause,
        dry_run: bool,
    ) -> Result<Registered, RegistryError> {
        let reading = material.read()?;
        let Some(enterprise_id) = reading.config.enterprise_id.clone() else {
            return Err(RegistryError::invalid(
                reading.enterprise_pointer,
                "A tenant is an enterprise: its ID is needed (Admin Console › Account & Billing shows it).",
            ));
        };
        let key = self.decode(&reading).await?;
        let warnings = reading.warnings.clone();
        let (tenant_id, app_id) = (self.new_id(TenantId::generate), self.new_id(AppId::generate));
        let owner = Owner::Tenant { id: tenant_id.clone() };
        let (mut app, secrets) = self.new_app(app_id, owner, &reading, key.as_ref());
        if let Some(known) = self.store.tenant(&TenantRef::Name(fields.name.clone())).await? {
            return self.same_again(known, &app, &secrets, &enterprise_id, warnings).await;
        }
        if self.store.app(&AppRef::ClientId(app.client_id.clone())).await?.is_some() {
            return Err(RegistryError::Conflict(CLIENT_ID_HELD));
        }
        let credentials = Arc::new(credentials_of(&app, secrets.clone())?);
        let tested = self.test_mint(&credentials, &enterprise_id).await?;
        let now = self.now();
        let generation = self.store.next_generation().await?;
        app.generation = generation;
        let tenant = fields.into_tenant(tenant_id, app.id.clone(), enterprise_id, generation, now, &tested);
        let view = Arc::new(View { tenant, app });
        let arrival = Arrival { view, credentials, tested, warnings };
        self.admit(arrival, Some(&secrets), cause, dry_run).await
    }

    async fn register_on_shared(
        &self,
        fields: Fields,
        app: Name,
        enterprise_id: BoxId,
        cause: &Cause,
        dry_run: bool,
    ) -> Result<Registered, RegistryError> {
        let app = self.store.app(&AppRef::Name(app)).await?.ok_or_else(|| {
            RegistryError::invalid(
                "/app",
                "There is no shared app of that name; POST /v1/apps registers one.",
            )
        })?;
        if app.state != AppState::Active {
            return Err(RegistryError::Conflict("This shared app is suspended."));
        }
        check_enterprise(&enterprise_id)?;
        if let Some(known) = self.store.tenant(&TenantRef::Name(fields.name.clone())).await? {
            let same = known.state != TenantState::Deleted
                && known.app == app.id
                && known.enterprise_id == enterprise_id;
            return match same {
                true => Ok(unchanged(known, app, Vec::new())),
                false => Err(RegistryError::Conflict("The name is taken.")),
            };
        }
        let credentials = self.broker.credentials(&app).await?;
        let tested = self.test_mint(&credentials, &enterprise_id).await?;
        let generation = self.store.next_generation().await?;
        let tenant_id = self.new_id(TenantId::generate);
        let now = self.now();
        let tenant = fields.into_tenant(tenant_id, app.id.clone(), enterprise_id, generation, now, &tested);
        let view = Arc::new(View { tenant, app });
        let arrival = Arrival { view, credentials, tested, warnings: Vec::new() };
        self.admit(arrival, None, cause, dry_run).await
    }

    /// Stores a tenant that passed its test, and keeps the test's token as its first.
    async fn admit(
        &self,
        arrival: Arrival,
        own: Option<&AppSecrets>,
        cause: &Cause,
        dry_run: bool,
    ) -> Result<Registered, RegistryError> {
        let Arrival { view, credentials, tested, warnings } = arrival;
        let Tested { minted, account } = tested;
        let token = minted.token.clone();
        let ledger = if dry_run {
            None
        } else {
            if let Err(error) = self.insert(&view, own, cause).await {
                self.broker.revoke_later(&credentials, token);
                return Err(error);
            }
            self.broker.adopt(&view, minted, cause).await?;
            Some(Ledger { broker: &self.broker, view: &view, cause })
        };
        let mut diagnosis = vec![
            diagnosis::of_key(view.app.key.as_ref()),
            Finding::pass(Check::Assertion, "Box gave a token for the enterprise."),
            Finding::pass(
                Check::ServiceAccount,
                format!("{}: invite it as a collaborator to what it should see.", account.login),
            ),
            Finding::skipped(Check::UserToken, "Run the tenant's test with a `user` to have this checked."),
        ];
        diagnosis.extend(diagnosis::of_token(&self.upstream, &credentials, &token, None, ledger).await);
        if dry_run {
            self.broker.revoke_later(&credentials, token);
        }
        Ok(Registered { view, diagnosis, warnings, created: true })
    }

    async fn insert(
        &self,
        view: &View,
        own: Option<&AppSecrets>,
        cause: &Cause,
    ) -> Result<(), RegistryError> {
        let sealed = match own {
            Some(secrets) => Some(self.seal(&view.app, secrets).await?),
            None => None,
        };
        let new_app = sealed.as_deref().map(|sealed| NewApp { app: &view.app, sealed });
        let event = Event {
            tenant: Some(view.tenant.id.clone()),
            app: Some(view.app.id.clone()),
            generation: Some(view.generation()),
            detail: Some(format!("{} for enterprise {}", view.tenant.name, view.tenant.enterprise_id)),
            ..cause.event(self.now(), Action::TenantCreate)
        };
        Ok(self.store.insert_tenant(&view.tenant, new_app, &event).await?)
    }

    /// The answer to credentials that are registered under this name already; a conflict where they
    /// are others.
    async fn same_again(
        &self,
        known: Tenant,
        app: &App,
        secrets: &AppSecrets,
        enterprise_id: &BoxId,
        warnings: Vec<Fault>,
    ) -> Result<Registered, RegistryError> {
        let taken = || RegistryError::Conflict("The name is taken.");
        let stored = self.store.app(&AppRef::Id(known.app.clone())).await?.ok_or_else(taken)?;
        let same_face = known.state != TenantState::Deleted
            && known.enterprise_id == *enterprise_id
            && !stored.is_shared()
            && stored.client_id == app.client_id
            && stored.auth == app.auth
            && stored.key.as_ref().map(|key| (&key.public_key_id, &key.sha256))
                == app.key.as_ref().map(|key| (&key.public_key_id, &key.sha256));
        if !same_face || self.broker.secrets(&stored).await? != *secrets {
            return Err(taken());
        }
        Ok(unchanged(known, stored, warnings))
    }

    /// Decodes the private key, off the threads that serve requests.
    pub(super) async fn decode(&self, reading: &Reading) -> Result<Option<SigningKey>, RegistryError> {
        let Some(encoded) = reading.config.key.clone() else { return Ok(None) };
        let permit =
            Arc::clone(&self.decoders).acquire_owned().await.map_err(|_| RegistryError::Overloaded)?;
        let decoded = tokio::task::spawn_blocking(move || {
            let decoded = encoded.decode();
            drop(permit);
            decoded
        });
        let decoded = decoded.await.map_err(|_| RegistryError::Overloaded)?;
        decoded
            .map(Some)
            .map_err(|problem| RegistryError::Key { pointer: reading.place_of(&problem), problem })
    }

    /// An app as it would be stored, and its secrets.
    pub(super) fn new_app(
        &self,
        id: AppId,
        owner: Owner,
        reading: &Reading,
        key: Option<&SigningKey>,
    ) -> (App, AppSecrets) {
        let now = self.now();
        let public_key_id = reading.config.key.as_ref().map(|key| key.public_key_id.clone());
        let key_info = key.zip(public_key_id).map(|(key, public_key_id)| KeyInfo {
            public_key_id,
            sha256: key.public_sha256().to_owned(),
            bits: key.bits(),
            since: now,
        });
        let app = App {
            id,
            owner,
            client_id: reading.config.client_id.clone(),
            auth: reading.auth,
            key: key_info,
            generation: crate::domain::id::Generation(0),
            state: AppState::Active,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        (app, reading.secrets(key))
    }

    /// Has Box give a token for the enterprise, and tell whose it is.
    pub(super) async fn test_mint(
        &self,
        credentials: &Arc<Credentials>,
        enterprise: &BoxId,
    ) -> Result<Tested, RegistryError> {
        let minted = self.upstream.mint(credentials, enterprise, &Subject::ENTERPRISE).await?;
        match self.upstream.service_account(&minted.token).await {
            Ok(account) => Ok(Tested { minted, account }),
            Err(error) => {
                self.broker.revoke_later(credentials, minted.token);
                Err(error.into())
            }
        }
    }

    pub(super) async fn seal(&self, app: &App, secrets: &AppSecrets) -> Result<Vec<u8>, RegistryError> {
        let place = place_of_credentials(&app.id, app.generation);
        Ok(self.vault.seal(&place, &secrets.to_document()).await?)
    }

    pub(super) fn new_id<T>(&self, generate: fn(&dyn crate::entropy::Entropy) -> T) -> T {
        generate(self.entropy.as_ref())
    }
}

/// What a test at Box brought.
pub(super) struct Tested {
    pub minted: Minted,
    pub account: ServiceAccount,
}

struct Arrival {
    view: Arc<View>,
    credentials: Arc<Credentials>,
    tested: Tested,
    warnings: Vec<Fault>,
}

struct Fields {
    name: Name,
    display_name: String,
    labels: BTreeMap<String, String>,
    policy: Policy,
}

impl Fields {
    fn into_tenant(
        self,
        id: TenantId,
        app: AppId,
        enterprise_id: BoxId,
        generation: crate::domain::id::Generation,
        now: jiff::Timestamp,
        tested: &Tested,
    ) -> Tenant {
        Tenant {
            id,
            name: self.name,
            display_name: self.display_name,
            labels: self.labels,
            state: TenantState::Active,
            app,
            enterprise_id,
            generation,
            service_account: Some(tested.account.clone()),
            policy: self.policy,
            created_at: now,
            updated_at: now,
            purge_at: None,
            version: 1,
        }
    }
}

fn unchanged(tenant: Tenant, app: App, warnings: Vec<Fault>) -> Registered {
    let diagnosis = vec![
        diagnosis::of_key(app.key.as_ref()),
        Finding::skipped(
            Check::Assertion,
            "These credentials are registered already; run the tenant's test.",
        ),
    ];
    Registered { view: Arc::new(View { tenant, app }), diagnosis, warnings, created: false }
}
