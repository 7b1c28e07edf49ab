//! Sample entities for the store.

use std::sync::atomic::{AtomicI64, Ordering};

use box_token_broker::domain::app::{App, AppOwner, AppSecrets, AppState, AuthMethod, SigningKeyInfo};
use box_token_broker::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use box_token_broker::domain::caller::{ApiKey, Caller, CallerKind, CallerState};
use box_token_broker::domain::grant::Grant;
use box_token_broker::domain::id::{
    AppId, BoxId, CallerId, ClientId, Generation, KeyId, Name, TenantId, TokenId, TrustId,
};
use box_token_broker::domain::policy::Policy;
use box_token_broker::domain::session::BrowserSession;
use box_token_broker::domain::subject::Subject;
use box_token_broker::domain::tenant::{ServiceAccount, Tenant, TenantState};
use box_token_broker::domain::token_key::TokenKey;
use box_token_broker::domain::trust::{Audience, ClaimPattern, ClaimPatterns, Trust, TrustConditions};
use box_token_broker::entropy::{SystemEntropy, random_base62};
use box_token_broker::secret::{SecretBytes, SecretString};
use box_token_broker::store::{NewApp, NewToken, PageRequest, SaveOutcome, credentials_aad, token_aad};
use jiff::Timestamp;

use super::harness::Harness;

/// Returns the moment so many seconds after the start of the test.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn event(action: AuditAction) -> AuditEvent {
    let request_id = Some("req-1".to_owned());
    AuditContext { request_id, ..AuditContext::COMMAND_LINE }.event(at(0), action)
}

/// Returns a number that no other enterprise in this process has.
pub(crate) fn enterprise() -> BoxId {
    static NEXT: AtomicI64 = AtomicI64::new(1000);
    BoxId::parse(&NEXT.fetch_add(1, Ordering::Relaxed).to_string()).unwrap()
}

pub(crate) fn app(owner: AppOwner, generation: Generation) -> App {
    App {
        id: AppId::generate(&SystemEntropy),
        owner,
        client_id: ClientId::parse(&random_base62(&SystemEntropy, 32)).unwrap(),
        auth: AuthMethod::Jwt,
        key: Some(SigningKeyInfo {
            public_key_id: "k1".to_owned(),
            sha256: "00".repeat(32),
            bits: 2048,
            since: at(0),
        }),
        generation,
        fence: Generation::default(),
        state: AppState::Active,
        created_at: at(0),
        updated_at: at(0),
        version: 1,
    }
}

pub(crate) fn tenant(text: &str, app: &AppId, generation: Generation) -> Tenant {
    Tenant {
        id: TenantId::generate(&SystemEntropy),
        name: name(text),
        display_name: "Akme \u{0}\u{1F4E6} \"GmbH\"".to_owned(),
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        state: TenantState::Active,
        locked_from: None,
        app: app.clone(),
        enterprise_id: enterprise(),
        generation,
        service_account: Some(ServiceAccount {
            id: BoxId::parse("17").unwrap(),
            login: "AutomationUser_1@boxdevedition.com".to_owned(),
            name: "Broker".to_owned(),
        }),
        policy: Policy::default(),
        created_at: at(0),
        updated_at: at(0),
        purge_at: None,
        version: 1,
    }
}

pub(crate) fn api_key() -> ApiKey {
    ApiKey {
        id: KeyId::generate(&SystemEntropy),
        digest: vec![7; 32],
        pepper: "pepper_1".to_owned(),
        created_at: at(0),
        expires_at: None,
    }
}

/// Returns a trust in tokens of an issuer.
pub(crate) fn trust(issuer: &str) -> Trust {
    let conditions = TrustConditions {
        issuer: issuer.to_owned(),
        audience: Audience::parse("broker").unwrap(),
        subject: ClaimPattern::parse("job:*").unwrap(),
        claims: ClaimPatterns::default(),
    };
    Trust { id: TrustId::generate(&SystemEntropy), conditions, created_at: at(0) }
}

pub(crate) fn caller(text: &str, keys: Vec<ApiKey>) -> Caller {
    Caller {
        id: CallerId::generate(&SystemEntropy),
        name: name(text),
        kind: CallerKind::Admin,
        state: CallerState::Active,
        locked_at: None,
        grants: vec![Grant::everything()],
        keys,
        rate_limit: None,
        trusts: Vec::new(),
        created_at: at(0),
        version: 1,
    }
}

pub(crate) fn token_key(tenant: &Tenant, generation: Generation) -> TokenKey {
    TokenKey { tenant: tenant.id.clone(), generation, subject: Subject::ENTERPRISE, restriction: None }
}

pub(crate) fn all() -> PageRequest {
    PageRequest { after: None, limit: 1000 }
}

/// Returns the next version of an entity with the given change.
pub(crate) fn next<T: Clone + Versioned>(item: &T, change: impl FnOnce(&mut T)) -> T {
    let mut item = item.clone();
    *item.version() += 1;
    change(&mut item);
    item
}

pub(crate) trait Versioned {
    fn version(&mut self) -> &mut i64;
}

impl Versioned for Tenant {
    fn version(&mut self) -> &mut i64 {
        &mut self.version
    }
}

impl Versioned for App {
    fn version(&mut self) -> &mut i64 {
        &mut self.version
    }
}

impl Versioned for Caller {
    fn version(&mut self) -> &mut i64 {
        &mut self.version
    }
}

impl Harness {
    /// Returns the sealed secrets of an app.
    pub(crate) async fn sealed(&self, app: &App) -> Vec<u8> {
        let secrets = AppSecrets {
            client_id: app.client_id.clone(),
            client_secret: SecretString::new("hush".to_owned()),
            private_key: Some(SecretBytes::new(vec![1; 1200])),
            webhook_primary: None,
            webhook_secondary: None,
        };
        let place = credentials_aad(&app.id, app.generation);
        self.vault.seal(&place, &secrets.to_document()).await.unwrap()
    }

    /// Inserts a shared app.
    pub(crate) async fn shared_app(&self, text: &str) -> App {
        let app = app(AppOwner::Shared { name: name(text) }, self.store.next_generation().await.unwrap());
        let sealed = self.sealed(&app).await;
        let new = NewApp { app: &app, sealed: &sealed };
        self.store.insert_app(new, &event(AuditAction::AppCreate)).await.unwrap();
        app
    }

    /// Inserts a tenant with an app of its own.
    pub(crate) async fn own_tenant(&self, text: &str) -> (Tenant, App) {
        let generation = self.store.next_generation().await.unwrap();
        let mut app = app(AppOwner::Shared { name: name("x") }, generation);
        let tenant = tenant(text, &app.id, generation);
        app.owner = AppOwner::Tenant { id: tenant.id.clone() };
        let sealed = self.sealed(&app).await;
        let new = NewApp { app: &app, sealed: &sealed };
        self.store.insert_tenant(&tenant, Some(new), &event(AuditAction::TenantCreate)).await.unwrap();
        (tenant, app)
    }

    /// Inserts a tenant of a shared app.
    pub(crate) async fn tenant_of(&self, app: &App, text: &str) -> Tenant {
        let tenant = tenant(text, &app.id, self.store.next_generation().await.unwrap());
        self.store.insert_tenant(&tenant, None, &event(AuditAction::TenantCreate)).await.unwrap();
        tenant
    }

    /// Inserts a caller with one key.
    pub(crate) async fn caller(&self, text: &str) -> Caller {
        let caller = caller(text, vec![api_key()]);
        self.store.insert_caller(&caller, &event(AuditAction::CallerCreate)).await.unwrap();
        caller
    }

    /// Saves a token that expires so many seconds after the start of the test.
    pub(crate) async fn save(
        &self,
        key: &TokenKey,
        app: &App,
        dies: i64,
        discarded: bool,
    ) -> (TokenId, SaveOutcome) {
        let id = TokenId::generate(&SystemEntropy);
        let plain = SecretBytes::new(format!("token {id}").into_bytes());
        let sealed = self.vault.seal(&token_aad(&id), &plain).await.unwrap();
        let fingerprint = box_token_broker::crypto::sha256_hex(plain.expose());
        let token = NewToken {
            id: &id,
            key,
            app: &app.id,
            fingerprint: &fingerprint,
            minted_at: at(0),
            expires_at: at(dies),
            sealed: &sealed,
            discarded,
        };
        let event = AuditEvent { tenant: Some(key.tenant.clone()), ..event(AuditAction::TokenMint) };
        let filed = self.store.save_token(&token, &event).await.unwrap();
        (id, filed)
    }

    /// Returns the actions of all recorded events, in their order.
    pub(crate) async fn actions(&self) -> Vec<String> {
        self.database.hand.reads("SELECT action FROM audit ORDER BY at, number").await
    }
}

impl Versioned for BrowserSession {
    fn version(&mut self) -> &mut i64 {
        &mut self.version
    }
}
