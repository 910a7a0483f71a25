//! What surrounds every request: its id, its log line, its metrics and the document of its problem;
//! reading the rest of its body; encoding its answer; and what caches may keep.
//!
//! The id is made here and not by `tower-http`, whose layer accepts any value from a caller: this
//! id is written into log lines.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use super::{Link, budget::Budget, encoding, unread_body};
use crate::{
    http::answer::problem::{self, Problem},
    random,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is taken from the caller, in characters; a UUID has 36.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// The longest target of a request, in bytes. RFC 9110, section 4.1, recommends 8,000 at the least;
/// a hundred ids of users with every character escaped take 20,000.
pub const TARGET_BYTES_MAX: usize = 32 * 1024;

/// What an answer varies by, for caches between the service and its callers.
const VARY: HeaderValue =
    HeaderValue::from_static("Accept, Accept-Encoding, Authorization, As-User");

/// What a public answer varies by. The encoder adds the same to each answer that it could encode.
const VARY_OF_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// The id of a request, among its extensions.
#[derive(Clone)]
pub struct RequestId(HeaderValue);

/// Marks a held answer or a stream, whose duration says nothing about the service.
#[derive(Clone)]
pub struct LongLived;

/// Marks an answer that is the same for every caller: it contains nothing of any user.
#[derive(Clone)]
pub struct Public;

impl RequestId {
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Gives the request an id and a span, counts it, and renders the problem that it ended in.
pub async fn envelope(
    State(budget): State<Arc<Budget>>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route
        .as_ref()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let span = tracing::info_span!(
        "request",
        request.id = id.to_str().unwrap_or_default(),
        trace.id = trace_id(request.headers()),
        http.method = method,
        http.route = route,
    );
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = match check_target(&request).and_then(|()| check_host(&request)) {
        Ok(()) => answer(request, next, budget).instrument(span.clone()).await,
        Err(problem) => problem.into_response(),
    };
    span.in_scope(|| finish(&mut response, &id, began));
    if response.extensions().get::<LongLived>().is_some() {
        metrics::counter!("messages_http_held_requests_total", "route" => route).increment(1);
    } else {
        metrics::histogram!(
            "messages_http_request_seconds",
            "method" => method,
            "route" => route,
            "status" => response.status().as_u16().to_string(),
        )
        .record(began.elapsed().as_secs_f64());
    }
    response
}

async fn answer(mut request: Request, next: Next, budget: Arc<Budget>) -> Response {
    encoding::offer(request.headers_mut());
    let link = request.extensions().get::<Link>().cloned();
    let is_read = request.method().is_safe();
    let account = Account {
        budget,
        link,
        is_read,
    };
    let mut response = unread_body::finish_reading(request, next, account).await;
    mark_for_caches(&mut response);
    response
}

/// Where an answer is counted until it is read.
#[derive(Clone)]
pub struct Account {
    budget: Arc<Budget>,
    link: Option<Link>,
    is_read: bool,
}

impl Account {
    /// Counts an answer before it is encoded, with the permit of its request.
    pub async fn hold(self, response: Response) -> Response {
        let permit = self.link.as_ref().and_then(Link::take_permit);
        self.budget.hold(response, permit, self.is_read).await
    }
}

/// The method, if HTTP defines it: invented ones must not fill the metrics.
fn method_name(method: &Method) -> &'static str {
    const METHODS: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    METHODS
        .into_iter()
        .find(|name| *name == method.as_str())
        .unwrap_or("other")
}

fn check_target(request: &Request) -> Result<(), Problem> {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > TARGET_BYTES_MAX {
        Err(Problem::target_too_long())
    } else {
        Ok(())
    }
}

/// A request of HTTP/1.1 names its host exactly once (RFC 9112, section 3.2).
fn check_host(request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_valid = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok(),
        (None, _) => request.version() != Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    is_valid
        .then_some(())
        .ok_or_else(|| Problem::malformed("Host must be given once and be a host"))
}

fn finish(response: &mut Response, id: &HeaderValue, began: Instant) {
    if response.status() == StatusCode::NOT_FOUND
        && !response.headers().contains_key(header::CONTENT_TYPE)
    {
        // Swagger UI answers a missing file with an empty 404.
        *response = Problem::no_such_resource().into_response();
    }
    let status = response.status().as_u16();
    let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        match problem.status() {
            // Shedding load and waiting for the database are no faults.
            StatusCode::SERVICE_UNAVAILABLE => {
                tracing::warn!(http.status = status, duration_ms, %problem, "the request was not served");
            }
            status_code if status_code.is_server_error() => {
                tracing::error!(http.status = status, duration_ms, %problem, "the request failed");
            }
            _ => {}
        }
        let document = problem.render(id.to_str().unwrap_or_default());
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, document.len().into());
        let media_type = HeaderValue::from_static(problem::MEDIA_TYPE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        *response.body_mut() = Body::from(document);
    }
    tracing::debug!(http.status = status, duration_ms, "answered");
    response.headers_mut().insert(REQUEST_ID, id.clone());
}

/// The caller's own id, if it fits into a log line as it is; else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| {
        (1..=REQUEST_ID_CHARS_MAX).contains(&id.len())
            && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::try_from(random::request_id()).expect("a UUID is visible ASCII")
    })
}

/// The trace that the request belongs to (W3C Trace Context, version 00); empty if there is none.
fn trace_id(headers: &HeaderMap) -> &str {
    let traceparent = headers
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut fields = traceparent.split('-');
    let version = fields.next().unwrap_or_default();
    let trace = fields.next().unwrap_or_default();
    let is_lower_hex = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_valid = version.len() == 2
        && version != "ff"
        && is_lower_hex(version)
        && trace.len() == 32
        && is_lower_hex(trace)
        && trace.bytes().any(|byte| byte != b'0');
    if is_valid { trace } else { "" }
}

/// Keeps answers out of shared caches, makes private caches revalidate, and sets `Vary`.
fn mark_for_caches(response: &mut Response) {
    let is_public = response.extensions().get::<Public>().is_some();
    let headers = response.headers_mut();
    // CORS adds headers by which the answer varies too.
    let lines = headers.get_all(header::VARY).iter();
    let others: Vec<_> = lines
        .filter(|line| *line != VARY_OF_ENCODING)
        .cloned()
        .collect();
    headers.insert(
        header::VARY,
        if is_public { VARY_OF_ENCODING } else { VARY },
    );
    for other in others {
        headers.append(header::VARY, other);
    }
    if !is_public {
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("private, no-cache"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_request_id_is_taken_only_if_it_fits_a_log_line() {
        assert_eq!(request_id(&headers(REQUEST_ID, "abc-123")), "abc-123");
        assert_ne!(request_id(&headers(REQUEST_ID, "a b")), "a b");
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }

    #[test]
    fn a_trace_id_is_taken_from_a_valid_traceparent() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let given = headers(
            TRACEPARENT,
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
        assert_eq!(trace_id(&given), trace);
        for bad in [
            "",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7-b7ad6b7169203331-01",
        ] {
            assert_eq!(trace_id(&headers(TRACEPARENT, bad)), "", "{bad}");
        }
    }
}
