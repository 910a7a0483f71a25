//! The problems that a request of any kind can have.

use std::any::Any;

use axum::{
    http::{HeaderName, Method, header},
    response::{IntoResponse, Response},
};

use super::{FieldError, Problem, kinds};

/// After how many seconds a caller should try again who must receive earlier answers first.
const RETRY_RECEIVED_SECONDS: u32 = 1;

/// After how many seconds a message should be sent again that could not be judged.
const RETRY_JUDGED_SECONDS: u32 = 5;

impl Problem {
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(&kinds::MALFORMED, detail)
    }

    pub fn not_found() -> Self {
        Self::new(
            &kinds::NOT_FOUND,
            "it does not exist, or you may not see it",
        )
    }

    pub fn forbidden(detail: &'static str) -> Self {
        Self::new(&kinds::FORBIDDEN, detail)
    }

    pub fn no_such_resource() -> Self {
        Self::new(
            &kinds::NO_SUCH_RESOURCE,
            "the service has no resource at this path",
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
        let detail =
            "the request line and the headers must be at most 64 KiB, with at most 100 headers";
        Self::new(&kinds::HEAD_TOO_LARGE, detail)
    }

    pub fn too_many_requests(requests_max: u32) -> Self {
        let detail = format!(
            "a user may have {requests_max} requests in progress, until their answers are received"
        );
        Self::new(&kinds::TOO_MANY_REQUESTS, detail).retry_after(RETRY_RECEIVED_SECONDS)
    }

    /// A bucket of a limit of rate is empty for so many seconds.
    pub fn too_many_sends(seconds: u32) -> Self {
        let detail = format!("too many messages within a minute: wait for {seconds} s");
        Self::new(&kinds::TOO_MANY_REQUESTS, detail).retry_after(seconds)
    }

    /// The hook of the application has rejected a message, for a reason that the sender may know.
    pub fn rejected(reason: Option<String>) -> Self {
        let otherwise = || "the application does not accept this message".to_owned();
        Self::new(&kinds::REJECTED, reason.unwrap_or_else(otherwise))
    }

    /// The hook of the application has not judged a message, which passes only if it has.
    pub fn not_judged() -> Self {
        let detail = "the application could not look at this message; try again later";
        Self::new(&kinds::REJECTED, detail).retry_after(RETRY_JUDGED_SECONDS)
    }

    /// There is no turn for a message at the hook of its application.
    pub fn too_many_judged() -> Self {
        let detail = "the application has too many messages to look at";
        Self::new(&kinds::OVERLOADED, detail).retry_after(RETRY_JUDGED_SECONDS)
    }

    pub fn too_many_pending_answers() -> Self {
        let detail =
            "too many large answers have not been received yet; a smaller limit needs less memory";
        Self::new(&kinds::OVERLOADED, detail).retry_after(RETRY_RECEIVED_SECONDS)
    }

    pub fn precondition_required() -> Self {
        let detail = "If-Match must be the ETag of what you change";
        Self::new(&kinds::PRECONDITION_REQUIRED, detail)
    }

    pub fn internal() -> Self {
        let detail = "the service failed; its log has the details under the request's id";
        Self::new(&kinds::INTERNAL, detail)
    }
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
