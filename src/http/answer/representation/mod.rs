//! The objects of the domain as JSON, with their headers.
//!
//! A type whose name ends in `Json` is a JSON document, or a part of one, that callers receive or
//! [send](crate::http::extract::request_bodies). Its schema has the name without this ending.

mod applications;
mod chats;
mod conversations;
mod created;
mod erasures;
mod export;
mod feed;
mod hits;
mod hooks;
mod imports;
mod messages;
mod page;
mod pins;
mod reactions;
mod replies;
mod reports;
mod signals;
mod updates;
mod webhooks;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;

pub use applications::{ApplicationJson, ApplicationListJson, UserRestrictionsJson};
pub use chats::{
    BanListJson, ChatJson, ChatListJson, ListedChatJson, MemberJson, MemberListJson, chat,
    chat_bytes,
};
pub use conversations::{
    ConversationJson, ConversationListJson, ReadPositionJson, SettingsJson, UnreadListJson,
    conversation, seen_bytes,
};
pub use created::{created_chat, created_secret, put, secret, sent};
pub use erasures::ErasureJson;
pub use export::{ExportLineJson, Lines};
use feed::EntriesJson;
pub use feed::{FeedEntryJson, FeedJson, feed, render_entry};
pub use hits::HitListJson;
pub use hooks::HookJson;
pub use imports::{ImportResultJson, Stored};
pub use messages::{
    MessageJson, MessageListJson, json_bytes, message, message_with, render_message,
};
pub use page::{ListPage, fitting};
pub use pins::PinListJson;
pub use reactions::{ReactionListJson, summary_bytes};
pub use replies::{ReplyCountJson, ReplyListJson};
pub use reports::{ReportJson, ReportListJson};
pub use signals::{PresenceListJson, SignalJson, UserPresenceJson};
pub use updates::{
    CaughtUpJson, Included, LIVE_CACHE_CONTROL, MessageUpdateJson, MessageUpdatesJson, held, page,
};
pub use webhooks::{WebhookBatchJson, WebhookJson, WebhookListJson, render_batch};

/// JSON under a media type that was negotiated with the caller.
pub struct Json<T>(pub &'static str, pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_of_about(0, self.0, &self.1)
    }
}

/// What most answers do not exceed, and larger ones have besides their items.
const SMALL_BYTES: usize = 256;

/// JSON with items of about so many bytes. A buffer that grows is copied, and a large one comes from
/// the kernel, which clears it each time.
fn json_of_about(bytes: usize, media_type: &'static str, value: &impl Serialize) -> Response {
    let mut json = Vec::with_capacity(SMALL_BYTES + bytes);
    serde_json::to_writer(&mut json, value).expect("strings and numbers can be written as JSON");
    ([(header::CONTENT_TYPE, media_type)], json).into_response()
}
