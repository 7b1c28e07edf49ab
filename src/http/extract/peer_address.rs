//! The address of a request's client.
//!
//! It is the connection's own, unless a proxy is there that the settings trust: then it is what
//! `X-Forwarded-For` says, as far as trusted proxies said it. `Forwarded` (RFC 7239) is not read: a
//! proxy that writes one of the two passes the other on as the client sent it.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address at the other end of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub IpAddr);

/// Returns the client's address of a request whose connection is from `connected`. Each proxy appends the address
/// that called it, so the header is read from its end up to the first address that is not a trusted proxy's;
/// anybody may have written what is before that.
pub(crate) fn client_address(connected: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut believed = connected.to_canonical();
    if !is_trusted(&believed) {
        return believed;
    }
    // Several lines are one list (RFC 9110, section 5.3).
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    for line in lines {
        // A line that is no text has no part that is an address.
        let text = line.to_str().unwrap_or_default();
        for part in text.rsplit(',') {
            let Some(address) = address(part.trim()) else { return believed };
            believed = address;
            if !is_trusted(&believed) {
                return believed;
            }
        }
    }
    believed
}

/// An address, with or without a port, as proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<std::net::SocketAddr>().map(|address| address.ip());
    text.parse::<IpAddr>().or_else(|_| with_port()).map(|address| address.to_canonical()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(connected: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, axum::http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        client_address(connected.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn forwarded_addresses_are_believed_as_far_as_trusted_proxies_said_them() {
        for (connected, lines, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7,10.0.0.2 ,fd00::1"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("fd00::9", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7,, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7", "\u{fc}"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            assert_eq!(from(connected, lines), expected, "{connected} {lines:?}");
        }
    }
}
