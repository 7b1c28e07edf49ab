//! Keypairs that the broker generates: the public half goes to Box by an admin, the private half never leaves the
//! broker.

use crate::broker::TokenError;
use crate::crypto::generate_rsa_key;
use crate::domain::app::{App, AppSecrets, AuthMethod, Keypair, SigningKeyInfo};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::box_config::ConfigField;
use crate::domain::id::KeypairId;
use crate::domain::signing_key::SigningKey;
use crate::domain::tenant::Tenant;
use crate::registry::deps::Deps;
use crate::registry::error::RegistryError;
use crate::registry::rows::apps::owning_tenant;
use crate::store::keypair_aad;

/// Generates a keypair for an app and stores its private half sealed. It is unused until it is activated.
///
/// # Errors
/// [`RegistryError::Conflict`] if the app authenticates without a key.
pub(in crate::registry) async fn create_keypair(
    deps: &Deps,
    app: &App,
    cause: &AuditContext,
) -> Result<Keypair, RegistryError> {
    if app.auth == AuthMethod::Ccg {
        return Err(RegistryError::Conflict("An app with client credentials has no key."));
    }
    let key = generate_key(deps).await?;
    let keypair = Keypair {
        id: deps.new_id(KeypairId::generate),
        app: app.id.clone(),
        public_key: key.public_pem().to_owned(),
        sha256: key.public_sha256().to_owned(),
        bits: key.bits(),
        created_at: deps.now(),
    };
    let sealed = deps.vault.seal(&keypair_aad(&keypair.id), key.pkcs8_der()).await?;
    let event = AuditEvent {
        tenant: owning_tenant(app).cloned(),
        app: Some(app.id.clone()),
        detail: Some(format!("{}, public key {}", keypair.id, keypair.sha256)),
        ..cause.event(deps.now(), AuditAction::KeypairCreate)
    };
    deps.store.insert_keypair(&keypair, &sealed, &event).await?;
    Ok(keypair)
}

/// Returns the keypair of a tenant that was registered without a key, and creates it if the registration was
/// interrupted before.
///
/// # Errors
/// Those of [`create_keypair`].
pub(in crate::registry) async fn find_or_create_keypair(
    deps: &Deps,
    tenant: &Tenant,
    app: &App,
    cause: &AuditContext,
) -> Result<Keypair, RegistryError> {
    match deps.store.keypairs_of_app(&app.id).await?.pop() {
        Some(keypair) => Ok(keypair),
        None => {
            tracing::info!(tenant = %tenant.id, "a tenant gets the keypair that its registration lacked");
            create_keypair(deps, app, cause).await
        }
    }
}

/// Returns an app and its secrets with one of its keypairs as its key; `None` if it uses that keypair already.
///
/// # Errors
/// [`RegistryError::Absent`] if the app has no such keypair, [`RegistryError::Conflict`] if it was used before.
pub(in crate::registry) async fn app_with_keypair(
    deps: &Deps,
    app: &App,
    keypair: &KeypairId,
    public_key_id: &str,
) -> Result<Option<(App, AppSecrets)>, RegistryError> {
    let empty = || Err("is empty".to_owned());
    let checked =
        if public_key_id.is_empty() { empty() } else { ConfigField::PublicKeyId.check(public_key_id) };
    checked.map_err(|detail| RegistryError::invalid("/public_key_id", detail))?;
    let found = deps.store.keypair(keypair).await?.filter(|(keypair, _)| keypair.app == app.id);
    let (keypair, sealed) = found.ok_or(RegistryError::Absent)?;
    // Activation moves the private half into the app's secrets and leaves an empty one here.
    if sealed.is_empty() {
        let is_current =
            |key: &SigningKeyInfo| key.sha256 == keypair.sha256 && key.public_key_id == public_key_id;
        return match app.key.as_ref().is_some_and(is_current) {
            true => Ok(None),
            false => Err(RegistryError::Conflict("This keypair was activated before; make another one.")),
        };
    }
    let private_key = deps
        .vault
        .open(&keypair_aad(&keypair.id), &sealed)
        .await
        .map_err(|error| TokenError::Sealed { what: "a keypair", error })?;
    let key = SigningKeyInfo {
        public_key_id: public_key_id.to_owned(),
        sha256: keypair.sha256,
        bits: keypair.bits,
        since: deps.now(),
    };
    let secrets =
        AppSecrets { private_key: Some(private_key), ..deps.broker.credentials().secrets(app).await? };
    Ok(Some((App { key: Some(key), auth: AuthMethod::Jwt, ..app.clone() }, secrets)))
}

async fn generate_key(deps: &Deps) -> Result<SigningKey, RegistryError> {
    let generated = deps.run_key_work(|| generate_rsa_key().map(|der| SigningKey::from_der(&der))).await??;
    generated.map_err(|_| RegistryError::Token(TokenError::Corrupt("a fresh key is none")))
}
