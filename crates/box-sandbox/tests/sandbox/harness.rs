//! The harness: a sandbox with a JWT app in two enterprises and a client credentials app, and a client for it.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use box_sandbox::{AppPrivateKey, AppSpec, GeneratedApp, Sandbox, Timestamp, World, generate_app};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

pub(crate) const JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(crate) const ENTERPRISE: &str = "123456";
pub(crate) const OTHER_ENTERPRISE: &str = "654321";
pub(crate) const ADA: &str = "10000001001";
pub(crate) const TESS: &str = "10000001003";
pub(crate) const APOLLO: &str = "10000001004";
pub(crate) const OTHER_ADA: &str = "10000002001";
pub(crate) const CONTRACTS: &str = "20000001001";
pub(crate) const CONTRACTS_2024: &str = "20000001002";
pub(crate) const INVOICES: &str = "20000001003";
pub(crate) const ADAS_NOTES: &str = "20000001004";
pub(crate) const CONTRACT_PDF: &str = "30000001001";
pub(crate) const OFFER_DOCX: &str = "30000001002";
pub(crate) const INVOICE_PDF: &str = "30000001003";

/// Generating a key takes long, so all tests share two.
pub(crate) static KEY: LazyLock<AppPrivateKey> = LazyLock::new(|| AppPrivateKey::generate(2048));
pub(crate) static OTHER_KEY: LazyLock<AppPrivateKey> = LazyLock::new(|| AppPrivateKey::generate(2048));

/// A clock that a test moves.
pub(crate) struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

pub(crate) struct TestSandbox {
    pub(crate) server: Sandbox,
    pub(crate) app: GeneratedApp,
    pub(crate) ccg: GeneratedApp,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) http: Client,
}

/// A response. The body is `null` if it is not JSON.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    pub(crate) fn token(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn refuses(&self, error: &str, words: &str) {
        assert_eq!(self.status, 400, "{self:?}");
        assert_eq!(self.body["error"], error, "{self:?}");
        let description = self.body["error_description"].as_str().unwrap();
        assert!(description.contains(words), "{description}");
    }
}

impl TestSandbox {
    pub(crate) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut World, &GeneratedApp)) -> Self {
        let enterprise_id = Some(ENTERPRISE.to_owned());
        let app = generate_app(&AppSpec {
            enterprise_id: enterprise_id.clone(),
            key: Some(KEY.clone()),
            ..AppSpec::default()
        });
        let ccg = generate_app(&AppSpec { enterprise_id, with_key: false, ..AppSpec::default() });
        let mut world = World::from_app_configs([&app.json, &ccg.json]).unwrap();
        world.add_enterprise(&app.client_id, OTHER_ENTERPRISE, "Other").unwrap();
        change(&mut world, &app);
        let clock = Arc::new(ManualClock(Mutex::new("2026-01-02T03:04:05Z".parse().unwrap())));
        let time = clock.clone();
        let server = Sandbox::start(world, "127.0.0.1:0".parse().unwrap(), move || time.now()).await.unwrap();
        Self { server, app, ccg, clock, http: Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Returns valid claims for this subject, with a fresh `jti`.
    pub(crate) fn claims(&self, kind: &str, id: &str) -> Value {
        let jti =
            format!("jti-{}", generate_app(&AppSpec { with_key: false, ..AppSpec::default() }).client_id);
        json!({
            "iss": self.app.client_id, "sub": id, "box_sub_type": kind, "jti": jti,
            "aud": "https://api.box.com/oauth2/token", "exp": self.now() + 30,
        })
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        sign(&KEY, Algorithm::RS256, Some(&self.app.public_key_id), claims)
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let url = format!("{}{path}", self.server.url());
        Reply::of(self.http.post(url).form(fields).send().await.unwrap()).await
    }

    pub(crate) async fn grant(&self, assertion: &str) -> Reply {
        self.form("/oauth2/token", &self.grant_fields(assertion)).await
    }

    pub(crate) fn grant_fields<'a>(&'a self, assertion: &'a str) -> [(&'a str, &'a str); 4] {
        [
            ("grant_type", JWT),
            ("client_id", &self.app.client_id),
            ("client_secret", &self.app.client_secret),
            ("assertion", assertion),
        ]
    }

    /// Requests a token with claims that `change` alters.
    pub(crate) async fn grant_with(&self, change: impl FnOnce(&mut Value)) -> Reply {
        let mut claims = self.claims("enterprise", ENTERPRISE);
        change(&mut claims);
        self.grant(&self.sign(&claims)).await
    }

    pub(crate) async fn mint(&self, kind: &str, id: &str) -> Reply {
        self.grant(&self.sign(&self.claims(kind, id))).await
    }

    pub(crate) async fn service_token(&self) -> String {
        self.mint("enterprise", ENTERPRISE).await.token()
    }

    pub(crate) async fn ccg(&self, secret: &str, kind: &str, id: &str) -> Reply {
        self.form(
            "/oauth2/token",
            &[
                ("grant_type", "client_credentials"),
                ("client_id", &self.ccg.client_id),
                ("client_secret", secret),
                ("box_subject_type", kind),
                ("box_subject_id", id),
            ],
        )
        .await
    }

    pub(crate) async fn exchange(&self, parent: &str, scope: &str, more: &[(&str, &str)]) -> Reply {
        let mut fields = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", parent),
            ("subject_token_type", ACCESS_TOKEN),
            ("scope", scope),
        ];
        fields.extend_from_slice(more);
        self.form("/oauth2/token", &fields).await
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.server.url())).bearer_auth(token)
    }

    pub(crate) async fn status(&self, path: &str, token: &str) -> u16 {
        self.get(path, token).send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn read(&self, path: &str, token: &str) -> Value {
        let reply = Reply::of(self.get(path, token).send().await.unwrap()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// Sends a request with a JSON body, or with none.
    pub(crate) async fn send(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Reply {
        let url = format!("{}{path}", self.server.url());
        let request = self.http.request(method.parse().unwrap(), url).bearer_auth(token);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        Reply::of(request.send().await.unwrap()).await
    }

    /// Returns a token that is downscoped to these scopes and this folder.
    pub(crate) async fn child(&self, parent: &str, scopes: &str, folder: &str) -> String {
        let resource = format!("https://api.box.com/2.0/folders/{folder}");
        self.exchange(parent, scopes, &[("resource", &resource)]).await.token()
    }

    /// Returns a request with a multipart form of these fields. The field `file` has a file name.
    pub(crate) fn multipart(&self, path: &str, token: &str, fields: &[(&str, &[u8])]) -> RequestBuilder {
        let mut body = Vec::new();
        for (name, bytes) in fields {
            let file = if *name == "file" { "; filename=\"upload\"" } else { "" };
            let head = format!("--seam\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--seam--\r\n");
        let request = self.http.post(format!("{}{path}", self.server.url())).bearer_auth(token);
        request.header("Content-Type", "multipart/form-data; boundary=seam").body(body)
    }

    pub(crate) fn form_upload(
        &self,
        path: &str,
        token: &str,
        attributes: &Value,
        bytes: &[u8],
    ) -> RequestBuilder {
        self.multipart(path, token, &[("attributes", attributes.to_string().as_bytes()), ("file", bytes)])
    }

    pub(crate) async fn upload(&self, token: &str, folder: &str, name: &str, bytes: &[u8]) -> Reply {
        let attributes = json!({ "name": name, "parent": { "id": folder } });
        let request = self.form_upload("/api/2.0/files/content", token, &attributes, bytes);
        Reply::of(request.send().await.unwrap()).await
    }

    /// Downloads a file.
    pub(crate) async fn download(&self, token: &str, file: &str) -> Vec<u8> {
        let response = self.get(&format!("/2.0/files/{file}/content"), token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap().to_vec()
    }

    pub(crate) async fn size_of(&self, file: &str, token: &str) -> Option<u64> {
        Some(self.download(token, file).await.len() as u64)
    }

    /// Returns a SHA-1 in hexadecimal.
    #[expect(clippy::unused_self, reason = "reads better where it is used")]
    pub(crate) fn sha1(&self, bytes: &[u8]) -> String {
        hex::encode(sha1(bytes))
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let url = format!("{}/sandbox{path}", self.server.url());
        let request = self.http.request(method.parse().unwrap(), url);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        Reply::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn patch_app(&self, client_id: &str, change: Value) {
        let reply = self.control("PATCH", &format!("/apps/{client_id}"), Some(change)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    pub(crate) async fn fault(&self, order: Value) {
        let reply = self.control("POST", "/faults", Some(order)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }

    pub(crate) async fn count(&self, query: &str) -> u64 {
        let reply = self.control("GET", &format!("/journal/count?{query}"), None).await;
        reply.body["count"].as_u64().unwrap()
    }
}

pub(crate) fn sign(key: &AppPrivateKey, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    let key = EncodingKey::from_rsa_pem(key.to_pem().as_bytes()).unwrap();
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

pub(crate) fn sha1(bytes: &[u8]) -> [u8; 20] {
    use sha1::Digest as _;
    sha1::Sha1::digest(bytes).into()
}
