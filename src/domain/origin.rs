//! The origins of web pages, as browsers send them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

use super::id::InvalidValue;

/// The origin of a web page as browsers send it in `Origin` (RFC 6454, section 6.2): scheme, host, and the port
/// unless it is the scheme's default. Pages on loopback hosts may be plain http.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(Arc<str>);

/// The description of a valid origin, for error messages.
const EXPECTED_FORM: &str = "an origin is written as browsers send it: `https://host` or `https://host:port` \
                             (`http` on a loopback host alone), in lower case, without a path, a wildcard or the \
                             scheme's own port";

/// The maximum length in bytes: a host name of 253, a scheme and a port.
const MAX_BYTES: usize = 270;

impl Origin {
    /// Reads an origin.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not `https://host[:port]`, or `http` on a loopback host, exactly as browsers send it.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        // An origin in any other spelling would never equal the one that the browser sends.
        let fits = text.len() <= MAX_BYTES
            && Url::parse(text)
                .is_ok_and(|url| is_https_or_loopback(&url) && url.origin().ascii_serialization() == text);
        if fits { Ok(Self(text.into())) } else { Err(InvalidValue(EXPECTED_FORM)) }
    }

    /// Returns the origin's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns true if the URL names a host and is https, or http on a loopback host.
fn is_https_or_loopback(url: &Url) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let (is_named, is_loopback) = match url.host() {
        Some(Host::Ipv4(address)) => (true, address.is_loopback()),
        Some(Host::Ipv6(address)) => (true, address.is_loopback()),
        Some(Host::Domain(name)) => (name.bytes().all(letter), name == "localhost"),
        None => (false, false),
    };
    is_named && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_parses_only_as_a_browser_sends_it() {
        for good in [
            "https://app.example.com",
            "https://app.example.com:8443",
            "https://xn--bcher-kva.example",
            "https://10.0.0.1",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
        ] {
            assert!(Origin::parse(good).is_ok(), "{good}");
        }
        let long = format!("https://{}.com", "a".repeat(300));
        for bad in [
            "",
            "*",
            "null",
            "app.example.com",
            "//app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com?q",
            "https://app.example.com#f",
            "https://app.example.com:443",
            "http://localhost:80",
            "https://App.example.com",
            "https://b\u{fc}cher.example",
            "https://*.example.com",
            "https://app.example.com, https://b.example.com",
            "https://user@app.example.com",
            "https://0x7f.1",
            " https://app.example.com",
            "https://app.exa\tmple.com",
            "http://app.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "ftp://localhost",
            "file:///tmp",
            "javascript:alert(1)",
            "https://app.example.com:0443",
            &long,
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
