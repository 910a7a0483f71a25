//! Messages of chats: sent into them, and read, edited and deleted by their number.

use axum::extract::State;

use super::{
    Answer, Service,
    answer::{
        openapi::{
            CreateInsideProblems, DeleteProblems, EditProblems, MessageAnswer, ReadProblems,
        },
        problem::Problem,
        representation,
    },
    extract::{
        caller::Caller,
        checks::Checks,
        conditional::IfNoneMatch,
        idempotency::KeyHeader,
        media::{AnyMessage, ChatMessage},
        prefer::prefers_minimal,
        request_bodies::{Edit, EditedMessageText, MessagePatch, NewChatMessage},
    },
    messages,
};
use crate::{
    domain::{ChatNumber, Conversation, MessageId, MessageNumber},
    store,
    timeline::commands::{DeleteMessage, Expected, SendMessage},
};

/// Sends a message into a chat: a member, or the application itself.
#[utoipa::path(
    post,
    path = "/chats/{number}/messages",
    tag = "chats",
    security(("bearer" = [])),
    params(crate::http::answer::openapi::AsUser, crate::http::answer::openapi::ChatNumberPath, crate::http::answer::openapi::Repeatable),
    request_body(content(
        (NewChatMessage = "application/vnd.newChatMessage.v1+json"),
        (NewChatMessage = "application/json"),
    )),
    responses(
        (status = 201, description = "Sent; or the message as it is now, where the key was used for the same request before",
            content((representation::Message = "application/vnd.chatMessage.v1+json"), (representation::Message = "application/json")),
            headers(
                ("Location" = String, description = "`/messages/{id}`"),
                ("ETag" = String, description = "The timestamp in quotes, for If-Match"),
                ("Idempotent-Replayed" = bool, description = "`true` where nothing was sent again"),
                ("Preference-Applied" = String, description = "`return=minimal` where the answer has no body"),
            )),
        CreateInsideProblems,
    ),
)]
pub async fn send_chat_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, ChatMessage>,
) -> Answer {
    let content = checks.body::<NewChatMessage>().await?;
    let (chat, key) = (checks.path::<ChatNumber>(), checks.header::<KeyHeader>());
    let minimal = prefers_minimal(checks.headers());
    let passed = checks.finish(|| Some((chat?, content?, key?.0)))?;
    let (chat, content, key) = passed.input;
    let draft = content.to(Conversation::Chat(chat));
    let idempotency = key.map(|key| service.digester.bind(key, None, &draft));
    let command = SendMessage { draft, idempotency };
    let outcome = service.submit(&passed.caller, command).await?;
    Ok(representation::sent(passed.media_type, &outcome, minimal))
}

/// Reads a message of a chat by its number.
#[utoipa::path(
    get,
    path = "/chats/{number}/messages/{n}",
    tag = "chats",
    security(("bearer" = [])),
    params(
        crate::http::answer::openapi::AsUser,
        crate::http::answer::openapi::ChatNumberPath,
        crate::http::answer::openapi::MessageNumberPath,
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the message as you know it: 304 if it is still so"),
    ),
    responses(
        MessageAnswer,
        (status = 304, description = "You have it as it is", headers(("ETag" = String, description = "The timestamp in quotes"))),
        ReadProblems,
    ),
)]
pub async fn get_chat_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let path = checks.path::<(ChatNumber, MessageNumber)>();
    let if_none_match = IfNoneMatch::of(checks.headers());
    let passed = checks.finish(|| path)?;
    let id = id_of(&service, &passed.caller, passed.input).await?;
    messages::read(&service, &passed, id, &if_none_match).await
}

/// Edits the text of one's own message in a chat.
#[utoipa::path(
    patch,
    path = "/chats/{number}/messages/{n}",
    tag = "chats",
    security(("bearer" = [])),
    params(
        crate::http::answer::openapi::AsUser,
        crate::http::answer::openapi::ChatNumberPath,
        crate::http::answer::openapi::MessageNumberPath,
        ("If-Match" = String, Header, description = "The ETag of the message as you know it"),
    ),
    request_body(content(
        (MessagePatch = "application/json"),
        (MessagePatch = "application/merge-patch+json"),
        (EditedMessageText = "application/vnd.editedMessageText.v1+json"),
    )),
    responses(MessageAnswer, EditProblems),
)]
pub async fn edit_chat_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let edit = checks.body::<Edit>().await?;
    let (path, expected) = (checks.path(), checks.header::<Expected>());
    let passed = checks.finish(|| Some((path?, edit?, expected?)))?;
    let (path, edit, expected) = passed.input;
    let id = id_of(&service, &passed.caller, path).await?;
    let message = edit.submit(&service, &passed.caller, id, expected).await?;
    Ok(representation::message(passed.media_type, &message))
}

/// Deletes a message of a chat: its sender, the chat's owner, or the application.
#[utoipa::path(
    delete,
    path = "/chats/{number}/messages/{n}",
    tag = "chats",
    security(("bearer" = [])),
    params(
        crate::http::answer::openapi::AsUser,
        crate::http::answer::openapi::ChatNumberPath,
        crate::http::answer::openapi::MessageNumberPath,
        ("If-Match" = String, Header, description = "The ETag of the message as you know it"),
    ),
    responses(MessageAnswer, DeleteProblems),
)]
pub async fn delete_chat_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let (path, expected) = (checks.path(), checks.header::<Expected>());
    let passed = checks.finish(|| Some((path?, expected?)))?;
    let (path, expected) = passed.input;
    let id = id_of(&service, &passed.caller, path).await?;
    let command = DeleteMessage { id, expected };
    let deleted = service.submit(&passed.caller, command).await?;
    Ok(representation::message(passed.media_type, &deleted.output))
}

/// The id of the message that a path names. Nothing is revealed to a caller who may not read it: every
/// use of the id checks that again.
async fn id_of(
    service: &Service,
    caller: &Caller,
    (chat, number): (ChatNumber, MessageNumber),
) -> Result<MessageId, Problem> {
    let reading = service.query(async |connection| {
        store::history::id_in_chat(connection, caller.application, chat, number).await
    });
    reading.await?.ok_or_else(Problem::not_found)
}
