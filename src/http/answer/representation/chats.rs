//! Chats and their members as JSON.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    super::instant,
    Json,
    conversations::{ConversationJson, RoleJson},
};
use crate::{
    domain::{Chat, UserId},
    http::{
        answer::openapi::schemas::{
            AnyChatSchema, ChatNumberSchema, TimestampSchema, UserIdSchema,
        },
        extract::conditional::entity_tag,
    },
    store::members::Membership,
};

/// A chat as it is now.
#[derive(Serialize, ToSchema)]
#[schema(as = Chat, example = json!({
    "number": 1, "timestamp": 44, "name": "Team", "owner": "jane",
    "created": "2026-11-20T09:30:00.123456Z", "messages": 0, "members": 3
}))]
pub struct ChatJson<'a> {
    #[schema(value_type = ChatNumberSchema)]
    number: i64,
    /// The point on the timeline of its creation or of the last change of its name or members; its
    /// entity tag.
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
    /// How many members it has.
    #[schema(minimum = 0, maximum = 1000)]
    members: i32,
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
            members: chat.members,
        }
    }
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
    role: RoleJson,
    /// The number of the last message that the member has read; 0 for none.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    read: i64,
}

impl MemberJson {
    /// A member of a chat that `owner` owns.
    pub fn of(membership: &Membership, owner: Option<&UserId>) -> Self {
        Self {
            user: membership.user.as_str().to_owned(),
            joined: membership.member.joined.get(),
            role: RoleJson::of(owner == Some(&membership.user)),
            read: membership.member.position.read().get(),
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
