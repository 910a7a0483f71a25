//! Messages as JSON.

use std::{ops::Not, sync::Arc};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    super::instant,
    Json,
    reactions::{ReactionCountJson, ReactionsJson},
    replies::ReplyCountJson,
};
use crate::{
    domain::{Conversation, Message, ReactionSummary, UserId},
    http::{
        answer::openapi::schemas::{
            ChatNumberSchema, FileIdSchema, MessageIdSchema, MessageNumberSchema, TimestampSchema,
            UserIdSchema, attributes,
        },
        extract::{conditional::entity_tag, media},
    },
};

/// A message as it is now: a personal one has `to`, one of a chat has `chat`. What is absent is none,
/// empty or false. A deleted message is `{id, timestamp, number, deleted: true}`, with `chat` in a
/// chat, and nothing else.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message, example = json!({
    "id": 17, "timestamp": 42, "from": "jane", "to": "john", "number": 3,
    "created": "2026-11-20T09:30:00.123456Z", "text": "Hello, John!"
}))]
pub struct MessageJson<'a> {
    #[schema(value_type = MessageIdSchema)]
    id: i64,
    /// The point on the timeline of the change that made the message what it is; its entity tag.
    #[schema(value_type = TimestampSchema)]
    timestamp: i64,
    /// The sender; absent where the application itself has posted into a chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    from: Option<&'a str>,
    /// The recipient of a personal message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    #[schema(value_type = MessageNumberSchema)]
    number: i64,
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    created: Option<OffsetDateTime>,
    /// When it was last edited.
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    edited: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<FileIdSchema>, required = false)]
    files: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = attributes, required = false)]
    attributes: Option<&'a RawValue>,
    /// The members of the conversation whom it names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<UserIdSchema>, required = false)]
    mentions: Vec<&'a str>,
    /// It names all members.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    mentions_all: bool,
    /// The id of the message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageIdSchema, required = false)]
    reply_to: Option<i64>,
    /// Whether it tells of a change of its chat: it has no sender, and is never unread.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    system: bool,
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    deleted: bool,
    /// With `include=reactions`: those that there are. They are no part of the message, and its timestamp
    /// does not tell of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, ReactionCountJson<'static>>, required = false)]
    reactions: Option<ReactionsJson<'a>>,
    /// With `include=reactions`: the point on the timeline at which they have changed last, if there ever was
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TimestampSchema, required = false)]
    reacted: Option<i64>,
    /// With `include=replies`: how many messages reply to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ReplyCountJson, required = false)]
    replies: Option<ReplyCountJson>,
}

impl<'a> MessageJson<'a> {
    /// The message with the reactions to it.
    pub fn with(self, summary: Option<&'a Arc<ReactionSummary>>) -> Self {
        let summary = summary.filter(|_| !self.deleted);
        let reactions = summary.filter(|summary| !summary.keys.is_empty());
        Self {
            reactions: reactions.map(|summary| summary.as_ref().into()),
            reacted: summary.map(|summary| summary.timestamp.get()),
            ..self
        }
    }

    /// The message with the count of its replies.
    pub fn with_replies(self, replies: Option<ReplyCountJson>) -> Self {
        Self { replies, ..self }
    }
}

impl<'a> From<&'a Message> for MessageJson<'a> {
    fn from(message: &'a Message) -> Self {
        let (id, timestamp) = (message.id.get(), message.timestamp.get());
        let chat = message.conversation.chat().map(|chat| chat.get());
        let number = message.number.get();
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
            text: content.text.as_ref().map(|text| text.as_str()),
            files: content.files.iter().map(|file| file.as_str()).collect(),
            attributes: content
                .attributes
                .as_ref()
                .map(|attributes| attributes.as_json()),
            mentions: content
                .mentions
                .users()
                .iter()
                .map(UserId::as_str)
                .collect(),
            mentions_all: content.mentions.all,
            reply_to: content.reply_to.map(|id| id.get()),
            system: message.system,
            deleted: false,
            reactions: None,
            reacted: None,
            replies: None,
        }
    }
}

/// A page of a conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageList)]
pub struct MessageListJson<'a> {
    pub messages: Vec<MessageJson<'a>>,
    /// The `before` or `after` of the next page, as it was asked for; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    pub next: Option<i64>,
}

/// A message with its entity tag.
pub fn message(media_type: &'static str, message: &Message) -> Response {
    let etag = [(header::ETAG, entity_tag(message.timestamp))];
    (
        etag,
        Json(label(media_type, message), MessageJson::from(message)),
    )
        .into_response()
}

/// A message with what is included. It has no entity tag: that of the message is the version of its own data.
pub fn message_with(
    media_type: &'static str,
    message: &Message,
    json: MessageJson<'_>,
) -> Response {
    Json(label(media_type, message), json).into_response()
}

/// The negotiated media type. If that is a vendor type, the one for this kind of message.
fn label(media_type: &'static str, message: &Message) -> &'static str {
    match message.conversation {
        _ if media_type == media::JSON => media::JSON,
        Conversation::Personal(_) => media::PERSONAL_MESSAGE,
        Conversation::Chat(_) => media::CHAT_MESSAGE,
    }
}

/// A message as a part of an answer.
pub fn render_message(message: &Message) -> Box<RawValue> {
    to_raw_value(&MessageJson::from(message)).expect("strings and numbers can be written as JSON")
}

/// What a message has besides its data, in bytes of JSON.
const BYTES_BESIDE_DATA: usize = 200;

/// About how long a message is as JSON, in bytes.
pub fn json_bytes(message: &Arc<Message>) -> usize {
    BYTES_BESIDE_DATA + message.data_bytes()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::domain::{
        Attributes, Content, ConversationId, FileId, Files, Mentions, MessageId, MessageNumber,
        Text, Timestamp,
    };

    fn message(content: Option<Content>) -> String {
        let message = Message {
            id: MessageId::new(17),
            timestamp: Timestamp::new(42),
            from: Some(UserId::trusted("jane")),
            conversation: Conversation::between(&UserId::trusted("jane"), &UserId::trusted("john")),
            conversation_id: ConversationId::new(40),
            number: MessageNumber::new(3),
            created: datetime!(2026-11-20 09:30:00.5 UTC),
            system: false,
            content,
        };
        serde_json::to_string(&MessageJson::from(&message)).unwrap()
    }

    #[test]
    fn what_is_none_empty_or_false_is_absent() {
        let content = Content {
            text: Some(Text::trusted("hi".to_owned())),
            files: Files::default(),
            attributes: None,
            mentions: Mentions::default(),
            reply_to: None,
            edited: None,
        };
        assert_eq!(
            message(Some(content)),
            r#"{"id":17,"timestamp":42,"from":"jane","to":"john","number":3,"created":"2026-11-20T09:30:00.500000Z","text":"hi"}"#
        );
    }

    #[test]
    fn attributes_come_back_unchanged() {
        let raw = RawValue::from_string(r#"{ "a":1.0 }"#.to_owned()).unwrap();
        let content = Content {
            text: None,
            files: Files::trusted(vec![FileId::trusted("f")]),
            attributes: Some(Attributes::trusted(raw)),
            mentions: Mentions::trusted(vec![UserId::trusted("john")], true),
            reply_to: Some(MessageId::new(3)),
            edited: Some(datetime!(2026-11-20 09:31 UTC)),
        };
        assert_eq!(
            message(Some(content)),
            concat!(
                r#"{"id":17,"timestamp":42,"from":"jane","to":"john","number":3,"created":"2026-11-20T09:30:00.500000Z","#,
                r#""edited":"2026-11-20T09:31:00.000000Z","files":["f"],"attributes":{ "a":1.0 },"mentions":["john"],"mentionsAll":true,"replyTo":3}"#
            )
        );
    }

    #[test]
    fn a_tombstone_has_no_data() {
        assert_eq!(
            message(None),
            r#"{"id":17,"timestamp":42,"number":3,"deleted":true}"#
        );
    }
}
