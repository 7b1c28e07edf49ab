//! The network zones that the broker may connect to when a URL comes from outside.
//!
//! It judges addresses and URLs; it resolves no names and opens no connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The part of the network that an address belongs to, from the least to the most sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressZone {
    /// The public Internet.
    Public,
    /// A private network (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// This machine itself.
    Loopback,
    /// Never allowed, whatever the settings say: cloud metadata services, link-local, multicast and reserved
    /// addresses.
    Forbidden,
}

impl AddressZone {
    /// Returns the zone of an address. An IPv6 address that embeds an IPv4 address has the zone of the latter.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => zone_of_v4(address),
            IpAddr::V6(address) => zone_of_v6(address),
        }
    }
}

/// The metadata services of Azure, Alibaba and Oracle; those of other clouds are link-local.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

/// The metadata services of Amazon and Google, which lie among the private addresses.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254),
];

/// Returns the zone of an IPv4 address by the special ranges of RFC 6890.
fn zone_of_v4(address: Ipv4Addr) -> AddressZone {
    if METADATA_V4.contains(&address) {
        return AddressZone::Forbidden;
    }
    match address.octets() {
        [127, ..] => AddressZone::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressZone::Private,
        // This network, link-local, protocol assignments, documentation, relays, benchmarks, multicast and
        // reserved addresses.
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            AddressZone::Forbidden
        }
        [192, 88, 99, _] | [198, 18..=19, ..] | [224..=255, ..] => AddressZone::Forbidden,
        _ => AddressZone::Public,
    }
}

/// Returns the zone of an IPv6 address by the special ranges of RFC 6890 and IANA's registry. A range that is
/// not known to be public is forbidden.
fn zone_of_v6(address: Ipv6Addr) -> AddressZone {
    if METADATA_V6.contains(&address) {
        return AddressZone::Forbidden;
    }
    if let Some(inner) = embedded_ipv4(address) {
        return zone_of_v4(inner);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressZone::Loopback,
        [0xfc00..=0xfdff, ..] => AddressZone::Private,
        // Teredo and other protocols, documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => AddressZone::Forbidden,
        [0x2000..=0x3fff, ..] => AddressZone::Public,
        _ => AddressZone::Forbidden,
    }
}

/// Returns the IPv4 address inside a mapped (RFC 4291), a 6to4 (RFC 3056) or a NAT64 address (RFC 6052).
fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// The reason why the broker fetches nothing from a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisallowedUrl {
    /// It is not protected by TLS.
    #[error("must be https; http is for loopback addresses with `allow_private` alone")]
    Scheme,
    /// It holds a user name, a password or a fragment.
    #[error("must not hold a user name, a password or a fragment")]
    Extra,
    /// Its address is in a zone that is not allowed.
    #[error(
        "names an address that is not public: `allow_private` allows private networks, and nothing allows a \
         cloud's metadata, link-local and reserved addresses"
    )]
    Address,
}

/// Checks that the broker may fetch from a URL, where `max_zone` is the most sensitive zone allowed. A host name
/// is not resolved here; check its addresses with [`AddressZone::of`] once they are known.
///
/// # Errors
/// [`DisallowedUrl`] with the first rule that the URL breaks.
pub fn check_fetch_url(url: &Url, max_zone: AddressZone) -> Result<(), DisallowedUrl> {
    let is_local = max_zone == AddressZone::Loopback && is_loopback_http(url);
    if url.scheme() != "https" && !is_local {
        return Err(DisallowedUrl::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(DisallowedUrl::Extra);
    }
    match host_address(url) {
        Some(address) if AddressZone::of(address) > max_zone => Err(DisallowedUrl::Address),
        _ => Ok(()),
    }
}

/// Returns true if the URL is plain http to a loopback address.
#[must_use]
pub fn is_loopback_http(url: &Url) -> bool {
    url.scheme() == "http"
        && host_address(url).is_some_and(|address| AddressZone::of(address) == AddressZone::Loopback)
}

fn host_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_check_fetch_url_rejects_hostile_urls() {
        let judge = |text: &str, max_zone| check_fetch_url(&Url::parse(text).unwrap(), max_zone);
        for (max_zone, urls) in [
            (AddressZone::Public, "https://issuer.example https://8.8.8.8/x https://[2606:4700::1111]:8443"),
            (AddressZone::Private, "https://10.0.0.1 https://[fd00::1] https://issuer.internal"),
            (AddressZone::Loopback, "http://127.0.0.1:1/a http://[::1]:1 https://127.0.0.1 https://10.0.0.1"),
        ] {
            for url in urls.split_whitespace() {
                assert_eq!(judge(url, max_zone), Ok(()), "{url}");
            }
        }
        for (max_zone, problem, urls) in [
            (
                AddressZone::Private,
                DisallowedUrl::Scheme,
                "http://issuer.example http://127.0.0.1 ftp://a file:///a",
            ),
            (
                AddressZone::Loopback,
                DisallowedUrl::Scheme,
                "http://10.0.0.1 http://localhost http://127.0.0.1.example",
            ),
            (
                AddressZone::Public,
                DisallowedUrl::Extra,
                "https://u@a.example https://u:p@a.example https://a.example#x",
            ),
            (
                AddressZone::Public,
                DisallowedUrl::Address,
                "https://10.0.0.1 https://127.0.0.1 https://127.1 https://0x7f.1 https://2130706433 \
                 https://[::ffff:10.0.0.1] https://[::1] https://169.254.169.254 https://[fd00:ec2::254] \
                 https://0 https://017700000001 https://[::ffff:a9fe:a9fe] https://[64:ff9b::a9fe:a9fe]",
            ),
            (
                AddressZone::Private,
                DisallowedUrl::Address,
                "https://127.0.0.1 https://169.254.169.254 https://[::ffff:169.254.169.254] \
                 https://[fd00:ec2::254] https://[fe80::1] https://100.100.100.200",
            ),
            (AddressZone::Loopback, DisallowedUrl::Address, "https://169.254.169.254 https://0.0.0.0"),
        ] {
            for url in urls.split_whitespace() {
                assert_eq!(judge(url, max_zone), Err(problem), "{url}");
            }
        }
    }

    #[test]
    fn s10_an_address_has_one_zone_in_every_notation() {
        for (zone, addresses) in [
            (
                AddressZone::Public,
                "8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 223.255.255.255 \
                 2606:4700::1111 2001:4860:4860::8888 2400::1 64:ff9b::808:808 ::ffff:8.8.8.8 2002:808:808::1",
            ),
            (
                AddressZone::Private,
                "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255 \
                 fd12::1 fc00::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:c0a8:1::1",
            ),
            (
                AddressZone::Loopback,
                "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::1",
            ),
            (
                AddressZone::Forbidden,
                "169.254.169.254 169.254.170.2 0.0.0.0 0.1.2.3 192.0.0.8 192.0.2.1 198.51.100.1 203.0.113.1 \
                 198.18.0.1 198.19.255.255 192.88.99.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 \
                 168.63.129.16 100.100.100.200 192.0.0.192 :: ::2 ::127.0.0.1 ::8.8.8.8 fe80::1 febf::1 \
                 fec0::1 ff02::1 ff0e::1 fd00:ec2::254 fd20:ce::254 ::ffff:169.254.169.254 \
                 ::ffff:0.0.0.0 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe:: 64:ff9b:1::1 2001::1 2001:db8::1 \
                 3fff::1 100::1 5f00::1 4000::1 ::ffff:0:127.0.0.1",
            ),
        ] {
            for text in addresses.split_whitespace() {
                assert_eq!(AddressZone::of(text.parse().unwrap()), zone, "{text}");
            }
        }
    }
}
