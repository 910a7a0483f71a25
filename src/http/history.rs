//! History: whole messages of a conversation, for clients that keep nothing.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatNumberPath, HistoryPage, IncludeInList, ListInsideProblems, ListProblems,
            UserIdPath,
        },
        representation::{Json, ListPage, MessageJson, MessageListJson},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson, params::HistoryParams},
    included,
};
use crate::{
    domain::{Conversation, Message, MessageNumber, UserId},
    store,
};

/// Lists the messages of the caller's conversation with a user, the newest first.
///
/// `before` and `after` are numbers of messages.
#[utoipa::path(
    get,
    path = "/users/{user}/messages",
    tag = "messages",
    params(AsUser, UserIdPath, HistoryPage, IncludeInList),
    responses(
        (status = 200, description = "A page",
            body = MessageListJson, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn list_personal_messages(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (user, other) = (checks.user(), checks.path::<UserId>());
    let params = checks.query::<HistoryParams>();
    let passed = checks.finish(|| Some((user?, other?, params?)))?;
    let (user, other, params) = passed.input;
    let conversation = Conversation::between(&user, &other);
    list(
        &service,
        &passed.caller,
        &conversation,
        MessageNumber::ZERO,
        &params,
        passed.media_type,
    )
    .await
}

/// Lists the messages of a chat, the newest first.
///
/// `before` and `after` are numbers of messages.
#[utoipa::path(
    get,
    path = "/chats/{number}/messages",
    tag = "chats",
    params(AsUser, ChatNumberPath, HistoryPage, IncludeInList),
    responses(
        (status = 200, description = "A page",
            body = MessageListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn list_chat_messages(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (chat, params) = (checks.path(), checks.query::<HistoryParams>());
    let passed = checks.finish(|| chat.zip(params))?;
    let (chat, params) = passed.input;
    let reads_after = service
        .visible_chat(&passed.caller, chat)
        .await?
        .reads_after;
    let conversation = Conversation::Chat(chat);
    list(
        &service,
        &passed.caller,
        &conversation,
        reads_after,
        &params,
        passed.media_type,
    )
    .await
}

async fn list(
    service: &Service,
    caller: &Caller,
    conversation: &Conversation,
    reads_after: MessageNumber,
    params: &HistoryParams,
    media_type: &'static str,
) -> Answer {
    let HistoryParams {
        span,
        limit,
        beside,
    } = *params;
    let (application, reader) = (caller.application, caller.user.as_ref());
    let reading = service.query(async |connection| {
        store::history::read(
            connection,
            application,
            conversation,
            span,
            reads_after,
            limit + 1,
        )
        .await
    });
    let messages = reading.await?;
    let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
    let reacted = included::reactions_beside(service, application, reader, beside, &ids).await?;
    let size = |message: &Arc<Message>| included::bytes_with(message, &reacted);
    let page = ListPage::cut_at(messages, limit, size, |message| message.number.get());
    let messages = page
        .items
        .iter()
        .map(|message| MessageJson::from(message.as_ref()).with(reacted.get(&message.id)));
    let list = MessageListJson {
        messages: messages.collect(),
        next: page.next,
    };
    Ok(Json(media_type, list).into_response())
}
