//! Conversations, personal ones and chats, as the caller sees them: the list, positions, settings.

use axum::{extract::State, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            ApplicationListProblems, AsUser, ChatNumberPath, ConversationPage, ListProblems,
            MoveProblems, NamedUsersQuery, ReadProblems, SettingsProblems, UserIdPath,
        },
        problem::Problem,
        representation::{
            self, ConversationJson, ConversationListJson, Json, ListPage, ReadPositionJson,
            SettingsJson, UnreadListJson, seen_bytes,
        },
    },
    extract::{
        caller::{Caller, OwnApplication},
        checks::{Checks, Passed},
        media::PlainJson,
        params::{ConversationsParams, NamedUsers},
        request_bodies::{NewReadPositionJson, SettingsPatchJson},
    },
};
use crate::{
    domain::{ChatNumber, Conversation, MessageNumber, SettingsPatch, Subject, UserId},
    store::{self, conversations::ConversationsPage},
    timeline::commands::{ChangeSettings, MovePosition},
};

/// Lists the caller's conversations, those with the newest message first.
///
/// A client that keeps nothing paints its first screen with this one call, and then follows
/// `GET /messages?after=<latest>`: it misses nothing. `unread` counts over all conversations that are
/// not muted, whatever the page shows.
///
/// The pages have no gaps and no repeats: a conversation that gets a message meanwhile moves to the
/// front, and the timeline tells of it.
#[utoipa::path(
    get,
    path = "/conversations",
    tag = "conversations",
    params(AsUser, ConversationPage),
    responses(
        (status = 200, description = "A page",
            body = ConversationListJson, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn list_conversations(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (user, params) = (checks.user(), checks.query::<ConversationsParams>());
    let passed = checks.finish(|| user.zip(params))?;
    let (user, params) = passed.input;
    let application = passed.caller.application;
    let reading = service.query(async |connection| {
        store::conversations::list(
            connection,
            application,
            &user,
            params.archived,
            params.before,
            params.limit + 1,
        )
        .await
    });
    let page = reading.await?;
    let cut = ListPage::cut_at(page.conversations, params.limit, seen_bytes, |seen| {
        seen.last.get()
    });
    let page = ConversationsPage {
        conversations: cut.items,
        ..page
    };
    let list = ConversationListJson::new(&page, cut.next);
    Ok(Json(passed.media_type, list).into_response())
}

/// Reads the caller's conversation with a user.
///
/// It exists from its first message on, while the application has opened it, or from when the caller has
/// set something for it.
#[utoipa::path(
    get,
    path = "/users/{user}",
    tag = "conversations",
    params(AsUser, UserIdPath),
    responses(
        (status = 200, description = "The conversation",
            body = ConversationJson, content_type = "application/json"),
        ReadProblems,
    ),
)]
pub async fn get_personal_conversation(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (user, other) = (checks.user(), checks.path::<UserId>());
    let passed = checks.finish(|| user.zip(other))?;
    let (user, other) = passed.input;
    let seen = service
        .seen(passed.caller.application, &user, vec![Subject::With(other)])
        .await?;
    let seen = seen.first().ok_or_else(Problem::not_found)?;
    Ok(representation::conversation(passed.media_type, seen))
}

/// Moves the caller's position in the conversation with a user: what it has read.
///
/// A number that is not beyond the present position changes nothing, and is no error: late and
/// repeated marks do no harm. With `back` the position may go back, which marks what comes after as
/// unread. Both users find the change on their timelines. A conversation without a message is 404.
#[utoipa::path(
    put,
    path = "/users/{user}/read",
    tag = "conversations",
    params(AsUser, UserIdPath),
    request_body(content((NewReadPositionJson = "application/json"))),
    responses(
        (status = 200, description = "The position as it is now",
            body = ReadPositionJson, content_type = "application/json"),
        MoveProblems,
    ),
)]
pub async fn move_personal_position(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let position = checks.body::<NewReadPositionJson>().await?;
    let conversation = personal(&mut checks);
    let passed = checks.finish(|| conversation.zip(position))?;
    move_position(&service, passed).await
}

/// Moves the caller's position in a chat: what it has read.
///
/// As `PUT /users/{user}/read`. The other members are told in chats of at most 50 members; in larger
/// ones, `GET /chats/{number}/members` shows how far each has read.
#[utoipa::path(
    put,
    path = "/chats/{number}/read",
    tag = "conversations",
    params(AsUser, ChatNumberPath),
    request_body(content((NewReadPositionJson = "application/json"))),
    responses(
        (status = 200, description = "The position as it is now",
            body = ReadPositionJson, content_type = "application/json"),
        MoveProblems,
    ),
)]
pub async fn move_chat_position(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let position = checks.body::<NewReadPositionJson>().await?;
    let conversation = chat(&mut checks);
    let passed = checks.finish(|| conversation.zip(position))?;
    move_position(&service, passed).await
}

/// Changes what the caller has set for the conversation with a user.
///
/// It is the caller's own: its other devices find the change on the timeline, and nobody else.
///
/// A user who blocks the other one neither receives messages from it nor can send it any: both are
/// answered with 403 `not-accepted`. What was sent before stays.
#[utoipa::path(
    patch,
    path = "/users/{user}/settings",
    tag = "conversations",
    params(AsUser, UserIdPath),
    request_body(content(
        (SettingsPatchJson = "application/json"),
        (SettingsPatchJson = "application/merge-patch+json"),
    )),
    responses(
        (status = 200, description = "The settings as they are now",
            body = SettingsJson, content_type = "application/json"),
        SettingsProblems,
    ),
)]
pub async fn change_personal_settings(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let patch = checks.body::<SettingsPatchJson>().await?;
    let conversation = personal(&mut checks);
    let passed = checks.finish(|| conversation.zip(patch))?;
    change_settings(&service, passed).await
}

/// Changes what the caller has set for a chat.
///
/// As `PATCH /users/{user}/settings`, without `blocked`.
#[utoipa::path(
    patch,
    path = "/chats/{number}/settings",
    tag = "conversations",
    params(AsUser, ChatNumberPath),
    request_body(content(
        (SettingsPatchJson = "application/json"),
        (SettingsPatchJson = "application/merge-patch+json"),
    )),
    responses(
        (status = 200, description = "The settings as they are now",
            body = SettingsJson, content_type = "application/json"),
        SettingsProblems,
    ),
)]
pub async fn change_chat_settings(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let patch = checks.body::<SettingsPatchJson>().await?;
    let conversation = chat(&mut checks);
    let passed = checks.finish(|| conversation.zip(patch))?;
    change_settings(&service, passed).await
}

/// Counts what is unread by up to 100 users.
///
/// For an application that shows their badges: over all conversations that the user has not muted.
#[utoipa::path(
    get,
    path = "/unread",
    tag = "conversations",
    params(NamedUsersQuery),
    responses(
        (status = 200, description = "What is unread by each, in the order in which they are named",
            body = UnreadListJson, content_type = "application/json"),
        ApplicationListProblems,
    ),
)]
pub async fn list_unread(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let params = checks.query::<NamedUsers>();
    let passed = checks.finish(|| params)?;
    let (application, users) = (passed.caller, passed.input.0);
    let reading = service.query(async |connection| {
        store::conversations::unread(connection, application, &users).await
    });
    let totals = reading.await?;
    let list = UnreadListJson {
        users: totals.iter().map(Into::into).collect(),
    };
    Ok(Json(passed.media_type, list).into_response())
}

async fn move_position(
    service: &Service,
    passed: Passed<Caller, (Conversation, (MessageNumber, bool))>,
) -> Answer {
    let (conversation, (number, back)) = passed.input;
    let command = MovePosition {
        conversation,
        number,
        back,
    };
    let moved = service.submit(&passed.caller, command).await?;
    let position = ReadPositionJson::from(moved.output);
    Ok(Json(passed.media_type, position).into_response())
}

async fn change_settings(
    service: &Service,
    passed: Passed<Caller, (Conversation, SettingsPatch)>,
) -> Answer {
    let (conversation, patch) = passed.input;
    let command = ChangeSettings {
        conversation,
        patch,
    };
    let changed = service.submit(&passed.caller, command).await?;
    let settings = SettingsJson::from(&changed.output);
    Ok(Json(passed.media_type, settings).into_response())
}

/// The personal conversation that the path names.
fn personal<A>(checks: &mut Checks<Caller, A>) -> Option<Conversation> {
    let (user, other) = (checks.user(), checks.path());
    Some(Conversation::between(&user?, &other?))
}

/// The chat that the path names.
fn chat<A>(checks: &mut Checks<Caller, A>) -> Option<Conversation> {
    let (user, chat) = (checks.user(), checks.path::<ChatNumber>());
    user.and(chat).map(Conversation::Chat)
}
