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
        body::JsonBody,
        caller::Caller,
        conditional::{IfMatch, IfNoneMatch},
        idempotency::KeyHeader,
        media::{Accept, AnyMessage, ChatMessage},
        params::{ChatMessagePath, ChatPath},
        prefer::PrefersMinimal,
        request_bodies::{Edit, EditedMessageText, MessagePatch, NewChatMessage},
    },
    messages,
};
use crate::{
    domain::{Conversation, MessageId},
    store,
    timeline::commands::{DeleteMessage, SendMessage},
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
    caller: Caller,
    accept: Accept<ChatMessage>,
    number: ChatPath,
    key: KeyHeader,
    PrefersMinimal(minimal): PrefersMinimal,
    body: JsonBody<NewChatMessage>,
) -> Answer {
    let mut errors = Vec::new();
    let content = body.acceptable()?.checked(&mut errors);
    let key = key.checked(&mut errors);
    let content = content
        .filter(|_| errors.is_empty())
        .ok_or_else(|| Problem::invalid(errors))?;
    caller.actor()?;
    // A path that names no chat is told after what needs no state.
    let draft = content.to(Conversation::Chat(number.known()?));
    let idempotency = key.map(|key| service.digester.bind(key, None, &draft));
    let command = SendMessage { draft, idempotency };
    let outcome = service.submit(&caller, command).await?;
    Ok(representation::sent(accept.media_type, &outcome, minimal))
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
    caller: Caller,
    accept: Accept<AnyMessage>,
    path: ChatMessagePath,
    if_none_match: IfNoneMatch,
) -> Answer {
    let id = id_of(&service, &caller, &path).await?;
    messages::read(&service, &caller, id, accept.media_type, &if_none_match).await
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
    caller: Caller,
    accept: Accept<AnyMessage>,
    path: ChatMessagePath,
    if_match: IfMatch,
    body: JsonBody<Edit>,
) -> Answer {
    let if_match = if_match.readable()?;
    let edit = body.acceptable()?;
    let expected = if_match.required()?;
    let id = id_of(&service, &caller, &path).await?;
    let message = edit.submit(&service, &caller, id, expected).await?;
    Ok(representation::message(accept.media_type, &message))
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
    caller: Caller,
    accept: Accept<AnyMessage>,
    path: ChatMessagePath,
    if_match: IfMatch,
) -> Answer {
    let expected = if_match.readable()?.required()?;
    let id = id_of(&service, &caller, &path).await?;
    let deleted = service
        .submit(&caller, DeleteMessage { id, expected })
        .await?;
    Ok(representation::message(accept.media_type, &deleted.output))
}

/// The id of the message that a path names. It tells nothing to who may not read it: whatever is
/// done with the id looks again.
async fn id_of(
    service: &Service,
    caller: &Caller,
    path: &ChatMessagePath,
) -> Result<MessageId, Problem> {
    caller.actor()?;
    let (chat, number) = path.known()?;
    let reading = service.query(async |connection| {
        store::history::id_in_chat(connection, caller.application, chat, number).await
    });
    reading.await?.ok_or_else(Problem::not_found)
}
