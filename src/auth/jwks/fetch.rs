//! Fetches an issuer's keys with an HTTP client of its own, which connects to permitted addresses only and trusts
//! no redirect.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING};
use reqwest::{Client, redirect, retry};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::key::{JwksDocument, VerificationKeys};
use crate::box_api::in_words;
use crate::config;
use crate::domain::address::{AddressZone, check_fetch_url};

/// The longest document of an issuer that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// The longest time for a whole fetch.
const TIME: Duration = Duration::from_secs(5);
/// The longest time to connect.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// The location of an issuer's keys.
#[derive(Debug)]
pub(super) struct JwksSource {
    http: Client,
    issuer: String,
    jwks_url: Option<Url>,
    reach: AddressZone,
}

/// The relevant part of a discovery document (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

impl JwksSource {
    /// Creates the source from the settings of an issuer. It sends nothing yet.
    ///
    /// # Errors
    /// If no client can be built, for example because the machine has no certificate authorities.
    pub(super) fn new(settings: &config::IssuerSettings) -> Result<Self, String> {
        let reach = settings.reach;
        let builder = Client::builder()
            .user_agent(concat!("box-token-broker/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(retry::never())
            // Each connection goes to an address that was checked for this fetch.
            .pool_max_idle_per_host(0)
            .dns_resolver(ZoneResolver { reach })
            .connect_timeout(CONNECT_TIME);
        // Plain HTTP on loopback needs no certificate authorities, and the machine may have none.
        let builder = if reach == AddressZone::Loopback { builder.tls_certs_only([]) } else { builder };
        let http = builder.build().map_err(|error| in_words(error.without_url()))?;
        Ok(Self { http, issuer: settings.issuer.clone(), jwks_url: settings.jwks_url.clone(), reach })
    }

    /// Fetches the issuer's current keys.
    ///
    /// # Errors
    /// A text for the operator: what was fetched, and what was wrong with it.
    pub(super) async fn keys(&self) -> Result<VerificationKeys, String> {
        let fetching = async {
            let url = match &self.jwks_url {
                Some(url) => url.clone(),
                None => self.discover().await?,
            };
            let document: JwksDocument = self.read("key set", &url).await?;
            Ok(VerificationKeys::read(document))
        };
        let late = || Err(format!("no answer within {TIME:?}"));
        tokio::time::timeout(TIME, fetching).await.unwrap_or_else(|_| late())
    }

    /// Returns the location of the keys from the issuer's own document; it may be elsewhere, within the same
    /// rules.
    async fn discover(&self) -> Result<Url, String> {
        let text = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|error| format!("discovery URL: {error}"))?;
        let discovered: DiscoveryDocument = self.read("discovery document", &url).await?;
        if discovered.issuer != self.issuer {
            return Err(
                "the discovery document is another issuer's: its `issuer` is not the setting's".into()
            );
        }
        Url::parse(&discovered.jwks_uri).map_err(|_| "the discovered `jwks_uri` is no URL".to_owned())
    }

    async fn read<T: DeserializeOwned>(&self, what: &str, url: &Url) -> Result<T, String> {
        check_fetch_url(url, self.reach).map_err(|problem| format!("the URL of the {what} {problem}"))?;
        let lost = |error: reqwest::Error| format!("{what}: {}", in_words(error.without_url()));
        let request = self.http.get(url.clone()).header(ACCEPT, "application/json");
        let mut response = request.header(ACCEPT_ENCODING, "identity").send().await.map_err(lost)?;
        if response.status().as_u16() != 200 {
            return Err(format!("{what}: the answer is {}, and not 200", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(format!("{what}: it is longer than {} KiB", MAX_BODY / 1024));
            }
            body.extend_from_slice(&chunk);
        }
        // The error's own text may quote the document.
        serde_json::from_slice(&body).map_err(|_| format!("{what}: it is not the JSON that it should be"))
    }
}

/// Resolves a host's name to its permitted addresses. The client connects to what it returns, so nothing can
/// change in between.
#[derive(Debug)]
struct ZoneResolver {
    reach: AddressZone,
}

impl Resolve for ZoneResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| AddressZone::of(address.ip()) <= reach).collect();
            if allowed.is_empty() {
                return Err("the host's name leads to no address that may be connected to".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
