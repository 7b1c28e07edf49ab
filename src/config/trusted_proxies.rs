//! The setting `http.trusted_proxies`: networks or single addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use super::value::RawValue;

/// The maximum number of networks; each is compared with the addresses of a forwarded request.
const MAX_NETWORKS: usize = 100;

/// Reads networks and addresses.
pub(super) fn networks(value: &RawValue) -> Result<Vec<IpNet>, String> {
    let texts = value.texts()?;
    if texts.len() > MAX_NETWORKS {
        return Err(format!("names more than {MAX_NETWORKS} networks"));
    }
    texts.into_iter().map(network).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            "must be addresses or networks such as `10.0.0.1`, `10.0.0.0/8` or `fd00::/8`".to_owned()
        })?,
    };
    if network.addr() != network.network() {
        return Err(format!("names {network}, which begins in the middle: write {}", network.trunc()));
    }
    if network.prefix_len() == 0 {
        return Err(format!("names {network}, which is everybody: name the proxies' own networks"));
    }
    if is_mapped(&network) {
        return Err(format!("names {network}, an IPv4 network in the clothes of IPv6: write it as IPv4"));
    }
    Ok(network)
}

/// Returns true for a network inside `::ffff:0:0/96`: such addresses are read as IPv4, so it would never match.
fn is_mapped(network: &IpNet) -> bool {
    match network {
        IpNet::V4(_) => false,
        IpNet::V6(network) => network.network().to_ipv4_mapped().is_some() && network.prefix_len() >= 96,
    }
}
