//! The files of the messenger and of the client package.

use std::str::FromStr;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::{
    Answer, Service,
    answer::problem::Problem,
    extract::conditional,
    server::{cors::as_browsers_write_it, envelope::Public},
};
use crate::web::{self, File};

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    // Browsers revalidate each file and mostly get 304: the files are only consistent together.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    // The service worker keeps the page, which is above its own file.
    (
        HeaderName::from_static("service-worker-allowed"),
        HeaderValue::from_static("/"),
    ),
];

/// The URL of a service for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesUrl {
    url: String,
    origin: String,
}

/// The value is no [`FilesUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL with the name of a host, as https://shop.example/files")]
pub struct BadFilesUrl;

impl FromStr for FilesUrl {
    type Err = BadFilesUrl;

    fn from_str(value: &str) -> Result<Self, BadFilesUrl> {
        let uri: Uri = value.parse().map_err(|_| BadFilesUrl)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let origin = as_browsers_write_it(&uri).ok_or(BadFilesUrl)?;
        // A policy of a page names no other hosts, and a page calls none with a password.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        let has_plain_host = uri.host().is_some_and(|host| host.bytes().all(is_plain));
        let has_password = uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
        if !is_http || !has_plain_host || has_password {
            return Err(BadFilesUrl);
        }
        Ok(Self {
            url: value.to_owned(),
            origin,
        })
    }
}

/// The name of the file that has the settings of the page.
const SETTINGS: &str = "settings.json";

/// The settings of the page, and what it may do.
pub struct Page {
    settings: File,
    policy: HeaderValue,
    /// Of the policy, in the tag of each file: not every browser takes the policy of an answer without a file.
    policy_tag: String,
}

impl Page {
    /// `files` is where it uploads files.
    pub fn new(files: Option<&FilesUrl>) -> Self {
        let mut settings = serde_json::Map::new();
        if let Some(url) = files {
            settings.insert("filesUrl".to_owned(), url.url.as_str().into());
        }
        let policy = policy(files.map_or("", |url| &url.origin));
        Self {
            settings: web::json(serde_json::Value::from(settings).to_string()),
            policy_tag: web::tag_of(policy.as_bytes()),
            policy,
        }
    }
}

/// The page runs and fetches what this service serves, and calls `origin` besides, if there is one. No text can
/// become HTML by mistake: a browser that supports trusted types refuses to parse any. The one type that the
/// page may make names its service worker (`installing.js`).
fn policy(origin: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {origin}; img-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types worker"
    );
    HeaderValue::try_from(policy).expect("an origin is visible ASCII")
}

/// The page.
pub async fn get_page(State(service): State<Service>, headers: HeaderMap) -> Answer {
    found(&service.page, web::messenger(web::PAGE), &headers)
}

/// A file that the page is made of.
pub async fn get_file(
    State(service): State<Service>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let file = name.ok().and_then(|Path(name)| match name.as_str() {
        SETTINGS => Some(service.page.settings.clone()),
        name => web::messenger(name),
    });
    found(&service.page, file, &headers)
}

/// A file of the client package.
pub async fn get_package_file(
    State(service): State<Service>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let file = name.ok().and_then(|Path(name)| web::package(&name));
    found(&service.page, file, &headers)
}

fn found(page: &Page, file: Option<File>, headers: &HeaderMap) -> Answer {
    let mut file = file.ok_or_else(Problem::no_such_resource)?;
    file.tag.push_str(&page.policy_tag);
    let mut response = answer(file, headers);
    let policy = page.policy.clone();
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    response.extensions_mut().insert(Public);
    Ok(response)
}

fn answer(file: File, headers: &HeaderMap) -> Response {
    // Weak, because the same tag serves every encoding of the file.
    let tag = [(header::ETAG, format!("W/\"{}\"", file.tag))];
    if conditional::names(headers, &file.tag) {
        return (StatusCode::NOT_MODIFIED, HEADERS, tag).into_response();
    }
    (
        HEADERS,
        tag,
        [(header::CONTENT_TYPE, file.media_type)],
        file.content,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_for_files_has_an_origin_that_a_policy_can_name() {
        for (value, origin) in [
            ("https://Shop.example:443/files", "https://shop.example"),
            (
                "http://127.0.0.1:9001/files?of=jane",
                "http://127.0.0.1:9001",
            ),
        ] {
            let url: FilesUrl = value.parse().unwrap();
            assert_eq!((url.url.as_str(), url.origin.as_str()), (value, origin));
            let policy = Page::new(Some(&url)).policy;
            let policy = policy.to_str().unwrap();
            assert!(
                policy.contains(&format!("connect-src 'self' {origin};")),
                "{policy}"
            );
        }
        for value in [
            "",
            "/files",
            "shop.example/files",
            "ftp://shop.example/files",
            "http://[::1]:9001/files",
            "https://jane:secret@shop.example/files",
            "https://*/files",
            "https://shop.example;x/files",
        ] {
            assert_eq!(value.parse::<FilesUrl>(), Err(BadFilesUrl), "{value}");
        }
    }
}
