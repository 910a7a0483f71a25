//! History: whole messages of a conversation, for clients that keep nothing.

use axum::{extract::State, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatNumberPath, HistoryPage, ListInsideProblems, ListProblems, UserIdPath,
        },
        representation::{Json, ListPage, MessageJson, MessageListJson, json_bytes},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson, params::HistoryParams},
};
use crate::{
    domain::{ApplicationId, Conversation, MessageNumber, UserId},
    store,
};

/// Lists the messages of the caller's conversation with a user, the newest first.
///
/// `before` and `after` are numbers of messages.
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
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (user, other) = (checks.user(), checks.path::<UserId>());
    let params = checks.query::<HistoryParams>();
    let passed = checks.finish(|| Some((user?, other?, params?)))?;
    let (user, other, params) = passed.input;
    let conversation = Conversation::between(&user, &other);
    let application = passed.caller.application;
    list(
        &service,
        application,
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
    params(AsUser, ChatNumberPath, HistoryPage),
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
    let (application, conversation) = (passed.caller.application, Conversation::Chat(chat));
    list(
        &service,
        application,
        &conversation,
        reads_after,
        &params,
        passed.media_type,
    )
    .await
}

async fn list(
    service: &Service,
    application: ApplicationId,
    conversation: &Conversation,
    reads_after: MessageNumber,
    params: &HistoryParams,
    media_type: &'static str,
) -> Answer {
    let HistoryParams { span, limit } = *params;
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
    let page = ListPage::cut_at(reading.await?, limit, json_bytes, |message| {
        message.number.get()
    });
    let messages = page
        .items
        .iter()
        .map(|message| MessageJson::from(message.as_ref()));
    let list = MessageListJson {
        messages: messages.collect(),
        next: page.next,
    };
    Ok(Json(media_type, list).into_response())
}
