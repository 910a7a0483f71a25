//! Encodings of answers, for who takes them (RFC 9110, section 12.5.3).

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use tower::ServiceExt;
use tower_http::compression::Compression;

/// Leaves of `Accept-Encoding` what the service can do. An encoding that is not there is no reason
/// to refuse an answer, least of all after a change was made.
pub fn offer(headers: &mut HeaderMap) {
    if !headers.contains_key(header::ACCEPT_ENCODING) {
        return;
    }
    let wanted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let known: Vec<_> = wanted
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(',').map(str::trim))
        .filter(|coding| coding.starts_with("gzip") || coding.starts_with("br"))
        .collect();
    match HeaderValue::try_from(known.join(", ")) {
        Ok(known) if !known.is_empty() => headers.insert(header::ACCEPT_ENCODING, known),
        _ => headers.remove(header::ACCEPT_ENCODING),
    };
}

/// Answers a request, encoded where it takes an encoding.
///
/// Others do not pass the encoder at all: its six kilobytes stand in the body of every answer that does,
/// and are moved with it from layer to layer.
pub async fn answer(request: Request, next: Next) -> Response {
    let takes_one = request.headers().contains_key(header::ACCEPT_ENCODING);
    let mut response = if takes_one { encoded(request, next).await } else { next.run(request).await };
    // The encoder says so only of what it could have encoded.
    let name = HeaderValue::from(header::ACCEPT_ENCODING);
    if response.headers().get_all(header::VARY).iter().all(|line| line != name) {
        response.headers_mut().append(header::VARY, name);
    }
    response
}

async fn encoded(request: Request, next: Next) -> Response {
    let encoding = async {
        let Ok(response) = Compression::new(next).oneshot(request).await;
        response.map(Body::new)
    };
    Box::pin(encoding).await
}
