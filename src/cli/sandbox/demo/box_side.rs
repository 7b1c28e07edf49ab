//! The demo's Box: a sandbox, or the real one.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use box_sandbox::{AppSpec, Sandbox, World, generate_app};
use serde_json::Value;
use tokio::task::spawn_blocking;
use url::Url;

use super::folder::DemoFolder;
use super::{SECOND_TENANT, TENANT, free_address};
use crate::cli::failure::Failure;
use crate::cli::{config_file, database};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Settings;
use crate::store::{PageRequest, TenantFilter, TokenSelector};

/// The address of the sandbox, unless its port is taken.
const SANDBOX_ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8081);

/// Box as the demo's broker sees it, and the app configs for it.
pub(super) struct BoxSide {
    /// `None` for the real Box.
    pub(super) sandbox: Option<Sandbox>,
    /// The config file of the tenant that the demo registers.
    pub(super) config: Value,
    /// The path of the config file that the reader registers.
    pub(super) key_json: PathBuf,
}

impl BoxSide {
    /// Returns the real Box with the app of a config file.
    pub(super) fn real(path: &Path) -> Result<Self, Failure> {
        let config = config_file::read(path)?;
        let key_json = fs::canonicalize(path).map_err(Failure::failed)?;
        Ok(Self { sandbox: None, config, key_json })
    }

    /// Starts a sandbox with two apps, each in an enterprise of its own, and points `settings` at it. Pages of
    /// `origin` may call it.
    pub(super) async fn sandbox(
        folder: &DemoFolder,
        settings: &mut Settings,
        origin: Option<String>,
    ) -> Result<Self, Failure> {
        let config_files = [TENANT, SECOND_TENANT].map(|name| format!("{name}_config.json"));
        let mut configs = Vec::new();
        for file in &config_files {
            configs.push(stored_or_new_config(folder, file).await?);
        }
        let mut world = World::from_app_configs(&configs).map_err(Failure::failed)?;
        let apps: Vec<String> = world.apps().map(|app| app.client_id.clone()).collect();
        for app in apps {
            world.app_mut(&app).into_iter().for_each(|app| app.origins.extend(origin.clone()));
        }
        world.add_demo_folders();
        let address = free_address(SANDBOX_ADDRESS.into()).await;
        let clock = SystemClock::new();
        let sandbox = Sandbox::start(world, address, move || clock.wall()).await.map_err(Failure::failed)?;
        settings.box_api.api_url = Url::parse(&sandbox.url()).map_err(Failure::failed)?;
        delete_tokens(settings).await?;
        let config = serde_json::from_str(&configs[0]).map_err(Failure::failed)?;
        Ok(Self { sandbox: Some(sandbox), config, key_json: folder.path(&config_files[1]) })
    }

    /// Returns the URLs of Box's API and of its uploads.
    pub(super) fn urls(&self) -> (String, String) {
        match &self.sandbox {
            Some(sandbox) => (sandbox.url(), sandbox.url()),
            None => ("https://api.box.com".to_owned(), "https://upload.box.com".to_owned()),
        }
    }
}

async fn stored_or_new_config(folder: &DemoFolder, file: &str) -> Result<String, Failure> {
    if let Ok(text) = fs::read_to_string(folder.path(file)) {
        return Ok(text);
    }
    let app = spawn_blocking(|| generate_app(&AppSpec::default())).await.map_err(Failure::failed)?;
    folder.write_private(file, &app.json)?;
    Ok(app.json)
}

/// Deletes the tokens that an earlier demo stored, which the new sandbox did not issue.
async fn delete_tokens(settings: &Settings) -> Result<(), Failure> {
    let (_, store) = database::open(settings).await?;
    let all = PageRequest { after: None, limit: usize::MAX };
    let now = SystemClock::new().wall();
    let tenants = store.tenants(&TenantFilter::default(), &all).await.map_err(Failure::failed)?;
    for tenant in tenants {
        let tokens = store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, now).await;
        let rows: Vec<_> = tokens.map_err(Failure::failed)?.into_iter().map(|token| token.id).collect();
        store.delete_tokens(&rows).await.map_err(Failure::failed)?;
    }
    Ok(())
}
