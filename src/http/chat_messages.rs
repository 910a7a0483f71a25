//! Messages of chats: sent into them, and read, edited and deleted by their number.

use axum::extract::State;

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatMessageSent, ChatNumberPath, CreateInsideProblems, DeleteProblems,
            EditProblems, IfMatchHeader, IfNoneMatchHeader, MessageAnswer, MessageNumberPath,
            MessageUnchanged, ReadProblems, Repeatable,
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
        request_bodies::{Edit, EditedMessageTextJson, MessagePatchJson, NewChatMessageJson},
    },
    messages,
};
use crate::{
    domain::{Conversation, MessageId},
    store,
    timeline::commands::{DeleteMessage, SendMessage},
};

/// Sends a message into a chat.
///
/// A member may, and the application itself. Repeating the request with the same `Idempotency-Key`
/// sends nothing again.
#[utoipa::path(
    post,
    path = "/chats/{number}/messages",
    tag = "chats",
    params(AsUser, ChatNumberPath, Repeatable),
    request_body(content(
        (NewChatMessageJson = "application/vnd.newChatMessage.v1+json"),
        (NewChatMessageJson = "application/json"),
    )),
    responses(ChatMessageSent, CreateInsideProblems),
)]
pub async fn send_chat_message(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<ChatMessage>,
    number: ChatPath,
    key: KeyHeader,
    PrefersMinimal(minimal): PrefersMinimal,
    body: JsonBody<NewChatMessageJson>,
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
///
/// A deleted message is there still, as a tombstone.
#[utoipa::path(
    get,
    path = "/chats/{number}/messages/{n}",
    tag = "chats",
    params(AsUser, ChatNumberPath, MessageNumberPath, IfNoneMatchHeader),
    responses(MessageAnswer, MessageUnchanged, ReadProblems)
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
///
/// What changes nothing is 200 with the present ETag, whatever `If-Match` says: repeating an edit
/// is safe.
#[utoipa::path(
    patch,
    path = "/chats/{number}/messages/{n}",
    tag = "chats",
    params(AsUser, ChatNumberPath, MessageNumberPath, IfMatchHeader),
    request_body(content(
        (MessagePatchJson = "application/json"),
        (MessagePatchJson = "application/merge-patch+json"),
        (EditedMessageTextJson = "application/vnd.editedMessageText.v1+json"),
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

/// Deletes a message of a chat.
///
/// Its sender may, the chat's owner, and the application. Its data are cleared for ever, and a
/// tombstone remains.
#[utoipa::path(
    delete,
    path = "/chats/{number}/messages/{n}",
    tag = "chats",
    params(AsUser, ChatNumberPath, MessageNumberPath, IfMatchHeader),
    responses(MessageAnswer, DeleteProblems)
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
