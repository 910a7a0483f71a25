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
        caller::{BearerOrTicket, Caller},
        checks::{Checks, Passed},
        conditional::{IfNoneMatch, entity_tag},
        idempotency::KeyHeader,
        media::{self, AnyMessage, PersonalMessage, Updates},
        params::{LastEventId, SyncParams},
        prefer::prefers_minimal,
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
    timeline::commands::{DeleteMessage, Expected, SendMessage},
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
    mut checks: Checks<Caller, PersonalMessage>,
) -> Answer {
    let message = checks.body::<NewPersonalMessage>().await?;
    let (user, key) = (checks.user(), checks.header::<KeyHeader>());
    let minimal = prefers_minimal(checks.headers());
    let passed = checks.finish(|| Some((user?, message?, key?.0)))?;
    let (user, (to, content), key) = passed.input;
    let draft = content.to(Conversation::between(&user, &to));
    let idempotency = key.map(|key| service.digester.bind(key, Some(&to), &draft));
    let command = SendMessage { draft, idempotency };
    let outcome = service.submit(&passed.caller, command).await?;
    Ok(representation::sent(passed.media_type, &outcome, minimal))
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
    Extension(request_id): Extension<RequestId>,
    Extension(link): Extension<Link>,
    mut checks: Checks<BearerOrTicket, Updates>,
) -> Answer {
    let (user, params) = (checks.user(), checks.query::<SyncParams>());
    let is_stream = checks.media_type() == media::EVENT_STREAM;
    let last_event_id = if is_stream {
        checks.header::<LastEventId>()
    } else {
        Some(LastEventId(None))
    };
    let passed = checks.finish(|| Some((user?, params?, last_event_id?.0)))?;
    let (user, params, last_event_id) = passed.input;
    let Caller {
        application,
        validity,
        ..
    } = passed.caller;
    let with_messages = params.with_messages;
    let request = PageRequest {
        application,
        user: user.clone(),
        cursor: last_event_id.map_or(params.cursor, Cursor::After),
        size: PageSize {
            entries: params.limit,
            bytes: PAGE_BYTES_MAX,
        },
    };
    if is_stream {
        return live::open(
            &service,
            validity,
            request,
            with_messages,
            request_id,
            &link,
        );
    }
    if params.wait.is_zero() {
        let changes = service.sync().changes_after(request, with_messages).await?;
        return Ok(Json(passed.media_type, MessageUpdates::from(&changes)).into_response());
    }
    // A held answer has a limit of its own; once there is an answer it is a request again.
    drop(link.take_permit());
    // Boxed: most requests do not wait, and would carry the space for it.
    let holding = live::hold(&service, &validity, request, with_messages, params.wait);
    let changes = Box::pin(holding).await?;
    link.keep(service.budget.enter(application, &user)?);
    Ok(representation::held(passed.media_type, &changes))
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
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let id = checks.path::<MessageId>();
    let if_none_match = IfNoneMatch::of(checks.headers());
    let passed = checks.finish(|| id)?;
    read(&service, &passed, passed.input, &if_none_match).await
}

/// Answers with a message as it is now.
pub async fn read<T>(
    service: &Service,
    passed: &Passed<Caller, T>,
    id: MessageId,
    if_none_match: &IfNoneMatch,
) -> Answer {
    let Caller {
        application, user, ..
    } = &passed.caller;
    let reading = service.sync().message(*application, user.clone(), id);
    let message = reading.await?.ok_or_else(Problem::not_found)?;
    if if_none_match.matches(message.timestamp) {
        let etag = [(header::ETAG, entity_tag(message.timestamp))];
        return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
    }
    Ok(representation::message(passed.media_type, &message))
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
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let edit = checks.body::<Edit>().await?;
    let (id, expected) = (checks.path::<MessageId>(), checks.header::<Expected>());
    let passed = checks.finish(|| Some((id?, edit?, expected?)))?;
    let (id, edit, expected) = passed.input;
    let message = edit.submit(&service, &passed.caller, id, expected).await?;
    Ok(representation::message(passed.media_type, &message))
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
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let (id, expected) = (checks.path::<MessageId>(), checks.header::<Expected>());
    let command = || {
        Some(DeleteMessage {
            id: id?,
            expected: expected?,
        })
    };
    let passed = checks.finish(command)?;
    let deleted = service.submit(&passed.caller, passed.input).await?;
    Ok(representation::message(passed.media_type, &deleted.output))
}
