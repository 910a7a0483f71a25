//! The URLs of issuers.

use std::str::FromStr;

use reqwest::Url;

/// An absolute URL with the scheme http or https.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl(pub(super) Url);

/// The value is no [`EndpointUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL, as https://issuer.example/keys")]
pub struct BadEndpoint;

impl FromStr for EndpointUrl {
    type Err = BadEndpoint;

    fn from_str(value: &str) -> Result<Self, BadEndpoint> {
        // The parser would take "http:keys" for the host "keys".
        if !value.starts_with("http://") && !value.starts_with("https://") {
            return Err(BadEndpoint);
        }
        Url::parse(value).map(Self).map_err(|_| BadEndpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_absolute_url_of_http() {
        for value in ["https://issuer.example/keys?v=2", "http://127.0.0.1:9000"] {
            assert!(value.parse::<EndpointUrl>().is_ok(), "{value}");
        }
        for value in [
            "",
            "issuer.example/keys",
            "ftp://issuer.example",
            "https://",
            "http:keys",
            "http://a:port",
        ] {
            assert_eq!(value.parse::<EndpointUrl>(), Err(BadEndpoint), "{value}");
        }
    }
}
