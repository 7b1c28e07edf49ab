//! The verification of Box's webhooks with the keys of the tenant's app, which no caller receives.

use std::collections::BTreeMap;

use super::decision::{Block, Denial};
use super::{Broker, TokenError};
use crate::auth::RequestContext;
use crate::clock::Clock;
use crate::domain::grant::Permission;
use crate::domain::policy::AccessRequest;
use crate::domain::webhook::{WebhookDelivery, WebhookKeySlot, WebhookRejection};
use crate::store::TenantRef;

impl Broker {
    /// Returns the key of the tenant's app that signed a delivery, or the reason for which it is not accepted
    /// as Box's. The names of `headers` are in lower case, and `body` is as it was received.
    ///
    /// # Errors
    /// If the caller may not verify webhooks, the tenant is out of service, or its keys cannot be opened.
    pub async fn verify_webhook(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        headers: &BTreeMap<String, String>,
        body: &[u8],
        clock: &dyn Clock,
    ) -> Result<Result<WebhookKeySlot, WebhookRejection>, TokenError> {
        let tenant = self.tenants.find_for(context, tenant).await?.ok_or(TokenError::Absent)?;
        let request = AccessRequest::Admin(Permission::WebhooksVerify);
        let by = context.decide(&tenant.tenant, request).map_err(|rule| match rule {
            None => TokenError::Absent,
            Some(rule) => TokenError::Forbidden(rule),
        })?;
        match Block::of(&by.caller, &tenant) {
            // A tenant that was never tested at Box may have webhooks already.
            None | Some(Block::TenantPending | Block::AppPending) => {}
            Some(block) => return Err(Denial::Block(block).into()),
        }
        let keys = self.credentials.webhook_keys(&tenant.app).await?;
        if keys.is_empty() {
            return Ok(Err(WebhookRejection::NoKeys));
        }
        Ok(WebhookDelivery::read(headers, clock.wall()).and_then(|delivery| {
            delivery.verify(|slot, signature| keys.verify(slot, signature, &delivery, body))
        }))
    }
}
