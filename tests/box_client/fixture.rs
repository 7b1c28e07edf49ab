//! A client, a sandbox for it to talk to, and the credentials of a JWT and a CCG app.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use box_sandbox::{AppPrivateKey, AppSpec, GeneratedApp, Sandbox, World, generate_app};
use box_token_broker::box_api::{
    AppAuthentication, BoxClient, BoxCredentials, ExchangeOutcome, LocalSigner, MintedToken,
};
use box_token_broker::clock::{Clock as _, ManualClock};
use box_token_broker::config::{BoxSettings, RestrictedToMode};
use box_token_broker::domain::id::{BoxId, ClientId};
use box_token_broker::domain::resource::{Resource, ResourceType};
use box_token_broker::domain::restriction::{Annotator, Restriction, RestrictionTarget, SharedLink};
use box_token_broker::domain::scope::Scope;
use box_token_broker::domain::subject::Subject;
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::secret::{SecretBytes, SecretString};
use data_encoding::BASE64;
use serde_json::Value;

pub(crate) const ENTERPRISE: &str = "123456";
pub(crate) const ADA: &str = "10000001001";
pub(crate) const TESS: &str = "10000001003";
pub(crate) const CONTRACTS: &str = "20000001001";
pub(crate) const CONTRACT_PDF: &str = "30000001001";
pub(crate) const ADAS_NOTES: &str = "20000001004";
pub(crate) const LINK: &str = "https://app.box.com/s/sandbox-20000001002";

/// Keys take long to make, so all tests share one.
pub(crate) static KEY: LazyLock<AppPrivateKey> = LazyLock::new(|| AppPrivateKey::generate(2048));

pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: BoxClient,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) jwt: BoxCredentials,
    pub(crate) ccg: BoxCredentials,
    pub(crate) enterprise: BoxId,
    http: reqwest::Client,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut BoxSettings)) -> Self {
        let enterprise_id = Some(ENTERPRISE.to_owned());
        let spec =
            AppSpec { enterprise_id: enterprise_id.clone(), key: Some(KEY.clone()), ..AppSpec::default() };
        let jwt = generate_app(&spec);
        let ccg = generate_app(&AppSpec { enterprise_id, with_key: false, ..AppSpec::default() });
        let world = World::from_app_configs([&jwt.json, &ccg.json]).unwrap();
        let clock = manual_clock();
        let box_clock = clock.clone();
        let time = move || box_clock.wall();
        let sandbox = Sandbox::start(world, "127.0.0.1:0".parse().unwrap(), time).await.unwrap();
        let mut settings = settings(&sandbox.url());
        change(&mut settings);
        Self {
            client: client(&settings, clock.clone()),
            jwt: credentials(&jwt),
            ccg: credentials(&ccg),
            enterprise: id(ENTERPRISE),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            sandbox,
            clock,
        }
    }

    /// A full token of the service account.
    pub(crate) async fn token(&self) -> SecretString {
        self.client.mint(&self.jwt, &self.enterprise, &Subject::ENTERPRISE).await.unwrap().token
    }

    /// A token made narrower, as it was asked to be.
    pub(crate) async fn child(&self, parent: &SecretString, restriction: &Restriction) -> MintedToken {
        match self.client.downscope(&self.jwt, parent, restriction).await.unwrap() {
            ExchangeOutcome::Restricted(child) => child,
            ExchangeOutcome::Overreaching(_, overreach) => panic!("{overreach}"),
        }
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/sandbox{path}", self.sandbox.url());
        let response = self.http.request(method.parse().unwrap(), url).json(&body).send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        let body = response.bytes().await.unwrap();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    pub(crate) async fn fault(&self, order: Value) {
        self.control("POST", "/faults", order).await;
    }

    pub(crate) async fn patch_app(&self, credentials: &BoxCredentials, change: Value) {
        self.control("PATCH", &format!("/apps/{}", credentials.client_id), change).await;
    }

    /// What Box's side saw at the token endpoint.
    pub(crate) async fn grants(&self) -> Vec<Value> {
        let journal = self.control("GET", "/journal?path=/oauth2/token", Value::Null).await;
        journal["items"].as_array().unwrap().clone()
    }
}

pub(crate) fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("2026-01-02T03:04:05Z".parse().unwrap()))
}

pub(crate) fn settings(url: &str) -> BoxSettings {
    BoxSettings {
        api_url: url.parse().unwrap(),
        timeout: Duration::from_secs(4),
        proxy: None,
        ca_file: None,
        restricted_to: RestrictedToMode::Enforce,
    }
}

pub(crate) fn client(settings: &BoxSettings, clock: Arc<ManualClock>) -> BoxClient {
    BoxClient::new(settings, clock, Arc::new(SystemEntropy)).unwrap()
}

pub(crate) fn credentials(app: &GeneratedApp) -> BoxCredentials {
    let proof = match &app.key {
        Some(key) => {
            AppAuthentication::Jwt { public_key_id: app.public_key_id.clone(), signer: Arc::new(signer(key)) }
        }
        None => AppAuthentication::Ccg,
    };
    BoxCredentials {
        client_id: ClientId::parse(&app.client_id).unwrap(),
        client_secret: SecretString::new(app.client_secret.clone()),
        proof,
    }
}

pub(crate) fn signer(key: &AppPrivateKey) -> LocalSigner {
    let pem = key.to_pem();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    LocalSigner::from_pkcs8(&SecretBytes::new(BASE64.decode(base64.as_bytes()).unwrap())).unwrap()
}

pub(crate) fn id(text: &str) -> BoxId {
    BoxId::parse(text).unwrap()
}

pub(crate) fn user(text: &str) -> Subject {
    Subject::User { id: id(text) }
}

pub(crate) fn restriction(scopes: &[&str], target: RestrictionTarget) -> Restriction {
    let scopes = scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect();
    Restriction { scopes, target, annotator: None }
}

pub(crate) fn annotated(scopes: &[&str], target: RestrictionTarget) -> Restriction {
    let annotator = Annotator::new("ext-7", "Zoë \"Z\" O'Neil").unwrap();
    Restriction { annotator: Some(annotator), ..restriction(scopes, target) }
}

pub(crate) fn folder(text: &str) -> RestrictionTarget {
    RestrictionTarget::Resource(Resource { kind: ResourceType::Folder, id: id(text) })
}

pub(crate) fn file(text: &str) -> RestrictionTarget {
    RestrictionTarget::Resource(Resource { kind: ResourceType::File, id: id(text) })
}

pub(crate) fn link(text: &str) -> RestrictionTarget {
    RestrictionTarget::SharedLink(SharedLink::parse(text).unwrap())
}
