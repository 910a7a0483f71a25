//! Changes as JSON: a page of the timeline, and the events of a stream.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::{Json, MessageJson};
use crate::{
    domain::{Message, Subject},
    http::{
        answer::openapi::schemas::{
            ChatNumberSchema, MessageIdSchema, TimestampSchema, UserIdSchema,
        },
        server::envelope::LongLived,
    },
    store::pages::Entry,
    sync::ChangesPage,
};

/// A page of the timeline: the changes that concern the caller, ascending by timestamp.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageUpdates, example = json!({
    "total": 2,
    "messages": [{ "id": 17, "timestamp": 42 }, { "id": 18, "timestamp": 43 }],
    "next": 43, "latest": 43
}))]
pub struct MessageUpdatesJson<'a> {
    /// The number of entries of this page.
    #[schema(minimum = 0, maximum = 1000)]
    total: usize,
    #[serde(serialize_with = "updates")]
    #[schema(value_type = Vec<MessageUpdateJson<'static>>)]
    messages: &'a [Entry],
    /// The `after` of the next call.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    next: i64,
    /// The newest change that concerns the caller; who has `next` ≥ `latest` has caught up.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    latest: i64,
}

/// One change of a message, of a chat, or of a personal conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageUpdate)]
pub struct MessageUpdateJson<'a> {
    /// The message that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    id: Option<i64>,
    /// Or the chat whose name or members have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    /// Or the other user of the personal conversation whose positions have moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    with: Option<&'a str>,
    #[schema(value_type = TimestampSchema)]
    timestamp: i64,
    /// With `include=message`, at the message's newest entry of the page: the message as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageJson<'static>, required = false)]
    message: Option<&'a RawValue>,
}

/// Writes each entry as soon as it is converted, so that no page is in memory twice.
fn updates<S: Serializer>(entries: &[Entry], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(MessageUpdateJson::from))
}

impl<'a> From<&'a Entry> for MessageUpdateJson<'a> {
    fn from(entry: &'a Entry) -> Self {
        let (id, chat, with) = match &entry.update.subject {
            Subject::Message(id) => (Some(id.get()), None, None),
            Subject::Chat(number) => (None, Some(number.get()), None),
            Subject::With(user) => (None, None, Some(user.as_str())),
        };
        let json = |message: &Message| {
            to_raw_value(&MessageJson::from(message))
                .expect("strings and numbers can be written as JSON")
        };
        let message = entry.message.as_ref().map(|version| version.json(json));
        Self {
            id,
            chat,
            with,
            timestamp: entry.update.timestamp.get(),
            message,
        }
    }
}

/// The data of the `current` event, which a stream sends to a client that has caught up.
#[derive(Serialize)]
pub struct CaughtUpJson {
    latest: i64,
}

impl From<&ChangesPage> for CaughtUpJson {
    fn from(changes: &ChangesPage) -> Self {
        Self {
            latest: changes.latest.get(),
        }
    }
}

impl<'a> From<&'a ChangesPage> for MessageUpdatesJson<'a> {
    fn from(changes: &'a ChangesPage) -> Self {
        Self {
            total: changes.entries.len(),
            messages: &changes.entries,
            next: changes.next.get(),
            latest: changes.latest.get(),
        }
    }
}

/// The `Cache-Control` of streams and held answers: no cache may store them, and no proxy may
/// transform them. A proxy that compresses would hold data back until it can fill a block.
pub const LIVE_CACHE_CONTROL: &str = "no-store, no-transform";

/// A page that was held until there was something: it is of no use to anybody else.
pub fn held(media_type: &'static str, changes: &ChangesPage) -> Response {
    let live = [(header::CACHE_CONTROL, LIVE_CACHE_CONTROL)];
    let mut response = (live, Json(media_type, MessageUpdatesJson::from(changes))).into_response();
    response.extensions_mut().insert(LongLived);
    response
}
