//! The replies to a message, as JSON.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;
use utoipa::ToSchema;

use super::{ListPage, MessageJson};
use crate::{
    domain::{Message, MessageId, MessageNumber, ReactionSummary},
    http::answer::openapi::schemas::MessageNumberSchema,
};

/// How many replies a message has.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplyCount)]
pub struct ReplyCountJson {
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    count: i64,
    /// The number of the newest reply; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageNumberSchema, required = false)]
    last: Option<i64>,
}

/// A page of the replies to a message, the oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplyList)]
pub struct ReplyListJson<'a> {
    messages: Vec<MessageJson<'a>>,
    /// All replies, on whatever page.
    replies: ReplyCountJson,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = MessageNumberSchema, required = false)]
    next: Option<i64>,
}

impl ReplyCountJson {
    pub fn new(count: i64, last: Option<MessageNumber>) -> Self {
        Self {
            count,
            last: last.map(|last| last.get()),
        }
    }
}

impl<'a> ReplyListJson<'a> {
    pub fn of(
        page: &'a ListPage<Arc<Message>, i64>,
        reacted: &'a HashMap<MessageId, Arc<ReactionSummary>>,
        replies: ReplyCountJson,
    ) -> Self {
        let messages = page.items.iter();
        let messages = messages
            .map(|message| MessageJson::from(message.as_ref()).with(reacted.get(&message.id)));
        Self {
            messages: messages.collect(),
            replies,
            next: page.next,
        }
    }
}
