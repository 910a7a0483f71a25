//! Encodings of answers (RFC 9110, section 12.5.3).

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

/// Removes the encodings that the service does not support from `Accept-Encoding`. They are no
/// reason to refuse an answer, least of all after a change was made.
pub fn offer(headers: &mut HeaderMap) {
    if !headers.contains_key(header::ACCEPT_ENCODING) {
        return;
    }
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let offered: Vec<_> = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(',').map(str::trim))
        .filter(|coding| coding.starts_with("gzip") || coding.starts_with("br"))
        .collect();
    match HeaderValue::try_from(offered.join(", ")) {
        Ok(offered) if !offered.is_empty() => headers.insert(header::ACCEPT_ENCODING, offered),
        _ => headers.remove(header::ACCEPT_ENCODING),
    };
}

/// Answers a request, and encodes the answer if the caller accepts an encoding.
///
/// Other answers bypass the encoder: it adds six kilobytes to the body of an answer, which are
/// moved with it from layer to layer.
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
