//! A problem as its caller reads it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{ExtensionMember, Problem};
use crate::http::answer::openapi::schemas::{ProblemTypeSchema, TimestampSchema};

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProblemDocument)]
pub struct ProblemJson<'a> {
    #[serde(rename = "type")]
    #[schema(value_type = ProblemTypeSchema)]
    kind: String,
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time.
    detail: &'a str,
    /// With 422: every field that is not acceptable.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// With 412: the timestamp that the message or chat has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TimestampSchema, required = false)]
    current: Option<i64>,
    /// With 410 `cursor-ahead`: the last timestamp that the service has given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 0, maximum = 9007199254740991_i64)]
    last: Option<i64>,
    /// With 410 `cursor-behind`: the feed has everything after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TimestampSchema, required = false)]
    trimmed: Option<i64>,
    /// The id under which the service has logged the request.
    request_id: &'a str,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field of the body, or the name of the parameter or header.
    pub field: String,
    /// What it must be, as a phrase that follows the name of the field.
    pub detail: String,
}

impl ProblemJson<'_> {
    pub fn status(&self) -> u16 {
        self.status
    }
}

impl FieldError {
    pub fn new(field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            detail: detail.into(),
        }
    }
}

impl FieldError {
    /// The same of a part of the body.
    pub fn inside(self, part: &str) -> Self {
        Self {
            field: format!("{part}: {}", self.field),
            ..self
        }
    }
}

impl Problem {
    /// The same of a part of the body, which the fields that are not acceptable are in.
    pub fn inside(mut self, part: &str) -> Self {
        let errors = self.errors.into_iter();
        self.errors = errors.map(|error| error.inside(part)).collect();
        self
    }

    /// The document, for the request that is logged under `request_id`.
    pub fn document<'a>(&'a self, request_id: &'a str) -> ProblemJson<'a> {
        let (mut current, mut last, mut trimmed) = (None, None, None);
        match self.extension {
            Some(ExtensionMember::Current(timestamp)) => current = Some(timestamp.get()),
            Some(ExtensionMember::Last(timestamp)) => last = Some(timestamp.get()),
            Some(ExtensionMember::Trimmed(timestamp)) => trimmed = Some(timestamp.get()),
            None => {}
        }
        ProblemJson {
            kind: self.kind.uri(),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            current,
            last,
            trimmed,
            request_id,
        }
    }
}
