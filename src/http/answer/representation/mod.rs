//! What callers get: messages and pages as JSON.

mod chats;
mod hits;

use std::{ops::Not, sync::Arc};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use time::OffsetDateTime;
use utoipa::ToSchema;

pub use chats::{Chat, ChatList, MemberList, chat};
pub use hits::HitList;

use super::instant;
use crate::{
    domain::{self, Conversation, Message as Stored, Subject, Timestamp, UserId},
    http::{
        extract::{conditional::entity_tag, media},
        server::envelope::LongLived,
    },
    store::pages::{ENTRY_BYTES, Entry},
    sync::ChangesPage,
    timeline::{Effect, Outcome},
};

/// A message as it is now: a personal one has `to`, one of a chat has `chat` and `number`. What is
/// absent is none, empty or false. A deleted message is `{id, timestamp, deleted: true}`, with
/// `chat` and `number` in a chat, and nothing else.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "id": 17, "timestamp": 42, "from": "jane", "to": "john",
    "created": "2026-11-20T09:30:00.123456Z", "text": "Hello, John!"
}))]
pub struct Message<'a> {
    /// Given once at creation and unique in the service.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    id: i64,
    /// The point on the timeline of the change that made the message what it is; its entity tag.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    timestamp: i64,
    /// The sender; absent where the application itself has posted into a chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    from: Option<&'a str>,
    /// The recipient of a personal message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    to: Option<&'a str>,
    /// The number of its chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    chat: Option<i64>,
    /// Its number in the chat: 1, 2, 3 … without gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    number: Option<i64>,
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    created: Option<OffsetDateTime>,
    /// When the text was last edited.
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    edited: Option<OffsetDateTime>,
    /// Whether the recipient has marked it as read.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    files: Vec<&'a str>,
    /// As the sender gave them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    attributes: Option<&'a RawValue>,
    /// The id of the message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    reply_to: Option<i64>,
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    deleted: bool,
}

impl<'a> From<&'a Stored> for Message<'a> {
    fn from(message: &'a Stored) -> Self {
        let (id, timestamp) = (message.id.0, message.timestamp.0);
        let chat = message.conversation.chat().map(|chat| chat.0);
        let number = message.number.map(|number| number.0);
        let Some(content) = &message.content else {
            return Self {
                id,
                timestamp,
                chat,
                number,
                deleted: true,
                ..Self::default()
            };
        };
        Self {
            id,
            timestamp,
            from: message.from.as_ref().map(UserId::as_str),
            to: message.to().map(UserId::as_str),
            chat,
            number,
            created: Some(message.created),
            edited: content.edited,
            read: content.read,
            text: content.text.as_ref().map(|text| text.as_str()),
            files: content.files.iter().map(|file| file.as_str()).collect(),
            attributes: content
                .attributes
                .as_ref()
                .map(|attributes| attributes.as_json()),
            reply_to: content.reply_to.map(|id| id.0),
            deleted: false,
        }
    }
}

/// A page of the timeline: the changes that concern the caller, ascending by timestamp.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "total": 2,
    "messages": [{ "id": 17, "timestamp": 42 }, { "id": 18, "timestamp": 43 }],
    "next": 43, "latest": 43
}))]
pub struct MessageUpdates<'a> {
    /// The number of entries of this page.
    #[schema(minimum = 0, maximum = 1000)]
    total: usize,
    #[serde(serialize_with = "updates")]
    #[schema(value_type = Vec<MessageUpdate<'static>>)]
    messages: &'a [Entry],
    /// The `after` of the next call.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    next: i64,
    /// The newest change that concerns the caller; who has `next` ≥ `latest` has caught up.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    latest: i64,
}

/// One change of a message or of a chat.
#[derive(Serialize, ToSchema)]
pub struct MessageUpdate<'a> {
    /// The message that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    id: Option<i64>,
    /// Or the chat whose name or members have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    chat: Option<i64>,
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    timestamp: i64,
    /// With `include=message`, at the message's newest entry of the page: the message as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Message, required = false)]
    message: Option<&'a RawValue>,
}

/// Writes each entry as it is made: a page is never there twice.
fn updates<S: Serializer>(entries: &[Entry], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(MessageUpdate::from))
}

impl<'a> From<&'a Entry> for MessageUpdate<'a> {
    fn from(entry: &'a Entry) -> Self {
        let (id, chat) = match entry.update.subject {
            Subject::Message(id) => (Some(id.0), None),
            Subject::Chat(number) => (None, Some(number.0)),
        };
        let json = |message: &Stored| {
            to_raw_value(&Message::from(message))
                .expect("strings and numbers can be written as JSON")
        };
        let message = entry.message.as_ref().map(|version| version.json(json));
        Self {
            id,
            chat,
            timestamp: entry.update.timestamp.0,
            message,
        }
    }
}

/// What a stream tells a client that has caught up.
#[derive(Serialize)]
pub struct CaughtUp {
    latest: i64,
}

impl From<&ChangesPage> for CaughtUp {
    fn from(changes: &ChangesPage) -> Self {
        Self {
            latest: changes.latest.0,
        }
    }
}

impl<'a> From<&'a ChangesPage> for MessageUpdates<'a> {
    fn from(changes: &'a ChangesPage) -> Self {
        Self {
            total: changes.entries.len(),
            messages: &changes.entries,
            next: changes.next.0,
            latest: changes.latest.0,
        }
    }
}

/// JSON under a media type that was agreed with the caller.
pub struct Json<T>(pub &'static str, pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let json = serde_json::to_vec(&self.1).expect("strings and numbers can be written as JSON");
        ([(header::CONTENT_TYPE, self.0)], json).into_response()
    }
}

/// 201 with what nobody is to keep but the caller.
pub fn secret(media_type: &'static str, body: impl Serialize) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::CREATED, no_store, Json(media_type, body)).into_response()
}

/// Of streams and held answers: nobody keeps them, and nobody on the way changes them. A proxy that
/// compresses would keep what it gets until it has a block's worth of it.
pub const LIVE_CACHE_CONTROL: &str = "no-store, no-transform";

/// A page that was held until there was something: it is of no use to anybody else.
pub fn held(media_type: &'static str, changes: &ChangesPage) -> Response {
    let live = [(header::CACHE_CONTROL, LIVE_CACHE_CONTROL)];
    let mut response = (live, Json(media_type, MessageUpdates::from(changes))).into_response();
    response.extensions_mut().insert(LongLived);
    response
}

/// A message with its entity tag.
pub fn message(media_type: &'static str, message: &Stored) -> Response {
    let etag = [(header::ETAG, entity_tag(message.timestamp))];
    (
        etag,
        Json(label(media_type, message), Message::from(message)),
    )
        .into_response()
}

/// The agreed media type, or where that is a message's own, the one of its kind.
fn label(media_type: &'static str, message: &Stored) -> &'static str {
    match message.conversation {
        _ if media_type == media::JSON => media::JSON,
        Conversation::Personal(_) => media::PERSONAL_MESSAGE,
        Conversation::Chat(_) => media::CHAT_MESSAGE,
    }
}

/// About how long a message is as JSON, in bytes.
pub fn json_bytes(message: &Arc<Stored>) -> usize {
    ENTRY_BYTES + message.data_bytes()
}

/// A page of a conversation.
#[derive(Serialize, ToSchema)]
pub struct MessageList<'a> {
    pub messages: Vec<Message<'a>>,
    /// The `before` or `after` of the next page, as it was asked for; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    pub next: Option<i64>,
}

/// A page of a list ends after this much of data, in bytes.
const LIST_BYTES_MAX: usize = 1024 * 1024;

/// The items of a page, and where the next one begins, if there is one.
pub struct Page<T, P> {
    pub items: Vec<T>,
    pub next: Option<P>,
}

impl<T, P> Page<T, P> {
    /// Cuts what was read with one item more than the page has; `position` is that of an item.
    pub fn cut(items: Vec<T>, limit: i64, position: impl Fn(&T) -> P) -> Self {
        Self::cut_at(items, limit, |_| 0, position)
    }

    /// As [`Page::cut`], and after 1 MiB of data by `size`; one item fits always.
    pub fn cut_at(
        mut items: Vec<T>,
        limit: i64,
        size: impl Fn(&T) -> usize,
        position: impl Fn(&T) -> P,
    ) -> Self {
        let mut bytes = 0;
        let within = |item: &&T| {
            bytes += size(item);
            bytes <= LIST_BYTES_MAX
        };
        let fitting = items.iter().take_while(within).count().max(1);
        let limit = usize::try_from(limit)
            .expect("a limit was checked")
            .min(fitting);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(position);
        Self { items, next }
    }
}

/// The answer to a sent message.
pub fn sent(media_type: &'static str, outcome: &Outcome<Arc<Stored>>, minimal: bool) -> Response {
    let sent = &outcome.output;
    let (path, whole) = (format!("/messages/{}", sent.id), || {
        message(media_type, sent)
    });
    created(&path, sent.timestamp, outcome.effect, minimal, whole)
}

/// The answer to a created chat.
pub fn created_chat(
    media_type: &'static str,
    outcome: &Outcome<Arc<domain::Chat>>,
    minimal: bool,
) -> Response {
    let new = &outcome.output;
    let (path, whole) = (format!("/chats/{}", new.number.0), || chat(media_type, new));
    created(&path, new.timestamp, outcome.effect, minimal, whole)
}

/// 201 with the path of what was created; without the whole of it where the caller prefers that.
fn created(
    path: &str,
    timestamp: Timestamp,
    effect: Effect,
    minimal: bool,
    whole: impl FnOnce() -> Response,
) -> Response {
    const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
    const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

    let mut response = if minimal {
        [(header::ETAG, entity_tag(timestamp))].into_response()
    } else {
        whole()
    };
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    let location = HeaderValue::try_from(path).expect("digits are visible ASCII");
    headers.insert(header::LOCATION, location);
    if effect == Effect::Replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if minimal {
        headers.insert(
            PREFERENCE_APPLIED,
            HeaderValue::from_static("return=minimal"),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::domain::{Attributes, Content, FileId, Files, MessageId, Text, Timestamp};

    fn message(content: Option<Content>) -> String {
        let message = Stored {
            id: MessageId(17),
            timestamp: Timestamp(42),
            from: Some(UserId::trusted("jane")),
            conversation: Conversation::between(&UserId::trusted("jane"), &UserId::trusted("john")),
            number: None,
            created: datetime!(2026-11-20 09:30:00.5 UTC),
            content,
        };
        serde_json::to_string(&Message::from(&message)).unwrap()
    }

    #[test]
    fn what_is_none_empty_or_false_is_absent() {
        let content = Content {
            text: Some(Text::trusted("hi".to_owned())),
            files: Files::default(),
            attributes: None,
            reply_to: None,
            edited: None,
            read: false,
        };
        assert_eq!(
            message(Some(content)),
            r#"{"id":17,"timestamp":42,"from":"jane","to":"john","created":"2026-11-20T09:30:00.500000Z","text":"hi"}"#
        );
    }

    #[test]
    fn attributes_come_back_to_the_letter() {
        let raw = RawValue::from_string(r#"{ "a":1.0 }"#.to_owned()).unwrap();
        let content = Content {
            text: None,
            files: Files::trusted(vec![FileId::trusted("f")]),
            attributes: Some(Attributes::trusted(raw)),
            reply_to: Some(MessageId(3)),
            edited: Some(datetime!(2026-11-20 09:31 UTC)),
            read: true,
        };
        assert_eq!(
            message(Some(content)),
            concat!(
                r#"{"id":17,"timestamp":42,"from":"jane","to":"john","created":"2026-11-20T09:30:00.500000Z","#,
                r#""edited":"2026-11-20T09:31:00.000000Z","read":true,"files":["f"],"attributes":{ "a":1.0 },"replyTo":3}"#
            )
        );
    }

    #[test]
    fn a_tombstone_is_bare() {
        assert_eq!(message(None), r#"{"id":17,"timestamp":42,"deleted":true}"#);
    }
}
