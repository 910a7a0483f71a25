//! Encodings of answers, for who takes them (RFC 9110, section 12.5.3).

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use tower::ServiceExt;
use tower_http::compression::Compression;

use super::envelope::Account;

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
pub async fn answer(request: Request, next: Next, account: Account) -> Response {
    let takes_one = request.headers().contains_key(header::ACCEPT_ENCODING);
    if takes_one {
        return encoded(request, next, account).await;
    }
    account.hold(next.run(request).await).await
}

async fn encoded(request: Request, next: Next, account: Account) -> Response {
    let held = next.then(move |answered: Result<Response, Infallible>| async move {
        let Ok(response) = answered;
        Ok::<_, Infallible>(account.hold(response).await)
    });
    let encoding = async {
        let Ok(response) = Compression::new(held).oneshot(request).await;
        response.map(Body::new)
    };
    Box::pin(encoding).await
}
