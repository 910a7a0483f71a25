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
            AsUser, CreateProblems, DeleteProblems, EditIfMatchHeader, EditProblems, IfMatchHeader,
            IfNoneMatchHeader, IncludeWithMessage, MessageAnswer, MessageIdPath,
            MessageReadProblems, MessageUnchanged, PersonalMessageSent, Repeatable, Resumed,
            SyncPage, SyncProblems,
            schemas::{MessageStreamSchema, UpdatesOrMessagesSchema},
        },
        problem::Problem,
        representation::{
            self, Json, MessageJson, MessageListJson, MessageUpdateJson, MessageUpdatesJson,
        },
        sse::Blocks,
    },
    extract::{
        caller::{BearerOrTicket, Caller},
        checks::{Checks, Passed},
        conditional::{IfNoneMatch, entity_tag},
        idempotency::KeyHeader,
        include::Beside,
        media::{self, AnyMessage, PersonalMessage, PlainJson, Updates},
        prefer::prefers_minimal,
        request_bodies::{
            Edit, EditedMessageTextJson, MessagePatchJson, MessageReadMarkJson,
            NewPersonalMessageJson,
        },
        sync_params::{Include, LastEventId, MessagesParams, SyncParams},
    },
    included,
    live::{self, Events, STREAM_PAGE, STREAM_PAGE_WITH_MORE},
    replies,
    server::{Link, envelope::RequestId},
};
use crate::{
    auth::Validity,
    domain::{ApplicationId, Conversation, Cursor, MessageId, MessageNumber, Refusal, UserId},
    live::{Inbox, UserTimeline},
    store::{
        self,
        history::Numbered,
        messages::MessageRequest,
        pages::{PageRequest, PageSize},
    },
    sync::{ChangesPage, PAGE_BYTES_MAX},
    timeline::commands::{DeleteMessage, Expected, SendMessage},
};

/// The most entries of a page that includes conversations, each with its newest message, or reactions.
const ENTRIES_WITH_MORE_MAX: u16 = 100;

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
    mut checks: Checks<Caller, PersonalMessage>,
) -> Answer {
    let message = checks.body::<NewPersonalMessageJson>().await?;
    let (user, key) = (checks.user(), checks.header::<KeyHeader>());
    let minimal = prefers_minimal(checks.headers());
    let passed = checks.finish(|| Some((user?, message?, key?.0)))?;
    let (user, (to, content), key) = passed.input;
    let draft = content.to(Conversation::between(&user, &to));
    let idempotency = key.map(|key| service.digester.bind(key, Some(&to), &draft));
    let command = SendMessage { draft, idempotency };
    send(
        &service,
        &passed.caller,
        command,
        (passed.media_type, minimal),
    )
    .await
}

/// Sends a message, unless the caller sends too many or the application rejects it. `answered` is the media
/// type, and whether the answer has no body.
pub async fn send(
    service: &Service,
    caller: &Caller,
    command: SendMessage,
    (media_type, minimal): (&'static str, bool),
) -> Answer {
    let fields = service.limit_sends(caller).await?;
    let sending = async {
        let command = service.screen_message(caller, command).await?;
        service.submit(caller, command).await
    };
    let sent = sending.await;
    fields.tell(sent.map(|sent| representation::sent(media_type, &sent, minimal)))
}

/// Lists the changes after a point on the timeline, or streams them.
///
/// Repeat it with `after` = `next` of the answer before: you receive every change that concerns
/// you, in order, and never miss one. With `wait` the answer is held until there is something.
///
/// With `Accept: text/event-stream` the answer is a stream of the same (see `MessageStream`),
/// without regard to `limit` and `wait`. It ends when the token does, when the service shuts down,
/// or when the client receives nothing of it for 60 s. Open it again with `Last-Event-ID`, on any
/// replica: nothing is lost or repeated. With `signals=1` it has signals, too (see
/// `POST /users/{user}/signals`), which are no promise; a page has none.
///
/// With `ids` it lists these messages instead (see `MessageList`).
#[utoipa::path(
    get,
    path = "/messages",
    tag = "messages",
    security(("bearer" = []), ("ticket" = [])),
    params(AsUser, SyncPage, Resumed),
    responses(
        (status = 200, description = "A page, ascending by timestamp; or the stream", content(
            (UpdatesOrMessagesSchema = "application/json"),
            (MessageUpdatesJson = "application/vnd.messageUpdates.v1+json"),
            (MessageStreamSchema = "text/event-stream"),
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
    let params = match checks.query::<MessagesParams>() {
        Some(MessagesParams::Ids(ids, beside)) => {
            return list_by_ids(&service, checks, ids, beside).await;
        }
        Some(MessagesParams::Sync(params)) => Some(params),
        None => None,
    };
    let user = checks.user();
    let is_stream = checks.media_type() == media::EVENT_STREAM;
    let last_event_id = LastEventId::of_stream(&mut checks);
    let passed = checks.finish(|| Some((user?, params?, last_event_id?.0)))?;
    let (user, params, last_event_id) = passed.input;
    let Caller {
        application,
        validity,
        ..
    } = passed.caller;
    let SyncParams {
        span,
        include,
        signals,
    } = params;
    let request = PageRequest {
        application,
        user: user.clone(),
        cursor: last_event_id.map_or(span.cursor, Cursor::After),
        size: PageSize {
            entries: if include.has_more() {
                span.limit.min(ENTRIES_WITH_MORE_MAX)
            } else {
                span.limit
            },
            bytes: PAGE_BYTES_MAX,
        },
    };
    if is_stream {
        let events = UserEvents {
            application,
            user,
            include,
            signals,
        };
        return open_stream(&service, validity, request, events, request_id, &link);
    }
    if span.wait.is_zero() {
        let reading = service.sync().changes_after(request, include.messages);
        let changes = reading.await?;
        let (changes, included) =
            included::page(&service, application, &user, include, changes).await?;
        let updates = MessageUpdatesJson::of(&changes, &included);
        return Ok(representation::page(passed.media_type, &updates));
    }
    // Held answers have a limit of their own. Once the answer exists, it counts as a request again.
    drop(link.take_permit());
    // Boxed, so that requests that do not wait do not reserve the memory for it.
    let timeline = UserTimeline {
        request,
        with_messages: include.messages,
    };
    let holding = live::hold(&service, &validity, timeline, span.wait);
    let changes = Box::pin(holding).await?;
    link.keep(service.budget.enter(application, &user)?);
    let (changes, included) =
        included::page(&service, application, &user, include, changes).await?;
    let updates = MessageUpdatesJson::of(&changes, &included);
    let page = representation::page(passed.media_type, &updates);
    Ok(representation::held(page))
}

/// Opens the stream of a user's timeline.
fn open_stream(
    service: &Service,
    validity: Validity,
    request: PageRequest,
    events: UserEvents,
    request_id: RequestId,
    link: &Link,
) -> Answer {
    let include = events.include;
    let size = if include.has_more() {
        STREAM_PAGE_WITH_MORE
    } else {
        STREAM_PAGE
    };
    let timeline = UserTimeline {
        request: PageRequest { size, ..request },
        with_messages: include.messages,
    };
    live::open(service, validity, timeline, events, request_id, link)
}

/// The events of a user's timeline.
struct UserEvents {
    application: ApplicationId,
    user: UserId,
    include: Include,
    signals: bool,
}

impl Events for UserEvents {
    type Page = ChangesPage;

    /// The conversations have changed by more than what is kept: the client reads them anew.
    const SKIPS_TRIMMED: bool = false;

    fn signals(&self, service: &Service) -> Option<Inbox> {
        let open = || service.signals.open(self.application, &self.user);
        self.signals.then(open)
    }

    async fn add(
        &self,
        service: &Service,
        page: &ChangesPage,
        blocks: &mut Blocks,
    ) -> Result<(), Problem> {
        let (application, user) = (self.application, &self.user);
        let included = included::of(service, application, user, self.include, page).await?;
        for entry in &page.entries {
            let update = MessageUpdateJson::of(entry, &included);
            blocks.event("update", Some(entry.update.timestamp), &update);
        }
        Ok(())
    }
}

/// Messages by their ids, in this order, without those that the caller may not read.
async fn list_by_ids(
    service: &Service,
    checks: Checks<BearerOrTicket, Updates>,
    ids: Vec<MessageId>,
    beside: Beside,
) -> Answer {
    media::negotiate::<PlainJson>(checks.headers())?;
    let passed = checks.finish(|| Some(()))?;
    let Caller {
        application, user, ..
    } = passed.caller;
    let requests: Vec<MessageRequest> = ids.iter().map(|id| (user.clone(), *id)).collect();
    let requests: Vec<_> = requests.iter().collect();
    let reading = service
        .query(async |connection| store::messages::find(connection, application, &requests).await);
    let found = reading.await?;
    let found = found.iter().flatten();
    // After the messages, so that a tombstone has none.
    let reacted =
        included::reactions_beside(service, application, user.as_ref(), beside, &ids).await?;
    let messages =
        found.map(|message| MessageJson::from(message.as_ref()).with(reacted.get(&message.id)));
    let list = MessageListJson {
        messages: messages.collect(),
        next: None,
    };
    Ok(Json(media::JSON, list).into_response())
}

/// Reads a message as it is now.
///
/// A deleted message is there still, as a tombstone. With `include` the answer has no ETag and is never 304:
/// the ETag is the version of the message alone.
#[utoipa::path(
    get,
    path = "/messages/{id}",
    tag = "messages",
    params(AsUser, MessageIdPath, IncludeWithMessage, IfNoneMatchHeader),
    responses(MessageAnswer, MessageUnchanged, MessageReadProblems)
)]
pub async fn get_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let (id, beside) = (checks.path::<MessageId>(), checks.query::<Beside>());
    let if_none_match = IfNoneMatch::of(checks.headers());
    let passed = checks.finish(|| id.zip(beside))?;
    let (id, beside) = passed.input;
    read(&service, &passed, id, beside, &if_none_match).await
}

/// Answers with a message as it is now.
pub async fn read<T>(
    service: &Service,
    passed: &Passed<Caller, T>,
    id: MessageId,
    beside: Beside,
    if_none_match: &IfNoneMatch,
) -> Answer {
    let Caller {
        application, user, ..
    } = &passed.caller;
    let reading = service.sync().message(*application, user.clone(), id);
    let Some(message) = reading.await? else {
        return Err(missing(service, *application, id).await?);
    };
    if beside.is_something() {
        let reader = user.as_ref();
        let reacted =
            included::reactions_beside(service, *application, reader, beside, &[id]).await?;
        let replies = match beside.replies {
            true => Some(replies::count(service, *application, id).await?),
            false => None,
        };
        let json = MessageJson::from(message.as_ref());
        let json = json.with(reacted.get(&id)).with_replies(replies);
        return Ok(representation::message_with(
            passed.media_type,
            &message,
            json,
        ));
    }
    if if_none_match.matches(message.timestamp) {
        let etag = [(header::ETAG, entity_tag(message.timestamp))];
        return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
    }
    Ok(representation::message(passed.media_type, &message))
}

/// A message as a path names it: by its number in a conversation.
pub type NumberedMessage = (Conversation, MessageNumber);

/// The answer to a caller who reads no message with this id: that it has expired, if the id is not beyond the
/// newest message of the application that has. It does not show whether there is such a message for others.
pub async fn missing(
    service: &Service,
    application: ApplicationId,
    id: MessageId,
) -> Result<Problem, Problem> {
    let reading = service.query(async |connection| {
        store::retention::has_expired_up_to(connection, application, id).await
    });
    Ok(match reading.await? {
        true => Refusal::Expired.into(),
        false => Problem::not_found(),
    })
}

/// The id of a message in a conversation that the caller sees.
pub async fn id_of(
    service: &Service,
    caller: &Caller,
    (conversation, number): &NumberedMessage,
) -> Result<MessageId, Problem> {
    if let Conversation::Chat(chat) = conversation {
        service.visible_chat(caller, *chat).await?;
    }
    let reading = service.query(async |connection| {
        store::history::numbered(connection, caller.application, conversation, *number).await
    });
    match reading.await? {
        Numbered::Kept(id) => Ok(id),
        Numbered::Expired => Err(Refusal::Expired.into()),
        Numbered::Unknown => Err(Problem::not_found()),
    }
}

/// Edits one's own message, or marks a received one as read or unread.
///
/// A read mark moves your position in the conversation to this message: it and all before it are
/// read. Where your position is there or beyond, nothing changes. `{"read": false}` moves it back to
/// the message before: this one and all later ones are unread. The message and its ETag stay as they
/// are. An edit needs `If-Match`; a read mark does not.
///
/// What changes nothing is 200 with the present ETag, whatever `If-Match` says: repeating an edit
/// is safe.
#[utoipa::path(
    patch,
    path = "/messages/{id}",
    tag = "messages",
    params(AsUser, MessageIdPath, EditIfMatchHeader),
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
    mut checks: Checks<Caller, AnyMessage>,
) -> Answer {
    let edit = checks.body::<Edit>().await?;
    let id = checks.path::<MessageId>();
    let expected = Edit::expected(edit.as_ref(), &mut checks);
    let passed = checks.finish(|| Some((id?, edit?, expected?)))?;
    let (id, edit, expected) = passed.input;
    let media_type = passed.media_type;
    edit.carry_out(&service, &passed.caller, id, expected, media_type)
        .await
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
