//! History: whole messages of a conversation, for clients that keep nothing.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatNumberPath, HistoryPage, ListInsideProblems, ListProblems, UserIdPath,
        },
        representation::{Json, ListPage, MessageJson, MessageListJson, json_bytes},
    },
    extract::{
        caller::Caller,
        media::{Accept, PlainJson},
        params::{ChatPath, HistoryParams, UserPath},
    },
};
use crate::{
    domain::{Conversation, Message},
    store,
};

/// Lists the messages of the caller's conversation with a user, the newest first.
///
/// `before` and `after` are ids of messages.
#[utoipa::path(
    get,
    path = "/users/{user}/messages",
    tag = "messages",
    params(AsUser, UserIdPath, HistoryPage),
    responses(
        (status = 200, description = "A page",
            body = MessageListJson, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn list_personal_messages(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PlainJson>,
    other: UserPath,
    params: HistoryParams,
) -> Answer {
    let (user, other) = (caller.user()?, other.checked()?);
    let (application, HistoryParams { span, limit }) = (caller.application, params);
    let conversation = Conversation::between(&user, &other);
    let reading = service.query(async |connection| {
        store::history::read(connection, application, &conversation, span, limit + 1).await
    });
    Ok(answer(accept.media_type, reading.await?, limit))
}

/// Lists the messages of a chat, the newest first.
///
/// `before` and `after` are numbers of messages.
#[utoipa::path(
    get,
    path = "/chats/{number}/messages",
    tag = "chats",
    params(AsUser, ChatNumberPath, HistoryPage),
    responses(
        (status = 200, description = "A page",
            body = MessageListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn list_chat_messages(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PlainJson>,
    number: ChatPath,
    params: HistoryParams,
) -> Answer {
    let HistoryParams { span, limit } = params;
    let chat = service.visible_chat(&caller, &number).await?.number;
    let (application, conversation) = (caller.application, Conversation::Chat(chat));
    let reading = service.query(async |connection| {
        store::history::read(connection, application, &conversation, span, limit + 1).await
    });
    Ok(answer(accept.media_type, reading.await?, limit))
}

fn answer(media_type: &'static str, found: Vec<Arc<Message>>, limit: i64) -> Response {
    let page = ListPage::cut_at(found, limit, json_bytes, position);
    let messages = page
        .items
        .iter()
        .map(|message| MessageJson::from(message.as_ref()))
        .collect();
    Json(
        media_type,
        MessageListJson {
            messages,
            next: page.next,
        },
    )
    .into_response()
}

/// Where a message stands in its conversation: by its number in a chat, else by its id.
fn position(message: &Arc<Message>) -> i64 {
    message.number.map_or(message.id.0, |number| number.0)
}
