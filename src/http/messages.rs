//! Messages: send, sync, read, edit, delete.

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, CreateProblems, DeleteProblems, EditProblems, IfMatchHeader, IfNoneMatchHeader,
            MessageAnswer, MessageIdPath, MessageUnchanged, PersonalMessageSent, ReadProblems,
            Repeatable, Resumed, SyncPage, SyncProblems, schemas::MessageStreamSchema,
        },
        problem::Problem,
        representation::{self, Json, MessageUpdatesJson},
    },
    extract::{
        body::JsonBody,
        caller::{Caller, StreamCaller},
        conditional::{IfMatch, IfNoneMatch, entity_tag},
        idempotency::KeyHeader,
        media::{self, Accept, AnyMessage, PersonalMessage, Updates},
        params::{LastEventId, MessagePath, SyncParams},
        prefer::PrefersMinimal,
        request_bodies::{
            Edit, EditedMessageTextJson, MessagePatchJson, MessageReadMarkJson,
            NewPersonalMessageJson,
        },
    },
    live,
    server::{Link, envelope::RequestId},
};
use crate::{
    domain::{Conversation, Cursor, MessageId},
    store::pages::{PageRequest, PageSize},
    sync::PAGE_BYTES_MAX,
    timeline::commands::{DeleteMessage, SendMessage},
};

/// Sends a message to a user.
///
/// The message is stored, and its change is on the timeline of both users, when the answer comes.
/// Repeating the request with the same `Idempotency-Key` sends nothing again.
#[utoipa::path(
    post,
    path = "/messages",
    tag = "messages",
    params(AsUser, Repeatable),
    request_body(content(
        (NewPersonalMessageJson = "application/vnd.newPersonalMessage.v1+json"),
        (NewPersonalMessageJson = "application/json"),
    )),
    responses(PersonalMessageSent, CreateProblems),
)]
pub async fn send_message(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PersonalMessage>,
    key: KeyHeader,
    PrefersMinimal(minimal): PrefersMinimal,
    body: JsonBody<NewPersonalMessageJson>,
) -> Answer {
    let mut errors = Vec::new();
    let message = body.acceptable()?.checked(&mut errors);
    let key = key.checked(&mut errors);
    let (to, content) = message
        .filter(|_| errors.is_empty())
        .ok_or_else(|| Problem::invalid(errors))?;
    let draft = content.to(Conversation::between(&caller.user()?, &to));
    let idempotency = key.map(|key| service.digester.bind(key, Some(&to), &draft));
    let command = SendMessage { draft, idempotency };
    let outcome = service.submit(&caller, command).await?;
    Ok(representation::sent(accept.media_type, &outcome, minimal))
}

/// Lists the changes after a point on the timeline, or streams them.
///
/// Repeat it with `after` = `next` of the answer before: you receive every change that concerns
/// you, in order, and never miss one. With `wait` the answer is held until there is something.
///
/// With `Accept: text/event-stream` the answer is a stream of the same (see `MessageStream`),
/// without regard to `limit` and `wait`. It ends when the token does, when the service shuts down,
/// or when the client receives nothing of it for 60 s. Open it again with `Last-Event-ID`, on any
/// replica: nothing is lost or repeated.
#[utoipa::path(
    get,
    path = "/messages",
    tag = "messages",
    security(("bearer" = []), ("ticket" = [])),
    params(AsUser, SyncPage, Resumed),
    responses(
        (status = 200, description = "A page, ascending by timestamp; or the stream", content(
            (MessageUpdatesJson = "application/json"),
            (MessageUpdatesJson = "application/vnd.messageUpdates.v1+json"),
            (MessageStreamSchema = "text/event-stream"),
        )),
        SyncProblems,
    ),
)]
pub async fn sync_messages(
    State(service): State<Service>,
    StreamCaller(caller): StreamCaller,
    accept: Accept<Updates>,
    params: SyncParams,
    Extension(request_id): Extension<RequestId>,
    Extension(link): Extension<Link>,
    last_event_id: LastEventId,
) -> Answer {
    let SyncParams {
        cursor,
        limit,
        with_messages,
        wait,
    } = params;
    let size = PageSize {
        entries: limit,
        bytes: PAGE_BYTES_MAX,
    };
    let (application, user) = (caller.application, caller.user()?);
    let mut request = PageRequest {
        application,
        user,
        cursor,
        size,
    };
    if accept.media_type == media::EVENT_STREAM {
        let last = last_event_id.checked()?;
        request.cursor = last.map_or(cursor, Cursor::After);
        return live::open(
            &service,
            caller.validity,
            request,
            with_messages,
            request_id,
            &link,
        );
    }
    if wait.is_zero() {
        let changes = service.sync().changes_after(request, with_messages).await?;
        return Ok(Json(accept.media_type, MessageUpdatesJson::from(&changes)).into_response());
    }
    // While it waits it counts as a held answer, and as a request again once there is an answer.
    drop(link.leave());
    let user = request.user.clone();
    // In a box: most requests do not wait, and would carry the room for it.
    let holding = live::hold(&service, &caller.validity, request, with_messages, wait);
    let changes = Box::pin(holding).await?;
    link.keep(service.budget.enter(application, &user)?);
    Ok(representation::held(accept.media_type, &changes))
}

/// Reads a message as it is now.
///
/// A deleted message is there still, as a tombstone.
#[utoipa::path(
    get,
    path = "/messages/{id}",
    tag = "messages",
    params(AsUser, MessageIdPath, IfNoneMatchHeader),
    responses(MessageAnswer, MessageUnchanged, ReadProblems)
)]
pub async fn get_message(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<AnyMessage>,
    id: MessagePath,
    if_none_match: IfNoneMatch,
) -> Answer {
    caller.actor()?;
    read(
        &service,
        &caller,
        id.known()?,
        accept.media_type,
        &if_none_match,
    )
    .await
}

/// Answers with a message as it is now.
pub async fn read(
    service: &Service,
    caller: &Caller,
    id: MessageId,
    media_type: &'static str,
    if_none_match: &IfNoneMatch,
) -> Answer {
    let found = service
        .sync()
        .message(caller.application, caller.actor()?, id)
        .await?;
    let message = found.ok_or_else(Problem::not_found)?;
    if if_none_match.matches(message.timestamp) {
        let etag = [(header::ETAG, entity_tag(message.timestamp))];
        return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
    }
    Ok(representation::message(media_type, &message))
}

/// Edits the text of one's own message, or marks a received one as read or unread.
///
/// What changes nothing is 200 with the present ETag, whatever `If-Match` says: repeating an edit
/// is safe.
#[utoipa::path(
    patch,
    path = "/messages/{id}",
    tag = "messages",
    params(AsUser, MessageIdPath, IfMatchHeader),
    request_body(content(
        (MessagePatchJson = "application/json"),
        (MessagePatchJson = "application/merge-patch+json"),
        (EditedMessageTextJson = "application/vnd.editedMessageText.v1+json"),
        (MessageReadMarkJson = "application/vnd.messageReadMark.v1+json"),
    )),
    responses(MessageAnswer, EditProblems),
)]
pub async fn edit_message(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<AnyMessage>,
    id: MessagePath,
    if_match: IfMatch,
    body: JsonBody<Edit>,
) -> Answer {
    let if_match = if_match.readable()?;
    let edit = body.acceptable()?;
    let expected = if_match.required()?;
    caller.actor()?;
    let message = edit
        .submit(&service, &caller, id.known()?, expected)
        .await?;
    Ok(representation::message(accept.media_type, &message))
}

/// Deletes a message.
///
/// Its data are cleared for ever, and a tombstone remains.
#[utoipa::path(
    delete,
    path = "/messages/{id}",
    tag = "messages",
    params(AsUser, MessageIdPath, IfMatchHeader),
    responses(MessageAnswer, DeleteProblems)
)]
pub async fn delete_message(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<AnyMessage>,
    id: MessagePath,
    if_match: IfMatch,
) -> Answer {
    let expected = if_match.readable()?.required()?;
    caller.actor()?;
    let id = id.known()?;
    let deleted = service
        .submit(&caller, DeleteMessage { id, expected })
        .await?;
    Ok(representation::message(accept.media_type, &deleted.output))
}
