//! The feed of an application as JSON.

use std::ops::Not;

use axum::response::Response;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{super::instant, MessageJson, json_of_about};
use crate::{
    domain::{ChangeKind, UserId},
    http::answer::openapi::schemas::{
        ChatNumberSchema, MessageIdSchema, MessageNumberSchema, TimestampSchema, UserIdSchema,
    },
    store::{
        conversations::Recipient,
        feed::{FeedEntry, RECIPIENT_BYTES},
    },
    sync::FeedChanges,
};

/// A page of the feed: the changes of the application, ascending by timestamp.
#[derive(Serialize, ToSchema)]
#[schema(as = Feed, example = json!({
    "entries": [{
        "timestamp": 42, "kind": "message.created", "id": 17, "with": "john", "number": 3,
        "actor": "jane", "created": "2026-11-20T09:30:00.123456Z"
    }],
    "next": 42, "latest": 42
}))]
pub struct FeedJson<'a> {
    #[schema(value_type = Vec<FeedEntryJson<'static>>)]
    entries: EntriesJson<'a>,
    /// The `after` of the next call. It moves on where the page has no entry of the kinds, too.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    next: i64,
    /// The end of the application's timeline; who has `next` ≥ `latest` has caught up.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    latest: i64,
}

/// Entries, each converted while it is written.
pub(super) struct EntriesJson<'a>(pub &'a [FeedEntry]);

/// One change.
#[derive(Serialize, ToSchema)]
#[schema(as = FeedEntry)]
pub struct FeedEntryJson<'a> {
    #[schema(value_type = TimestampSchema)]
    timestamp: i64,
    /// What has changed: `message.created`, `message.imported`, `message.edited`, `message.deleted`,
    /// `message.reported` (see `GET /reports`), `chat.created`, `chat.changed`, `chat.deleted`, `member.added`,
    /// `member.removed`, `member.changed` (several: read who is a member), `conversation.read` (positions
    /// moved), `reactions.changed`, `messages.expired` (those before `number` are not kept), or
    /// `user.erased` (see `GET /users/{user}/erasure`). Ignore kinds that you do not know.
    kind: &'static str,
    /// The message that has changed or is reported, or to which somebody has reacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    id: Option<i64>,
    /// The chat in which it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    /// Or the other user of the personal conversation of `actor` in which it has; of `user`, if the message is
    /// imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    with: Option<&'a str>,
    /// The number of the message in its conversation; of messages that have expired, that of the first one
    /// after them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageNumberSchema, required = false)]
    number: Option<i64>,
    /// Who was added, removed or banned, or is not banned any more, whose role or mute has changed, or who has read
    /// or reacted; the sender of a message that is imported; or the pseudonym of a user who is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    user: Option<&'a str>,
    /// The members of a chat that is created. In place of `user`: where one change is of several members,
    /// all of them; each of those who have read or reacted has made it, and `actor` is one of them. Where
    /// messages of a personal conversation have expired: its users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<UserIdSchema>, required = false)]
    users: Vec<&'a str>,
    /// Who has made the change; absent where the application itself has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    actor: Option<&'a str>,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// With `include=message`, at the message's newest entry of the page: the message as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageJson<'static>, required = false)]
    message: Option<&'a RawValue>,
    /// With `include=recipients`, of a change of a message: the other user of the personal conversation,
    /// or who else was a member of the chat at the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<RecipientJson<'static>>, required = false)]
    recipients: Option<Vec<RecipientJson<'a>>>,
}

/// A user whom a change of a message concerns. All but `mentioned` is as it is now, and not as it was
/// at the change.
#[derive(Serialize, ToSchema)]
#[schema(as = Recipient)]
pub struct RecipientJson<'a> {
    #[schema(value_type = UserIdSchema)]
    user: &'a str,
    /// How many messages of the conversation the user has not read.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    unread: i64,
    /// The change names the user, whom the message did not name just before.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    mentioned: bool,
    /// The user has muted the conversation.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    muted: bool,
    /// The user has a stream open, as far as the replicas have said in the last 10 s.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    connected: bool,
}

/// About how long an entry is beside its message and recipients, in bytes.
const ENTRY_BYTES: usize = 160;

/// A page of the feed.
pub fn feed(media_type: &'static str, changes: &FeedChanges) -> Response {
    let bytes = changes.entries.iter().map(|entry| {
        let message = entry.version.as_ref().map_or(0, |version| version.bytes());
        let recipients = entry.recipients.as_ref().map_or(0, Vec::len);
        ENTRY_BYTES + message + RECIPIENT_BYTES * recipients
    });
    json_of_about(bytes.sum(), media_type, &FeedJson::from(changes))
}

/// An entry as JSON, for those to whom the service itself brings it.
pub fn render_entry(entry: &FeedEntry) -> Vec<u8> {
    serde_json::to_vec(&FeedEntryJson::from(entry))
        .expect("strings and numbers can be written as JSON")
}

/// So no page is in memory twice.
impl Serialize for EntriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(FeedEntryJson::from))
    }
}

impl<'a> From<&'a FeedChanges> for FeedJson<'a> {
    fn from(changes: &'a FeedChanges) -> Self {
        Self {
            entries: EntriesJson(&changes.entries),
            next: changes.next.get(),
            latest: changes.latest.get(),
        }
    }
}

impl<'a> From<&'a FeedEntry> for FeedEntryJson<'a> {
    fn from(entry: &'a FeedEntry) -> Self {
        let mut members = entry.members.iter().map(UserId::as_str);
        let is_one = entry.members.len() == 1 && entry.kind != ChangeKind::ChatCreated;
        let (user, users) = if is_one {
            (members.next(), Vec::new())
        } else {
            (None, members.collect())
        };
        let recipients = entry.recipients.as_ref();
        Self {
            timestamp: entry.timestamp.get(),
            kind: entry.feed_name(),
            id: entry.message.map(|id| id.get()),
            chat: entry.chat.map(|chat| chat.get()),
            with: entry.with.as_ref().map(UserId::as_str),
            number: entry.number.map(|number| number.get()),
            user,
            users,
            actor: entry.actor.as_ref().map(UserId::as_str),
            created: entry.created,
            message: entry.version.as_ref().map(|version| &*version.json),
            recipients: recipients
                .map(|recipients| recipients.iter().map(RecipientJson::from).collect()),
        }
    }
}

impl<'a> From<&'a Recipient> for RecipientJson<'a> {
    fn from(recipient: &'a Recipient) -> Self {
        Self {
            user: recipient.user.as_str(),
            unread: recipient.unread,
            mentioned: recipient.is_mentioned,
            muted: recipient.is_muted,
            connected: recipient.is_connected,
        }
    }
}
