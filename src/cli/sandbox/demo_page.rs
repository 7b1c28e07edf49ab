//! `demo --ui-elements`: a page with Box UI Elements, on an origin of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use crate::http::token_provider::{integrity, versioned_path};
use crate::page::{self, Elements};
use crate::secret::SecretString;

use crate::cli::broker::{BrokerClient, box_id};
use crate::cli::failure::Failure;

/// The elements that this was tried with.
const TRIED: &str = "26.3.0";
/// Where the page listens; a free port is taken where this one is not free.
const PORT: u16 = 8082;

/// A user of the sandbox's first enterprise, and the folder `Demo`, which they see.
const ADA: &str = "10000001001";
const DEMO: &str = "20000001101";

/// What the demo shows in a browser.
#[derive(Debug, clap::Args)]
pub(super) struct PageArgs {
    /// Also serve a page with Box UI Elements from this folder: `dist` of box-ui-elements.
    #[arg(long, value_name = "DIR")]
    ui_elements: Option<PathBuf>,
    /// The folder at Box that the page shows. Required with `--key-json`.
    #[arg(long, value_name = "ID", requires = "ui_elements", value_parser = box_id)]
    folder: Option<String>,
    /// The user for whom the page shows it. Default with `--key-json`: the app's service account.
    #[arg(long, value_name = "ID", requires = "ui_elements", value_parser = box_id)]
    user: Option<String>,
}

/// A page that is going to be served: its place is taken.
pub(super) struct Place {
    listener: TcpListener,
    address: SocketAddr,
    elements: Elements,
    folder: String,
    user: Option<String>,
}

impl PageArgs {
    /// Takes the page's place, where one is wanted; `real` where the broker talks to the real Box.
    pub(super) async fn take_place(self, real: bool) -> Result<Option<Place>, Failure> {
        let Some(folder) = self.ui_elements else { return Ok(None) };
        let elements = Elements::in_folder(&folder)
            .map_err(|missing| Failure::usage(format!("{missing}; {}", how_to_get_them())))?;
        let (folder, user) = match (real, self.folder, self.user) {
            (true, None, _) => {
                let needed = "name a folder that the page shows with --folder: one that the app's service \
                              account, or the user of --user, sees";
                return Err(Failure::usage(needed));
            }
            (true, Some(folder), user) => (folder, user),
            (false, folder, user) => {
                (folder.unwrap_or_else(|| DEMO.to_owned()), Some(user.unwrap_or_else(|| ADA.to_owned())))
            }
        };
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?,
        };
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Place { listener, address, elements, folder, user }))
    }
}

/// How the reader comes to the elements.
pub(super) fn how_to_get_them() -> String {
    format!(
        "get them with: npm pack box-ui-elements@{TRIED} && tar xzf box-ui-elements-{TRIED}.tgz \
         (the folder is package/dist)"
    )
}

impl Place {
    /// The page's origin.
    pub(super) fn origin(&self) -> String {
        page::origin(self.address)
    }

    /// Lets the page's origin have sessions of `tenant`, and serves the page. `key` is a service's that may
    /// open them; `api` stands for Box's API, `upload` for where files are sent.
    pub(super) async fn serve(
        self,
        broker: &BrokerClient,
        tenant: &str,
        key: SecretString,
        (url, api, upload): (Url, Url, Url),
    ) -> Result<page::Running, Failure> {
        allow(broker, tenant, self.origin()).await?;
        let settings = page::PageSettings {
            broker: url,
            key,
            tenant: tenant.to_owned(),
            user: self.user,
            folder: self.folder,
            box_api: api,
            box_upload: upload,
            module: versioned_path(),
            integrity: integrity(),
            elements: self.elements,
        };
        page::start(self.listener, settings).map_err(failed)
    }
}

/// Adds `origin` to those that the tenant's policy names already.
async fn allow(broker: &BrokerClient, tenant: &str, origin: String) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Tenant {
        policy: Policy,
    }

    #[derive(Deserialize)]
    struct Policy {
        browser_origins: Vec<String>,
    }

    let path = ["v1", "tenants", tenant];
    let Tenant { policy: Policy { mut browser_origins } } = broker.get(&path, &[]).await?.read()?;
    if !browser_origins.contains(&origin) {
        browser_origins.push(origin);
        let policy = json!({ "policy": { "browser_origins": browser_origins } });
        broker.send(broker.request(Method::PATCH, &path, &[]).json(&policy)).await?;
    }
    Ok(())
}

/// The caller that the page's back end is: it opens and cancels sessions, and gets no token itself.
pub(super) async fn page_key(broker: &BrokerClient, tenant: &str) -> Result<SecretString, Failure> {
    #[derive(Deserialize)]
    struct Made {
        key: SecretString,
    }

    let caller = json!({
        "name": "customer-portal",
        "kind": "service",
        "grants": [{
            "tenant": tenant,
            "permissions": ["sessions:create", "sessions:cancel"],
            "subjects": ["enterprise", "user:*"],
        }],
    });
    broker.post(&["v1", "callers"], &[], &caller).await?;
    let made: Made =
        broker.post(&["v1", "callers", "customer-portal", "keys"], &[], &json!({})).await?.read()?;
    Ok(made.key)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(error.to_string())
}
