//! Problem documents (RFC 9457): what every error looks like.

mod document;
pub mod kinds;
mod mapping;
mod requests;

use std::{fmt, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{domain::Timestamp, store};
pub use document::{FieldError, ProblemJson};
use kinds::Kind;
pub use requests::{method_not_allowed, no_route, panicked};

pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem that is reported to the caller.
///
/// It travels as an extension of the response. The
/// [`envelope`](crate::http::server::envelope::envelope), which has the request's id, writes it
/// as a [`ProblemJson`].
#[derive(Debug, Clone)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    errors: Vec<FieldError>,
    extension: Option<ExtensionMember>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The failure inside the service. It is logged, and never shown to the caller.
    cause: Option<Arc<store::Error>>,
}

/// A member of the document that only one kind of problem has.
#[derive(Debug, Clone, Copy)]
enum ExtensionMember {
    Current(Timestamp),
    Last(Timestamp),
    Trimmed(Timestamp),
}

/// Why a cursor cannot be used.
#[derive(Debug, Clone, Copy)]
pub enum CursorFault {
    /// It is beyond the end of the timeline.
    Ahead,
    /// Changes after it may not be kept.
    Behind { trimmed: Timestamp },
}

impl Problem {
    fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            extension: None,
            headers: Vec::new(),
            cause: None,
        }
    }

    fn caused_by(self, cause: impl Into<Arc<store::Error>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    fn with_current(self, current: Timestamp) -> Self {
        Self {
            extension: Some(ExtensionMember::Current(current)),
            ..self
        }
    }

    fn with_last(self, last: Timestamp) -> Self {
        Self {
            extension: Some(ExtensionMember::Last(last)),
            ..self
        }
    }

    fn with_trimmed(self, trimmed: Timestamp) -> Self {
        Self {
            extension: Some(ExtensionMember::Trimmed(trimmed)),
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

    /// The same with headers that its answer has whatever it is.
    pub fn with_headers(mut self, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }

    pub fn status(&self) -> StatusCode {
        self.kind.status
    }

    /// Every field that is not acceptable.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// The same, to be shown.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The headers that come with it.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The fields that are not acceptable.
    #[cfg(test)]
    pub fn fields(&self) -> Vec<String> {
        self.errors
            .iter()
            .map(|error| error.field.clone())
            .collect()
    }

    /// Why the caller's cursor cannot be used; `None` for other problems.
    pub fn cursor_fault(&self) -> Option<CursorFault> {
        match self.extension? {
            ExtensionMember::Last(_) => Some(CursorFault::Ahead),
            ExtensionMember::Trimmed(trimmed) => Some(CursorFault::Behind { trimmed }),
            ExtensionMember::Current(_) => None,
        }
    }

    /// The document as JSON.
    pub fn render(&self, request_id: &str) -> Vec<u8> {
        serde_json::to_vec(&self.document(request_id))
            .expect("strings and numbers can be written as JSON")
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
