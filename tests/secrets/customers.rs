//! A hundred customers, and Box's side of them.

use std::collections::{BTreeMap, BTreeSet};

use box_sandbox::{AppPrivateKey, AppSpec, GeneratedApp, Sandbox, World, generate_app};
use box_token_broker::clock::{Clock as _, SystemClock};
use box_token_broker::crypto::sha256_hex;
use reqwest::Client;
use serde_json::{Value, json};

use crate::private_key;
use crate::searcher::Canary;

/// How the customers come: with a config file, with fields, without a key, on the vendor's app.
const BY_CONFIG: usize = 60;
const BY_FIELDS: usize = 15;
const BY_CCG: usize = 15;
const SHARED: usize = 10;

/// A customer: the call that registers it, and what stands in Box.
pub(crate) struct Customer {
    pub(crate) name: String,
    /// The body of `POST /v1/tenants`.
    pub(crate) registration: Value,
    /// Its app; the vendor's, where it comes on that.
    pub(crate) app: GeneratedApp,
    /// Its number in the sandbox, from which ids of users and items are made.
    number: usize,
}

impl Customer {
    /// Box's id of its first or second user.
    pub(crate) fn user(&self, which: usize) -> String {
        self.id(1, which)
    }

    pub(crate) fn file(&self) -> String {
        self.id(3, 1)
    }

    pub(crate) fn shared_link(&self) -> String {
        format!("https://app.box.com/s/sandbox-{}", self.id(2, 2))
    }

    fn id(&self, kind: usize, which: usize) -> String {
        (kind * 10_000_000_000 + self.number * 1000 + which).to_string()
    }
}

pub(crate) struct Cast {
    pub(crate) customers: Vec<Customer>,
    /// The vendor's app, as it is registered by `POST /v1/apps`.
    pub(crate) portal: GeneratedApp,
    pub(crate) sandbox: Sandbox,
    /// Every secret that they have.
    pub(crate) canaries: Vec<Canary>,
}

impl Cast {
    pub(crate) async fn assemble() -> Self {
        let keys = [(); 3].map(|()| AppPrivateKey::generate(2048));
        let mut canaries = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let name = format!("key {at}");
            canaries.extend(private_key::canaries(&name, key));
            canaries.extend(private_key::lines(&name, &key.to_pem()));
        }
        let without_key = |at: usize| AppSpec {
            enterprise_id: Some(enterprise(at)),
            with_key: false,
            ..AppSpec::default()
        };
        let with_key =
            |at: usize| AppSpec { key: Some(keys[at % 3].clone()), with_key: true, ..without_key(at) };
        let portal = generate_app(&AppSpec { with_webhooks: true, ..with_key(100) });
        let mut apps = vec![portal.clone()];
        for at in 0..BY_CONFIG + BY_FIELDS + BY_CCG {
            apps.push(match at {
                0..BY_CONFIG => generate_app(&AppSpec { with_webhooks: true, ..with_key(at) }),
                BY_CONFIG.. if at < BY_CONFIG + BY_FIELDS => generate_app(&with_key(at)),
                _ => generate_app(&without_key(at)),
            });
        }
        let mut world = World::from_app_configs(apps.iter().map(|app| &app.json)).unwrap();
        let mut customers = Vec::new();
        for (at, app) in apps.iter().enumerate() {
            canaries.extend(secrets_of(app));
            if at > 0 {
                let name = format!("customer-{at}");
                let registration = registration(&name, at - 1, app);
                customers.push(Customer { name, registration, app: app.clone(), number: at + 1 });
            }
        }
        for at in customers.len()..customers.len() + SHARED {
            let (name, enterprise) = (format!("customer-{}", at + 1), enterprise(at + 11));
            world.add_enterprise(&portal.client_id, &enterprise, &name).unwrap();
            let registration = json!({ "tenant": name, "app": "portal", "enterprise_id": enterprise });
            customers.push(Customer { name, registration, app: portal.clone(), number: at + 2 });
        }
        let clock = SystemClock::new();
        let time = move || clock.wall();
        let sandbox = Sandbox::start(world, "127.0.0.1:0".parse().unwrap(), time).await.unwrap();
        Self { customers, portal, sandbox, canaries }
    }

    /// Which words are a token that Box ever gave, those too that the broker kept to itself: Box's
    /// journal has the digest of each.
    pub(crate) async fn tokens_among_the_words_of(&self, whose: &str, text: &[u8]) -> Vec<String> {
        let url = format!("{}/sandbox/journal", self.sandbox.url());
        let journal = Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
        let journal: Value = serde_json::from_str(&journal.text().await.unwrap()).unwrap();
        let calls = journal["items"].as_array().unwrap();
        let issued: BTreeSet<&str> = calls.iter().filter_map(|call| call["issued"].as_str()).collect();
        let words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'!');
        let tokens = words.map(sha256_hex).filter(|digest| issued.contains(digest.as_str()));
        tokens.map(|digest| format!("{whose}: the token with the SHA-256 {digest}")).collect()
    }
}

/// Long, so that it stands nowhere by chance.
fn enterprise(at: usize) -> String {
    format!("7071{at:016}")
}

fn registration(name: &str, at: usize, app: &GeneratedApp) -> Value {
    let config = parsed(app);
    let fields = &config["boxAppSettings"]["appAuth"];
    if at < BY_CONFIG {
        return json!({ "tenant": name, "config": config });
    }
    if at >= BY_CONFIG + BY_FIELDS {
        return json!({ "tenant": name, "config": config, "auth": "ccg" });
    }
    let credentials = json!({
        "client_id": app.client_id, "client_secret": app.client_secret, "enterprise_id": app.enterprise_id,
        "auth": "jwt", "public_key_id": app.public_key_id, "private_key": fields["privateKey"],
        "passphrase": app.passphrase,
    });
    json!({ "tenant": name, "credentials": credentials })
}

/// An app's file as JSON.
pub(crate) fn parsed(app: &GeneratedApp) -> Value {
    serde_json::from_str(&app.json).unwrap()
}

/// What an app's file keeps secret, the encrypted key too.
fn secrets_of(app: &GeneratedApp) -> Vec<Canary> {
    let config = parsed(app);
    let name = |what: &str| format!("{what} of {}", app.client_id);
    let mut canaries = vec![Canary::new(name("client secret"), &app.client_secret)];
    let texts = BTreeMap::from([
        ("passphrase", &config["boxAppSettings"]["appAuth"]["passphrase"]),
        ("primary webhook key", &config["webhooks"]["primaryKey"]),
        ("secondary webhook key", &config["webhooks"]["secondaryKey"]),
    ]);
    for (what, text) in texts {
        canaries.extend(text.as_str().map(|text| Canary::new(name(what), text)));
    }
    if let Some(pem) = config["boxAppSettings"]["appAuth"]["privateKey"].as_str() {
        canaries.extend(private_key::lines(&name("encrypted key"), pem));
    }
    canaries
}
