//! Chats and their members.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatAnswer, ChatCreated, ChatNumberPath, CreateProblems, IfMatchHeader,
            ListInsideProblems, ListProblems, NumberPage, ReadProblems, RenameProblems, Repeatable,
            UserIdPath, UserPage,
        },
        problem::Problem,
        representation::{self, ChatJson, ChatListJson, Json, ListPage, MemberListJson},
    },
    extract::{
        body::JsonBody,
        caller::Caller,
        conditional::IfMatch,
        idempotency::KeyHeader,
        media::{Accept, PlainJson},
        params::{ChatPath, ListParams, UserPath},
        prefer::PrefersMinimal,
        request_bodies::{NameJson, NewChatJson},
    },
};
use crate::{
    domain::{ChatNumber, UserId},
    store,
    timeline::{
        Effect,
        commands::{AddMember, CreateChat, RemoveMember, RenameChat},
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
    caller: Caller,
    accept: Accept<PlainJson>,
    key: KeyHeader,
    PrefersMinimal(minimal): PrefersMinimal,
    body: JsonBody<NewChatJson>,
) -> Answer {
    let mut errors = Vec::new();
    let chat = body.acceptable()?.checked(&mut errors);
    let key = key.checked(&mut errors);
    let (name, members) = chat
        .filter(|_| errors.is_empty())
        .ok_or_else(|| Problem::invalid(errors))?;
    let idempotency = key.map(|key| service.digester.bind_chat(key, &name, &members));
    let command = CreateChat {
        name,
        members,
        idempotency,
    };
    let outcome = service.submit(&caller, command).await?;
    let media_type = accept.media_type;
    Ok(representation::created_chat(media_type, &outcome, minimal))
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
    caller: Caller,
    accept: Accept<PlainJson>,
    params: ListParams<i64>,
) -> Answer {
    let (member, after) = (caller.actor()?, ChatNumber(params.after.unwrap_or(0)));
    let (application, limit) = (caller.application, params.limit + 1);
    let reading = service.query(async |connection| match &member {
        None => store::chats::list(connection, application, after, limit).await,
        Some(user) => {
            store::chats::list_of_member(connection, application, user, after, limit).await
        }
    });
    let found = reading.await?;
    let page = ListPage::cut(found, params.limit, |last| last.number.0);
    let chats = page.items.iter().map(ChatJson::from).collect();
    Ok(Json(
        accept.media_type,
        ChatListJson {
            chats,
            next: page.next,
        },
    )
    .into_response())
}

/// Reads a chat.
///
/// A member may, and the application.
#[utoipa::path(
    get,
    path = "/chats/{number}",
    tag = "chats",
    params(AsUser, ChatNumberPath),
    responses(ChatAnswer, ReadProblems)
)]
pub async fn get_chat(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PlainJson>,
    number: ChatPath,
) -> Answer {
    let chat = service.visible_chat(&caller, &number).await?;
    Ok(representation::chat(accept.media_type, &chat))
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
    caller: Caller,
    accept: Accept<PlainJson>,
    number: ChatPath,
    if_match: IfMatch,
    body: JsonBody<NameJson>,
) -> Answer {
    let if_match = if_match.readable()?;
    let name = body.acceptable()?.checked()?;
    let expected = if_match.required()?;
    caller.actor()?;
    let command = RenameChat {
        chat: number.known()?,
        name,
        expected,
    };
    let renamed = service.submit(&caller, command).await?;
    Ok(representation::chat(accept.media_type, &renamed.output))
}

/// Lists the present members of a chat, by name.
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
    caller: Caller,
    accept: Accept<PlainJson>,
    number: ChatPath,
    params: ListParams<UserId>,
) -> Answer {
    let chat = service.visible_chat(&caller, &number).await?.number;
    let (application, after, limit) = (caller.application, params.after.as_ref(), params.limit + 1);
    let reading = service.query(async |connection| {
        store::members::list(connection, application, chat, after, limit).await
    });
    let found = reading.await?;
    let page = ListPage::cut(found, params.limit, |last| last.user.as_str().to_owned());
    let members = page.items.iter().map(Into::into).collect();
    Ok(Json(
        accept.media_type,
        MemberListJson {
            members,
            next: page.next,
        },
    )
    .into_response())
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
    caller: Caller,
    _: Accept<PlainJson>,
    number: ChatPath,
    user: UserPath,
) -> Answer {
    caller.actor()?;
    let command = AddMember {
        user: user.checked()?,
        chat: number.known()?,
    };
    let outcome = service.submit(&caller, command).await?;
    let is_new = outcome.effect == Effect::Changed;
    Ok(if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    }
    .into_response())
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
    caller: Caller,
    _: Accept<PlainJson>,
    number: ChatPath,
    user: UserPath,
) -> Answer {
    caller.actor()?;
    let command = RemoveMember {
        user: user.checked()?,
        chat: number.known()?,
    };
    service.submit(&caller, command).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
