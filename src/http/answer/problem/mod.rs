//! Problem documents (RFC 9457): what every error looks like.

pub mod kinds;
mod mapping;

use std::{any::Any, fmt, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{domain::Timestamp, store};
pub use kinds::Kind;

pub const MEDIA_TYPE: &str = "application/problem+json";

/// When a caller should come back whose request waits for answers to be taken, in seconds.
const RETRY_TAKEN_SECONDS: u32 = 1;

/// Something that went wrong, on its way to the caller.
///
/// It travels as an extension of the response and is written down by
/// [`frame`](crate::http::server::envelope::envelope), which knows the request's id.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    errors: Vec<FieldError>,
    member: Option<Member>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What has failed inside of the service, for its log alone.
    cause: Option<Arc<store::Error>>,
}

/// A member that only one kind of problem has.
#[derive(Debug, Clone, Copy)]
enum Member {
    Current(Timestamp),
    Last(Timestamp),
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field of the body, or the name of the parameter or header.
    #[schema(example = "text")]
    pub field: String,
    #[schema(example = "must be at most 20,000 characters")]
    pub detail: String,
}

impl FieldError {
    pub fn new(field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            detail: detail.into(),
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemDocument<'a> {
    /// Names the kind of problem, relative to the service.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    kind: String,
    #[schema(example = "The request is not acceptable")]
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 422, minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time.
    #[schema(example = "text must be at most 20,000 characters")]
    detail: &'a str,
    /// With 422: every field that is not acceptable.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// With 412: the timestamp that the message or chat has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    current: Option<i64>,
    /// With 410 `cursor-ahead`: the last timestamp that the service has given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 0, maximum = 9007199254740991_i64)]
    last: Option<i64>,
    /// The id under which the service has logged the request.
    request_id: &'a str,
}

impl Problem {
    fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            member: None,
            headers: Vec::new(),
            cause: None,
        }
    }

    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(&kinds::MALFORMED, detail)
    }

    pub fn not_found() -> Self {
        Self::new(
            &kinds::NOT_FOUND,
            "there is nothing of this name, or it is not yours",
        )
    }

    pub fn forbidden(detail: &'static str) -> Self {
        Self::new(&kinds::FORBIDDEN, detail)
    }

    pub fn no_such_resource() -> Self {
        Self::new(
            &kinds::NO_SUCH_RESOURCE,
            "the service has no resource of this name",
        )
    }

    pub fn body_too_slow() -> Self {
        Self::new(&kinds::BODY_TOO_SLOW, "the body did not arrive in time")
    }

    pub fn body_too_large(bytes_max: usize) -> Self {
        Self::new(
            &kinds::BODY_TOO_LARGE,
            format!("the body must be at most {bytes_max} bytes"),
        )
    }

    /// `accepted` are the media types that the operation reads.
    pub fn unsupported_media_type(method: &Method, accepted: &str) -> Self {
        let name = if method == Method::PATCH {
            "accept-patch"
        } else {
            "accept-post"
        };
        Self::new(
            &kinds::UNSUPPORTED_MEDIA_TYPE,
            format!("Content-Type must be one of {accepted}"),
        )
        .with_header(HeaderName::from_static(name), accepted)
    }

    pub fn unsupported_encoding() -> Self {
        Self::new(
            &kinds::UNSUPPORTED_MEDIA_TYPE,
            "the body must not be encoded: no Content-Encoding",
        )
        .with_header(header::ACCEPT_ENCODING, "identity")
    }

    pub fn not_acceptable(offered: &str) -> Self {
        Self::new(
            &kinds::NOT_ACCEPTABLE,
            format!("Accept must allow one of {offered}"),
        )
    }

    /// Every field that is not acceptable; there is at least one.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let sentences: Vec<_> = errors
            .iter()
            .map(|error| format!("{} {}", error.field, error.detail))
            .collect();
        Self {
            errors,
            ..Self::new(&kinds::INVALID, sentences.join("; "))
        }
    }

    pub fn invalid_field(field: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, detail)])
    }

    pub fn target_too_long() -> Self {
        Self::new(&kinds::TARGET_TOO_LONG, "the target must be at most 32 KiB")
    }

    pub fn head_too_large() -> Self {
        let detail = "the request line and the fields must be at most 64 KiB, and 100 fields";
        Self::new(&kinds::HEAD_TOO_LARGE, detail)
    }

    pub fn too_many_requests(requests_max: u32) -> Self {
        let detail = format!(
            "a user may have {requests_max} requests under way, answers that are not taken yet included"
        );
        Self::new(&kinds::TOO_MANY_REQUESTS, detail).retry_after(RETRY_TAKEN_SECONDS)
    }

    pub fn too_many_pending_answers() -> Self {
        let detail = "too many large answers are not taken yet; a smaller limit needs less room";
        Self::new(&kinds::OVERLOADED, detail).retry_after(RETRY_TAKEN_SECONDS)
    }

    pub fn broken_answer() -> Self {
        Self::internal()
    }

    pub fn precondition_required() -> Self {
        let detail = "send If-Match with the timestamp of the message as you know it";
        Self::new(&kinds::PRECONDITION_REQUIRED, detail)
    }

    fn internal() -> Self {
        let detail = "the service failed; its log has the details under the request's id";
        Self::new(&kinds::INTERNAL, detail)
    }

    fn caused_by(self, cause: impl Into<Arc<store::Error>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    fn with_current(self, current: Timestamp) -> Self {
        Self {
            member: Some(Member::Current(current)),
            ..self
        }
    }

    fn with_last(self, last: Timestamp) -> Self {
        Self {
            member: Some(Member::Last(last)),
            ..self
        }
    }

    fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, &seconds.to_string())
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("our headers are visible ASCII");
        self.headers.push((name, value));
        self
    }

    pub fn status(&self) -> StatusCode {
        self.kind.status
    }

    /// Every field that is not acceptable.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// The fields that are not acceptable.
    #[cfg(test)]
    pub fn fields(&self) -> Vec<String> {
        self.errors
            .iter()
            .map(|error| error.field.clone())
            .collect()
    }

    /// Whether the caller's cursor lies beyond the timeline.
    pub fn is_cursor_ahead(&self) -> bool {
        std::ptr::eq(self.kind, &raw const kinds::CURSOR_AHEAD)
    }

    /// The document as JSON.
    pub fn render(&self, request_id: &str) -> Vec<u8> {
        serde_json::to_vec(&self.document(request_id))
            .expect("strings and numbers can be written as JSON")
    }

    /// The document, for the request that is logged under `request_id`.
    pub fn document<'a>(&'a self, request_id: &'a str) -> ProblemDocument<'a> {
        let (current, last) = match self.member {
            Some(Member::Current(timestamp)) => (Some(timestamp.0), None),
            Some(Member::Last(timestamp)) => (None, Some(timestamp.0)),
            None => (None, None),
        };
        ProblemDocument {
            kind: format!("/problems/{}", self.kind.name),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            current,
            last,
            request_id,
        }
    }
}

/// As the log has it, with the cause.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name, self.detail)?;
        match &self.cause {
            Some(cause) => write!(f, ", because of: {cause}"),
            None => Ok(()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind.status;
        response.headers_mut().extend(self.headers.iter().cloned());
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response.extensions_mut().insert(self);
        response
    }
}

/// A document of this kind, as the OpenAPI document shows it.
pub fn example(kind: &'static Kind, detail: &str) -> serde_json::Value {
    let mut problem = Problem::new(kind, detail);
    if kind.name == kinds::INVALID.name {
        problem = Problem::invalid_field("text", "must be at most 20,000 characters");
    }
    let document = problem.render("5f0c1c1e-9a53-4bd1-9d0f-0d6c3f6f1f2a");
    serde_json::from_slice(&document).expect("a document is JSON")
}

/// Answers a path that no route has.
pub async fn no_route() -> Problem {
    Problem::no_such_resource()
}

/// Answers a method that the route does not have.
pub async fn method_not_allowed(method: Method) -> Problem {
    let detail = format!("this resource does not support {method}");
    Problem::new(&kinds::METHOD_NOT_ALLOWED, detail)
}

/// Answers a request whose handler panicked. The panic itself is logged by the panic hook.
pub fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal().into_response()
}
