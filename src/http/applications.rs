//! Applications: the administrator manages them, and each may read and change itself.

use axum::{extract::State, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            ApplicationChangeProblems, ApplicationCreateProblems, ApplicationIdPath,
            ApplicationListProblems, ApplicationReadProblems, NumberPage,
        },
        problem::Problem,
        representation::{
            ApplicationJson, ApplicationListJson, Json, ListPage, created_secret, secret,
        },
    },
    extract::{
        caller::{Administrator, OwnApplication},
        checks::Checks,
        media::PlainJson,
        params::ListParams,
        request_bodies::{ApplicationPatchJson, NameJson},
    },
};
use crate::{
    auth::{ApplicationToken, create_application as create},
    domain::{ApplicationId, PolicyPatch, Title},
    store::{self, applications::Application},
    timeline::commands::ChangeApplication,
};

/// Creates an application.
///
/// Its token is shown this once and stored only as a hash. After a 503 `outcome-unknown` the
/// application may exist, with a token that nobody has seen: look for its name in the list, and
/// replace its token.
#[utoipa::path(
    post,
    path = "/applications",
    tag = "applications",
    request_body(content((NameJson = "application/json"))),
    responses(
        (status = 201, description = "Created, with its token",
            body = ApplicationJson, content_type = "application/json",
            headers(("Location" = String, description = "`/applications/{id}`"))),
        ApplicationCreateProblems,
    ),
)]
pub async fn create_application(
    State(service): State<Service>,
    mut checks: Checks<Administrator, PlainJson>,
) -> Answer {
    let name = checks.body::<NameJson>().await?;
    let passed = checks.finish(|| name)?;
    let (stored, ApplicationToken { token, .. }) = create(&service.reads, &passed.input).await?;
    let path = format!("/applications/{}", stored.id.get());
    let application = ApplicationJson::new(stored, Some(token));
    Ok(created_secret(&path, passed.media_type, application))
}

/// Lists all applications, by id.
///
/// For the administrator.
#[utoipa::path(
    get,
    path = "/applications",
    tag = "applications",
    params(NumberPage),
    responses(
        (status = 200, description = "A page",
            body = ApplicationListJson, content_type = "application/json"),
        ApplicationListProblems,
    ),
)]
pub async fn list_applications(
    State(service): State<Service>,
    mut checks: Checks<Administrator, PlainJson>,
) -> Answer {
    let params = checks.query::<ListParams<i64>>();
    let passed = checks.finish(|| params)?;
    let ListParams { after, limit } = passed.input;
    let after = ApplicationId::new(after.unwrap_or(0));
    let reading = service
        .query(async |connection| store::applications::list(connection, after, limit + 1).await);
    let page = ListPage::cut(reading.await?, limit, |last| last.id.get());
    Ok(Json(passed.media_type, ApplicationListJson::from(page)).into_response())
}

/// Reads an application.
///
/// For the administrator.
#[utoipa::path(
    get,
    path = "/applications/{id}",
    tag = "applications",
    params(ApplicationIdPath),
    responses(
        (status = 200, description = "The application",
            body = ApplicationJson, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn get_application(
    State(service): State<Service>,
    mut checks: Checks<Administrator, PlainJson>,
) -> Answer {
    let id = checks.path::<ApplicationId>();
    let passed = checks.finish(|| id)?;
    answer(passed.media_type, find(&service, passed.input).await?)
}

/// Changes an application: its name, and what it allows its users.
///
/// For the administrator.
#[utoipa::path(
    patch,
    path = "/applications/{id}",
    tag = "applications",
    params(ApplicationIdPath),
    request_body(content(
        (ApplicationPatchJson = "application/json"),
        (ApplicationPatchJson = "application/merge-patch+json"),
    )),
    responses(
        (status = 200, description = "The application",
            body = ApplicationJson, content_type = "application/json"),
        ApplicationChangeProblems,
    ),
)]
pub async fn change_application(
    State(service): State<Service>,
    mut checks: Checks<Administrator, PlainJson>,
) -> Answer {
    let patch = checks.body::<ApplicationPatchJson>().await?;
    let id = checks.path::<ApplicationId>();
    let passed = checks.finish(|| id.zip(patch))?;
    let (id, patch) = passed.input;
    answer(passed.media_type, change(&service, id, patch).await?)
}

/// Makes a new token for an application.
///
/// The old one ends at once, on other replicas within 5 seconds. After a 503 `outcome-unknown` it
/// may have ended as well: repeat the request.
#[utoipa::path(
    post,
    path = "/applications/{id}/token",
    tag = "applications",
    params(ApplicationIdPath),
    responses(
        (status = 201, description = "The application with its new token",
            body = ApplicationJson, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn replace_application_token(
    State(service): State<Service>,
    mut checks: Checks<Administrator, PlainJson>,
) -> Answer {
    let id = checks.path::<ApplicationId>();
    let passed = checks.finish(|| id)?;
    let id = passed.input;
    let ApplicationToken { token, hash } = ApplicationToken::generate(id);
    let replacing = service
        .reads
        .change(async |connection| store::applications::replace_token(connection, id, &hash).await);
    let replaced = replacing.await;
    // If the outcome is unknown, the next request reads which token is valid.
    service.authenticator.forget(id);
    let stored = replaced?.ok_or_else(Problem::not_found)?;
    let application = ApplicationJson::new(stored, Some(token));
    Ok(secret(passed.media_type, application))
}

/// Reads the application that calls.
///
/// For an application's own token.
#[utoipa::path(
    get,
    path = "/applications/self",
    tag = "applications",
    responses(
        (status = 200, description = "The application",
            body = ApplicationJson, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn get_own_application(
    State(service): State<Service>,
    checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let passed = checks.finish(|| Some(()))?;
    answer(passed.media_type, find(&service, passed.caller).await?)
}

/// Changes the application that calls: its name, and what it allows its users.
///
/// For an application's own token. What is not allowed any more counts from the next change on.
#[utoipa::path(
    patch,
    path = "/applications/self",
    tag = "applications",
    request_body(content(
        (ApplicationPatchJson = "application/json"),
        (ApplicationPatchJson = "application/merge-patch+json"),
    )),
    responses(
        (status = 200, description = "The application",
            body = ApplicationJson, content_type = "application/json"),
        ApplicationChangeProblems,
    ),
)]
pub async fn change_own_application(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let patch = checks.body::<ApplicationPatchJson>().await?;
    let passed = checks.finish(|| patch)?;
    let changed = change(&service, passed.caller, passed.input).await?;
    answer(passed.media_type, changed)
}

async fn find(service: &Service, id: ApplicationId) -> Result<Option<Application>, Problem> {
    service
        .query(async |connection| store::applications::find(connection, id).await)
        .await
}

/// Changes an application, if it exists.
async fn change(
    service: &Service,
    id: ApplicationId,
    (name, policy): (Option<Title>, PolicyPatch),
) -> Result<Option<Application>, Problem> {
    if find(service, id).await?.is_none() {
        return Ok(None);
    }
    service
        .submit_for(id, ChangeApplication { name, policy })
        .await?;
    service.authenticator.forget(id);
    find(service, id).await
}

fn answer(media_type: &'static str, found: Option<Application>) -> Answer {
    let stored = found.ok_or_else(Problem::not_found)?;
    Ok(Json(media_type, ApplicationJson::new(stored, None)).into_response())
}
