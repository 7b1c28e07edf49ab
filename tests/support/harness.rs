//! A broker that runs on a database and a sandbox of one test's own, and what a test asks of them.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use box_sandbox::{AppPrivateKey, AppSpec, GeneratedApp, Sandbox, World, generate_app};
use box_token_broker::app;
use box_token_broker::clock::{Clock, ManualClock};
use box_token_broker::config::{DatabaseUrl, Settings};
use box_token_broker::crypto::{KeySet, Vault, key_file};
use box_token_broker::domain::id::Name;
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::registry::callers::api_keys::create_admin;
use box_token_broker::store::{self, OpenMode};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::database::{Database, Hand, postgres_url};
use crate::response::Reply;

/// The enterprises' ids, in the sandbox's order: number 1 to 4.
pub(crate) const ACME: &str = "1001";
pub(crate) const GLOBEX: &str = "2002";
pub(crate) const NORTH: &str = "3003";
pub(crate) const SOUTH: &str = "4004";

/// Users and items of the first enterprise.
pub(crate) const ADA: &str = "10000001001";
pub(crate) const GRACE: &str = "10000001002";
pub(crate) const FOLDER: &str = "20000001001";
pub(crate) const FILE: &str = "30000001001";

/// Keys take long to make, so all tests share them.
pub(crate) static KEYS: LazyLock<[AppPrivateKey; 3]> =
    LazyLock::new(|| [(); 3].map(|()| AppPrivateKey::generate(2048)));

/// Box's side: who has which app.
pub(crate) struct Apps {
    /// ACME's own JWT app.
    pub(crate) acme: GeneratedApp,
    /// GLOBEX' own JWT app.
    pub(crate) globex: GeneratedApp,
    /// A vendor's JWT app, authorised in NORTH and in SOUTH; its file names NORTH.
    pub(crate) portal: GeneratedApp,
    /// ACME's CCG app.
    pub(crate) ccg: GeneratedApp,
}

/// A broker with all around it.
pub(crate) struct Harness {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) apps: Apps,
    pub(crate) sandbox: Sandbox,
    pub(crate) database: Database,
    pub(crate) settings: Settings,
    /// The API key of an admin who may do everything.
    pub(crate) admin: String,
    pub(crate) http: Client,
    env: Vec<(String, String)>,
    broker: Option<app::RunningBroker>,
    folder: tempfile::TempDir,
}

/// A database of the engine that is to be tested.
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
async fn database() -> Database {
    match std::env::var("BTB_TEST_ENGINE").as_deref() {
        Err(_) | Ok("sqlite") => Database::sqlite().await,
        Ok("postgres") => Database::postgres().await,
        Ok(other) => panic!("BTB_TEST_ENGINE is sqlite or postgres, and not {other}"),
    }
}

impl Harness {
    pub(crate) async fn new() -> Self {
        Self::with(&[], |_, _| {}).await
    }

    /// With these settings beside the usual ones, as environment variables, and Box as `change`
    /// leaves it.
    pub(crate) async fn with(more: &[(&str, &str)], change: impl FnOnce(&mut World, &Apps)) -> Self {
        let clock = Arc::new(ManualClock::new("2026-01-02T03:04:05Z".parse().unwrap()));
        let (apps, mut world) = population();
        change(&mut world, &apps);
        let box_clock = clock.clone();
        let time = move || box_clock.wall();
        let sandbox = Sandbox::start(world, "127.0.0.1:0".parse().unwrap(), time).await.unwrap();
        let database = database().await;
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.json");
        key_file::write_new(&keys, &KeySet::generate(&SystemEntropy)).unwrap();
        let url = match &database.url {
            DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            url @ DatabaseUrl::Postgres(_) => postgres_url(url).to_owned(),
        };
        let usual = [
            ("BTB_HTTP__LISTEN", "127.0.0.1:0"),
            ("BTB_HTTP__OPERATIONS_LISTEN", "127.0.0.1:0"),
            ("BTB_DATABASE__URL", &url),
            ("BTB_KEYS__FILE", keys.to_str().unwrap()),
            ("BTB_BOX__API_URL", &sandbox.url()),
        ];
        let env: Vec<_> = usual.iter().chain(more).map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let settings = Settings::load(None, env.clone().into_iter()).unwrap();
        let http = Client::builder().no_proxy().build().unwrap();
        let admin = String::new();
        let mut harness =
            Self { clock, apps, sandbox, database, settings, admin, http, env, broker: None, folder };
        harness.admin = harness.new_admin("root").await;
        harness.start().await;
        harness
    }

    /// Another admin who may do everything, made on the database itself.
    pub(crate) async fn new_admin(&self, name: &str) -> String {
        let keys = key_file::read(&self.settings.keys.file).unwrap();
        let vault = Arc::new(Vault::local(&keys, Arc::new(SystemEntropy)).unwrap());
        let store = store::open(&self.settings.database, vault.clone(), OpenMode::Shared).await.unwrap();
        let name = Name::parse(name).unwrap();
        let new = create_admin(&store, &vault, &*self.clock, &SystemEntropy, name).await.unwrap();
        new.key.expose().to_owned()
    }

    /// Starts the broker that stopped.
    pub(crate) async fn start(&mut self) {
        self.start_with(self.clock.clone()).await;
    }

    /// Starts the broker that stopped, with a clock of the test's own.
    pub(crate) async fn start_with(&mut self, clock: Arc<dyn Clock>) {
        let started = app::start(&self.settings, clock, Arc::new(SystemEntropy)).await;
        self.broker = Some(started.unwrap());
    }

    /// Stops the broker; what is in memory is lost.
    pub(crate) async fn stop(&mut self) {
        self.broker.take().unwrap().stop().await;
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// The broker itself, for what it does in time and not when it is asked.
    pub(crate) fn broker(&self) -> &app::RunningBroker {
        self.broker.as_ref().unwrap()
    }

    /// What runs it, as environment variables: for the real binary, or for other settings.
    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// The file of the key set.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("keys.json")
    }

    /// Somebody with the database in their hands.
    pub(crate) fn hand(&self) -> &Hand {
        &self.database.hand
    }

    /// What is left when a test has succeeded is removed.
    pub(crate) async fn end(mut self) {
        if self.broker.is_some() {
            self.stop().await;
        }
        self.database.end().await;
    }

    // --- the broker ---------------------------------------------------------------------------

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.broker().service)
    }

    pub(crate) async fn call(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let method: Method = method.parse().unwrap();
        let request = self.http.request(method, self.url(path)).bearer_auth(key);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        Reply::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: Value) -> Reply {
        self.call(key, "POST", path, Some(&body)).await
    }

    pub(crate) async fn patch(&self, key: &str, path: &str, body: Value) -> Reply {
        self.call(key, "PATCH", path, Some(&body)).await
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Reply {
        self.call(key, "GET", path, None).await
    }

    pub(crate) async fn delete(&self, key: &str, path: &str) -> Reply {
        self.call(key, "DELETE", path, None).await
    }

    /// Registers a tenant by an app's file, as the admin.
    pub(crate) async fn register(&self, tenant: &str, app: &GeneratedApp) -> Value {
        self.post(&self.admin, "/v1/tenants", by_config(tenant, app)).await.is(201)
    }

    /// The API key of a new service with these grants.
    pub(crate) async fn service(&self, name: &str, grants: Value) -> String {
        self.caller(name, "service", grants).await
    }

    /// The API key of a new caller with these grants.
    pub(crate) async fn caller(&self, name: &str, kind: &str, grants: Value) -> String {
        let caller = json!({ "name": name, "kind": kind, "grants": grants });
        self.post(&self.admin, "/v1/callers", caller).await.is(201);
        let key = self.post(&self.admin, &format!("/v1/callers/{name}/keys"), json!({})).await.is(201);
        key["key"].as_str().unwrap().to_owned()
    }

    /// Asks for a full token of the tenant's service account.
    pub(crate) async fn token(&self, key: &str, tenant: &str) -> Reply {
        self.call(key, "POST", &format!("/v1/tenants/{tenant}/token"), None).await
    }

    /// Asks for a full token of a user.
    pub(crate) async fn user_token(&self, key: &str, tenant: &str, user: &str) -> Reply {
        let body = json!({ "subject": { "type": "user", "id": user } });
        self.post(key, &format!("/v1/tenants/{tenant}/token"), body).await
    }

    /// Asks for a downscoped token.
    pub(crate) async fn downscoped(&self, key: &str, tenant: &str, body: Value) -> Reply {
        self.post(key, &format!("/v1/tenants/{tenant}/token/downscoped"), body).await
    }

    // --- Box ----------------------------------------------------------------------------------

    /// Asks Box with a token.
    pub(crate) async fn at_box(&self, token: &str, path: &str) -> u16 {
        let url = format!("{}{path}", self.sandbox.url());
        self.http.get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    }

    /// The sandbox' control plane.
    pub(crate) async fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let method: Method = method.parse().unwrap();
        let request = self.http.request(method, format!("{}/sandbox{path}", self.sandbox.url()));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await.unwrap().error_for_status().unwrap();
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default()
    }

    /// Makes Box fail, and answers with the fault's id.
    pub(crate) async fn fault(&self, order: Value) -> String {
        self.control("POST", "/faults", Some(&order)).await["id"].to_string()
    }

    /// Lets Box answer the calls that `select` fits once the fault is lifted, whose id this is.
    pub(crate) async fn hold(&self, select: Value) -> String {
        self.fault(json!({ "select": select, "effect": { "hold": true } })).await
    }

    /// Lifts a fault; the calls that it held go on.
    pub(crate) async fn lift(&self, fault: &str) {
        self.control("DELETE", &format!("/faults/{fault}"), None).await;
    }

    /// Makes Box work again.
    pub(crate) async fn heal(&self) {
        self.control("DELETE", "/faults", None).await;
    }

    /// Changes an app's settings in Box.
    pub(crate) async fn change_app(&self, app: &GeneratedApp, change: Value) {
        self.control("PATCH", &format!("/apps/{}", app.client_id), Some(&change)).await;
    }

    /// How many calls Box saw that fit.
    pub(crate) async fn count(&self, query: &str) -> u64 {
        self.control("GET", &format!("/journal/count?{query}"), None).await["count"].as_u64().unwrap()
    }

    /// How many assertions Box saw.
    pub(crate) async fn mints(&self) -> u64 {
        self.count("grant=jwt-bearer").await
    }
}

/// The body that registers a tenant by an app's file.
pub(crate) fn by_config(tenant: &str, app: &GeneratedApp) -> Value {
    let config: Value = serde_json::from_str(&app.json).unwrap();
    json!({ "tenant": tenant, "config": config })
}

fn population() -> (Apps, World) {
    let spec = |enterprise: &str, key: usize| AppSpec {
        enterprise_id: Some(enterprise.to_owned()),
        key: Some(KEYS[key].clone()),
        ..AppSpec::default()
    };
    let apps = Apps {
        acme: generate_app(&spec(ACME, 0)),
        globex: generate_app(&spec(GLOBEX, 1)),
        portal: generate_app(&spec(NORTH, 2)),
        ccg: generate_app(&AppSpec { with_key: false, ..spec(ACME, 0) }),
    };
    let files = [&apps.acme.json, &apps.globex.json, &apps.portal.json, &apps.ccg.json];
    let mut world = World::from_app_configs(files).unwrap();
    world.add_enterprise(&apps.portal.client_id, SOUTH, "South").unwrap();
    (apps, world)
}
