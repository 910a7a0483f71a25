//! Messages of chats: sent into them, and read, edited and deleted by their number.

use axum::extract::State;

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatMessageSent, ChatNumberPath, CreateInsideProblems, DeleteProblems,
            EditProblems, IfMatchHeader, IfNoneMatchHeader, IncludeWithMessage, MessageAnswer,
            MessageNumberPath, MessageReadProblems, MessageUnchanged, Repeatable,
        },
        representation,
    },
    extract::{
        caller::Caller,
        checks::Checks,
        conditional::IfNoneMatch,
        idempotency::KeyHeader,
        include::Beside,
        media::{AnyMessage, ChatMessage},
        prefer::prefers_minimal,
        request_bodies::{Edit, EditedMessageTextJson, MessagePatchJson, NewChatMessageJson},
    },
    messages::{self, NumberedMessage},
};
use crate::{
    domain::{ChatNumber, Conversation},
    timeline::commands::{DeleteMessage, Expected, SendMessage},
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
    mut checks: Checks<Caller, ChatMessage>,
) -> Answer {
    let content = checks.body::<NewChatMessageJson>().await?;
    let (chat, key) = (checks.path::<ChatNumber>(), checks.header::<KeyHeader>());
    let minimal = prefers_minimal(checks.headers());
    let passed = checks.finish(|| Some((chat?, content?, key?.0)))?;
    let (chat, content, key) = passed.input;
    let draft = content.to(Conversation::Chat(chat));
    let idempotency = key.map(|key| service.digester.bind(key, None, &draft));
    let command = SendMessage { draft, idempotency };
    let answered = (passed.media_type, minimal);
    messages::send(&service, &passed.caller, command, answered).await
}

/// Reads a message of a chat by its number.
///
/// A deleted message is there still, as a tombstone. With `include` the answer has no ETag and is never 304:
/// the ETag is the version of the message alone.
#[utoipa::path(
    get,
    path = "/chats/{number}/messages/{n}",
    tag = "chats",
    params(
        AsUser,
        ChatNumberPath,
        MessageNumberPath,
        IncludeWithMessage,
        IfNoneMatchHeader
    ),
    responses(MessageAnswer, MessageUnchanged, MessageReadProblems)
)]
pub async fn get_chat_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let (named, beside) = (named(&mut checks), checks.query::<Beside>());
    let if_none_match = IfNoneMatch::of(checks.headers());
    let passed = checks.finish(|| named.zip(beside))?;
    let (named, beside) = &passed.input;
    let id = messages::id_of(&service, &passed.caller, named).await?;
    messages::read(&service, &passed, id, *beside, &if_none_match).await
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
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let edit = checks.body::<Edit>().await?;
    let named = named(&mut checks);
    let expected = Edit::expected(edit.as_ref(), &mut checks);
    let passed = checks.finish(|| Some((named?, edit?, expected?)))?;
    let (named, edit, expected) = passed.input;
    let id = messages::id_of(&service, &passed.caller, &named).await?;
    let media_type = passed.media_type;
    edit.carry_out(&service, &passed.caller, id, expected, media_type)
        .await
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
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let (named, expected) = (named(&mut checks), checks.header::<Expected>());
    let passed = checks.finish(|| named.zip(expected))?;
    let (named, expected) = passed.input;
    let id = messages::id_of(&service, &passed.caller, &named).await?;
    let command = DeleteMessage { id, expected };
    let deleted = service.submit(&passed.caller, command).await?;
    Ok(representation::message(passed.media_type, &deleted.output))
}

/// The message that the path names.
fn named<A>(checks: &mut Checks<Caller, A>) -> Option<NumberedMessage> {
    let (chat, number) = (checks.path(), checks.path());
    Some((Conversation::Chat(chat?), number?))
}
