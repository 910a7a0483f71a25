//! The files of the messenger and of the client package.

use axum::{
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Answer, answer::problem::Problem, extract::conditional, server::envelope::Public};
use crate::web::{self, File};

/// What the page may do: run and fetch what this service serves, and nothing else. No text can
/// become HTML by mistake: a browser that supports trusted types refuses to parse any. The one type that the
/// page may make names its service worker (`installing.js`).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types worker";

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    // Browsers revalidate each file and mostly get 304: the files are only consistent together.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    ),
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

/// The page.
pub async fn get_page(headers: HeaderMap) -> Answer {
    found(web::messenger(web::PAGE), &headers)
}

/// A file that the page is made of.
pub async fn get_file(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Answer {
    found(
        name.ok().and_then(|Path(name)| web::messenger(&name)),
        &headers,
    )
}

/// A file of the client package.
pub async fn get_package_file(
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    found(
        name.ok().and_then(|Path(name)| web::package(&name)),
        &headers,
    )
}

fn found(file: Option<File>, headers: &HeaderMap) -> Answer {
    let file = file.ok_or_else(Problem::no_such_resource)?;
    let mut response = answer(file, headers);
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
