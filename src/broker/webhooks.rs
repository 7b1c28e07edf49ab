//! Whether a webhook is Box's: checked with the keys of the tenant's app, which nobody is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Broker, TokenError};
use crate::auth::RequestContext;
use crate::broker::decision::Block;
use crate::broker::tenant_context::TenantContext;
use crate::crypto::verify_hmac_sha256;
use crate::domain::app::AppSecrets;
use crate::domain::grant::Permission;
use crate::domain::policy::AccessRequest;
use crate::domain::webhook::{WebhookDelivery, WebhookKeySlot, WebhookRejection};
use crate::secret::SecretString;
use crate::store::TenantRef;

/// The keys with which an app's webhooks are signed. An empty one is none.
#[derive(Debug)]
pub struct WebhookKeys {
    primary: Option<SecretString>,
    secondary: Option<SecretString>,
}

impl WebhookKeys {
    fn of(secrets: AppSecrets) -> Self {
        let there = |key: Option<SecretString>| key.filter(|key| !key.is_empty());
        Self { primary: there(secrets.webhook_primary), secondary: there(secrets.webhook_secondary) }
    }

    fn are_none(&self) -> bool {
        self.primary.is_none() && self.secondary.is_none()
    }

    /// True where the key made this signature of the delivery.
    fn made(
        &self,
        which: WebhookKeySlot,
        signature: &[u8],
        delivery: &WebhookDelivery<'_>,
        body: &[u8],
    ) -> bool {
        let key = match which {
            WebhookKeySlot::Primary => &self.primary,
            WebhookKeySlot::Secondary => &self.secondary,
        };
        let parts = [body, delivery.timestamp.as_bytes()];
        key.as_ref().is_some_and(|key| verify_hmac_sha256(key.expose().as_bytes(), &parts, signature))
    }
}

impl Broker {
    /// With which of the keys of the tenant's app a delivery was signed, or why it is not known to be Box's.
    /// The names of `headers` are in lower case, and `body` is as it came.
    ///
    /// # Errors
    /// Where the caller may not ask, the tenant is out of service, or its keys cannot be had.
    pub async fn verify_webhook(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<Result<WebhookKeySlot, WebhookRejection>, TokenError> {
        let view = self.view_for(context, tenant).await?.ok_or(TokenError::Absent)?;
        let ask = AccessRequest::Admin(Permission::WebhooksVerify);
        let by = context.decide(&view.tenant, ask).map_err(|rule| match rule {
            None => TokenError::Absent,
            Some(rule) => TokenError::Forbidden(rule),
        })?;
        match Block::on(&by.caller, &view) {
            // What Box was never asked about may have its webhooks already.
            None | Some(Block::TenantPending | Block::AppPending) => {}
            Some(hold) => return Err(crate::broker::decision::Denial::Block(hold).into()),
        }
        let keys = self.webhook_keys(&view).await?;
        if keys.are_none() {
            return Ok(Err(WebhookRejection::NoKeys));
        }
        Ok(WebhookDelivery::read(headers, self.clock.wall()).and_then(|delivery| {
            delivery.verify(|key, signature| keys.made(key, signature, &delivery, body))
        }))
    }

    /// The keys of the credentials of the moment, opened once per generation.
    async fn webhook_keys(&self, view: &TenantContext) -> Result<Arc<WebhookKeys>, TokenError> {
        let slot = self.memory.credentials(&view.app.id, view.app.generation);
        let opened = slot.webhook_keys.get_or_try_init(async || {
            self.secrets(&view.app).await.map(|secrets| Arc::new(WebhookKeys::of(secrets)))
        });
        opened.await.cloned()
    }
}
