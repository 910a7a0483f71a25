//! Which pages of other origins may call the service (the Fetch standard's CORS protocol).

use std::{str::FromStr, time::Duration};

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::http::rates::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// How long a browser may cache the answer to a preflight request: an hour, so that a change of the
/// setting takes effect within an hour.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

/// An origin whose pages may call, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Any,
    /// As browsers write it in `Origin` (RFC 6454, section 6.2).
    Of(HeaderValue),
}

/// Why a value is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    #[error("an origin is a scheme and a host, as https://shop.example, or *")]
    Malformed,
    /// Browsers send no path, not even a slash, so nothing would ever match.
    #[error("browsers write this origin as {0}")]
    Otherwise(String),
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(value: &str) -> Result<Self, BadOrigin> {
        if value == "*" {
            return Ok(Self::Any);
        }
        let uri: Uri = value.parse().map_err(|_| BadOrigin::Malformed)?;
        let written = as_browsers_write_it(&uri).ok_or(BadOrigin::Malformed)?;
        if written != value {
            return Err(BadOrigin::Otherwise(written));
        }
        HeaderValue::try_from(written)
            .map(Self::Of)
            .map_err(|_| BadOrigin::Malformed)
    }
}

/// The scheme and the host in lower case, and the port unless it is the scheme's own.
pub fn as_browsers_write_it(uri: &Uri) -> Option<String> {
    let (scheme, host) = (uri.scheme_str()?.to_lowercase(), uri.host()?.to_lowercase());
    let port = match (scheme.as_str(), uri.port_u16()) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    (!host.is_empty()).then(|| format!("{scheme}://{host}{port}"))
}

/// What pages of `origins` may do; `None` if there are no origins.
pub fn layer(origins: &[Origin]) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("as-user"),
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("prefer"),
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static("idempotent-replayed"),
            HeaderName::from_static("preference-applied"),
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(PREFLIGHT_AGE);
    (!origins.is_empty()).then(|| layer.allow_origin(allowed(origins)))
}

fn allowed(origins: &[Origin]) -> AllowOrigin {
    let names = origins.iter().map(|origin| match origin {
        Origin::Any => None,
        Origin::Of(name) => Some(name.clone()),
    });
    names
        .collect::<Option<Vec<_>>>()
        .map_or_else(AllowOrigin::any, AllowOrigin::list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for value in [
            "https://a.example",
            "http://localhost:3000",
            "http://[::1]:3000",
            "app://host",
        ] {
            let name = HeaderValue::from_static(value);
            assert_eq!(value.parse(), Ok(Origin::Of(name)), "{value}");
        }
        for (value, written) in [
            ("https://a.example/", "https://a.example"),
            ("https://a.example/shop?x=1", "https://a.example"),
            ("HTTPS://A.example", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("https://jane:secret@a.example", "https://a.example"),
        ] {
            let refused = BadOrigin::Otherwise(written.to_owned());
            assert_eq!(value.parse::<Origin>(), Err(refused), "{value}");
        }
        for value in [
            "",
            "a.example",
            "a.example:80",
            "null",
            "https://",
            "//a.example",
            "https://ä.example",
        ] {
            assert_eq!(
                value.parse::<Origin>(),
                Err(BadOrigin::Malformed),
                "{value}"
            );
        }
    }

    #[test]
    fn no_origin_means_no_layer_and_a_star_means_all() {
        assert!(layer(&[]).is_none());
        let one = Origin::Of(HeaderValue::from_static("https://a.example"));
        assert_eq!(
            format!("{:?}", allowed(&[one, Origin::Any])),
            format!("{:?}", AllowOrigin::any())
        );
    }
}
