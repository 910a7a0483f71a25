//! Reports to be made and resolved.

use serde::Deserialize;
use utoipa::ToSchema;

use super::collect;
use crate::{
    domain::{Invalid, Text, Title},
    http::{
        answer::problem::{FieldError, Problem},
        extract::{
            body::{RequestBody, parse},
            media,
        },
    },
};

/// A report of a message to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReport, example = json!({ "reason": "spam", "text": "The same for days" }))]
pub struct NewReportJson {
    /// What is wrong, in a few words or as a code: 1 to 200 characters.
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    reason: Option<String>,
    /// What else there is to say: up to 20,000 characters.
    #[schema(value_type = Option<String>, max_length = 20000)]
    text: Option<String>,
}

/// Whether a report is resolved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resolution, example = json!({ "resolved": true }))]
pub struct ResolutionJson {
    #[schema(value_type = bool, required)]
    resolved: Option<bool>,
}

impl RequestBody for NewReportJson {
    type Valid = (Title, Option<Text>);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<(Title, Option<Text>)> {
        let reason = self.reason.ok_or(Invalid("is required"));
        let reason = reason.and_then(|reason| Title::parse(&reason));
        let reason = collect(errors, "reason", reason);
        let text = Text::parse_or_empty(&self.text.unwrap_or_default());
        reason.zip(collect(errors, "text", text))
    }
}

impl RequestBody for ResolutionJson {
    type Valid = bool;

    const MEDIA_TYPES: &'static [&'static str] = &[media::MERGE_PATCH, media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<bool> {
        collect(
            errors,
            "resolved",
            self.resolved.ok_or(Invalid("is required")),
        )
    }
}
