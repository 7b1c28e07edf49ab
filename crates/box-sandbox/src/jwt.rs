//! Compact JWTs (RFC 7515, section 7.1), decoded but not verified.
//!
//! This module owns the encoding. Whether a JWT is valid is decided elsewhere.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

/// The decoded parts of a JWT whose signature and claims are not verified.
pub(crate) struct UnverifiedJwt<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    /// Header and claims as they are encoded, which the signature covers.
    pub(crate) signed: &'a str,
    /// The signature in base64url.
    pub(crate) signature: &'a str,
}

impl<'a> UnverifiedJwt<'a> {
    /// Decodes a JWT. Returns `None` if the text is none.
    pub(crate) fn decode(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self { header: json_object(header)?, claims: json_object(claims)?, signed, signature })
    }

    /// Returns a claim; `None` if it is missing or not a string.
    pub(crate) fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// Returns a header parameter; `None` if it is missing or not a string.
    pub(crate) fn header_parameter(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }
}

fn json_object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok()
}
