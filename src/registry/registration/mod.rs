//! How a customer's Box account comes under the broker: read, tested at Box, then stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::auth::RequestContext;
use crate::box_api::{BoxCredentials, MintedToken};
use crate::broker::{TenantContext, credentials_of};
use crate::domain::app::{App, AppOwner, AppSecrets, AppState, Keypair, SigningKeyInfo};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::grant::Permission;
use crate::domain::id::{AppId, BoxId, Generation, Name, TenantId};
use crate::domain::policy::Policy;
use crate::domain::signing_key::SigningKey;
use crate::domain::subject::Subject;
use crate::domain::tenant::{ServiceAccount, Tenant, TenantState};
use crate::registry::credential_input::{CredentialInput, ParsedCredentials, check_enterprise};
use crate::registry::diagnosis::{self, CheckResult, DiagnosticCheck, DiagnosticTokens};
use crate::registry::error::{CLIENT_ID_HELD, FieldError, RegistryError};
use crate::registry::{Registry, require_everywhere};
use crate::secret::SecretString;
use crate::store::{AppRef, ChangedEntity, NewApp, TenantRef, credentials_aad};

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
    pub source: AppSource,
    /// True where it is stored untested, to come into service by itself.
    pub verify_later: bool,
}

/// By what a tenant is served.
#[derive(Debug)]
pub enum AppSource {
    /// An app of its own.
    Own(CredentialInput),
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
pub struct RegistrationOutcome {
    /// The tenant and its app.
    pub view: Arc<TenantContext>,
    /// What was checked.
    pub diagnosis: Vec<CheckResult>,
    /// What the request held that has no use here.
    pub warnings: Vec<FieldError>,
    /// False where it was registered before, with the same credentials.
    pub created: bool,
    /// The keypair that was made for it, whose public half Box has to learn.
    pub keypair: Option<Keypair>,
}

impl Registry {
    /// Refuses whoever may register no tenants, whatever they sent.
    ///
    /// # Errors
    /// [`RegistryError::Forbidden`].
    pub fn may_register(context: &RequestContext) -> Result<(), RegistryError> {
        require_everywhere(context, Permission::TenantsCreate).map(drop)
    }

    /// Registers a tenant, after Box has given a token for it, or as pending. `dry_run` does all but
    /// store it.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is stored then.
    pub async fn register(
        &self,
        context: &RequestContext,
        registration: Registration,
        dry_run: bool,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let context = require_everywhere(context, Permission::TenantsCreate)?;
        let Registration { name, display_name, labels, policy, source, verify_later } = registration;
        crate::registry::tenants::check_fields(display_name.as_deref(), &labels)?;
        let fields = Fields {
            display_name: display_name.unwrap_or_else(|| name.as_str().to_owned()),
            name,
            labels,
            policy,
        };
        let how = How { verify_later, dry_run };
        match source {
            AppSource::Own(material) => {
                self.register_own(fields, material, how, &context.audit_context()).await
            }
            AppSource::Shared { app, enterprise_id } => {
                let context = require_everywhere(&context, Permission::AppsUse)?;
                let cause = context.audit_context();
                self.register_on_shared(fields, (app, enterprise_id), how, &cause).await
            }
        }
    }

    async fn register_own(
        &self,
        fields: Fields,
        material: CredentialInput,
        how: How,
        cause: &AuditContext,
    ) -> Result<RegistrationOutcome, RegistryError> {
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
        let owner = AppOwner::Tenant { id: tenant_id.clone() };
        let (mut app, secrets) = self.new_app(app_id, owner, &reading, key.as_ref());
        if let Some(known) = self.store.tenant(&TenantRef::Name(fields.name.clone())).await? {
            return self.same_again(known, &app, &secrets, &enterprise_id, warnings, cause).await;
        }
        if self.store.app(&AppRef::ClientId(app.client_id.clone())).await?.is_some() {
            return Err(RegistryError::Conflict(CLIENT_ID_HELD));
        }
        let now = self.now();
        if how.verify_later || app.is_awaiting_key() {
            app.generation = self.next_generation(how).await?;
            app.state = AppState::Pending;
            let tenant =
                fields.into_tenant(tenant_id, app.id.clone(), enterprise_id, app.generation, now, None);
            let view = Arc::new(TenantContext { tenant, app });
            return self.put_off(view, Some(&secrets), warnings, how.dry_run, cause).await;
        }
        let credentials = Arc::new(credentials_of(&app, secrets.clone())?);
        let tested = self.test_mint(&credentials, &enterprise_id, cause).await?;
        let generation = self.next_generation(how).await?;
        app.generation = generation;
        let account = Some(tested.account.clone());
        let tenant = fields.into_tenant(tenant_id, app.id.clone(), enterprise_id, generation, now, account);
        let view = Arc::new(TenantContext { tenant, app });
        let arrival = Arrival { view, credentials, tested, warnings };
        self.admit(arrival, Some(&secrets), cause, how.dry_run).await
    }

    async fn register_on_shared(
        &self,
        fields: Fields,
        (app, enterprise_id): (Name, BoxId),
        how: How,
        cause: &AuditContext,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let app = self.store.app(&AppRef::Name(app)).await?.ok_or_else(|| {
            RegistryError::invalid(
                "/app",
                "There is no shared app of that name; POST /v1/apps registers one.",
            )
        })?;
        if app.state != AppState::Active {
            return Err(RegistryError::Conflict("This shared app is out of service."));
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
        let (tenant_id, now) = (self.new_id(TenantId::generate), self.now());
        if how.verify_later {
            let generation = self.next_generation(how).await?;
            let tenant = fields.into_tenant(tenant_id, app.id.clone(), enterprise_id, generation, now, None);
            let view = Arc::new(TenantContext { tenant, app });
            return self.put_off(view, None, Vec::new(), how.dry_run, cause).await;
        }
        let credentials = self.broker.credentials(&app).await?;
        let tested = self.test_mint(&credentials, &enterprise_id, cause).await?;
        let generation = self.next_generation(how).await?;
        let account = Some(tested.account.clone());
        let tenant = fields.into_tenant(tenant_id, app.id.clone(), enterprise_id, generation, now, account);
        let view = Arc::new(TenantContext { tenant, app });
        let arrival = Arrival { view, credentials, tested, warnings: Vec::new() };
        self.admit(arrival, None, cause, how.dry_run).await
    }

    /// A dry run uses no number up.
    async fn next_generation(&self, how: How) -> Result<Generation, RegistryError> {
        match how.dry_run {
            true => Ok(Generation(0)),
            false => Ok(self.store.next_generation().await?),
        }
    }

    /// Stores a tenant that passed its test, and keeps the test's token as its first.
    async fn admit(
        &self,
        arrival: Arrival,
        own: Option<&AppSecrets>,
        cause: &AuditContext,
        dry_run: bool,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let Arrival { view, credentials, tested, warnings } = arrival;
        let TestedRegistration { minted, account } = tested;
        let token = minted.token.clone();
        if !dry_run {
            if let Err(error) = self.insert(&view, own, cause).await {
                self.write_off(&credentials, token, cause).await;
                return Err(error);
            }
            // The tenant is there, and the broker has seen to a token that it does not keep.
            if let Err(error) = self.broker.adopt(&view, minted, cause).await {
                tracing::warn!(tenant = %view.tenant.id, %error, "a tenant begins without its first token");
            }
        }
        let stored = (!dry_run).then_some(&*view);
        let ledger = DiagnosticTokens { broker: &self.broker, view: stored, cause };
        let diagnosis = self.findings(&view.app, &account, (&credentials, &token), ledger).await;
        if dry_run {
            self.write_off(&credentials, token, cause).await;
        }
        Ok(RegistrationOutcome { view, diagnosis, warnings, created: true, keypair: None })
    }

    /// What is told of credentials by which Box gave a token.
    pub(super) async fn findings(
        &self,
        app: &App,
        account: &ServiceAccount,
        (credentials, token): (&Arc<BoxCredentials>, &SecretString),
        ledger: DiagnosticTokens<'_>,
    ) -> Vec<CheckResult> {
        let mut diagnosis = vec![
            diagnosis::of_key(app),
            CheckResult::pass(DiagnosticCheck::Assertion, "Box gave a token for the enterprise."),
            CheckResult::pass(
                DiagnosticCheck::ServiceAccount,
                format!("{}: invite it as a collaborator to what it should see.", account.login),
            ),
            CheckResult::skipped(
                DiagnosticCheck::UserToken,
                "Run the tenant's test with a `user` to have this checked.",
            ),
        ];
        diagnosis.extend(diagnosis::of_token(&self.upstream, credentials, token, None, ledger).await);
        diagnosis
    }

    pub(super) async fn insert(
        &self,
        view: &TenantContext,
        own: Option<&AppSecrets>,
        cause: &AuditContext,
    ) -> Result<(), RegistryError> {
        let sealed = match own {
            Some(secrets) => Some(self.seal(&view.app, secrets).await?),
            None => None,
        };
        let new_app = sealed.as_deref().map(|sealed| NewApp { app: &view.app, sealed });
        let event = AuditEvent {
            tenant: Some(view.tenant.id.clone()),
            app: Some(view.app.id.clone()),
            generation: Some(view.generation()),
            detail: Some(format!("{} for enterprise {}", view.tenant.name, view.tenant.enterprise_id)),
            ..cause.event(self.now(), AuditAction::TenantCreate)
        };
        let inserted = self.store.insert_tenant(&view.tenant, new_app, &event).await;
        // That there was no tenant of this name may be remembered.
        self.broker.forget(&ChangedEntity::Tenant(view.tenant.id.clone()));
        Ok(inserted?)
    }

    /// The answer to credentials that are registered under this name already; a conflict where they
    /// are others.
    async fn same_again(
        &self,
        known: Tenant,
        app: &App,
        secrets: &AppSecrets,
        enterprise_id: &BoxId,
        warnings: Vec<FieldError>,
        cause: &AuditContext,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let taken = || RegistryError::Conflict("The name is taken.");
        let stored = self.store.app(&AppRef::Id(known.app.clone())).await?.ok_or_else(taken)?;
        let same_tenant = known.state != TenantState::Deleted
            && known.enterprise_id == *enterprise_id
            && !stored.is_shared();
        if !same_tenant || !self.holds_these(&stored, app, secrets).await? {
            return Err(taken());
        }
        let keypair = match stored.is_awaiting_key() {
            true => Some(self.keypair_of_new(&known, &stored, cause).await?),
            false => None,
        };
        Ok(RegistrationOutcome { keypair, ..unchanged(known, stored, warnings) })
    }

    /// True where these are an app's credentials already.
    pub(super) async fn holds_these(
        &self,
        stored: &App,
        app: &App,
        secrets: &AppSecrets,
    ) -> Result<bool, RegistryError> {
        let key = |app: &App| app.key.as_ref().map(|key| (key.public_key_id.clone(), key.sha256.clone()));
        let same_face =
            stored.client_id == app.client_id && stored.auth == app.auth && key(stored) == key(app);
        let held = self.broker.secrets(stored).await?;
        Ok(same_face && held == secrets.clone().with_webhook_keys_from(&held))
    }

    /// Decodes the private key, off the threads that serve requests.
    pub(super) async fn decode(
        &self,
        reading: &ParsedCredentials,
    ) -> Result<Option<SigningKey>, RegistryError> {
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
        owner: AppOwner,
        reading: &ParsedCredentials,
        key: Option<&SigningKey>,
    ) -> (App, AppSecrets) {
        let now = self.now();
        let public_key_id = reading.config.key.as_ref().map(|key| key.public_key_id.clone());
        let key_info = key.zip(public_key_id).map(|(key, public_key_id)| SigningKeyInfo {
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
            generation: Generation(0),
            fence: Generation::default(),
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
        credentials: &Arc<BoxCredentials>,
        enterprise: &BoxId,
        cause: &AuditContext,
    ) -> Result<TestedRegistration, RegistryError> {
        let minted = self.broker.try_out(credentials, enterprise).await?;
        match self.upstream.service_account(&minted.token).await {
            Ok(account) => Ok(TestedRegistration { minted, account }),
            Err(error) => {
                self.write_off(credentials, minted.token, cause).await;
                Err(error.into())
            }
        }
    }

    /// Ends a service account's token that showed that credentials work, and is no tenant's.
    pub(super) async fn write_off(
        &self,
        credentials: &Arc<BoxCredentials>,
        token: SecretString,
        cause: &AuditContext,
    ) {
        self.broker.write_off_unowned(credentials, (&Subject::ENTERPRISE, None), token, cause).await;
    }

    pub(super) async fn seal(&self, app: &App, secrets: &AppSecrets) -> Result<Vec<u8>, RegistryError> {
        let place = credentials_aad(&app.id, app.generation);
        Ok(self.vault.seal(&place, &secrets.to_document()).await?)
    }

    pub(super) fn new_id<T>(&self, generate: fn(&dyn crate::entropy::Entropy) -> T) -> T {
        generate(self.entropy.as_ref())
    }
}

/// What a test at Box brought.
pub(super) struct TestedRegistration {
    pub minted: MintedToken,
    pub account: ServiceAccount,
}

/// How a tenant is registered.
#[derive(Clone, Copy)]
struct How {
    verify_later: bool,
    dry_run: bool,
}

struct Arrival {
    view: Arc<TenantContext>,
    credentials: Arc<BoxCredentials>,
    tested: TestedRegistration,
    warnings: Vec<FieldError>,
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
        generation: Generation,
        now: jiff::Timestamp,
        service_account: Option<ServiceAccount>,
    ) -> Tenant {
        Tenant {
            id,
            name: self.name,
            display_name: self.display_name,
            labels: self.labels,
            state: if service_account.is_some() { TenantState::Active } else { TenantState::Pending },
            locked_from: None,
            app,
            enterprise_id,
            generation,
            service_account,
            policy: self.policy,
            created_at: now,
            updated_at: now,
            purge_at: None,
            version: 1,
        }
    }
}

pub(super) fn unchanged(tenant: Tenant, app: App, warnings: Vec<FieldError>) -> RegistrationOutcome {
    let diagnosis = vec![
        diagnosis::of_key(&app),
        CheckResult::skipped(
            DiagnosticCheck::Assertion,
            "These credentials are registered already; run the tenant's test.",
        ),
    ];
    let view = Arc::new(TenantContext { tenant, app });
    RegistrationOutcome { view, diagnosis, warnings, created: false, keypair: None }
}
