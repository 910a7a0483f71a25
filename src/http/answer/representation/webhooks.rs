//! Webhooks as JSON, and what they get.

use std::ops::Not;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{super::instant, EntriesJson, FeedEntryJson};
use crate::{
    domain::{ApplicationId, ChangeKind},
    http::answer::openapi::schemas::{ApplicationIdSchema, WebhookIdSchema},
    store::{
        feed::{FeedEntry, FeedInclude, Kinds},
        followers::Lag,
        webhooks::{DeliveryFailure, Webhook},
    },
};

/// A webhook: a URL to which the service brings the feed of its application.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook, example = json!({
    "id": 5281930, "url": "https://shop.example/hook", "kinds": ["message.created"],
    "created": "2026-11-20T09:30:00.000000Z", "cursor": 42, "lag": { "changes": 0, "seconds": 0.0 }
}))]
pub struct WebhookJson {
    #[schema(value_type = WebhookIdSchema)]
    id: i64,
    url: String,
    /// The kinds of changes that it gets; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<String>, required = false)]
    kinds: Option<Vec<&'static str>>,
    /// What comes with the changes: `message`, `recipients`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    include: Vec<&'static str>,
    /// Nothing is sent to it.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    paused: bool,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// It has taken every entry up to here.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    cursor: i64,
    /// Where the webhook is read: how far it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LagJson, required = false)]
    lag: Option<LagJson>,
    /// How often in a row it has failed.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false, minimum = 0)]
    failures: i32,
    /// The last failure of all, also where it has taken something since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = DeliveryFailureJson, required = false)]
    last_failure: Option<DeliveryFailureJson>,
    /// With which requests are signed: shown once, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    secret: Option<String>,
}

/// How far a webhook is behind.
#[derive(Serialize, ToSchema)]
#[schema(as = Lag)]
struct LagJson {
    /// Changes after its cursor, of all kinds, counted up to 10,000.
    #[schema(minimum = 0, maximum = 10_000)]
    changes: i64,
    /// The age of the oldest of them.
    #[schema(minimum = 0)]
    seconds: f64,
}

/// Why a webhook has not taken what was sent to it.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryFailure)]
pub struct DeliveryFailureJson {
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    at: OffsetDateTime,
    detail: String,
}

/// The webhooks of an application, the oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookList)]
pub struct WebhookListJson {
    webhooks: Vec<WebhookJson>,
}

/// What is posted to a webhook: up to 100 entries of the feed, ascending by timestamp, and up to 256 KiB
/// unless one entry alone is longer.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookBatch, example = json!({
    "application": 1,
    "entries": [{
        "timestamp": 42, "kind": "message.created", "id": 17, "with": "john", "number": 3,
        "actor": "jane", "created": "2026-11-20T09:30:00.123456Z"
    }]
}))]
pub struct WebhookBatchJson<'a> {
    #[schema(value_type = ApplicationIdSchema)]
    application: i64,
    #[schema(value_type = Vec<FeedEntryJson<'static>>)]
    entries: EntriesJson<'a>,
}

/// A batch as JSON.
pub fn render_batch(application: ApplicationId, entries: &[FeedEntry]) -> Vec<u8> {
    let batch = WebhookBatchJson {
        application: application.get(),
        entries: EntriesJson(entries),
    };
    serde_json::to_vec(&batch).expect("strings and numbers can be written as JSON")
}

impl WebhookJson {
    /// A webhook that was created or changed; `secret` is shown once.
    pub fn new(stored: Webhook, secret: Option<String>) -> Self {
        Self {
            secret,
            ..Self::of(stored, None)
        }
    }

    /// A webhook that is read.
    pub fn read(stored: Webhook, lag: Lag) -> Self {
        Self::of(stored, Some(lag))
    }

    fn of(stored: Webhook, lag: Option<Lag>) -> Self {
        let Webhook {
            id,
            url,
            kinds,
            include,
            is_paused,
            created,
            cursor,
            failures,
            last_failure,
        } = stored;
        Self {
            id: id.get(),
            url,
            kinds: kinds.and_then(kind_names),
            include: include_names(include),
            paused: is_paused,
            created,
            cursor: cursor.get(),
            lag: lag.map(LagJson::from),
            failures,
            last_failure: last_failure.map(DeliveryFailureJson::from),
            secret: None,
        }
    }
}

fn kind_names(kinds: Kinds) -> Option<Vec<&'static str>> {
    let named = ChangeKind::ALL
        .into_iter()
        .filter(|kind| kinds.contains(*kind));
    (kinds != Kinds::all()).then(|| named.filter_map(ChangeKind::feed_name).collect())
}

fn include_names(include: FeedInclude) -> Vec<&'static str> {
    let names = [
        include.messages.then_some("message"),
        include.recipients.then_some("recipients"),
    ];
    names.into_iter().flatten().collect()
}

fn is_zero(count: &i32) -> bool {
    *count == 0
}

impl From<Lag> for LagJson {
    fn from(Lag { changes, seconds }: Lag) -> Self {
        Self { changes, seconds }
    }
}

impl From<DeliveryFailure> for DeliveryFailureJson {
    fn from(DeliveryFailure { at, detail }: DeliveryFailure) -> Self {
        Self { at, detail }
    }
}

impl FromIterator<(Webhook, Lag)> for WebhookListJson {
    fn from_iter<T: IntoIterator<Item = (Webhook, Lag)>>(read: T) -> Self {
        let webhooks = read.into_iter();
        Self {
            webhooks: webhooks
                .map(|(stored, lag)| WebhookJson::read(stored, lag))
                .collect(),
        }
    }
}
