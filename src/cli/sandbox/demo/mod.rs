//! `demo`: a broker with everything around it, and nothing to set up.

mod box_side;
mod folder;
mod guide;
mod page;
mod setup;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use box_sandbox::Sandbox;
use tokio::net::TcpListener;
use url::Url;

use box_side::BoxSide;
use folder::DemoFolder;
use guide::DemoGuide;
use page::{PageArgs, PageListener};

use crate::app;
use crate::cli::broker::BrokerClient;
use crate::cli::failure::Failure;
use crate::cli::{logging, signal, terminal};
use crate::clock::SystemClock;
use crate::config::{DatabaseUrl, Settings};
use crate::crypto::{KeySet, key_file};
use crate::entropy::SystemEntropy;

/// The tenant that the demo registers.
const TENANT: &str = "acme";

/// The tenant that the demo leaves to the reader.
const SECOND_TENANT: &str = "globex";

/// Try the broker: one command, no Box account, nothing to set up.
///
/// Starts a stand-in for Box and a broker on local ports, with SQLite in a temporary folder,
/// registers a tenant, creates API keys, and prints commands to try. Runs until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker demo
  box-token-broker demo --data ./demo                       (kept for the next time)
  box-token-broker demo --ui-elements package/dist          (with a page that shows Box UI Elements)
  box-token-broker demo --key-json 12345_abc_config.json    (your own app at the real Box)")]
pub(in crate::cli) struct DemoArgs {
    /// Keep everything in this folder, instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A config file from Box's developer console. The broker then uses the real Box.
    #[arg(long, value_name = "FILE")]
    key_json: Option<PathBuf>,
    /// Address and port of the broker. If the port is taken, a free one is used.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    page: PageArgs,
}

/// Runs the demo until it is interrupted.
pub(super) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let mut settings = Settings::default();
    settings.log.level = "warn".to_owned();
    logging::begin(&settings.log)?;
    let stop = signal::stop()?;
    let page_listener = args.page.bind(args.key_json.is_some()).await?;
    let folder = DemoFolder::open(args.data.as_deref())?;
    use_folder(&mut settings, &folder)?;
    settings.http.listen = free_address(args.listen).await;
    let box_side = match &args.key_json {
        Some(path) => BoxSide::real(path)?,
        None => {
            let origin = page_listener.as_ref().map(PageListener::origin);
            BoxSide::sandbox(&folder, &mut settings, origin).await?
        }
    };

    let admin_key = folder.secret_or("admin.key", setup::create_admin(&settings)).await?;
    let running = app::start(&settings, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await?;
    let url = format!("http://{}", running.service);
    let base = Url::parse(&url).map_err(Failure::failed)?;
    let broker = BrokerClient::at(base.clone(), admin_key.clone())?;
    let mut service_key = None;
    let mut page = None;
    match setup::register_tenant(&broker, &box_side.config).await {
        Ok(()) => {
            let key = folder.secret_or("service.key", setup::create_token_service(&broker)).await?;
            service_key = Some(key);
            if let Some(listener) = page_listener {
                let key = folder.secret_or("page.key", setup::create_page_service(&broker)).await?;
                page = Some((listener.origin(), listener.serve(&broker, base, key, &box_side).await?));
            }
        }
        Err(failure) => terminal::print_failure(&failure),
    }
    terminal::print(DemoGuide {
        url: &url,
        folder: folder.root(),
        kept: args.data.is_some(),
        tenant: TENANT,
        second_tenant: SECOND_TENANT,
        admin_key: &admin_key,
        service_key: service_key.as_ref(),
        sandbox: box_side.sandbox.as_ref().map(Sandbox::url),
        key_json: &box_side.key_json,
        program: &program(),
        page: page.as_ref().map(|(origin, _)| origin.as_str()),
    })?;
    stop.await;
    if let Some((_, page)) = page {
        page.stop().await;
    }
    running.stop().await;
    if let Some(sandbox) = box_side.sandbox {
        sandbox.stop().await;
    }
    Ok(())
}

/// Points the settings at the demo's folder, and generates a key set if there is none yet.
fn use_folder(settings: &mut Settings, folder: &DemoFolder) -> Result<(), Failure> {
    settings.keys.file = folder.path("keys.json");
    settings.database = DatabaseUrl::Sqlite(folder.path("broker.db"));
    settings.http.operations_listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if settings.keys.file.exists() {
        return Ok(());
    }
    key_file::write_new(&settings.keys.file, &KeySet::generate(&SystemEntropy)).map_err(Failure::failed)
}

/// Returns the command that runs this program from any folder.
fn program() -> String {
    let path = std::env::current_exe().ok().and_then(|path| path.to_str().map(str::to_owned));
    path.unwrap_or_else(|| "box-token-broker".to_owned())
}

/// Returns `wanted`, or the same address with port 0 if the port is taken.
async fn free_address(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted).await {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
}
