//! The keys with which Box signs an app's webhooks.

use crate::crypto::verify_hmac_sha256;
use crate::domain::app::AppSecrets;
use crate::domain::webhook::{WebhookDelivery, WebhookKeySlot};
use crate::secret::SecretString;

/// The webhook keys of an app. An empty key counts as none.
#[derive(Debug)]
pub(in crate::broker) struct WebhookKeys {
    primary: Option<SecretString>,
    secondary: Option<SecretString>,
}

impl From<AppSecrets> for WebhookKeys {
    fn from(secrets: AppSecrets) -> Self {
        let present = |key: Option<SecretString>| key.filter(|key| !key.is_empty());
        Self { primary: present(secrets.webhook_primary), secondary: present(secrets.webhook_secondary) }
    }
}

impl WebhookKeys {
    /// Returns true if the app has no webhook keys.
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.primary.is_none() && self.secondary.is_none()
    }

    /// Returns true if the key in this slot made this signature of the delivery.
    pub(in crate::broker) fn verify(
        &self,
        slot: WebhookKeySlot,
        signature: &[u8],
        delivery: &WebhookDelivery<'_>,
        body: &[u8],
    ) -> bool {
        let key = match slot {
            WebhookKeySlot::Primary => &self.primary,
            WebhookKeySlot::Secondary => &self.secondary,
        };
        let parts = [body, delivery.timestamp.as_bytes()];
        key.as_ref().is_some_and(|key| verify_hmac_sha256(key.expose().as_bytes(), &parts, signature))
    }
}
