//! The messages of personal conversations by number.

use axum::extract::State;

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, DeleteProblems, EditIfMatchHeader, EditProblems, IfMatchHeader,
            IfNoneMatchHeader, IncludeWithMessage, MessageAnswer, MessageNumberPath,
            MessageReadProblems, MessageUnchanged, UserIdPath,
        },
        representation,
    },
    extract::{
        caller::Caller,
        checks::Checks,
        conditional::IfNoneMatch,
        include::Beside,
        media::AnyMessage,
        request_bodies::{Edit, EditedMessageTextJson, MessagePatchJson, MessageReadMarkJson},
    },
    messages::{self, NumberedMessage},
};
use crate::{
    domain::Conversation,
    timeline::commands::{DeleteMessage, Expected},
};

/// Reads a message of the caller's conversation with a user by its number.
///
/// A deleted message is there still, as a tombstone. With `include` the answer has no ETag and is never 304:
/// the ETag is the version of the message alone.
#[utoipa::path(
    get,
    path = "/users/{user}/messages/{n}",
    tag = "messages",
    params(
        AsUser,
        UserIdPath,
        MessageNumberPath,
        IncludeWithMessage,
        IfNoneMatchHeader
    ),
    responses(MessageAnswer, MessageUnchanged, MessageReadProblems)
)]
pub async fn get_personal_message(
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

/// Edits one's own message, or marks a received one as read or unread.
///
/// As `PATCH /messages/{id}`.
#[utoipa::path(
    patch,
    path = "/users/{user}/messages/{n}",
    tag = "messages",
    params(AsUser, UserIdPath, MessageNumberPath, EditIfMatchHeader),
    request_body(content(
        (MessagePatchJson = "application/json"),
        (MessagePatchJson = "application/merge-patch+json"),
        (EditedMessageTextJson = "application/vnd.editedMessageText.v1+json"),
        (MessageReadMarkJson = "application/vnd.messageReadMark.v1+json"),
    )),
    responses(MessageAnswer, EditProblems),
)]
pub async fn edit_personal_message(
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

/// Deletes a message of the caller's conversation with a user.
///
/// As `DELETE /messages/{id}`.
#[utoipa::path(
    delete,
    path = "/users/{user}/messages/{n}",
    tag = "messages",
    params(AsUser, UserIdPath, MessageNumberPath, IfMatchHeader),
    responses(MessageAnswer, DeleteProblems)
)]
pub async fn delete_personal_message(
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
    let (user, other, number) = (checks.user(), checks.path(), checks.path());
    Some((Conversation::between(&user?, &other?), number?))
}
