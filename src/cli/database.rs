//! The key set and the database, for commands that work on them directly, beside a running `serve`.

use std::sync::Arc;

use crate::config::Settings;
use crate::crypto::{Vault, key_file};
use crate::entropy::SystemEntropy;
use crate::store::{self, OpenMode, Store};

use super::failure::Failure;

/// Opens the vault with the key set of the settings.
pub(super) fn open_vault(settings: &Settings) -> Result<Arc<Vault>, Failure> {
    let keys = key_file::read(&settings.keys.file)?;
    Ok(Arc::new(Vault::local(&keys, Arc::new(SystemEntropy))?))
}

/// Opens the vault and the database of the settings.
pub(super) async fn open(settings: &Settings) -> Result<(Arc<Vault>, Arc<dyn Store>), Failure> {
    let vault = open_vault(settings)?;
    let store = store::open(&settings.database, Arc::clone(&vault), OpenMode::Shared).await?;
    Ok((vault, store))
}
