//! Changes as JSON: a page of the timeline, and the events of a stream.

use std::{collections::HashMap, ops::Not, sync::Arc};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    ConversationJson, MessageJson, json_of_about,
    reactions::{ReactionCountJson, ReactionsJson, summary_bytes},
    seen_bytes,
};
use crate::{
    domain::{ReactionSummary, Timestamp, UserId},
    http::{
        answer::openapi::schemas::{
            ChatNumberSchema, MessageIdSchema, TimestampSchema, UserIdSchema,
        },
        server::envelope::LongLived,
    },
    store::{
        conversations::SeenConversation,
        pages::{self, Entry},
    },
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
    #[schema(value_type = Vec<MessageUpdateJson<'static>>)]
    messages: EntriesJson<'a>,
    /// The `after` of the next call.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    next: i64,
    /// The newest change that concerns the caller; who has `next` ≥ `latest` has caught up.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    latest: i64,
}

/// The entries of a page, and the conversations that are included.
struct EntriesJson<'a>(&'a [Entry], &'a Included);

/// What comes with the entries of a page, as the caller sees it, by the timestamp of the entry.
#[derive(Default)]
pub struct Included {
    pub conversations: HashMap<Timestamp, Arc<SeenConversation>>,
    pub reactions: HashMap<Timestamp, Arc<ReactionSummary>>,
}

impl Included {
    /// About how long what comes with an entry is, in bytes.
    pub fn bytes_at(&self, timestamp: Timestamp) -> usize {
        let conversation = self.conversations.get(&timestamp);
        let reactions = self.reactions.get(&timestamp);
        conversation.map_or(0, |seen| seen_bytes(seen))
            + reactions.map_or(0, |summary| summary_bytes(summary))
    }
}

/// One change of a message, of a chat, or of a personal conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageUpdate)]
pub struct MessageUpdateJson<'a> {
    /// The message that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    id: Option<i64>,
    /// Or the chat in which something has changed: its name, its members, how far one of them has
    /// read, or what the caller has set for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    /// Or the other user of the personal conversation in which a position has moved, or for which the
    /// caller has set something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    with: Option<&'a str>,
    /// Or the message to which the reactions have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    reactions: Option<i64>,
    #[schema(value_type = TimestampSchema)]
    timestamp: i64,
    /// The change names the caller, whom the message did not name just before.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    mention: bool,
    /// With `include=message`, at the message's newest entry of the page: the message as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageJson<'static>, required = false)]
    message: Option<&'a RawValue>,
    /// With `include=conversation`, at the newest entry of the page that names the conversation, and
    /// with `include=message,conversation` at a newer one of its newest message too: the conversation
    /// as the caller sees it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ConversationJson<'static>, required = false)]
    conversation: Option<Box<ConversationJson<'a>>>,
    /// With `include=reactions`, at the newest entry of the page that names them, and with
    /// `include=message,reactions` at that with the message too: the reactions to the message as they are
    /// now. Without it, there is nothing to be done: a later entry has them, there never was one, or the
    /// message is deleted or the caller's no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, ReactionCountJson<'static>>, required = false)]
    summary: Option<ReactionsJson<'a>>,
    /// With `summary`: the point on the timeline at which the reactions have changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TimestampSchema, required = false)]
    reacted: Option<i64>,
}

impl EntriesJson<'_> {
    /// About how long they are, in bytes.
    fn bytes(&self) -> usize {
        let Self(entries, included) = self;
        let entries = entries.iter();
        let more = entries.map(|entry| included.bytes_at(entry.update.timestamp));
        pages::bytes(self.0) + more.sum::<usize>()
    }
}

/// Writes each entry as soon as it is converted, so that no page is in memory twice.
impl Serialize for EntriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.iter();
        serializer.collect_seq(entries.map(|entry| MessageUpdateJson::of(entry, self.1)))
    }
}

impl<'a> MessageUpdateJson<'a> {
    pub fn of(entry: &'a Entry, included: &'a Included) -> Self {
        let subject = &entry.update.subject;
        let timestamp = entry.update.timestamp;
        let conversation = included.conversations.get(&timestamp);
        let summary = included.reactions.get(&timestamp);
        let message = entry.message.as_ref().map(|version| &*version.json);
        Self {
            id: subject.message().map(|id| id.get()),
            chat: subject.chat().map(|number| number.get()),
            with: subject.with().map(UserId::as_str),
            reactions: subject.reactions_to().map(|id| id.get()),
            timestamp: timestamp.get(),
            mention: entry.update.mention,
            message,
            conversation: conversation.map(|seen| Box::new(seen.as_ref().into())),
            summary: summary.map(|summary| summary.as_ref().into()),
            reacted: summary.map(|summary| summary.timestamp.get()),
        }
    }
}

/// The data of the `current` event, which a stream sends to a client that has caught up.
#[derive(Serialize)]
pub struct CaughtUpJson {
    latest: i64,
}

impl CaughtUpJson {
    pub fn new(latest: Timestamp) -> Self {
        Self {
            latest: latest.get(),
        }
    }
}

impl<'a> MessageUpdatesJson<'a> {
    pub fn of(changes: &'a ChangesPage, included: &'a Included) -> Self {
        Self {
            total: changes.entries.len(),
            messages: EntriesJson(&changes.entries, included),
            next: changes.next.get(),
            latest: changes.latest.get(),
        }
    }
}

/// The `Cache-Control` of streams and held answers: no cache may store them, and no proxy may
/// transform them. A proxy that compresses would hold data back until it can fill a block.
pub const LIVE_CACHE_CONTROL: &str = "no-store, no-transform";

/// A page of the timeline.
pub fn page(media_type: &'static str, updates: &MessageUpdatesJson<'_>) -> Response {
    json_of_about(updates.messages.bytes(), media_type, updates)
}

/// A page that was held until there was something: it is of no use to anybody else.
pub fn held(page: Response) -> Response {
    let live = [(header::CACHE_CONTROL, LIVE_CACHE_CONTROL)];
    let mut response = (live, page).into_response();
    response.extensions_mut().insert(LongLived);
    response
}
