//! Who is kept from joining a chat.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{AsUser, ChatNumberPath, ListInsideProblems, UserIdPath, UserPage},
        problem::Problem,
        representation::{self, BanListJson, Json, ListPage},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson, params::ListParams},
};
use crate::{
    domain::{Action, Policy, UserId},
    store,
    timeline::commands::BanUser,
};

/// Lists who is banned from a chat, by name.
///
/// Moderators may, the owner and the application.
#[utoipa::path(
    get,
    path = "/chats/{number}/bans",
    tag = "chats",
    params(AsUser, ChatNumberPath, UserPage),
    responses(
        (status = 200, description = "A page",
            body = BanListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn list_bans(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (chat, params) = (checks.path(), checks.query::<ListParams<UserId>>());
    let passed = checks.finish(|| chat.zip(params))?;
    let (number, ListParams { after, limit }) = passed.input;
    let visible = service.visible_chat(&passed.caller, number).await?;
    // No policy says who moderates.
    if !visible
        .rank
        .may(Action::Moderate, &visible.chat, &Policy::default())
    {
        let detail = "only moderators, the owner and the application see who is banned";
        return Err(Problem::forbidden(detail));
    }
    let application = passed.caller.application;
    let reading = service.query(async |connection| {
        store::bans::list(connection, application, number, after.as_ref(), limit + 1).await
    });
    let page = ListPage::cut(reading.await?, limit, |(user, _)| user.as_str().to_owned());
    Ok(Json(passed.media_type, BanListJson::from(page)).into_response())
}

/// Bans a user from a chat.
///
/// Moderators may ban members and readers, the owner everybody else, and the application anybody. The user is
/// removed, and members cannot add it again; the application can, which ends the ban.
#[utoipa::path(
    put,
    path = "/chats/{number}/bans/{user}",
    tag = "chats",
    params(AsUser, ChatNumberPath, UserIdPath),
    responses(
        (status = 201, description = "The user is banned now"),
        (status = 204, description = "The user was banned"),
        ListInsideProblems,
    ),
)]
pub async fn ban_user(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let command = named(&mut checks, true);
    let passed = checks.finish(|| command)?;
    let banned = service.submit(&passed.caller, passed.input).await?;
    Ok(representation::put(banned.effect))
}

/// Ends a ban: the user can be added again.
///
/// Moderators may, the owner and the application.
#[utoipa::path(
    delete,
    path = "/chats/{number}/bans/{user}",
    tag = "chats",
    params(AsUser, ChatNumberPath, UserIdPath),
    responses(
        (status = 204, description = "The user is not banned"),
        ListInsideProblems,
    ),
)]
pub async fn unban_user(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let command = named(&mut checks, false);
    let passed = checks.finish(|| command)?;
    service.submit(&passed.caller, passed.input).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The ban that the path names.
fn named<A>(checks: &mut Checks<Caller, A>, banned: bool) -> Option<BanUser> {
    let (chat, user) = (checks.path(), checks.path());
    Some(BanUser {
        chat: chat?,
        user: user?,
        banned,
    })
}
