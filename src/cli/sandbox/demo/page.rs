//! `demo --ui-elements`: a page with Box UI Elements, on an origin of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use super::TENANT;
use super::box_side::BoxSide;
use crate::cli::broker::{BrokerClient, box_id};
use crate::cli::failure::Failure;
use crate::http::token_provider::{integrity, versioned_path};
use crate::page::{self, ElementsFolder, PageServer, PageSettings};
use crate::secret::SecretString;

/// The version of Box UI Elements that the page is tested with.
const TESTED_VERSION: &str = "26.3.0";

/// The port of the page. If it is taken, a free one is used.
const PORT: u16 = 8082;

/// A user of the sandbox's first enterprise, for whom the page shows the folder `Demo`.
const SANDBOX_USER: &str = "10000001001";

/// The folder `Demo` of the sandbox's first enterprise.
const SANDBOX_FOLDER: &str = "20000001101";

/// The arguments of the page.
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

/// A page that is not served yet, but whose address is bound.
pub(super) struct PageListener {
    listener: TcpListener,
    address: SocketAddr,
    elements: ElementsFolder,
    folder: String,
    user: Option<String>,
}

impl PageArgs {
    /// Binds the page's address. Returns `None` if no page is wanted. `real_box` is true if the broker uses the
    /// real Box.
    pub(super) async fn bind(self, real_box: bool) -> Result<Option<PageListener>, Failure> {
        let Some(folder) = self.ui_elements else { return Ok(None) };
        let elements = ElementsFolder::open(&folder)
            .map_err(|missing| Failure::usage(format!("{missing}; {}", how_to_get_elements())))?;
        let (folder, user) = match (real_box, self.folder, self.user) {
            (true, None, _) => {
                let message = "name a folder that the page shows with --folder: one that the app's service \
                               account, or the user of --user, sees";
                return Err(Failure::usage(message));
            }
            (true, Some(folder), user) => (folder, user),
            (false, folder, user) => (
                folder.unwrap_or_else(|| SANDBOX_FOLDER.to_owned()),
                Some(user.unwrap_or_else(|| SANDBOX_USER.to_owned())),
            ),
        };
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Failure::failed)?,
        };
        let address = listener.local_addr().map_err(Failure::failed)?;
        Ok(Some(PageListener { listener, address, elements, folder, user }))
    }
}

/// Returns the sentence that says how to download Box UI Elements.
pub(super) fn how_to_get_elements() -> String {
    format!(
        "get them with: npm pack box-ui-elements@{TESTED_VERSION} && tar xzf box-ui-elements-{TESTED_VERSION}.tgz \
         (the folder is package/dist)"
    )
}

impl PageListener {
    /// Returns the page's origin.
    pub(super) fn origin(&self) -> String {
        page::origin(self.address)
    }

    /// Allows the page's origin in the tenant's policy and serves the page. `url` is the broker's, and `key` that of a
    /// service that may open browser sessions.
    pub(super) async fn serve(
        self,
        broker: &BrokerClient,
        url: Url,
        key: SecretString,
        box_side: &BoxSide,
    ) -> Result<PageServer, Failure> {
        allow_origin(broker, self.origin()).await?;
        let (api, upload) = box_side.urls();
        let parse = |text: &str| Url::parse(text).map_err(Failure::failed);
        let settings = PageSettings {
            broker: url,
            key,
            tenant: TENANT.to_owned(),
            user: self.user,
            folder: self.folder,
            box_api: parse(&api)?,
            box_upload: parse(&upload)?,
            module: versioned_path(),
            integrity: integrity(),
            elements: self.elements,
        };
        page::start(self.listener, settings).map_err(Failure::failed)
    }
}

/// Adds an origin to those that the tenant's policy allows.
async fn allow_origin(broker: &BrokerClient, origin: String) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Tenant {
        policy: Policy,
    }

    #[derive(Deserialize)]
    struct Policy {
        browser_origins: Vec<String>,
    }

    let path = ["v1", "tenants", TENANT];
    let Tenant { policy: Policy { mut browser_origins } } = broker.get(&path, &[]).await?.read()?;
    if !browser_origins.contains(&origin) {
        browser_origins.push(origin);
        let policy = json!({ "policy": { "browser_origins": browser_origins } });
        broker.send(broker.request(Method::PATCH, &path, &[]).json(&policy)).await?;
    }
    Ok(())
}
