//! The changing credentials of shared apps, and with them those of every tenant that they serve.

use crate::auth::RequestContext;
use crate::domain::app::{App, Keypair};
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::grant::Permission;
use crate::domain::id::{BoxId, KeypairId};
use crate::registry::apps::RegisteredApp;
use crate::registry::credential_input::{CredentialInput, check_enterprise};
use crate::registry::credentials::{NextCredentials, TestedCredentials, with_face};
use crate::registry::diagnosis::{self, CheckResult, DiagnosticCheck};
use crate::registry::error::{FieldError, RegistryError};
use crate::registry::registration::TestedRegistration;
use crate::registry::{Registry, require_everywhere};
use crate::store::{AppRef, ChangedEntity};

impl Registry {
    /// Replaces a shared app's credentials, after Box has given a token by the new ones where there
    /// is an enterprise to try them with. The same ones change nothing.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is changed then.
    pub async fn replace_app_credentials(
        &self,
        context: &RequestContext,
        app: &AppRef,
        material: CredentialInput,
        enterprise: Option<BoxId>,
    ) -> Result<RegisteredApp, RegistryError> {
        let context = require_everywhere(context, Permission::AppsWrite)?;
        let app = self.shared_app(app).await?;
        let reading = material.read()?;
        reading.refuse_generated_key("POST …/keypairs makes a key for an app that is registered.")?;
        if let Some(id) = &enterprise {
            check_enterprise(id)?;
        }
        let key = self.decode(&reading).await?;
        let warnings = reading.warnings.clone();
        let (face, secrets) = self.new_app(app.id.clone(), app.owner.clone(), &reading, key.as_ref());
        if self.are_in_use(&app, &face, &secrets).await? {
            // Whoever sends them again has changed something at Box.
            self.broker.forget(&ChangedEntity::App(app.id.clone()));
            return self.unchanged_app(app, warnings).await;
        }
        let secrets = self.with_webhook_keys(&app, secrets).await?;
        let next = NextCredentials { app: with_face(&app, face), secrets, keypair: None };
        let enterprise = enterprise.or(reading.config.enterprise_id);
        self.switch_shared(next, enterprise, &context.audit_context(), warnings).await
    }

    /// Makes a keypair for a shared app. It is used once it is activated.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn make_app_keypair(
        &self,
        context: &RequestContext,
        app: &AppRef,
    ) -> Result<(App, Keypair), RegistryError> {
        let context = require_everywhere(context, Permission::AppsWrite)?;
        let app = self.shared_app(app).await?;
        let keypair = self.keypair_for(&app, &context.audit_context()).await?;
        Ok((app, keypair))
    }

    /// Switches a shared app to a keypair, tested as new credentials are.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is changed then, and it can be tried again.
    pub async fn activate_app_keypair(
        &self,
        context: &RequestContext,
        app: &AppRef,
        keypair: &KeypairId,
        (public_key_id, enterprise): (&str, Option<BoxId>),
    ) -> Result<RegisteredApp, RegistryError> {
        let context = require_everywhere(context, Permission::AppsWrite)?;
        let app = self.shared_app(app).await?;
        if let Some(id) = &enterprise {
            check_enterprise(id)?;
        }
        match self.next_by_keypair(&app, keypair, public_key_id).await? {
            None => self.unchanged_app(app, Vec::new()).await,
            Some((app, secrets)) => {
                let next = NextCredentials { app, secrets, keypair: Some(keypair) };
                self.switch_shared(next, enterprise, &context.audit_context(), Vec::new()).await
            }
        }
    }

    async fn switch_shared(
        &self,
        next: NextCredentials<'_>,
        enterprise: Option<BoxId>,
        cause: &AuditContext,
        warnings: Vec<FieldError>,
    ) -> Result<RegisteredApp, RegistryError> {
        let enterprise = match enterprise {
            Some(enterprise) => Some(enterprise),
            None => self.store.active_tenant_of_app(&next.app.id).await?.map(|tenant| tenant.enterprise_id),
        };
        let mut diagnosis = vec![diagnosis::of_key(&next.app)];
        match enterprise {
            None => {
                self.require_free_client_id(&next.app).await?;
                let why = "Name an `enterprise_id` that authorised the app to have this checked.";
                diagnosis.push(CheckResult::skipped(DiagnosticCheck::Assertion, why));
            }
            Some(enterprise) => {
                let TestedCredentials { credentials, tested } = self.prove(&next, &enterprise, cause).await?;
                let TestedRegistration { minted, account } = tested;
                // It is no tenant's: each mints its own first token of the new generation.
                self.write_off(&credentials, minted.token, cause).await;
                diagnosis.push(CheckResult::pass(
                    DiagnosticCheck::Assertion,
                    "Box gave a token for the enterprise.",
                ));
                diagnosis.push(CheckResult::pass(DiagnosticCheck::ServiceAccount, account.login));
                diagnosis.push(diagnosis::of_clock(&self.upstream));
            }
        }
        let app = self.commit(next, None, cause, AuditAction::AppCredentials).await?;
        Ok(RegisteredApp { app: self.counted(app).await?, diagnosis, warnings, created: false })
    }

    async fn unchanged_app(
        &self,
        app: App,
        warnings: Vec<FieldError>,
    ) -> Result<RegisteredApp, RegistryError> {
        let diagnosis = vec![diagnosis::of_key(&app)];
        Ok(RegisteredApp { app: self.counted(app).await?, diagnosis, warnings, created: false })
    }
}
