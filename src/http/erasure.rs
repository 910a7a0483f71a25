//! The erasure of a user.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use super::{
    Answer, Service,
    answer::{
        openapi::{ApplicationListProblems, ErasureParams, ErasureReadProblems, UserIdPath},
        problem::Problem,
        representation::{ErasureJson, Json},
    },
    extract::{
        caller::OwnApplication, checks::Checks, media::PlainJson, params::ErasedConversations,
    },
};
use crate::{
    domain::{ApplicationId, UserId},
    random, store,
    timeline::commands::EraseUser,
};

/// Erases a user: everything that it has written and done, and its id wherever that is stored.
///
/// For an application's own token. From now on the user's earlier tokens are refused, its streams end within 5
/// seconds, and nobody writes to it or as it, or adds it to a chat; whoever acts as it reads what is left. What is
/// stored is erased piece by piece: its messages become tombstones, it leaves its chats, its reactions, settings,
/// positions and reports go, and a pseudonym takes its place where others still need one: in their personal
/// conversations with it, and in the feed. What others see changes on their timelines, like everything else.
///
/// With `conversations=delete` the messages of the others in those personal conversations are deleted as well,
/// and so are chats of which the user is the only member.
///
/// While an erasure runs, repeating the request answers with it. Once it is done, the id is free: whoever
/// signs in with it next, with a token that was issued after the request, starts empty.
#[utoipa::path(
    delete,
    path = "/users/{user}",
    tag = "applications",
    params(UserIdPath, ErasureParams),
    responses(
        (status = 202, description = "It is being erased", body = ErasureJson,
            content_type = "application/json",
            headers(("Location" = String, description = "`/users/{user}/erasure`"))),
        ApplicationListProblems,
    ),
)]
pub async fn erase_user(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let user = checks.path::<UserId>();
    let params = checks.query::<ErasedConversations>();
    let passed = checks.finish(|| user.zip(params))?;
    let application = passed.caller;
    let (user, ErasedConversations(others)) = passed.input;
    let digest = service.authenticator.digest_of(application, &user);
    let (random, now) = (random::wide_number(), (service.clock)().into());
    let command = EraseUser::new(user.clone(), digest, random, others, now);
    service.submit_for(application, command).await?;
    service.authenticator.forget(application);
    let report = report(&service, application, &user).await?;
    // Of what an id may have, only this is not allowed in a path.
    let location = format!("/users/{}/erasure", user.as_str().replace('|', "%7C"));
    let located = [(header::LOCATION, location)];
    let accepted = (
        StatusCode::ACCEPTED,
        located,
        Json(passed.media_type, report),
    );
    Ok(accepted.into_response())
}

/// Tells how far the last erasure of a user has come.
///
/// For an application's own token. At the end, the feed tells of it (`user.erased`) under the pseudonym that
/// this report has: the id is not stored any more.
#[utoipa::path(
    get,
    path = "/users/{user}/erasure",
    tag = "applications",
    params(UserIdPath),
    responses(
        (status = 200, description = "How far it has come",
            body = ErasureJson, content_type = "application/json"),
        ErasureReadProblems,
    ),
)]
pub async fn get_erasure(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let user = checks.path::<UserId>();
    let passed = checks.finish(|| user)?;
    let report = report(&service, passed.caller, &passed.input).await?;
    Ok(Json(passed.media_type, report).into_response())
}

async fn report(
    service: &Service,
    application: ApplicationId,
    user: &UserId,
) -> Result<ErasureJson, Problem> {
    let digest = service.authenticator.digest_of(application, user);
    let reading = service.query(async |connection| {
        let Some(report) = store::erasures::find(connection, application, digest).await? else {
            return Ok(None);
        };
        let remaining = match report.finished {
            None => store::erasures::remaining(connection, application, user, &report).await?,
            Some(_) => 0,
        };
        Ok(Some((report, remaining)))
    });
    let (report, remaining) = reading.await?.ok_or_else(Problem::not_found)?;
    Ok(ErasureJson::new(&report, remaining))
}
