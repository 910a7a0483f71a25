//! What callers get: the things of the domain as JSON, with their headers.

mod chats;
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

pub use chats::{Chat, ChatList, MemberList, chat};
pub use created::{created_chat, secret, sent};
pub use hits::HitList;
pub use messages::{Message, MessageList, json_bytes, message};
pub use page::Page;
pub use updates::{CaughtUp, LIVE_CACHE_CONTROL, MessageUpdate, MessageUpdates, held};

/// JSON under a media type that was agreed with the caller.
pub struct Json<T>(pub &'static str, pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let json = serde_json::to_vec(&self.1).expect("strings and numbers can be written as JSON");
        ([(header::CONTENT_TYPE, self.0)], json).into_response()
    }
}
