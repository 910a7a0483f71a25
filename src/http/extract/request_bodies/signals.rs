//! Signals to be sent.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::collect;
use crate::{
    domain::{
        Invalid, NewSignal, SIGNAL_TTL_SECONDS_DEFAULT, SIGNAL_TTL_SECONDS_MAX, SignalData,
        SignalKind,
    },
    http::{
        answer::{
            openapi::schemas::new_signal_data,
            problem::{FieldError, Problem},
        },
        extract::{
            body::{RequestBody, parse},
            media,
        },
    },
};

/// A signal to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSignal, example = json!({ "kind": "typing", "ttl": 5 }))]
pub struct NewSignalJson {
    /// A name that your application chooses. Two are reserved: `typing`, and `draft`, whose `data` are
    /// `{message, offset, text}`.
    #[schema(
        value_type = String,
        required,
        min_length = 1,
        max_length = 64,
        pattern = "^(\\.{0,2}[A-Za-z0-9_:-]|\\.{3})[A-Za-z0-9_.:-]*$"
    )]
    kind: Option<String>,
    /// For how many seconds it holds.
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 30, default = 5)]
    ttl: Option<i64>,
    #[schema(schema_with = new_signal_data, required = false)]
    data: Option<Box<RawValue>>,
}

impl RequestBody for NewSignalJson {
    type Valid = NewSignal;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<NewSignal> {
        let kind = self.kind.ok_or(Invalid("is required"));
        let kind = collect(
            errors,
            "kind",
            kind.and_then(|kind| SignalKind::parse(&kind)),
        );
        let ttl = collect(errors, "ttl", parse_ttl(self.ttl));
        let data = self.data.map(SignalData::parse).transpose();
        let data = collect(errors, "data", data);
        let signal = NewSignal::new(kind?, ttl?, data?);
        collect(errors, "data", signal)
    }
}

/// The seconds for which a signal holds.
fn parse_ttl(ttl: Option<i64>) -> Result<u8, Invalid> {
    let ttl = ttl.map_or(Ok(SIGNAL_TTL_SECONDS_DEFAULT), u8::try_from);
    ttl.ok()
        .filter(|ttl| (1..=SIGNAL_TTL_SECONDS_MAX).contains(ttl))
        .ok_or(Invalid("must be 1 to 30"))
}
