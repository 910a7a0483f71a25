//! The hook of an application, to be set.

use std::time::Duration;

use serde::Deserialize;
use utoipa::ToSchema;

use super::{collect, named};
use crate::{
    callbacks::CallbackUrl,
    domain::{Invalid, OnFailure},
    http::{
        answer::{
            openapi::schemas::OnFailureSchema,
            problem::{FieldError, Problem},
        },
        extract::{
            body::{RequestBody, parse},
            media,
        },
    },
};

/// The longest that a hook may take, in milliseconds: a user waits for it.
const TIMEOUT_MS_MAX: i64 = 5_000;

const TIMEOUT_MS_DEFAULT: i64 = 2_000;

/// The hook of an application: a server that judges messages before they are sent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewHook, example = json!({
    "url": "https://shop.example/judge", "timeoutMs": 1500, "onFailure": "accept"
}))]
pub struct NewHookJson {
    /// Where messages are posted: http or https, up to 2,000 characters, without a user or a password, and
    /// with a public address.
    #[schema(value_type = String, required, max_length = 2000)]
    url: Option<String>,
    /// How long it may take to answer, in milliseconds.
    #[schema(minimum = 1, maximum = 5000, default = 2000)]
    timeout_ms: Option<i64>,
    /// What becomes of a message that it does not judge in time.
    #[schema(value_type = Option<OnFailureSchema>)]
    on_failure: Option<String>,
}

/// A hook whose URL is yet to be resolved.
#[derive(Debug)]
pub struct NewHook {
    pub url: CallbackUrl,
    pub timeout: Duration,
    pub on_failure: OnFailure,
}

impl RequestBody for NewHookJson {
    type Valid = NewHook;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<NewHook> {
        let url = self.url.ok_or(Invalid("is required"));
        let url = url.and_then(|url| CallbackUrl::parse(&url));
        let url = collect(errors, "url", url);
        let timeout = parse_timeout(self.timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT));
        let timeout = collect(errors, "timeoutMs", timeout);
        let otherwise = "must be accept or reject";
        let on_failure = named(Some(self.on_failure), OnFailure::named, otherwise);
        let on_failure = collect(errors, "onFailure", on_failure);
        Some(NewHook {
            url: url?,
            timeout: timeout?,
            on_failure: on_failure?.unwrap_or_default(),
        })
    }
}

fn parse_timeout(milliseconds: i64) -> Result<Duration, Invalid> {
    let is_one = (1..=TIMEOUT_MS_MAX).contains(&milliseconds);
    let milliseconds = u64::try_from(milliseconds).ok().filter(|_| is_one);
    let invalid = Invalid("must be 1 to 5,000");
    milliseconds.map(Duration::from_millis).ok_or(invalid)
}
