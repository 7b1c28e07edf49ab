//! Which addresses the broker may connect to on somebody else's word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressZone {
    /// To the public Internet.
    Public,
    /// Into a private network (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// To this machine itself.
    Loopback,
    /// To where nobody is sent, whatever the settings say: a cloud's metadata, a link's neighbours,
    /// groups, and ranges that are nobody's.
    Forbidden,
}

impl AddressZone {
    /// The zone of an address. One that carries an IPv4 address inside leads to where that leads.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

/// Where clouds answer questions that only their machines may ask: of Azure, Alibaba and Oracle; the
/// others' are link-local.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

/// The same of Amazon and Google, among the private addresses.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254),
];

/// IPv4's special ranges (RFC 6890).
fn of_v4(address: Ipv4Addr) -> AddressZone {
    if METADATA.contains(&address) {
        return AddressZone::Forbidden;
    }
    match address.octets() {
        [127, ..] => AddressZone::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressZone::Private,
        // This network, link-local, protocol assignments, documentation, relays, benchmarks, groups,
        // and what is reserved.
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            AddressZone::Forbidden
        }
        [192, 88, 99, _] | [198, 18..=19, ..] | [224..=255, ..] => AddressZone::Forbidden,
        _ => AddressZone::Public,
    }
}

/// IPv6's special ranges (RFC 6890, and IANA's registry): what is not known to be public is not.
fn of_v6(address: Ipv6Addr) -> AddressZone {
    if METADATA_V6.contains(&address) {
        return AddressZone::Forbidden;
    }
    if let Some(inner) = carried(address) {
        return of_v4(inner);
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

/// The IPv4 address that a mapped one (RFC 4291), a 6to4 one (RFC 3056) or one behind the well-known
/// translator (RFC 6052) carries.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Why nothing is fetched from a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisallowedUrl {
    /// What it answers could be anybody's.
    #[error("must be https; http is for loopback addresses with `allow_private` alone")]
    Scheme,
    /// It holds what has no place in it.
    #[error("must not hold a user name, a password or a fragment")]
    Extra,
    /// Its address is in a zone that is out of reach.
    #[error(
        "names an address that is not public: `allow_private` allows private networks, and nothing allows a \
         cloud's metadata, link-local and reserved addresses"
    )]
    Address,
}

/// Refuses URLs that nothing is fetched from where `reach` is the furthest zone allowed. What a host's
/// name leads to is judged when it is known, with [`AddressZone::of`].
///
/// # Errors
/// As [`DisallowedUrl`] tells.
pub fn fetchable(url: &Url, reach: AddressZone) -> Result<(), DisallowedUrl> {
    let is_local = reach == AddressZone::Loopback && is_on_loopback(url);
    if url.scheme() != "https" && !is_local {
        return Err(DisallowedUrl::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(DisallowedUrl::Extra);
    }
    match address_of(url) {
        Some(address) if AddressZone::of(address) > reach => Err(DisallowedUrl::Address),
        _ => Ok(()),
    }
}

/// True for plain http on an address of this machine itself.
#[must_use]
pub fn is_on_loopback(url: &Url) -> bool {
    url.scheme() == "http"
        && address_of(url).is_some_and(|address| AddressZone::of(address) == AddressZone::Loopback)
}

fn address_of(url: &Url) -> Option<IpAddr> {
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
    fn s10_nothing_is_fetched_from_a_hostile_url() {
        let judge = |text: &str, reach| fetchable(&Url::parse(text).unwrap(), reach);
        for (reach, urls) in [
            (AddressZone::Public, "https://issuer.example https://8.8.8.8/x https://[2606:4700::1111]:8443"),
            (AddressZone::Private, "https://10.0.0.1 https://[fd00::1] https://issuer.internal"),
            (AddressZone::Loopback, "http://127.0.0.1:1/a http://[::1]:1 https://127.0.0.1 https://10.0.0.1"),
        ] {
            for url in urls.split_whitespace() {
                assert_eq!(judge(url, reach), Ok(()), "{url}");
            }
        }
        for (reach, problem, urls) in [
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
                assert_eq!(judge(url, reach), Err(problem), "{url}");
            }
        }
    }

    #[test]
    fn s10_each_address_leads_where_it_leads_however_it_is_written() {
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
