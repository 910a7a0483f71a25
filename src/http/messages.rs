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
            CreateProblems, DeleteProblems, EditProblems, MessageAnswer, ReadProblems, SyncProblems,
        },
        problem::Problem,
        representation::{self, Json, MessageUpdates},
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
            Edit, EditedMessageText, MessagePatch, MessageReadMark, NewPersonalMessage,
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
    security(("bearer" = [])),
    params(crate::http::answer::openapi::AsUser, crate::http::answer::openapi::Repeatable),
    request_body(content(
        (NewPersonalMessage = "application/vnd.newPersonalMessage.v1+json"),
        (NewPersonalMessage = "application/json"),
    )),
    responses(
        (status = 201, description = "Sent; or the message as it is now, where the key was used for the same request before",
            content((representation::Message = "application/vnd.personalMessage.v1+json"), (representation::Message = "application/json")),
            headers(
                ("Location" = String, description = "`/messages/{id}`"),
                ("ETag" = String, description = "The timestamp in quotes, for If-Match"),
                ("Idempotent-Replayed" = bool, description = "`true` where nothing was sent again"),
                ("Preference-Applied" = String, description = "`return=minimal` where the answer has no body"),
            )),
        CreateProblems,
    ),
)]
pub async fn send_message(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PersonalMessage>,
    key: KeyHeader,
    PrefersMinimal(minimal): PrefersMinimal,
    body: JsonBody<NewPersonalMessage>,
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

/// Tells what happened after a point on the timeline.
///
/// Repeat it with `after` = `next` of the answer before: you learn of every change that concerns
/// you, in order, and never miss one. With `wait` the answer is held until there is something.
///
/// With `Accept: text/event-stream` the answer is a stream of the same: a block with the cursor's
/// `id` alone, a `retry`, then `event: update` for each change, with its timestamp as `id` and an
/// entry of `messages` as `data`; `event: current` once everything so far was told, with `latest` as
/// `data`, and again only after the client has been behind; `event: reset`, and the end, for a
/// cursor that would be 410, with the problem as `data` and 0 as `id`. Comments keep it open; `limit`
/// and `wait` do not count. It ends when the token does, when the service shuts down, or when
/// nothing of it is taken for 60 s; open it again with `Last-Event-ID`, on any replica, and nothing
/// is lost or repeated.
#[utoipa::path(
    get,
    path = "/messages",
    tag = "messages",
    security(("bearer" = []), ("ticket" = [])),
    params(
        crate::http::answer::openapi::AsUser,
        ("after" = Option<String>, Query, description = "The last timestamp received from this call; `latest`: from now on", pattern = "^([0-9]+|latest)$", example = "0"),
        ("limit" = Option<i64>, Query, description = "The most entries of the page (default 50)", minimum = 1, maximum = 1000, example = 50),
        ("wait" = Option<i64>, Query, description = "How long to hold the answer while there is nothing, in seconds (default 0); after 50 it comes anyway", minimum = 0, maximum = 60),
        ("include" = Option<String>, Query, pattern = "^message$", description = "`message`: with each message's present data, at its newest entry of the page; a page then ends after 1 MiB of data"),
        ("Last-Event-ID" = Option<String>, Header, description = "For a stream: the id of its last event, which counts before `after`", pattern = "^[0-9]*$"),
    ),
    responses(
        (status = 200, description = "A page, ascending by timestamp; or a stream",
            content(
                (MessageUpdates = "application/vnd.messageUpdates.v1+json"),
                (MessageUpdates = "application/json"),
                (String = "text/event-stream", example = "id: 41\n\nevent: update\nid: 42\ndata: {\"id\":17,\"timestamp\":42}\n\nevent: current\ndata: {\"latest\":42}\n\n"),
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
        return Ok(Json(accept.media_type, MessageUpdates::from(&changes)).into_response());
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

/// Reads a message as it is now; a deleted one as a tombstone.
#[utoipa::path(
    get,
    path = "/messages/{id}",
    tag = "messages",
    security(("bearer" = [])),
    params(
        crate::http::answer::openapi::AsUser,
        ("id" = i64, Path, description = "The message's id", minimum = 1, maximum = 9007199254740991_i64),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the message as you know it: 304 if it is still so"),
    ),
    responses(
        MessageAnswer,
        (status = 304, description = "You have it as it is", headers(("ETag" = String, description = "The timestamp in quotes"))),
        ReadProblems,
    ),
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
    security(("bearer" = [])),
    params(
        crate::http::answer::openapi::AsUser,
        ("id" = i64, Path, description = "The message's id", minimum = 1, maximum = 9007199254740991_i64),
        ("If-Match" = String, Header, description = "The ETag of the message as you know it"),
    ),
    request_body(content(
        (MessagePatch = "application/json"),
        (MessagePatch = "application/merge-patch+json"),
        (EditedMessageText = "application/vnd.editedMessageText.v1+json"),
        (MessageReadMark = "application/vnd.messageReadMark.v1+json"),
    )),
    responses(
        MessageAnswer,
        EditProblems,
    ),
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

/// Deletes a message: its data are cleared for ever, and a tombstone remains.
#[utoipa::path(
    delete,
    path = "/messages/{id}",
    tag = "messages",
    security(("bearer" = [])),
    params(
        crate::http::answer::openapi::AsUser,
        ("id" = i64, Path, description = "The message's id", minimum = 1, maximum = 9007199254740991_i64),
        ("If-Match" = String, Header, description = "The ETag of the message as you know it"),
    ),
    responses(
        MessageAnswer,
        DeleteProblems,
    ),
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
