//! Signals, and who has a stream open.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatNumberPath, CreateInsideProblems, CreateProblems, ListProblems,
            NamedUsersQuery, UserIdPath,
        },
        representation::{Json, PresenceListJson, UserPresenceJson},
    },
    extract::{
        caller::Caller,
        checks::{Checks, Passed},
        media::PlainJson,
        params::NamedUsers,
        request_bodies::NewSignalJson,
    },
};
use crate::{
    domain::{ChatNumber, Conversation, NewSignal, UserId},
    store,
};

/// Signals to a user that something is happening at the moment, such as that one is typing.
///
/// It reaches those of the other user's open streams that were opened with `signals=1`, as `event: signal`
/// (see `Signal`). It is stored nowhere, is no promise, and is dropped under load: 202 says that it was
/// accepted, and not that it arrives. Whoever may send the user a message may signal, one signal a second;
/// one more is 429.
///
/// The kind is a name that your application chooses. Two are reserved. `typing` ends after `ttl` seconds, or
/// with the next message of the same user in the conversation. `draft` shows a message while it is written:
/// its `data` are `{message, offset, text}`, and `text` follows the first `offset` characters of the message
/// as it is, until the message is edited, or `ttl` seconds have passed. The message must be one that the
/// caller has sent in the conversation.
#[utoipa::path(
    post,
    path = "/users/{user}/signals",
    tag = "messages",
    params(AsUser, UserIdPath),
    request_body(content((NewSignalJson = "application/json"))),
    responses((status = 202, description = "Accepted"), CreateProblems),
)]
pub async fn send_personal_signal(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let signal = checks.body::<NewSignalJson>().await?;
    let (user, other) = (checks.user(), checks.path::<UserId>());
    let input = || {
        let user = user?;
        let conversation = Conversation::between(&user, &other?);
        Some((user, conversation, signal?))
    };
    send(&service, checks.finish(input)?).await
}

/// Signals to the other members of a chat that something is happening at the moment.
///
/// As `POST /users/{user}/signals`, for whoever may post into the chat. In chats of more than 100 members
/// nobody signals: 403 `chat-too-large`.
#[utoipa::path(
    post,
    path = "/chats/{number}/signals",
    tag = "messages",
    params(AsUser, ChatNumberPath),
    request_body(content((NewSignalJson = "application/json"))),
    responses((status = 202, description = "Accepted"), CreateInsideProblems),
)]
pub async fn send_chat_signal(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let signal = checks.body::<NewSignalJson>().await?;
    let (user, chat) = (checks.user(), checks.path::<ChatNumber>());
    let input = || Some((user?, Conversation::Chat(chat?), signal?));
    send(&service, checks.finish(input)?).await
}

async fn send(
    service: &Service,
    passed: Passed<Caller, (UserId, Conversation, NewSignal)>,
) -> Answer {
    let application = passed.caller.application;
    let (user, conversation, signal) = passed.input;
    let posting = service
        .signals
        .post(application, &user, &conversation, signal);
    posting.await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Lists which of up to 100 users have a stream open.
///
/// It is what the replicas have recorded within the last seconds, and no promise. Nobody is notified when it
/// changes. To a user, whoever has blocked that user seems to have none.
#[utoipa::path(
    get,
    path = "/presence",
    tag = "conversations",
    params(AsUser, NamedUsersQuery),
    responses(
        (status = 200, description = "The users, in the order in which they are named",
            body = PresenceListJson, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn list_presence(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let users = checks.query::<NamedUsers>();
    let Passed {
        caller,
        media_type,
        input: NamedUsers(users),
    } = checks.finish(|| users)?;
    let (application, reader) = (caller.application, caller.user.as_ref());
    let reading = service.query(async |connection| {
        store::presence::online(connection, application, reader, &users).await
    });
    let online = reading.await?;
    Ok(presence(media_type, &users, online))
}

fn presence(media_type: &'static str, users: &[UserId], online: Vec<bool>) -> Response {
    let users = users.iter().zip(online);
    let list = PresenceListJson {
        users: users.map(UserPresenceJson::from).collect(),
    };
    Json(media_type, list).into_response()
}
