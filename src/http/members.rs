//! The members of a chat.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatAnswer, ChatNumberPath, ListInsideProblems, SettingsProblems, UserIdPath,
            UserPage,
        },
        representation::{self, Json, ListPage, MemberJson, MemberListJson},
    },
    chats::submit_change,
    extract::{
        caller::Caller,
        checks::Checks,
        media::PlainJson,
        params::ListParams,
        request_bodies::{MemberPatchJson, MembersPatchJson},
    },
};
use crate::{
    domain::{ChatNumber, UserId},
    store,
    timeline::commands::{AlterMember, ChangeMembers},
};

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
    let chat = service.visible_chat(&passed.caller, chat).await?.chat;
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
            .map(|member| MemberJson::of(member, &chat))
            .collect(),
        next: page.next,
    };
    Ok(Json(passed.media_type, list).into_response())
}

/// Adds members to a chat, and removes some.
///
/// Moderators may, the chat's owner and the application, unless the policy of the application says
/// otherwise; a member may remove itself. It is all or nothing, and one
/// change, however many they are. Who is a member already, or is none, stays so. An owner
/// who leaves passes the chat on to a moderator, or else to a member: who has been there longest. `message`
/// is posted into the chat with it.
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
    let (chat, (add, remove, announcement)) = passed.input;
    let command = ChangeMembers {
        chat,
        add,
        remove,
        announcement,
    };
    submit_change(&service, &passed.caller, passed.media_type, command).await
}

/// Adds a member to a chat.
///
/// Moderators may, the chat's owner and the application, unless the policy of the application says
/// otherwise. Adding one who is a member changes nothing.
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
            announcement: None,
        })
    };
    let passed = checks.finish(command)?;
    let added = service.submit(&passed.caller, passed.input).await?;
    Ok(representation::put(added.effect))
}

/// Gives a member another role, and mutes it.
///
/// Moderators act on members and readers, and the owner and the application on everybody; these two appoint
/// moderators. `message` is posted into the chat with it.
#[utoipa::path(
    patch,
    path = "/chats/{number}/members/{user}",
    tag = "chats",
    params(AsUser, ChatNumberPath, UserIdPath),
    request_body(content(
        (MemberPatchJson = "application/json"),
        (MemberPatchJson = "application/merge-patch+json"),
    )),
    responses(ChatAnswer, SettingsProblems),
)]
pub async fn alter_member(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let patch = checks.body::<MemberPatchJson>().await?;
    let (chat, user) = (checks.path(), checks.path());
    let command = || {
        let patch = patch?;
        Some(AlterMember {
            chat: chat?,
            user: user?,
            role: patch.role,
            muted_until: patch.muted_until,
            announcement: patch.announcement,
        })
    };
    let passed = checks.finish(command)?;
    submit_change(&service, &passed.caller, passed.media_type, passed.input).await
}

/// Removes a member from a chat.
///
/// Moderators may remove members and readers, the owner everybody, the application anybody, and each member
/// itself. An owner who leaves passes the chat on to a moderator, or else to a member: who has been there longest.
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
            announcement: None,
        })
    };
    let passed = checks.finish(command)?;
    service.submit(&passed.caller, passed.input).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
