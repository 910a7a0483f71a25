//! Which addresses may be called, and the resolver that returns no other.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::CallbackUrl;

/// An address of every machine of Azure, at which it gets its secrets.
/// <https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16>
const AZURE_METADATA: Ipv4Net = ipv4([168, 63, 129, 16], 32);

/// What is not public of IPv4:
/// <https://www.iana.org/assignments/iana-ipv4-special-registry/iana-ipv4-special-registry.xhtml>,
/// with multicast and what is reserved.
const SPECIAL_IPV4: [Ipv4Net; 15] = [
    ipv4([0, 0, 0, 0], 8),
    ipv4([10, 0, 0, 0], 8),
    ipv4([100, 64, 0, 0], 10),
    ipv4([127, 0, 0, 0], 8),
    AZURE_METADATA,
    ipv4([169, 254, 0, 0], 16),
    ipv4([172, 16, 0, 0], 12),
    ipv4([192, 0, 0, 0], 24),
    ipv4([192, 0, 2, 0], 24),
    ipv4([192, 88, 99, 0], 24),
    ipv4([192, 168, 0, 0], 16),
    ipv4([198, 18, 0, 0], 15),
    ipv4([198, 51, 100, 0], 24),
    ipv4([203, 0, 113, 0], 24),
    ipv4([224, 0, 0, 0], 3),
];

/// All global addresses of IPv6 begin like this (RFC 4291, section 2.4, as IANA allocates them).
const GLOBAL_IPV6: Ipv6Net = ipv6([0x2000, 0, 0, 0], 3);

/// What is not public of them: addresses of protocols (Teredo among them), examples, and 6to4.
/// <https://www.iana.org/assignments/iana-ipv6-special-registry/iana-ipv6-special-registry.xhtml>
const SPECIAL_IPV6: [Ipv6Net; 4] = [
    ipv6([0x2001, 0, 0, 0], 23),
    ipv6([0x2001, 0xdb8, 0, 0], 32),
    ipv6([0x2002, 0, 0, 0], 16),
    ipv6([0x3fff, 0, 0, 0], 20),
];

/// Addresses of IPv4 as a translator to IPv6 has them (RFC 6052, section 2.1).
const TRANSLATED: Ipv6Net = ipv6([0x64, 0xff9b, 0, 0], 96);

/// How long it is remembered that a name could not be resolved.
const UNRESOLVED_TTL: Duration = Duration::from_secs(30);

const fn ipv4([a, b, c, d]: [u8; 4], prefix_bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_bits)
}

const fn ipv6([a, b, c, d]: [u16; 4], prefix_bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix_bits)
}

/// Why nothing may be sent to a host. The text is the rest of a sentence about its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("must have a host with a public address")]
    NotPublic,
    #[error("must have a host whose name can be resolved")]
    Unresolved,
}

/// The addresses that may be called: public ones, and those of networks that the configuration allows.
pub struct Addresses {
    networks: Vec<IpNet>,
}

impl Addresses {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    fn permit(&self, address: IpAddr) -> bool {
        let address = untranslated(address);
        let is_allowed = |network: &IpNet| network.contains(&address);
        is_public(address) || self.networks.iter().any(is_allowed)
    }
}

/// The address of IPv4 to which one of IPv6 leads, if it does.
fn untranslated(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if TRANSLATED.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        _ => address.to_canonical(),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_IPV4.iter().any(|special| special.contains(&v4)),
        IpAddr::V6(v6) => {
            let is_special = SPECIAL_IPV6.iter().any(|special| special.contains(&v6));
            GLOBAL_IPV6.contains(&v6) && !is_special
        }
    }
}

/// Resolves names to addresses that may be called.
#[derive(Clone)]
pub struct Resolver {
    names: TokioResolver,
    addresses: Arc<Addresses>,
}

impl Resolver {
    pub fn new(addresses: Addresses) -> Result<Self, NetError> {
        let builder = TokioResolver::builder_tokio();
        let builder = builder.unwrap_or_else(|error| {
            tracing::warn!(%error, "the configuration of DNS cannot be read: no name is resolved");
            builder_for(Vec::new())
        });
        Self::built(builder, addresses)
    }

    /// A resolver that asks this server and not those of the system.
    #[cfg(test)]
    pub fn asking(server: NameServerConfig, addresses: Addresses) -> Result<Self, NetError> {
        Self::built(builder_for(vec![server]), addresses)
    }

    fn built(
        mut builder: ResolverBuilder<TokioRuntimeProvider>,
        addresses: Addresses,
    ) -> Result<Self, NetError> {
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.negative_max_ttl = Some(UNRESOLVED_TTL);
        Ok(Self {
            names: builder.build()?,
            addresses: Arc::new(addresses),
        })
    }

    /// Fails unless the address may be called.
    pub fn permit(&self, address: IpAddr) -> Result<(), Unreachable> {
        if self.addresses.permit(address) {
            Ok(())
        } else {
            Err(Unreachable::NotPublic)
        }
    }

    /// The addresses of the URL's host that may be called: at least one.
    pub async fn addresses_of(&self, url: &CallbackUrl) -> Result<Vec<IpAddr>, Unreachable> {
        match url.literal_address() {
            Some(address) => self.permit(address).map(|()| vec![address]),
            None => self.resolve_name(url.host()).await,
        }
    }

    async fn resolve_name(&self, name: &str) -> Result<Vec<IpAddr>, Unreachable> {
        // A name with a dot is a whole one: the domains in which this machine searches are not tried.
        let is_whole = name.contains('.') && !name.ends_with('.');
        let name = format!("{name}{}", if is_whole { "." } else { "" });
        let found = self.names.lookup_ip(name).await;
        let found = found.map_err(|_| Unreachable::Unresolved)?;
        let permitted = found
            .iter()
            .filter(|address| self.addresses.permit(*address));
        let permitted: Vec<_> = permitted.collect();
        if permitted.is_empty() {
            Err(Unreachable::NotPublic)
        } else {
            Ok(permitted)
        }
    }
}

fn builder_for(servers: Vec<NameServerConfig>) -> ResolverBuilder<TokioRuntimeProvider> {
    let config = ResolverConfig::from_name_servers(servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let permitted = resolver.resolve_name(name.as_str()).await?;
            // The port is that of the URL.
            let addresses = permitted
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(networks: &[&str]) -> Addresses {
        let networks = networks.iter().map(|network| network.parse().unwrap());
        Addresses::new(networks.collect())
    }

    #[test]
    fn only_public_addresses_may_be_called() {
        let public = addresses(&[]);
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(public.permit(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public.permit(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_network_that_is_allowed_may_be_called_however_its_addresses_are_written() {
        let own = addresses(&["10.1.0.0/16", "fd00::/8"]);
        for address in [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "fd00::1",
        ] {
            assert!(own.permit(address.parse().unwrap()), "{address}");
        }
        for address in ["10.2.0.1", "::ffff:10.2.0.1", "fc00::1", "127.0.0.1"] {
            assert!(!own.permit(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        let found = async |networks: &[&str], url: &str| {
            let resolver = Resolver::new(addresses(networks)).unwrap();
            let url = CallbackUrl::parse(url).unwrap();
            resolver.addresses_of(&url).await
        };
        for url in [
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
        ] {
            assert_eq!(found(&[], url).await, Err(Unreachable::NotPublic), "{url}");
        }
        let loopback = vec![IpAddr::from([127, 0, 0, 1])];
        let allowed = found(&["127.0.0.0/8"], "http://localhost/").await;
        assert_eq!(allowed, Ok(loopback));
        let invalid = found(&[], "http://nowhere.invalid/").await;
        assert_eq!(invalid, Err(Unreachable::Unresolved));
    }
}
