//! Customers in every state, everybody who may ask, and things that requests may name.

use std::collections::BTreeMap;
use std::time::Duration;

use box_token_broker::auth::api_key;
use box_token_broker::domain::grant::Permission;
use box_token_broker::domain::id::KeyId;
use box_token_broker::entropy::{SystemEntropy, random_base62};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::browser_fixture::{self, Opened};
use crate::database::Hand;
use crate::harness::{Harness, KEYS};
use crate::issuer::{Issuer, Signer, token};
use crate::issuer_fixture::AUDIENCE;
use crate::matrix_operations::{Operation, SPARE_ENTERPRISE, Things};
use crate::registration::{shared_app, with};
use crate::response::Reply;
use crate::rotation::by_key;
use crate::token_requests::any_token;

/// How many customers the vendor's shared app has.
const ENTERPRISES: usize = 20;

/// What is good, and for pages alone.
pub(crate) const SESSION: &str = "a browser session";

/// Whatever stands in `Authorization`, line by line.
pub(crate) type Credential = Vec<String>;

/// A broker with two customers, `acme` and `globex`, and others of every state that a tenant can have.
pub(crate) struct Scene {
    pub(crate) harness: Harness,
    /// What opens nothing, and what it is.
    pub(crate) strangers: Vec<(&'static str, Credential)>,
    /// May everything, a service and an admin, on globex alone.
    pub(crate) foreigners: [(&'static str, Credential); 2],
    /// Tenants that are not theirs, by name and id.
    pub(crate) hidden: Vec<(String, String)>,
    /// A keypair of globex'.
    pub(crate) others_keypair: String,
    issuer: Issuer,
    serial: usize,
    spares: usize,
    /// Whether acme's key was replaced by the other one that Box knows.
    is_next: bool,
    /// How many refusals the audit has to tell of, by action and whoever asked.
    pub(crate) refused: BTreeMap<(String, String), u64>,
}

/// The key, as it is sent.
pub(crate) fn bearer(key: &str) -> Credential {
    vec![format!("Bearer {key}")]
}

/// An id like this one that nothing has.
pub(crate) fn never(id: &str) -> String {
    let (kind, rest) = id.split_once('_').unwrap();
    format!("{kind}_{}", "0".repeat(rest.len()))
}

/// All of these permissions that a grant on one tenant can give.
fn on_one(permissions: impl IntoIterator<Item = Permission>) -> Vec<Permission> {
    permissions.into_iter().filter(|permission| !permission.requires_all_tenants()).collect()
}

/// Everything but what gives `permission`: with some others it comes along.
pub(crate) fn all_but(permission: Permission) -> Vec<Permission> {
    let along = match permission {
        Permission::TokensDownscope => Some(Permission::TokensMint),
        Permission::AppsUse => Some(Permission::AppsWrite),
        _ => None,
    };
    let gives = |held: &Permission| *held == permission || Some(*held) == along;
    Permission::ALL.into_iter().filter(|held| !gives(held)).collect()
}

pub(crate) fn grant(tenant: &str, permissions: &[Permission]) -> Value {
    json!([{ "tenant": tenant, "permissions": permissions, "subjects": ["enterprise", "user:*"] }])
}

/// What a grant on one tenant alone can give of these.
pub(crate) fn grant_on(tenant: &str, permissions: impl IntoIterator<Item = Permission>) -> Value {
    grant(tenant, &on_one(permissions))
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let signer = Signer::rsa(0);
        let issuer = Issuer::start(vec![signer.jwk("k1")]).await;
        let oidc = issuer.setting();
        let harness = Harness::with(&[("BTB_AUTH__OIDC", oidc.as_str())], |world, apps| {
            let numbered = (0..ENTERPRISES).map(|number| format!("90{number:02}"));
            for enterprise in numbered.chain([SPARE_ENTERPRISE.to_owned()]) {
                world.add_enterprise(&apps.portal.client_id, &enterprise, &enterprise).unwrap();
            }
            world.add_public_key(&apps.acme.client_id, "next", &KEYS[1].public_pem()).unwrap();
        })
        .await;
        harness.register("acme", &harness.apps.acme).await;
        harness.register("globex", &harness.apps.globex).await;
        harness.pages_of("acme").await;
        shared_app(&harness).await;
        let strangers = strangers(&harness, &issuer, &signer).await;
        let service = Permission::ALL.into_iter().filter(|permission| permission.is_allowed_for_services());
        let foreigners = [
            (
                "foreign-service",
                harness.caller("foreign-service", "service", grant_on("globex", service)).await,
            ),
            (
                "foreign-admin",
                harness.caller("foreign-admin", "admin", grant_on("globex", Permission::ALL)).await,
            ),
        ]
        .map(|(name, key)| (name, bearer(&key)));
        let keypair = harness.call(&harness.admin, "POST", "/v1/tenants/globex/keypairs", None).await.is(201);
        let others_keypair = keypair["id"].as_str().unwrap().to_owned();
        let mut scene = Self {
            harness,
            strangers,
            foreigners,
            hidden: Vec::new(),
            others_keypair,
            issuer,
            serial: 0,
            spares: 0,
            is_next: false,
            refused: BTreeMap::new(),
        };
        scene.hide().await;
        scene
    }

    /// Makes a tenant of each state.
    async fn hide(&mut self) {
        self.hidden.push(("acme".to_owned(), self.id_of("tenants/acme").await));
        for state in ["suspended", "locked", "deleted", "pending"] {
            let name = self.spare_tenant(if state == "pending" { "?verify=later" } else { "" }).await;
            let id = self.id_of(&format!("tenants/{name}")).await;
            let (admin, path) = (&self.harness.admin, format!("/v1/tenants/{name}"));
            match state {
                "suspended" => {
                    self.harness.patch(admin, &path, json!({ "state": state })).await.is(200);
                }
                "locked" => {
                    self.harness.post(admin, &format!("{path}/lockdown"), json!({})).await.is(200);
                }
                "deleted" => {
                    self.harness.delete(admin, &path).await.is(204);
                }
                _ => {}
            }
            let now = self.harness.get(admin, &path).await.is(200);
            assert_eq!(now["state"], state);
            self.hidden.push((name, id));
        }
    }

    pub(crate) async fn id_of(&self, what: &str) -> String {
        let told = self.harness.get(&self.harness.admin, &format!("/v1/{what}")).await.is(200);
        told["id"].as_str().unwrap().to_owned()
    }

    fn next(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}-{}", self.serial)
    }

    /// A tenant on the vendor's shared app.
    async fn spare_tenant(&mut self, query: &str) -> String {
        let name = self.next("spare");
        let enterprise = format!("90{:02}", self.spares);
        self.spares += 1;
        let body = json!({ "tenant": name, "app": "portal", "enterprise_id": enterprise });
        self.harness.post(&self.harness.admin, &format!("/v1/tenants{query}"), body).await.is(201);
        name
    }

    /// Things that this operation can be done with, made for this one time where it takes them away.
    pub(crate) async fn things_for(&mut self, operation: &Operation) -> Things {
        let mut things = Things {
            tenant: "acme".to_owned(),
            fresh: self.next("fresh"),
            issuer: self.issuer.url().to_owned(),
            ..Things::default()
        };
        let is_for_good = operation.method == "DELETE" || operation.id.contains("lock");
        if operation.path.contains("{tenant}") && is_for_good {
            things.tenant = self.spare_tenant("").await;
        }
        if operation.id == "replace_credentials" {
            // Each time the other key of the two that Box knows.
            let app = &self.harness.apps.acme;
            let (kid, key) = if self.is_next { (app.public_key_id.as_str(), 0) } else { ("next", 1) };
            things.credentials = by_key(app, kid, &KEYS[key])["credentials"].clone();
            self.is_next = !self.is_next;
        }
        if operation.path.contains("{session}") {
            self.harness.pages_of(&things.tenant).await;
            things.session = Opened::of(self.session_of(&things.tenant).await).id;
        }
        if operation.path.contains("{app}") {
            self.make_app(&mut things).await;
        }
        if operation.path.contains("{keypair}") {
            self.make_keypair(operation, &mut things).await;
        }
        if operation.path.contains("{caller}") {
            self.make_caller(operation, &mut things).await;
        }
        if operation.id.ends_with(" locked") {
            let path = format!("{}/lockdown", things.named(&operation.path));
            self.harness.post(&self.harness.admin, &path, json!({})).await.is(200);
        }
        things
    }

    /// A session that the admin opens.
    async fn session_of(&self, tenant: &str) -> Reply {
        let path = format!("/v1/tenants/{tenant}/browser-sessions");
        self.harness.post(&self.harness.admin, &path, browser_fixture::usual()).await
    }

    /// A shared app that serves nobody, and other credentials for it.
    async fn make_app(&mut self, things: &mut Things) {
        let name = self.next("app");
        let credentials = |key| {
            let body = by_key(&self.harness.apps.ccg, "one", &KEYS[key]);
            let body = with(body, "/credentials/client_id", json!(name.replace('-', "")));
            with(body, "/credentials/enterprise_id", Value::Null)["credentials"].clone()
        };
        let body = json!({ "app": name, "credentials": credentials(0) });
        self.harness.post(&self.harness.admin, "/v1/apps", body).await.is(201);
        things.credentials = credentials(1);
        things.app = name;
    }

    /// A keypair whose public half Box knows.
    async fn make_keypair(&mut self, operation: &Operation, things: &mut Things) {
        let path = things.named(operation.path.split("/{keypair}").next().unwrap());
        let keypair = self.harness.call(&self.harness.admin, "POST", &path, None).await.is(201);
        things.kid = self.next("kid");
        let added = json!({ "add_keys": [{ "kid": things.kid, "public_key": keypair["public_key"] }] });
        self.harness.change_app(&self.harness.apps.acme, added).await;
        things.keypair = keypair["id"].as_str().unwrap().to_owned();
    }

    /// A caller that holds on acme what is needed to treat it like this, with a key and a trust.
    async fn make_caller(&mut self, operation: &Operation, things: &mut Things) {
        things.caller = self.next("caller");
        let (harness, path) = (&self.harness, format!("/v1/callers/{}", things.caller));
        let grants = grant_on("acme", operation.permission);
        harness.caller(&things.caller, "admin", grants).await;
        let read = harness.get(&harness.admin, &path).await.is(200);
        things.key = read["keys"][0]["id"].as_str().unwrap().to_owned();
        let trust = json!({ "issuer": things.issuer, "audience": AUDIENCE, "subject": "somebody" });
        let trust = harness.post(&harness.admin, &format!("{path}/trusts"), trust).await.is(201);
        things.trust = trust["id"].as_str().unwrap().to_owned();
    }

    /// A caller of a name of its own with these grants, and its key as it is sent.
    pub(crate) async fn new_caller(&mut self, kind: &str, grants: Value) -> (String, Credential) {
        let name = self.next("asker");
        let key = self.harness.caller(&name, kind, grants).await;
        (name, bearer(&key))
    }

    /// A caller with exactly the permission that an operation needs, where it needs it.
    pub(crate) async fn right_caller(
        &mut self,
        operation: &Operation,
        things: &Things,
    ) -> (String, Credential) {
        let Some(permission) = operation.permission else {
            return self.new_caller("service", json!([])).await;
        };
        let kind = if permission.is_allowed_for_services() { "service" } else { "admin" };
        let tenant = if operation.everywhere { "*" } else { &things.tenant };
        let permissions: Vec<_> = [permission].into_iter().chain(operation.beside).collect();
        self.new_caller(kind, grant(tenant, &permissions)).await
    }

    /// Asks, and takes note of what the audit has to tell of it.
    pub(crate) async fn ask(
        &mut self,
        (name, credential): (&str, &Credential),
        operation: &Operation,
        things: &Things,
    ) -> Reply {
        let path = format!("{}{}", things.named(&operation.path), things.named(operation.row.query));
        let request = self.harness.http.request(operation.method.parse().unwrap(), self.harness.url(&path));
        let (fields, lines) = match operation.row.form {
            Some(_) => as_client(credential, &things.tenant),
            None => (Vec::new(), credential.clone()),
        };
        let request = lines.iter().fold(request, |request, line| request.header("authorization", line));
        let request = match (operation.row.body, operation.row.form) {
            (_, Some(form)) => request.form(&[form(things), fields].concat()),
            (Some(body), None) => request.json(&body(things)),
            (None, None) => request,
        };
        let reply = as_a_problem(Reply::of(request.send().await.unwrap()).await);
        if [401, 403, 404].contains(&reply.status) {
            let who = if reply.status == 401 { "unknown" } else { name };
            *self.refused.entry((operation.audit.clone(), who.to_owned())).or_default() += 1;
        }
        reply
    }

    /// Checks an answer that says nothing to somebody who may not, and takes note that the audit has to tell of it.
    pub(crate) fn is_quiet(&mut self, operation: &Operation, who: &str, reply: &Reply) {
        assert_eq!((reply.status, &reply.body), (200, &json!({})), "{}: {reply:?}", operation.id);
        *self.refused.entry((operation.audit.clone(), who.to_owned())).or_default() += 1;
    }

    /// Every row of every table but those of the audit, and how many calls Box saw.
    pub(crate) async fn state(&self) -> (BTreeMap<String, Vec<String>>, u64) {
        // To whom tokens were given is written down by and by.
        self.harness.broker().write_counts().await;
        let hand = self.harness.hand();
        let tables = match hand {
            Hand::Sqlite(_) => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            }
            Hand::Postgres(_) => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
            }
        };
        let mut state = BTreeMap::new();
        for table in hand.reads(tables).await.into_iter().filter(|table| !table.starts_with("audit")) {
            let rows = hand.reads(&whole_rows(hand, &table).await).await;
            state.insert(table, rows);
        }
        (state, self.harness.count("").await)
    }

    /// How many refusals the audit tells of, by action and whoever asked.
    pub(crate) async fn recorded_refusals(&self) -> BTreeMap<(String, String), u64> {
        // What is repeated is written at the end of its window.
        self.harness.clock.advance(Duration::from_secs(61));
        self.harness.broker().write_counts().await;
        let mut told = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/audit?outcome=refused&limit=200{cursor}");
            let page = self.harness.get(&self.harness.admin, &path).await.is(200);
            for record in page["items"].as_array().unwrap() {
                let action = record["action"].as_str().unwrap().to_owned();
                let who = record["caller"]["name"].as_str().or(record["actor"].as_str()).unwrap().to_owned();
                *told.entry((action, who)).or_default() += record["count"].as_u64().unwrap();
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return told,
            }
        }
    }
}

/// A credential as somebody comes with it who speaks Box: in the form what a bearer would show, and all else in
/// the header.
fn as_client(credential: &Credential, tenant: &str) -> (Vec<(&'static str, String)>, Credential) {
    let [line] = &credential[..] else { return (Vec::new(), credential.clone()) };
    let Some(secret) = line.strip_prefix("Bearer ") else { return (Vec::new(), credential.clone()) };
    let id = api_key::id_of(secret).map_or("x".to_owned(), |id| id.public_part().to_owned());
    let fields = vec![("client_id", format!("btb_{id}-{tenant}")), ("client_secret", secret.to_owned())];
    (fields, Vec::new())
}

/// True where somebody who speaks Box shows something as a client's credentials.
pub(crate) fn is_a_clients(credential: &Credential) -> bool {
    let (fields, lines) = as_client(credential, "acme");
    !fields.is_empty() || lines.iter().any(|line| line.starts_with("Basic"))
}

/// A problem in Box's shape with the status that its code has elsewhere, and without what tells how somebody came.
fn as_a_problem(mut reply: Reply) -> Reply {
    if reply.body.get("error").is_none() {
        return reply;
    }
    reply.headers.remove("www-authenticate");
    reply.status = match reply.body["code"].as_str() {
        Some("unauthenticated") => 401,
        Some("forbidden") => 403,
        Some("not_found") => 404,
        _ => reply.status,
    };
    reply
}

/// Reads every column of a table as one text, but when keys were last used: that is written down by
/// and by.
async fn whole_rows(hand: &Hand, table: &str) -> String {
    match hand {
        Hand::Sqlite(_) => {
            let columns = format!(
                "SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}') WHERE name <> 'last_used_at'"
            );
            let columns = hand.reads(&columns).await.join(" || '|' || ");
            format!("SELECT {columns} AS whole FROM {table} ORDER BY whole")
        }
        Hand::Postgres(_) => {
            format!("SELECT (to_jsonb(t) - 'last_used_at')::text AS whole FROM {table} t ORDER BY whole")
        }
    }
}

/// All that somebody can come with who is nobody here.
async fn strangers(harness: &Harness, issuer: &Issuer, signer: &Signer) -> Vec<(&'static str, Credential)> {
    let admin = &harness.admin;
    let another = |id: &KeyId| api_key::generate(id, &SystemEntropy).expose().to_owned();
    let [revoked, locked, deleted] = [
        harness.service("revoked", any_token("*")).await,
        harness.service("locked", any_token("*")).await,
        harness.service("deleted", any_token("*")).await,
    ];
    let path = format!("/v1/callers/revoked/keys/{}", api_key::id_of(&revoked).unwrap());
    harness.delete(admin, &path).await.is(204);
    harness.post(admin, "/v1/callers/locked/lockdown", json!({})).await.is(200);
    harness.delete(admin, "/v1/callers/deleted").await.is(204);
    harness.service("expired", any_token("*")).await;
    let until = json!({ "expires_at": "2026-01-02T03:05:00Z" });
    let expired = harness.post(admin, "/v1/callers/expired/keys", until).await.is(201);
    harness.clock.advance(Duration::from_secs(120));
    let at_box = harness.token(admin, "acme").await.token();
    let path = "/v1/tenants/acme/browser-sessions";
    let body = browser_fixture::but(json!({ "ttl": 28800 }));
    let session = Opened::of(harness.post(admin, path, body).await);
    let (unsigned, unmatched) = tokens(issuer, harness, signer);
    vec![
        ("nothing", Vec::new()),
        ("an empty header", vec![String::new()]),
        ("no token behind the scheme", vec!["Bearer".to_owned()]),
        ("garbage", bearer("garbage")),
        ("a key that was never made", bearer(&another(&KeyId::generate(&SystemEntropy)))),
        ("another secret for an admin's key", bearer(&another(&api_key::id_of(admin).unwrap()))),
        ("a revoked key", bearer(&revoked)),
        ("an expired key", bearer(expired["key"].as_str().unwrap())),
        ("the key of a locked caller", bearer(&locked)),
        ("the key of a deleted caller", bearer(&deleted)),
        (SESSION, bearer(&session.text)),
        ("no browser session", bearer(&format!("btbs_{}", random_base62(&SystemEntropy, 43)))),
        ("a token of Box's", bearer(&at_box)),
        (
            "an admin's key as a password",
            vec![format!("Basic {}", BASE64.encode(format!("root:{admin}").as_bytes()))],
        ),
        ("an admin's key in another scheme", vec![format!("Basic {admin}")]),
        ("an admin's key twice", [bearer(admin), bearer(admin)].concat()),
        ("an admin's key behind garbage", [bearer("garbage"), bearer(admin)].concat()),
        ("an unsigned token of nobody's", bearer(&unsigned)),
        ("a good token that opens nobody", bearer(&unmatched)),
    ]
}

/// A token of an issuer that nobody knows, not signed; and a good one that no trust matches.
fn tokens(issuer: &Issuer, harness: &Harness, signer: &Signer) -> (String, String) {
    use box_token_broker::clock::Clock as _;
    let now = harness.clock.wall().as_second();
    let claims = |issuer: &str| json!({ "iss": issuer, "aud": AUDIENCE, "sub": "root", "iat": now, "exp": now + 36_000, "jti": "t" });
    let unsigned = token(&json!({ "alg": "none" }), &claims("https://issuer.example"), &Signer::None);
    let header = json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" });
    (unsigned, token(&header, &claims(issuer.url()), signer))
}
