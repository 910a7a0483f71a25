//! Chats and their members as JSON.

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
    Json, ListPage,
    conversations::{ConversationJson, RoleJson},
};
use crate::{
    domain::{Attributes, Chat, ChatRules, MessageNumber, RetentionDays, UserId},
    http::{
        answer::openapi::schemas::{
            AnyChatSchema, ChatNumberSchema, HistorySchema, PostingSchema, TimestampSchema,
            UserIdSchema, attributes,
        },
        extract::conditional::entity_tag,
    },
    store::members::Membership,
};

/// What a chat has besides its attributes, in bytes of JSON.
const CHAT_BYTES: usize = 300;

/// A chat as it is now.
#[derive(Serialize, ToSchema)]
#[schema(as = Chat, example = json!({
    "number": 1, "timestamp": 44, "name": "Team", "owner": "jane",
    "created": "2026-11-20T09:30:00.123456Z", "messages": 0, "members": 3
}))]
pub struct ChatJson<'a> {
    #[schema(value_type = ChatNumberSchema)]
    number: i64,
    /// The point on the timeline of its creation or of the last change of the chat itself or of its members;
    /// its entity tag.
    #[schema(value_type = TimestampSchema)]
    timestamp: i64,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    owner: Option<&'a str>,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// How many messages it has; so also the number of the last one.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    messages: i64,
    /// The number of the first message that has not expired, if any has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 2, maximum = 9007199254740991_i64)]
    first: Option<i64>,
    /// How many members it has.
    #[schema(minimum = 0, maximum = 1000)]
    members: i32,
    /// Its messages are being imported: it has its members once that is done.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    importing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = attributes, required = false)]
    attributes: Option<&'a RawValue>,
    #[serde(flatten)]
    rules: RulesJson,
}

/// What a chat allows; what is absent is as it is at first.
#[derive(Serialize, ToSchema, Default)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatRules)]
pub struct RulesJson {
    /// Who posts, if it is not every member but readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = PostingSchema, required = false)]
    posting: Option<&'static str>,
    /// Nobody posts but the application.
    #[serde(skip_serializing_if = "Not::not")]
    #[schema(required = false)]
    frozen: bool,
    /// What members read, if it is not everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = HistorySchema, required = false)]
    history: Option<&'static str>,
    /// How many seconds a member waits between two messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, minimum = 1, maximum = 86400, required = false)]
    slow_mode: Option<u32>,
    /// `false` where nobody adds reactions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    reactions: Option<bool>,
    /// After how many days its messages expire, if it is not as its application says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, minimum = 1, maximum = 36500, required = false)]
    retention_days: Option<u16>,
}

impl From<ChatRules> for RulesJson {
    fn from(rules: ChatRules) -> Self {
        let at_first = ChatRules::default();
        let (posting, history) = (rules.posting, rules.history);
        Self {
            posting: (posting != at_first.posting).then(|| posting.name()),
            frozen: rules.frozen,
            history: (history != at_first.history).then(|| history.name()),
            slow_mode: (rules.slow_mode > 0).then_some(rules.slow_mode),
            reactions: rules.reactions_off.then_some(false),
            retention_days: rules.retention.map(RetentionDays::get),
        }
    }
}

impl<'a> From<&'a Chat> for ChatJson<'a> {
    fn from(chat: &'a Chat) -> Self {
        Self {
            number: chat.number.get(),
            timestamp: chat.timestamp.get(),
            name: chat.name.as_str(),
            owner: chat.owner.as_ref().map(UserId::as_str),
            created: chat.created,
            messages: chat.messages.get(),
            first: first(chat.first),
            members: chat.members,
            importing: chat.import.is_running(),
            attributes: chat.attributes.as_ref().map(Attributes::as_json),
            rules: chat.rules.into(),
        }
    }
}

/// The number of the first message that has not expired; `None` where none has.
pub fn first(number: MessageNumber) -> Option<i64> {
    (number > MessageNumber::FIRST).then(|| number.get())
}

/// About how long a chat is as JSON, in bytes.
pub fn chat_bytes(chat: &Chat) -> usize {
    let attributes = chat.attributes.as_ref();
    CHAT_BYTES + attributes.map_or(0, |attributes| attributes.as_json().get().len())
}

/// A chat with its entity tag.
pub fn chat(media_type: &'static str, chat: &Chat) -> Response {
    let etag = [(header::ETAG, entity_tag(chat.timestamp))];
    (etag, Json(media_type, ChatJson::from(chat))).into_response()
}

/// A chat of a list: for a user as one of its members sees it.
#[derive(Serialize)]
#[serde(untagged)]
pub enum ListedChatJson<'a> {
    Seen(Box<ConversationJson<'a>>),
    Chat(ChatJson<'a>),
}

/// The chats of the caller, by number.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatList)]
pub struct ChatListJson<'a> {
    #[schema(value_type = Vec<AnyChatSchema>)]
    pub chats: Vec<ListedChatJson<'a>>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    pub next: Option<i64>,
}

/// A member of a chat.
#[derive(Serialize, ToSchema)]
#[schema(as = Member, example = json!({
    "user": "jane", "joined": 44, "role": "owner", "read": 3
}))]
pub struct MemberJson {
    #[schema(value_type = UserIdSchema)]
    user: String,
    /// The point on the timeline since which the user is a member.
    #[schema(value_type = TimestampSchema)]
    joined: i64,
    /// The number of the newest message when the user joined: with `history: joined`, it reads what comes after.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    since: Option<i64>,
    role: RoleJson,
    /// The number of the last message that the member has read; 0 for none.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    read: i64,
    /// Until then the member does not post.
    #[serde(
        rename = "mutedUntil",
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    muted_until: Option<OffsetDateTime>,
}

impl MemberJson {
    /// A member of the chat.
    pub fn of(membership: &Membership, chat: &Chat) -> Self {
        let (user, member) = (&membership.user, &membership.member);
        Self {
            user: user.as_str().to_owned(),
            joined: member.joined.get(),
            since: (member.since > MessageNumber::ZERO).then(|| member.since.get()),
            role: chat.rank(user, member).into(),
            // What has expired counts as read.
            read: member.position.read().max(chat.first.previous()).get(),
            muted_until: member.muted_until,
        }
    }
}

/// A user who is kept from joining a chat.
#[derive(Serialize, ToSchema)]
#[schema(as = Ban, example = json!({ "user": "jim", "created": "2026-11-20T09:30:00.123456Z" }))]
pub struct BanJson {
    #[schema(value_type = UserIdSchema)]
    user: String,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
}

/// Who is kept from joining a chat, by name.
#[derive(Serialize, ToSchema)]
#[schema(as = BanList)]
pub struct BanListJson {
    bans: Vec<BanJson>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    next: Option<String>,
}

impl From<ListPage<(UserId, OffsetDateTime), String>> for BanListJson {
    fn from(page: ListPage<(UserId, OffsetDateTime), String>) -> Self {
        let bans = page.items.into_iter().map(|(user, created)| BanJson {
            user: user.as_str().to_owned(),
            created,
        });
        Self {
            bans: bans.collect(),
            next: page.next,
        }
    }
}

/// The present members of a chat, by name.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberList)]
pub struct MemberListJson {
    pub members: Vec<MemberJson>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserIdSchema, required = false)]
    pub next: Option<String>,
}
