//! What an application forbids its users, and whom it lets write to each other.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            ApplicationCreateProblems, ApplicationListProblems, AsUser, ListProblems, PairPath,
            UserIdPath,
        },
        problem::Problem,
        representation::{self, Json, UserRestrictionsJson},
    },
    extract::{
        caller::{Caller, OwnApplication},
        checks::Checks,
        media::PlainJson,
        request_bodies::RestrictionsJson,
    },
};
use crate::{
    auth,
    domain::{Pair, UserId},
    store,
    timeline::{
        Effect,
        commands::{OpenConversation, RestrictUser},
    },
};

/// Reads what a user may do: what the application allows all its users, and what it forbids this one.
///
/// A user reads its own, also while it is suspended; an application that calls for itself reads those of every
/// user.
#[utoipa::path(
    get,
    path = "/users/{user}/restrictions",
    tag = "applications",
    params(AsUser, UserIdPath),
    responses(
        (status = 200, description = "What the user may do, with the `policy`",
            body = UserRestrictionsJson, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn get_restrictions(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let user = checks.path::<UserId>();
    let passed = checks.finish(|| user)?;
    let (caller, user) = (passed.caller, passed.input);
    let is_other = caller.user.as_ref().is_some_and(|reader| *reader != user);
    if is_other {
        let otherwise = "a user reads only what it may do itself";
        return Err(Problem::forbidden(otherwise));
    }
    let reading = service.query(async |connection| {
        let application = store::applications::find(connection, caller.application).await?;
        let restrictions = store::restrictions::find(connection, caller.application, &user).await?;
        Ok((restrictions, application))
    });
    let (restrictions, application) = reading.await?;
    let policy = application.ok_or(auth::Error::UnknownApplication)?.policy;
    let restrictions = UserRestrictionsJson::from((restrictions, policy));
    Ok(Json(passed.media_type, restrictions).into_response())
}

/// Suspends a user, and ends its tokens.
///
/// For an application's own token. A suspended user reads and does not write. Tokens that were issued
/// before `tokensSince` are refused on every replica within 5 seconds, and their streams end. What is absent
/// is not forbidden any more.
#[utoipa::path(
    put,
    path = "/users/{user}/restrictions",
    tag = "applications",
    params(UserIdPath),
    request_body(content((RestrictionsJson = "application/json"))),
    responses(
        (status = 200, description = "What the user is forbidden; what is absent is not",
            body = UserRestrictionsJson, content_type = "application/json"),
        ApplicationCreateProblems,
    ),
)]
pub async fn set_restrictions(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let restrictions = checks.body::<RestrictionsJson>().await?;
    let user = checks.path::<UserId>();
    let passed = checks.finish(|| user.zip(restrictions))?;
    let application = passed.caller;
    let (user, restrictions) = passed.input;
    let command = RestrictUser { user, restrictions };
    let set = service.submit_for(application, command).await?;
    service.authenticator.forget(application);
    let restrictions = UserRestrictionsJson::from(set.output);
    Ok(Json(passed.media_type, restrictions).into_response())
}

/// Opens the conversation of two users.
///
/// For an application's own token. Where the application's policy says `personal: opened`, users write to
/// each other in opened conversations alone. Both find it among their conversations.
#[utoipa::path(
    put,
    path = "/conversations/{user}/{other}",
    tag = "applications",
    params(PairPath),
    responses(
        (status = 201, description = "It is open now"),
        (status = 204, description = "It was open"),
        ApplicationListProblems,
    ),
)]
pub async fn open_conversation(
    State(service): State<Service>,
    checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let effect = set_opened(&service, checks, true).await?;
    Ok(representation::put(effect))
}

/// Closes the conversation of two users. What was written stays.
///
/// For an application's own token.
#[utoipa::path(
    delete,
    path = "/conversations/{user}/{other}",
    tag = "applications",
    params(PairPath),
    responses(
        (status = 204, description = "It is not open"),
        ApplicationListProblems,
    ),
)]
pub async fn close_conversation(
    State(service): State<Service>,
    checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    set_opened(&service, checks, false).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn set_opened(
    service: &Service,
    mut checks: Checks<OwnApplication, PlainJson>,
    opened: bool,
) -> Result<Effect, Problem> {
    let pair = checks.path::<Pair>();
    let passed = checks.finish(|| pair)?;
    let command = OpenConversation {
        pair: passed.input,
        opened,
    };
    Ok(service.submit_for(passed.caller, command).await?.effect)
}
