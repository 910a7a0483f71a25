//! The hook of an application as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{super::instant, webhooks::DeliveryFailureJson};
use crate::{
    http::answer::openapi::schemas::OnFailureSchema,
    store::hooks::{Hook, StoredHook},
};

/// The hook of an application: a server that judges messages before they are sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hook, example = json!({
    "url": "https://shop.example/judge", "timeoutMs": 1500, "onFailure": "accept",
    "created": "2026-11-20T09:30:00.000000Z"
}))]
pub struct HookJson {
    url: String,
    /// How long it may take to answer, in milliseconds.
    #[schema(minimum = 1, maximum = 5000)]
    timeout_ms: u128,
    /// What becomes of a message that it does not judge in time.
    #[schema(value_type = OnFailureSchema)]
    on_failure: &'static str,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// The last failure of all, also where it has judged something since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = DeliveryFailureJson, required = false)]
    last_failure: Option<DeliveryFailureJson>,
    /// With which requests are signed: shown once, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    secret: Option<String>,
}

impl HookJson {
    /// `secret` is shown once.
    pub fn new(stored: StoredHook, secret: Option<String>) -> Self {
        let StoredHook {
            hook,
            created,
            last_failure,
        } = stored;
        let Hook {
            url,
            timeout,
            on_failure,
            secret: _,
        } = hook;
        Self {
            url,
            timeout_ms: timeout.as_millis(),
            on_failure: on_failure.name(),
            created,
            last_failure: last_failure.map(DeliveryFailureJson::from),
            secret,
        }
    }
}
