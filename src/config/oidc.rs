//! The settings `auth.oidc` and `auth.trusts`: the accepted issuers, and the callers that their tokens authenticate as.

use std::collections::BTreeSet;

use serde::Deserialize;
use url::Url;

use super::AuthSettings;
use super::value::RawValue;
use crate::domain::address::{AddressZone, check_fetch_url, is_loopback_http};
use crate::domain::id::Name;
use crate::domain::trust::{Audience, ClaimPattern, ClaimPatterns, TrustConditions};

/// The maximum length of an issuer, in bytes.
const MAX_ISSUER_BYTES: usize = 512;

/// An OIDC issuer and the source of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// The URL of its keys; `None` if its discovery document names it.
    pub jwks_url: Option<Url>,
    /// The most sensitive network zone that it may be in.
    pub reach: AddressZone,
}

/// A trust from the settings: tokens that meet its conditions authenticate as the caller with this name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "TrustFields")]
pub struct TrustSettings {
    /// The caller's name; the trust has no effect while there is no such caller.
    pub caller: Name,
    /// The conditions that a token has to meet.
    pub conditions: TrustConditions,
}

/// The fields of an issuer in the settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerFields {
    issuer: String,
    jwks_url: Option<String>,
    #[serde(default)]
    allow_private: bool,
}

/// The fields of a trust in the settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustFields {
    caller: Name,
    issuer: String,
    audience: Audience,
    subject: ClaimPattern,
    #[serde(default)]
    claims: ClaimPatterns,
}

impl From<TrustFields> for TrustSettings {
    fn from(fields: TrustFields) -> Self {
        let TrustFields { caller, issuer, audience, subject, claims } = fields;
        Self { caller, conditions: TrustConditions { issuer, audience, subject, claims } }
    }
}

/// Reads `auth.oidc`.
pub(super) fn issuers(value: &RawValue) -> Result<Vec<IssuerSettings>, String> {
    let fields: Vec<IssuerFields> = value.tables()?;
    let mut issuers: Vec<IssuerSettings> = Vec::with_capacity(fields.len());
    for (place, fields) in fields.into_iter().enumerate() {
        let issuer =
            issuer(fields).map_err(|problem| format!("is not what it should be at [{place}]{problem}"))?;
        if issuers.iter().any(|other| other.issuer == issuer.issuer) {
            return Err(format!("names {} twice", issuer.issuer));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn issuer(fields: IssuerFields) -> Result<IssuerSettings, String> {
    let IssuerFields { issuer, jwks_url, allow_private } = fields;
    let wrong = |field: &str, problem: &str| format!(".{field}: {problem}");
    let url = Url::parse(&issuer).map_err(|_| wrong("issuer", "is no URL"))?;
    if issuer.len() > MAX_ISSUER_BYTES || issuer.chars().any(|letter| !letter.is_ascii_graphic()) {
        return Err(wrong("issuer", "must be at most 512 visible ASCII characters"));
    }
    if url.query().is_some() {
        return Err(wrong("issuer", "must not hold a query"));
    }
    let reach = match (allow_private, is_loopback_http(&url)) {
        (false, _) => AddressZone::Public,
        (true, false) => AddressZone::Private,
        (true, true) => AddressZone::Loopback,
    };
    check_fetch_url(&url, reach).map_err(|problem| wrong("issuer", &problem.to_string()))?;
    let jwks_url = jwks_url.map(|text| {
        let url = Url::parse(&text).map_err(|_| wrong("jwks_url", "is no URL"))?;
        check_fetch_url(&url, reach).map_err(|problem| wrong("jwks_url", &problem.to_string()))?;
        Ok::<_, String>(url)
    });
    Ok(IssuerSettings { issuer, jwks_url: jwks_url.transpose()?, reach })
}

impl AuthSettings {
    /// Returns a problem for each trust in an issuer that is not configured.
    pub(super) fn unknown_issuers(&self) -> impl Iterator<Item = String> {
        let known: BTreeSet<&str> = self.oidc.iter().map(|issuer| issuer.issuer.as_str()).collect();
        self.trusts
            .iter()
            .enumerate()
            .filter(move |(_, trust)| !known.contains(trust.conditions.issuer.as_str()))
            .map(|(place, trust)| {
                let issuer = &trust.conditions.issuer;
                format!("auth.trusts[{place}] names the issuer {issuer}, which is not in auth.oidc")
            })
    }
}
