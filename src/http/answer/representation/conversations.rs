//! Conversations as their members see them, as JSON.

use std::ops::Not;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    super::instant,
    Json, MessageJson,
    chats::{RulesJson, first},
    json_bytes,
};
use crate::{
    domain::{Attributes, MessageNumber, Rank, Settings, UserId},
    http::{
        answer::openapi::schemas::{ChatNumberSchema, TimestampSchema, UserIdSchema, attributes},
        extract::conditional::entity_tag,
    },
    store::conversations::{ConversationsPage, SeenConversation, SeenKind, UnreadTotal},
    timeline::commands::PresentSettings,
};

/// What a conversation has besides its message, its attributes and its positions, in bytes of JSON.
const CONVERSATION_BYTES: usize = 200;

/// What a position is beside the user, in bytes of JSON.
const POSITION_BYTES: usize = 24;

/// A conversation as the caller, one of its members, sees it: a chat has `chat`, `number`, `name`,
/// `members` and `role`, and a personal conversation has `with`.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversation, example = json!({
    "with": "john", "timestamp": 43, "created": "2026-11-20T09:30:00.123456Z", "messages": 3,
    "last": 42, "read": 1, "unread": 2, "mentions": 0, "settings": {},
    "reads": [{ "user": "john", "read": 3 }]
}))]
pub struct ConversationJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
    /// The same number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ChatNumberSchema, required = false)]
    number: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    owner: Option<&'a str>,
    /// How many members the chat has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i32, minimum = 0, maximum = 1000, required = false)]
    members: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = RoleJson, required = false)]
    role: Option<RoleJson>,
    /// Of a chat: until then the caller does not post.
    #[serde(
        rename = "mutedUntil",
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    muted_until: Option<OffsetDateTime>,
    /// Of a chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = attributes, required = false)]
    attributes: Option<&'a RawValue>,
    #[serde(flatten)]
    rules: RulesJson,
    /// The other user of a personal conversation; oneself in a conversation with oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    with: Option<&'a str>,
    /// The application has opened it: its users write to each other where the policy says `personal: opened`.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    opened: bool,
    /// Of a chat: the point on the timeline of its creation or of the last change of the chat itself or
    /// of its members; its entity tag. Of a personal conversation: that of its creation, of the last mark
    /// of a position, or of its opening.
    #[schema(value_type = TimestampSchema)]
    timestamp: i64,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// How many messages it has; so also the number of the last one.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    messages: i64,
    /// The number of the first message that has not expired, if any has: drop what is before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 2, maximum = 9007199254740991_i64)]
    first: Option<i64>,
    /// The point on the timeline at which its newest message was created; without a message, its own
    /// creation.
    #[schema(value_type = TimestampSchema)]
    last: i64,
    /// The newest message as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageJson<'static>, required = false)]
    message: Option<MessageJson<'a>>,
    /// The caller's position: the number of the last message read; 0 for none.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    read: i64,
    /// How many messages after the position are neither deleted nor of the system.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    unread: i64,
    /// How many messages after the position name the caller.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    mentions: i64,
    settings: SettingsJson<'a>,
    /// The positions of the others, in personal conversations and in chats of at most 50 members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reads: Vec<PositionJson<'a>>,
}

/// What a member may do in a chat.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub enum RoleJson {
    Owner,
    Moderator,
    Member,
    Reader,
}

impl From<Rank> for RoleJson {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Owner | Rank::Application => Self::Owner,
            Rank::Moderator => Self::Moderator,
            Rank::Member => Self::Member,
            Rank::Reader => Self::Reader,
        }
    }
}

/// How far a user has read.
#[derive(Serialize, ToSchema)]
#[schema(as = Position)]
pub struct PositionJson<'a> {
    #[schema(value_type = UserIdSchema)]
    user: &'a str,
    /// The number of the last message read; 0 for none.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    read: i64,
}

/// What the caller has set for a conversation; what is absent is not set.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings, example = json!({
    "pinned": true, "mutedUntil": "2026-12-01T08:00:00.000000Z"
}))]
pub struct SettingsJson<'a> {
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    pinned: bool,
    /// Until then it is left out of the totals of unread messages.
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    muted_until: Option<OffsetDateTime>,
    /// Whether it is archived at present: until a newer message comes, unless it is muted.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    archived: bool,
    /// In a personal conversation: the caller wants no messages from the other user.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    blocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = attributes, required = false)]
    attributes: Option<&'a RawValue>,
}

/// A page of the caller's conversations: the one with the newest message first.
#[derive(Serialize, ToSchema)]
#[schema(as = ConversationList)]
pub struct ConversationListJson<'a> {
    conversations: Vec<ConversationJson<'a>>,
    unread: UnreadJson,
    /// The newest change that concerns the caller, in the snapshot of the page: follow
    /// `GET /messages?after=<latest>`, and you miss nothing.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    latest: i64,
    /// The `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TimestampSchema, required = false)]
    next: Option<i64>,
}

/// What is unread in all conversations that are not muted.
#[derive(Serialize, ToSchema)]
#[schema(as = Unread)]
pub struct UnreadJson {
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    messages: i64,
    /// How many conversations have unread messages.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    conversations: i64,
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    mentions: i64,
}

/// What is unread by each of several users.
#[derive(Serialize, ToSchema)]
#[schema(as = UnreadList)]
pub struct UnreadListJson<'a> {
    pub users: Vec<UserUnreadJson<'a>>,
}

/// What is unread by a user.
#[derive(Serialize, ToSchema)]
#[schema(as = UserUnread)]
pub struct UserUnreadJson<'a> {
    #[schema(value_type = UserIdSchema)]
    user: &'a str,
    unread: UnreadJson,
}

/// A position of the caller.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadPosition, example = json!({ "number": 3 }))]
pub struct ReadPositionJson {
    /// The number of the last message read; 0 for none.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    number: i64,
}

impl<'a> From<&'a SeenConversation> for ConversationJson<'a> {
    fn from(seen: &'a SeenConversation) -> Self {
        let (with, chat, role, muted_until) = match &seen.kind {
            SeenKind::With(other) => (Some(other.as_str()), None, None, None),
            SeenKind::Chat {
                chat,
                rank,
                member_muted_until,
            } => (None, Some(chat), Some(*rank), *member_muted_until),
        };
        let attributes = chat.and_then(|chat| chat.attributes.as_ref());
        let number = chat.map(|chat| chat.number.get());
        let reads = seen.reads.iter().map(|(user, read)| PositionJson {
            user: user.as_str(),
            read: read.get(),
        });
        Self {
            chat: number,
            number,
            name: chat.map(|chat| chat.name.as_str()),
            owner: chat.and_then(|chat| Some(chat.owner.as_ref()?.as_str())),
            members: chat.map(|chat| chat.members),
            role: role.map(RoleJson::from),
            muted_until,
            attributes: attributes.map(Attributes::as_json),
            rules: chat.map(|chat| chat.rules.into()).unwrap_or_default(),
            with,
            opened: seen.opened,
            timestamp: seen.timestamp.get(),
            created: seen.created,
            messages: seen.messages.get(),
            first: first(seen.first),
            last: seen.last.get(),
            message: seen.message.as_deref().map(MessageJson::from),
            read: seen.read.get(),
            unread: seen.unread.messages,
            mentions: seen.unread.mentions,
            settings: SettingsJson::of(&seen.settings, seen.blocked),
            reads: reads.collect(),
        }
    }
}

impl<'a> SettingsJson<'a> {
    /// `settings` are without an archiving that has ended.
    pub fn of(settings: &'a Settings, blocked: bool) -> Self {
        Self {
            pinned: settings.pinned,
            muted_until: settings.muted_until,
            archived: settings.archived.is_some(),
            blocked,
            attributes: settings
                .attributes
                .as_ref()
                .map(|attributes| attributes.as_json()),
        }
    }
}

impl<'a> From<&'a PresentSettings> for SettingsJson<'a> {
    fn from(present: &'a PresentSettings) -> Self {
        Self::of(&present.settings, present.blocked)
    }
}

impl<'a> ConversationListJson<'a> {
    pub fn new(page: &'a ConversationsPage, next: Option<i64>) -> Self {
        let conversations = page.conversations.iter();
        Self {
            conversations: conversations.map(ConversationJson::from).collect(),
            unread: page.unread.into(),
            latest: page.latest.get(),
            next,
        }
    }
}

impl From<UnreadTotal> for UnreadJson {
    fn from(total: UnreadTotal) -> Self {
        Self {
            messages: total.messages,
            conversations: total.conversations,
            mentions: total.mentions,
        }
    }
}

impl<'a> From<&'a (UserId, UnreadTotal)> for UserUnreadJson<'a> {
    fn from((user, total): &'a (UserId, UnreadTotal)) -> Self {
        Self {
            user: user.as_str(),
            unread: (*total).into(),
        }
    }
}

impl From<MessageNumber> for ReadPositionJson {
    fn from(number: MessageNumber) -> Self {
        Self {
            number: number.get(),
        }
    }
}

/// About how long a conversation is as JSON, in bytes.
pub fn seen_bytes(seen: &SeenConversation) -> usize {
    let of_chat = match &seen.kind {
        SeenKind::Chat { chat, .. } => chat.attributes.as_ref(),
        SeenKind::With(_) => None,
    };
    let attributes = seen.settings.attributes.iter().chain(of_chat);
    let attributes = attributes.map(|attributes| attributes.as_json().get().len());
    let attributes: usize = attributes.sum();
    let reads = seen.reads.iter().map(|(user, _)| user.as_str().len());
    let reads: usize = reads.map(|length| length + POSITION_BYTES).sum();
    CONVERSATION_BYTES + seen.message.as_ref().map_or(0, json_bytes) + attributes + reads
}

/// A conversation. A chat has its entity tag.
pub fn conversation(media_type: &'static str, seen: &SeenConversation) -> Response {
    let json = Json(media_type, ConversationJson::from(seen));
    match &seen.kind {
        SeenKind::Chat { chat, .. } => {
            ([(header::ETAG, entity_tag(chat.timestamp))], json).into_response()
        }
        SeenKind::With(_) => json.into_response(),
    }
}
