//! Personal conversations as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::super::instant;
use crate::{
    domain::{PersonalConversation, UserId},
    http::answer::openapi::schemas::{TimestampSchema, UserIdSchema},
};

/// A personal conversation as it is now, for one of its users.
#[derive(Serialize, ToSchema)]
#[schema(as = PersonalConversation, example = json!({
    "with": "john", "timestamp": 43, "created": "2026-11-20T09:30:00.123456Z", "messages": 3,
    "read": 3, "reads": [{ "user": "john", "read": 2 }]
}))]
pub struct PersonalConversationJson<'a> {
    /// The other user; oneself in a conversation with oneself.
    #[schema(value_type = UserIdSchema)]
    with: &'a str,
    /// The point on the timeline of its first message, or of the last change of a position.
    #[schema(value_type = TimestampSchema)]
    timestamp: i64,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// How many messages it has; so also the number of the last one.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    messages: i64,
    /// The caller's position: the number of the last message read; 0 for none.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    read: i64,
    /// The position of the other user.
    reads: Vec<PositionJson<'a>>,
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

impl<'a> PersonalConversationJson<'a> {
    /// The conversation as `user`, one of its users, sees it.
    pub fn of(conversation: &'a PersonalConversation, user: &'a UserId) -> Self {
        let position = |user: &'a UserId| PositionJson {
            user: user.as_str(),
            read: conversation.position(user).get(),
        };
        let others = conversation.pair.users().filter(|other| *other != user);
        Self {
            with: conversation.pair.other_of(user).as_str(),
            timestamp: conversation.timestamp.get(),
            created: conversation.created,
            messages: conversation.messages.get(),
            read: conversation.position(user).get(),
            reads: others.map(position).collect(),
        }
    }
}
