//! Chats and their members.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatAnswer, ChatCreated, ChatNumberPath, CreateProblems, IfMatchHeader,
            ListInsideProblems, ListProblems, NumberPage, ReadProblems, RenameProblems, Repeatable,
            SettingsProblems, UserIdPath, UserPage,
        },
        problem::Problem,
        representation::{
            self, ChatListJson, Json, ListPage, ListedChatJson, MemberJson, MemberListJson,
            seen_bytes,
        },
    },
    extract::{
        caller::Caller,
        checks::Checks,
        idempotency::KeyHeader,
        media::PlainJson,
        params::ListParams,
        prefer::prefers_minimal,
        request_bodies::{MembersPatchJson, NameJson, NewChatJson},
    },
};
use crate::{
    domain::{Chat, ChatNumber, Subject, UserId},
    store::{
        self,
        conversations::{SeenConversation, SeenKind},
    },
    timeline::{
        Effect,
        commands::{ChangeMembers, CreateChat, Expected, RenameChat},
    },
};

/// Creates a chat.
///
/// A user who creates it owns it and is a member. Repeating the request with the same
/// `Idempotency-Key` creates nothing again.
#[utoipa::path(
    post,
    path = "/chats",
    tag = "chats",
    params(AsUser, Repeatable),
    request_body(content((NewChatJson = "application/json"))),
    responses(ChatCreated, CreateProblems),
)]
pub async fn create_chat(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let chat = checks.body::<NewChatJson>().await?;
    let key = checks.header::<KeyHeader>();
    let minimal = prefers_minimal(checks.headers());
    let passed = checks.finish(|| Some((chat?, key?.0)))?;
    let ((name, members), key) = passed.input;
    let idempotency = key.map(|key| service.digester.bind_chat(key, &name, &members));
    let command = CreateChat {
        name,
        members,
        idempotency,
    };
    let outcome = service.submit(&passed.caller, command).await?;
    let media_type = passed.media_type;
    let seen = match minimal {
        false => as_seen(&service, &passed.caller, outcome.output.number).await,
        true => None,
    };
    let seen = seen.as_ref();
    Ok(representation::created_chat(
        media_type, &outcome, seen, minimal,
    ))
}

/// Lists the caller's chats, by number.
///
/// For an application that acts for no user: all its chats.
#[utoipa::path(
    get,
    path = "/chats",
    tag = "chats",
    params(AsUser, NumberPage),
    responses(
        (status = 200, description = "A page",
            body = ChatListJson, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn list_chats(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let params = checks.query::<ListParams<i64>>();
    let passed = checks.finish(|| params)?;
    let ListParams { after, limit } = passed.input;
    let after = ChatNumber::new(after.unwrap_or(0));
    let Caller {
        application, user, ..
    } = passed.caller;
    let Some(user) = user else {
        let reading = service.query(async |connection| {
            store::chats::list(connection, application, after, limit + 1).await
        });
        let page = ListPage::cut(reading.await?, limit, |last| last.number.get());
        let chats = page
            .items
            .iter()
            .map(|chat| ListedChatJson::Chat(chat.into()));
        let list = ChatListJson {
            chats: chats.collect(),
            next: page.next,
        };
        return Ok(Json(passed.media_type, list).into_response());
    };
    let reading = service.query(async |connection| {
        store::conversations::list_chats(connection, application, &user, after, limit + 1).await
    });
    let page = ListPage::cut_at(reading.await?, limit, seen_bytes, |last| match &last.kind {
        SeenKind::Chat { chat, .. } => chat.number.get(),
        SeenKind::With(_) => unreachable!("only chats were read"),
    });
    let chats = page.items.iter();
    let list = ChatListJson {
        chats: chats
            .map(|seen| ListedChatJson::Seen(Box::new(seen.into())))
            .collect(),
        next: page.next,
    };
    Ok(Json(passed.media_type, list).into_response())
}

/// Reads a chat.
///
/// A member may, who sees it as a conversation of its own, and the application.
#[utoipa::path(
    get,
    path = "/chats/{number}",
    tag = "chats",
    params(AsUser, ChatNumberPath),
    responses(ChatAnswer, ReadProblems)
)]
pub async fn get_chat(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let chat = checks.path::<ChatNumber>();
    let passed = checks.finish(|| chat)?;
    let (caller, number) = (&passed.caller, passed.input);
    let Some(user) = &caller.user else {
        let chat = service.visible_chat(caller, number).await?;
        return Ok(representation::chat(passed.media_type, &chat));
    };
    let named = vec![Subject::Chat(number)];
    let seen = service.seen(caller.application, user, named).await?;
    let seen = seen.first().ok_or_else(Problem::not_found)?;
    Ok(representation::conversation(passed.media_type, seen))
}

/// Renames a chat.
///
/// Its owner may, and the application. Every member finds the change on the timeline.
#[utoipa::path(
    patch,
    path = "/chats/{number}",
    tag = "chats",
    params(AsUser, ChatNumberPath, IfMatchHeader),
    request_body(content(
        (NameJson = "application/json"),
        (NameJson = "application/merge-patch+json"),
    )),
    responses(ChatAnswer, RenameProblems),
)]
pub async fn rename_chat(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let name = checks.body::<NameJson>().await?;
    let (chat, expected) = (checks.path::<ChatNumber>(), checks.header::<Expected>());
    let command = || {
        Some(RenameChat {
            chat: chat?,
            name: name?,
            expected: expected?,
        })
    };
    let passed = checks.finish(command)?;
    let renamed = service.submit(&passed.caller, passed.input).await?;
    Ok(changed(&service, &passed.caller, passed.media_type, &renamed.output).await)
}

/// A chat that the caller has changed, as the caller sees it.
async fn changed(
    service: &Service,
    caller: &Caller,
    media_type: &'static str,
    chat: &Chat,
) -> Response {
    match as_seen(service, caller, chat.number).await {
        Some(seen) => representation::conversation(media_type, &seen),
        None => representation::chat(media_type, chat),
    }
}

/// A chat that the caller has created or changed, as the caller sees it. `None` if the caller is no
/// member, and if it cannot be read: the change is made all the same.
async fn as_seen(
    service: &Service,
    caller: &Caller,
    number: ChatNumber,
) -> Option<SeenConversation> {
    let (application, user) = (caller.application, caller.user.as_ref()?);
    let named = vec![Subject::Chat(number)];
    let seen = service.seen(application, user, named).await;
    seen.ok()?.pop()
}

/// Lists the present members of a chat, by name, with how far each has read.
///
/// A member may, and the application.
#[utoipa::path(
    get,
    path = "/chats/{number}/members",
    tag = "chats",
    params(AsUser, ChatNumberPath, UserPage),
    responses(
        (status = 200, description = "A page",
            body = MemberListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn list_members(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (chat, params) = (checks.path(), checks.query::<ListParams<UserId>>());
    let passed = checks.finish(|| chat.zip(params))?;
    let (chat, ListParams { after, limit }) = passed.input;
    let chat = service.visible_chat(&passed.caller, chat).await?;
    let application = passed.caller.application;
    let reading = service.query(async |connection| {
        store::members::list(
            connection,
            application,
            chat.number,
            after.as_ref(),
            limit + 1,
        )
        .await
    });
    let page = ListPage::cut(reading.await?, limit, |last| last.user.as_str().to_owned());
    let list = MemberListJson {
        members: page
            .items
            .iter()
            .map(|member| MemberJson::of(member, chat.owner.as_ref()))
            .collect(),
        next: page.next,
    };
    Ok(Json(passed.media_type, list).into_response())
}

/// Adds members to a chat, and removes some.
///
/// The chat's owner may, and the application; a member may remove itself. It is all or nothing, and one
/// change with one timestamp, however many they are. Who is a member already, or is none, stays so. An owner
/// who leaves passes the chat on to the member who has been there longest.
#[utoipa::path(
    patch,
    path = "/chats/{number}/members",
    tag = "chats",
    params(AsUser, ChatNumberPath),
    request_body(content(
        (MembersPatchJson = "application/json"),
        (MembersPatchJson = "application/merge-patch+json"),
    )),
    responses(ChatAnswer, SettingsProblems),
)]
pub async fn change_members(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let members = checks.body::<MembersPatchJson>().await?;
    let chat = checks.path::<ChatNumber>();
    let passed = checks.finish(|| chat.zip(members))?;
    let (chat, (add, remove)) = passed.input;
    let command = ChangeMembers { chat, add, remove };
    let chat = service.submit(&passed.caller, command).await?.output;
    Ok(changed(&service, &passed.caller, passed.media_type, &chat).await)
}

/// Adds a member to a chat.
///
/// The chat's owner may, and the application. Adding one who is a member changes nothing.
#[utoipa::path(
    put,
    path = "/chats/{number}/members/{user}",
    tag = "chats",
    params(AsUser, ChatNumberPath, UserIdPath),
    responses(
        (status = 201, description = "The user has become a member"),
        (status = 204, description = "The user was a member"),
        ListInsideProblems,
    ),
)]
pub async fn add_member(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (chat, user) = (checks.path(), checks.path());
    let command = || {
        Some(ChangeMembers {
            chat: chat?,
            add: vec![user?],
            remove: Vec::new(),
        })
    };
    let passed = checks.finish(command)?;
    let added = service.submit(&passed.caller, passed.input).await?;
    let status = match added.effect {
        Effect::Changed => StatusCode::CREATED,
        Effect::Unchanged | Effect::Replayed => StatusCode::NO_CONTENT,
    };
    Ok(status.into_response())
}

/// Removes a member from a chat.
///
/// The chat's owner may, the application, and the member itself. An owner who leaves passes the
/// chat on to the member who has been there longest.
#[utoipa::path(
    delete,
    path = "/chats/{number}/members/{user}",
    tag = "chats",
    params(AsUser, ChatNumberPath, UserIdPath),
    responses(
        (status = 204, description = "The user is not a member"),
        ListInsideProblems,
    ),
)]
pub async fn remove_member(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (chat, user) = (checks.path(), checks.path());
    let command = || {
        Some(ChangeMembers {
            chat: chat?,
            add: Vec::new(),
            remove: vec![user?],
        })
    };
    let passed = checks.finish(command)?;
    service.submit(&passed.caller, passed.input).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
