//! The objects of the domain as JSON, with their headers.
//!
//! A type whose name ends in `Json` is a JSON document, or a part of one, that callers receive or
//! [send](crate::http::extract::request_bodies). Its schema has the name without this ending.

mod applications;
mod chats;
mod conversations;
mod created;
mod hits;
mod messages;
mod page;
mod updates;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;

pub use applications::{ApplicationJson, ApplicationListJson};
pub use chats::{ChatJson, ChatListJson, ListedChatJson, MemberJson, MemberListJson, chat};
pub use conversations::{
    ConversationJson, ConversationListJson, ReadPositionJson, SettingsJson, UnreadListJson,
    conversation, seen_bytes,
};
pub use created::{created_chat, secret, sent};
pub use hits::HitListJson;
pub use messages::{MessageJson, MessageListJson, json_bytes, message};
pub use page::{ListPage, fitting};
pub use updates::{
    CaughtUpJson, IncludedConversations, LIVE_CACHE_CONTROL, MessageUpdateJson, MessageUpdatesJson,
    held,
};

/// JSON under a media type that was negotiated with the caller.
pub struct Json<T>(pub &'static str, pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let json = serde_json::to_vec(&self.1).expect("strings and numbers can be written as JSON");
        ([(header::CONTENT_TYPE, self.0)], json).into_response()
    }
}
