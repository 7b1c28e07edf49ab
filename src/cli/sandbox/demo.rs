//! `demo`: everything at once, with nothing to set up.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use box_sandbox::{AppSpec, Sandbox, World, generate_app};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use crate::app;
use crate::clock::{Clock, SystemClock};
use crate::config::{DatabaseUrl, Settings};
use crate::crypto::{KeySet, key_file};
use crate::domain::id::Name;
use crate::entropy::SystemEntropy;
use crate::page;
use crate::secret::SecretString;
use crate::store::{PageRequest, TenantFilter, TokenSelector};

use super::demo_page::{self, PageArgs, Place};
use super::guide::Guide;
use crate::cli::broker::BrokerClient;
use crate::cli::failure::Failure;
use crate::cli::{callers, config_file, database, logging, signal, terminal};

/// The tenant that the demo registers, and the one that it leaves to the reader.
const TENANT: &str = "acme";
const SECOND: &str = "globex";

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

pub(super) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let mut settings = Settings::default();
    settings.log.level = "warn".to_owned();
    logging::begin(&settings.log)?;
    let stop = signal::stop()?;
    let place = args.page.take_place(args.key_json.is_some()).await?;
    let folder = Folder::open(args.data.as_deref())?;
    settings.keys.file = folder.path("keys.json");
    settings.database = DatabaseUrl::Sqlite(folder.path("broker.db"));
    settings.http.listen = free_near(args.listen).await;
    settings.http.operations_listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if !settings.keys.file.exists() {
        key_file::write_new(&settings.keys.file, &KeySet::generate(&SystemEntropy)).map_err(failed)?;
    }
    let stage = match &args.key_json {
        Some(path) => Stage::real(path)?,
        None => Stage::sandbox(&folder, &mut settings, place.as_ref().map(Place::origin)).await?,
    };

    let admin_key = admin_key(&folder, &settings).await?;
    let running = app::start(&settings, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await?;
    let url = format!("http://{}", running.service);
    let base = Url::parse(&url).map_err(failed)?;
    let broker = BrokerClient::at(base, admin_key.clone())?;
    let registered = register(&broker, &stage.config).await;
    let service_key = match &registered {
        Ok(()) => Some(service_key(&folder, &broker).await?),
        Err(_) => None,
    };
    if let Err(failure) = &registered {
        terminal::print_failure(failure);
    }
    let origin = place.as_ref().map(Place::origin).filter(|_| registered.is_ok());
    let page = match place {
        Some(place) if registered.is_ok() => Some(stage.page(place, &folder, &broker, &url).await?),
        _ => None,
    };
    let guide = Guide {
        url: &url,
        folder: folder.root(),
        kept: args.data.is_some(),
        tenant: TENANT,
        second: SECOND,
        admin_key: &admin_key,
        service_key: service_key.as_ref(),
        sandbox: stage.sandbox.as_ref().map(Sandbox::url),
        key_json: &stage.key_json,
        program: &program(),
        page: origin.as_deref(),
    };
    terminal::print(guide)?;
    stop.await;
    if let Some(page) = page {
        page.stop().await;
    }
    running.stop().await;
    if let Some(sandbox) = stage.sandbox {
        sandbox.stop().await;
    }
    Ok(())
}

/// Where the demo keeps its files; a temporary one goes with the demo.
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn open(kept: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = kept else {
            let folder = tempfile::Builder::new().prefix("box-token-broker-").tempdir();
            return folder.map(Self::Temporary).map_err(failed);
        };
        fs::create_dir_all(path)
            .and_then(|()| fs::canonicalize(path))
            .map(Self::Kept)
            .map_err(|error| Failure::failed(format!("{} cannot be used: {error}", path.display())))
    }

    fn root(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A secret that was kept, if one was.
    fn secret(&self, name: &str) -> Option<SecretString> {
        let text = fs::read_to_string(self.path(name)).ok()?;
        (!text.trim().is_empty()).then(|| SecretString::new(text.trim().to_owned()))
    }

    /// Keeps what only its owner may read.
    fn keep(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))
    }
}

/// What the broker takes for Box, and with which app it comes there.
struct Stage {
    sandbox: Option<Sandbox>,
    /// The config file of the tenant that is registered.
    config: Value,
    /// The config file that the reader registers.
    key_json: PathBuf,
}

impl Stage {
    /// The real Box, with the reader's own app.
    fn real(path: &Path) -> Result<Self, Failure> {
        let config = config_file::read(path)?;
        let key_json = fs::canonicalize(path).map_err(failed)?;
        Ok(Self { sandbox: None, config, key_json })
    }

    /// A sandbox that knows two apps, each in an enterprise of its own.
    ///
    /// Pages of `origin` may call it.
    async fn sandbox(
        folder: &Folder,
        settings: &mut Settings,
        origin: Option<String>,
    ) -> Result<Self, Failure> {
        let mut texts = Vec::new();
        for name in [TENANT, SECOND] {
            let file = format!("{name}_config.json");
            let text = match fs::read_to_string(folder.path(&file)) {
                Ok(text) => text,
                Err(_) => {
                    let made = tokio::task::spawn_blocking(|| generate_app(&AppSpec::default()));
                    let text = made.await.map_err(failed)?.json;
                    folder.keep(&file, &text)?;
                    text
                }
            };
            texts.push(text);
        }
        let mut world = World::from_app_configs(&texts).map_err(Failure::failed)?;
        let apps: Vec<String> = world.apps().map(|app| app.client_id.clone()).collect();
        for app in apps {
            world.app_mut(&app).into_iter().for_each(|app| app.origins.extend(origin.clone()));
        }
        world.add_demo_folders();
        let address = free_near(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))).await;
        let clock = SystemClock::new();
        let time = move || clock.wall();
        let sandbox = Sandbox::start(world, address, time).await.map_err(failed)?;
        settings.box_api.api_url = Url::parse(&sandbox.url()).map_err(failed)?;
        forget_tokens(settings).await?;
        let config = serde_json::from_str(&texts[0]).map_err(failed)?;
        Ok(Self { sandbox: Some(sandbox), config, key_json: folder.path(&format!("{SECOND}_config.json")) })
    }
}

impl Stage {
    /// Serves the page, whose back end is a caller of its own.
    async fn page(
        &self,
        place: Place,
        folder: &Folder,
        broker: &BrokerClient,
        url: &str,
    ) -> Result<page::Running, Failure> {
        let key = match folder.secret("page.key") {
            Some(key) => key,
            None => {
                let key = demo_page::page_key(broker, TENANT).await?;
                folder.keep("page.key", key.expose())?;
                key
            }
        };
        let (api, upload) = match &self.sandbox {
            Some(sandbox) => (sandbox.url(), sandbox.url()),
            None => ("https://api.box.com".to_owned(), "https://upload.box.com".to_owned()),
        };
        let parse = |text: &str| Url::parse(text).map_err(failed);
        place.serve(broker, TENANT, key, (parse(url)?, parse(&api)?, parse(&upload)?)).await
    }
}

/// Drops tokens that an earlier demo kept: this sandbox never gave them.
async fn forget_tokens(settings: &Settings) -> Result<(), Failure> {
    let (_, store) = database::open(settings).await?;
    let everyone = PageRequest { after: None, limit: usize::MAX };
    let now: Timestamp = SystemClock::new().wall();
    for tenant in store.tenants(&TenantFilter::default(), &everyone).await.map_err(failed)? {
        let tokens =
            store.live_tokens_of_tenant(&tenant.id, &TokenSelector::All, now).await.map_err(failed)?;
        let rows: Vec<_> = tokens.into_iter().map(|token| token.id).collect();
        store.delete_tokens(&rows).await.map_err(failed)?;
    }
    Ok(())
}

async fn admin_key(folder: &Folder, settings: &Settings) -> Result<SecretString, Failure> {
    if let Some(key) = folder.secret("admin.key") {
        return Ok(key);
    }
    let name = Name::parse("admin").map_err(failed)?;
    let made = callers::create(settings, name).await?;
    folder.keep("admin.key", made.key.expose())?;
    Ok(made.key)
}

async fn register(broker: &BrokerClient, config: &Value) -> Result<(), Failure> {
    let body = json!({ "tenant": TENANT, "display_name": "Acme Corporation", "config": config });
    let answer = broker.post(&["v1", "tenants"], &[], &body).await?;
    debug_assert!(matches!(answer.status, StatusCode::OK | StatusCode::CREATED));
    Ok(())
}

/// A service that may have tokens of this one tenant, for its service account and for any user:
/// enough to see a refusal too.
async fn service_key(folder: &Folder, broker: &BrokerClient) -> Result<SecretString, Failure> {
    #[derive(Deserialize)]
    struct Made {
        key: SecretString,
    }

    if let Some(key) = folder.secret("service.key") {
        return Ok(key);
    }
    let caller = json!({
        "name": "invoice-service",
        "kind": "service",
        "grants": [
            { "tenant": TENANT, "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] },
        ],
    });
    broker.post(&["v1", "callers"], &[], &caller).await?;
    let made: Made =
        broker.post(&["v1", "callers", "invoice-service", "keys"], &[], &json!({})).await?.read()?;
    folder.keep("service.key", made.key.expose())?;
    Ok(made.key)
}

/// How a shell finds this program, wherever it was started from.
fn program() -> String {
    let path = std::env::current_exe().ok().and_then(|path| path.to_str().map(str::to_owned));
    path.unwrap_or_else(|| "box-token-broker".to_owned())
}

/// `wanted`, or a free port of the same address where it is taken.
async fn free_near(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted).await {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(error.to_string())
}
