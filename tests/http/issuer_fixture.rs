//! A customer, an issuer, and services that come with its tokens.

use serde_json::{Value, json};

use crate::harness::Harness;
use crate::issuer::{Issuer, Signer, token};
use crate::response::Reply;
use crate::token_requests::any_token;

/// What tokens are made for, by default.
pub(crate) const AUDIENCE: &str = "box-token-broker";
/// Who they are about.
pub(crate) const SUBJECT: &str = "repo:acme/invoices:ref:refs/heads/main";

/// A broker that knows an issuer with one RSA key, `k1`.
pub(crate) struct Scene {
    pub(crate) harness: Harness,
    pub(crate) issuer: Issuer,
    pub(crate) signer: Signer,
}

impl Scene {
    /// The caller `job`, who may have all tokens of `acme`, trusts [`SUBJECT`].
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same, with these settings beside the usual ones.
    pub(crate) async fn with(more: &[(&str, &str)]) -> Self {
        let scene = Self::bare(more).await;
        scene.harness.service("job", any_token("acme")).await;
        scene.trust("job", json!({})).await.is(201);
        scene
    }

    /// Nobody but the admin, and these settings beside the usual ones.
    pub(crate) async fn bare(more: &[(&str, &str)]) -> Self {
        let signer = Signer::rsa(0);
        let issuer = Issuer::start(vec![signer.jwk("k1")]).await;
        let oidc = issuer.setting();
        let mut settings = vec![("BTB_AUTH__OIDC", oidc.as_str())];
        settings.extend(more);
        let harness = Harness::with(&settings, |_, _| {}).await;
        harness.register("acme", &harness.apps.acme).await;
        Self { harness, issuer, signer }
    }

    /// Gives a caller a trust: the usual one but for `change`.
    pub(crate) async fn trust(&self, caller: &str, change: Value) -> Reply {
        self.trust_as(&self.harness.admin, caller, change).await
    }

    pub(crate) async fn trust_as(&self, key: &str, caller: &str, change: Value) -> Reply {
        let mut terms = json!({ "issuer": self.issuer.url(), "audience": AUDIENCE, "subject": SUBJECT });
        terms.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.harness.post(key, &format!("/v1/callers/{caller}/trusts"), terms).await
    }

    /// The claims of a token that lives ten minutes from now, but for `change`; `null` takes one away.
    pub(crate) fn claims(&self, change: Value) -> Value {
        let now = self.now();
        let mut claims = json!({
            "iss": self.issuer.url(), "aud": AUDIENCE, "sub": SUBJECT,
            "iat": now, "nbf": now, "exp": now + 600, "jti": "t-1",
        });
        let all = claims.as_object_mut().unwrap();
        all.extend(change.as_object().unwrap().clone());
        all.retain(|_, value| !value.is_null());
        claims
    }

    /// The time, in seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        use box_token_broker::clock::Clock as _;
        self.harness.clock.wall().as_second()
    }

    /// A token of the issuer, with such claims.
    pub(crate) fn token(&self, change: Value) -> String {
        token(&json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" }), &self.claims(change), &self.signer)
    }

    /// The answer to a request for a token of acme's.
    pub(crate) async fn ask(&self, token: &str) -> Reply {
        self.harness.token(token, "acme").await
    }

    pub(crate) async fn refused(&self, what: &str, token: &str) {
        let reply = self.ask(token).await;
        assert_eq!(
            (reply.status, reply.body["code"].as_str()),
            (401, Some("unauthenticated")),
            "{what}: {reply:?}"
        );
    }
}
