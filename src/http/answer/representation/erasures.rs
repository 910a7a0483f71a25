//! The erasure of a user as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::super::instant;
use crate::{
    domain::OthersMessages,
    http::answer::openapi::schemas::UserIdSchema,
    store::erasures::{ErasureReport, REMAINING_COUNTED_MAX},
};

/// How far the erasure of a user has come.
#[derive(Serialize, ToSchema)]
#[schema(as = Erasure, example = json!({
    "state": "running", "pseudonym": "erased:5f0c1c1e9a534bd19d0f0d6c3f6f1f2a", "conversations": "keep",
    "requested": "2026-12-08T09:30:00.000000Z", "remaining": 412,
    "erased": { "messages": 96, "conversations": 3, "memberships": 2, "reactions": 0 }
}))]
pub struct ErasureJson {
    state: ErasureState,
    /// What takes the place of the user where others need one, and names it in the feed.
    #[schema(value_type = UserIdSchema)]
    pseudonym: String,
    conversations: ErasedConversationsJson,
    /// Tokens of the user that were issued before do not identify it any more.
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    requested: OffsetDateTime,
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    finished: Option<OffsetDateTime>,
    /// How many messages, conversations, memberships, mentions and reactions still name the user, as far as its
    /// memberships tell: 10,000 means as many or more. After them come timelines, which are not counted.
    #[schema(minimum = 0, maximum = 10000)]
    remaining: i64,
    erased: ErasedJson,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ErasureState)]
enum ErasureState {
    Running,
    Done,
}

/// What becomes of the messages of others in the user's personal conversations.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ErasedConversations)]
enum ErasedConversationsJson {
    Keep,
    Delete,
}

/// What was erased so far. What a replica was doing when it died may not be counted.
#[derive(Serialize, ToSchema)]
#[schema(as = Erased)]
pub struct ErasedJson {
    /// Messages that were changed: deleted, or without the user's name now.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    messages: i64,
    /// Personal conversations that have the pseudonym, and chats that were deleted.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    conversations: i64,
    /// Chats that the user has left by it.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    memberships: i64,
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    reactions: i64,
}

const _: () = assert!(REMAINING_COUNTED_MAX == 10_000, "the description says so");

impl ErasureJson {
    pub fn new(report: &ErasureReport, remaining: i64) -> Self {
        Self {
            state: match report.finished {
                None => ErasureState::Running,
                Some(_) => ErasureState::Done,
            },
            pseudonym: report.pseudonym.as_str().to_owned(),
            conversations: match report.others {
                OthersMessages::Kept => ErasedConversationsJson::Keep,
                OthersMessages::Deleted => ErasedConversationsJson::Delete,
            },
            requested: report.requested,
            finished: report.finished,
            remaining,
            erased: ErasedJson {
                messages: report.erased.messages,
                conversations: report.erased.conversations,
                memberships: report.erased.memberships,
                reactions: report.erased.reactions,
            },
        }
    }
}
