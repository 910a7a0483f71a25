//! The URLs that applications name.

use std::net::IpAddr;

use reqwest::Url;

use crate::domain::Invalid;

/// The longest URL in ASCII, in characters.
const URL_CHARS_MAX: usize = 2000;

/// An absolute URL with the scheme http or https, without a user or a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackUrl(Url);

impl CallbackUrl {
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        // The parser would take "http:keys" for the host "keys".
        let is_absolute = value.starts_with("http://") || value.starts_with("https://");
        let url = Url::parse(value).ok().filter(|_| is_absolute);
        let url = url.ok_or(Invalid("must be a URL, as https://shop.example/hook"))?;
        if url.as_str().len() > URL_CHARS_MAX {
            return Err(Invalid("must be at most 2,000 characters, as ASCII"));
        }
        if url.username().is_empty() && url.password().is_none() {
            Ok(Self(url))
        } else {
            Err(Invalid("must have no user and no password"))
        }
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn as_url(&self) -> &Url {
        &self.0
    }

    pub(super) fn host(&self) -> &str {
        self.0
            .host_str()
            .expect("an absolute URL of http has a host")
    }

    /// The address, of a URL that has one in place of a name. The parser reads every way of writing one.
    pub(super) fn literal_address(&self) -> Option<IpAddr> {
        let host = self.host();
        let within_brackets = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        within_brackets.unwrap_or(host).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_goes_to_an_absolute_url_of_http_without_credentials() {
        for value in [
            "https://shop.example/hook?v=2",
            "http://127.0.0.1:9000",
            "https://[2001:db8::1]/",
            &format!("https://shop.example/{}", "x".repeat(1979)),
        ] {
            assert!(CallbackUrl::parse(value).is_ok(), "{value}");
        }
        for value in [
            "",
            "shop.example/hook",
            "ftp://shop.example",
            "file:///etc/passwd",
            "https://",
            "http:hook",
            "http://a:port",
            "https://jane@shop.example",
            "https://jane:secret@shop.example",
            "https://:secret@shop.example",
            &format!("https://shop.example/{}", "x".repeat(1980)),
            &format!("https://shop.example/{}", "é".repeat(400)),
        ] {
            assert!(CallbackUrl::parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn an_address_is_found_however_it_is_written() {
        let address = |url: &str| {
            let address = CallbackUrl::parse(url).unwrap().literal_address();
            address.map(|address| address.to_string())
        };
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1./",
            "http://１２７.0.0.1/",
        ] {
            assert_eq!(address(url).as_deref(), Some("127.0.0.1"), "{url}");
        }
        assert_eq!(address("http://[::1]:80/").as_deref(), Some("::1"));
        let mapped = address("http://[::ffff:169.254.169.254]/");
        assert_eq!(mapped.as_deref(), Some("::ffff:169.254.169.254"));
        assert_eq!(address("http://localhost/"), None);
    }
}
