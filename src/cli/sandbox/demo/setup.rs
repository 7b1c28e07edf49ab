//! The tenant and the callers that the demo creates at its broker.

use serde::Deserialize;
use serde_json::{Value, json};

use super::TENANT;
use crate::cli::broker::BrokerClient;
use crate::cli::callers;
use crate::cli::failure::Failure;
use crate::config::Settings;
use crate::domain::id::Name;
use crate::secret::SecretString;

/// Creates an admin in the database. Returns its API key.
pub(super) async fn create_admin(settings: &Settings) -> Result<SecretString, Failure> {
    let name = Name::parse("admin").map_err(Failure::failed)?;
    Ok(callers::create(settings, name).await?.key)
}

/// Registers the demo's tenant.
pub(super) async fn register_tenant(broker: &BrokerClient, config: &Value) -> Result<(), Failure> {
    let body = json!({ "tenant": TENANT, "display_name": "Acme Corporation", "config": config });
    broker.post(&["v1", "tenants"], &[], &body).await?;
    Ok(())
}

/// Creates a service that may get tokens of the demo's tenant. Returns its API key.
pub(super) async fn create_token_service(broker: &BrokerClient) -> Result<SecretString, Failure> {
    create_service(broker, "invoice-service", &["tokens:mint"]).await
}

/// Creates the service that the page's back end is: it may open and cancel browser sessions, but gets no token itself.
/// Returns its API key.
pub(super) async fn create_page_service(broker: &BrokerClient) -> Result<SecretString, Failure> {
    create_service(broker, "customer-portal", &["sessions:create", "sessions:cancel"]).await
}

async fn create_service(
    broker: &BrokerClient,
    name: &str,
    permissions: &[&str],
) -> Result<SecretString, Failure> {
    #[derive(Deserialize)]
    struct CreatedKey {
        key: SecretString,
    }

    let caller = json!({
        "name": name,
        "kind": "service",
        "grants": [
            { "tenant": TENANT, "permissions": permissions, "subjects": ["enterprise", "user:*"] },
        ],
    });
    broker.post(&["v1", "callers"], &[], &caller).await?;
    let created = broker.post(&["v1", "callers", name, "keys"], &[], &json!({})).await?;
    let CreatedKey { key } = created.read()?;
    Ok(key)
}
