//! Applications: the administrator manages them, and each may look at its own.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::IntoResponse,
};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    Answer, Service,
    answer::{
        instant,
        openapi::{
            ApplicationCreateProblems, ApplicationListProblems, ApplicationReadProblems,
            ApplicationRenameProblems,
        },
        problem::Problem,
        representation::{Json, Page, secret},
    },
    extract::{
        body::JsonBody,
        caller::{Administrator, OwnApplication},
        media::{Accept, PlainJson},
        params::{ApplicationPath, ListParams},
        request_bodies::{Name, NewName},
    },
};
use crate::{
    auth::{ApplicationToken, create_application as create},
    domain::{ApplicationId, Title},
    store::{self, applications::Application as Stored},
};

/// An application: a tenant, whose users, chats and messages nobody else sees.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "id": 2, "name": "shop", "created": "2026-11-20T09:30:00.000000Z", "chats": 0 }))]
pub struct Application {
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    id: i64,
    name: String,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// The number of its chats.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    chats: i64,
    /// The secret token: shown once, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token: Option<String>,
}

impl Application {
    fn new(stored: Stored, token: Option<String>) -> Self {
        let Stored {
            id,
            name,
            created,
            chats,
        } = stored;
        Self {
            id: id.0,
            name: name.as_str().to_owned(),
            created,
            chats,
            token,
        }
    }
}

/// A page of applications, by id.
#[derive(Serialize, ToSchema)]
pub struct ApplicationList {
    applications: Vec<Application>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    next: Option<i64>,
}

/// Creates an application. Its token is shown this once and stored only as a hash.
///
/// After a 503 `outcome-unknown` it may exist, with a token that nobody has seen: look for its name in
/// the list, and have its token replaced.
#[utoipa::path(
    post,
    path = "/applications",
    tag = "applications",
    security(("bearer" = [])),
    request_body(content((Name = "application/json"))),
    responses(
        (status = 201, description = "Created, with its token", body = Application, content_type = "application/json",
            headers(("Location" = String, description = "`/applications/{id}`"))),
        ApplicationCreateProblems,
    ),
)]
pub async fn create_application(
    State(service): State<Service>,
    _: Administrator,
    accept: Accept<PlainJson>,
    body: JsonBody<NewName>,
) -> Answer {
    let name = body.acceptable()?.0.checked()?;
    let (stored, ApplicationToken { token, .. }) = create(&service.reads, &name).await?;
    let id = stored.id;
    let mut response = secret(accept.media_type, Application::new(stored, Some(token)));
    let location = HeaderValue::try_from(format!("/applications/{}", id.0));
    response.headers_mut().insert(
        header::LOCATION,
        location.expect("digits are visible ASCII"),
    );
    Ok(response)
}

/// Lists all applications, by id.
#[utoipa::path(
    get,
    path = "/applications",
    tag = "applications",
    security(("bearer" = [])),
    params(crate::http::answer::openapi::NumberPage),
    responses(
        (status = 200, description = "A page", body = ApplicationList, content_type = "application/json"),
        ApplicationListProblems,
    ),
)]
pub async fn list_applications(
    State(service): State<Service>,
    _: Administrator,
    accept: Accept<PlainJson>,
    params: ListParams<i64>,
) -> Answer {
    let after = ApplicationId(params.after.unwrap_or(0));
    let reading = service.query(async |connection| {
        store::applications::list(connection, after, params.limit + 1).await
    });
    let found = reading.await?;
    let page = Page::cut(found, params.limit, |last| last.id.0);
    let applications = page
        .items
        .into_iter()
        .map(|stored| Application::new(stored, None))
        .collect();
    Ok(Json(
        accept.media_type,
        ApplicationList {
            applications,
            next: page.next,
        },
    )
    .into_response())
}

/// Reads an application.
#[utoipa::path(
    get,
    path = "/applications/{id}",
    tag = "applications",
    security(("bearer" = [])),
    params(("id" = i64, Path, description = "The application's id", minimum = 1, maximum = 9007199254740991_i64)),
    responses(
        (status = 200, description = "The application", body = Application, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn get_application(
    State(service): State<Service>,
    _: Administrator,
    accept: Accept<PlainJson>,
    id: ApplicationPath,
) -> Answer {
    answer(accept.media_type, find(&service, id.known()?).await?)
}

/// Renames an application.
#[utoipa::path(
    patch,
    path = "/applications/{id}",
    tag = "applications",
    security(("bearer" = [])),
    params(("id" = i64, Path, description = "The application's id", minimum = 1, maximum = 9007199254740991_i64)),
    request_body(content((Name = "application/json"), (Name = "application/merge-patch+json"))),
    responses(
        (status = 200, description = "The application", body = Application, content_type = "application/json"),
        ApplicationRenameProblems,
    ),
)]
pub async fn rename_application(
    State(service): State<Service>,
    _: Administrator,
    accept: Accept<PlainJson>,
    id: ApplicationPath,
    body: JsonBody<Name>,
) -> Answer {
    let name = body.acceptable()?.checked()?;
    answer(
        accept.media_type,
        rename(&service, id.known()?, &name).await?,
    )
}

/// Makes a new token for an application. The old one ends at once, on other replicas within 5 seconds.
///
/// After a 503 `outcome-unknown` the old one may have ended as well: repeat the request.
#[utoipa::path(
    post,
    path = "/applications/{id}/token",
    tag = "applications",
    security(("bearer" = [])),
    params(("id" = i64, Path, description = "The application's id", minimum = 1, maximum = 9007199254740991_i64)),
    responses(
        (status = 201, description = "The application with its new token", body = Application, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn replace_application_token(
    State(service): State<Service>,
    _: Administrator,
    accept: Accept<PlainJson>,
    id: ApplicationPath,
) -> Answer {
    let id = id.known()?;
    let ApplicationToken { token, hash } = ApplicationToken::generate(id);
    let replacing = service
        .reads
        .change(async |connection| store::applications::replace_token(connection, id, &hash).await);
    let replaced = replacing.await;
    // Where it is not known whether there is a new token, the next request finds out.
    service.authenticator.forget(id);
    let stored = replaced?.ok_or_else(Problem::not_found)?;
    Ok(secret(
        accept.media_type,
        Application::new(stored, Some(token)),
    ))
}

/// Reads the application that calls.
#[utoipa::path(
    get,
    path = "/applications/self",
    tag = "applications",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The application", body = Application, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn get_own_application(
    State(service): State<Service>,
    OwnApplication(id): OwnApplication,
    accept: Accept<PlainJson>,
) -> Answer {
    answer(accept.media_type, find(&service, id).await?)
}

/// Renames the application that calls.
#[utoipa::path(
    patch,
    path = "/applications/self",
    tag = "applications",
    security(("bearer" = [])),
    request_body(content((Name = "application/json"), (Name = "application/merge-patch+json"))),
    responses(
        (status = 200, description = "The application", body = Application, content_type = "application/json"),
        ApplicationRenameProblems,
    ),
)]
pub async fn rename_own_application(
    State(service): State<Service>,
    OwnApplication(id): OwnApplication,
    accept: Accept<PlainJson>,
    body: JsonBody<Name>,
) -> Answer {
    let name = body.acceptable()?.checked()?;
    answer(accept.media_type, rename(&service, id, &name).await?)
}

async fn find(service: &Service, id: ApplicationId) -> Result<Option<Stored>, Problem> {
    service
        .query(async |connection| store::applications::find(connection, id).await)
        .await
}

async fn rename(
    service: &Service,
    id: ApplicationId,
    name: &Title,
) -> Result<Option<Stored>, Problem> {
    let renaming = service
        .reads
        .change(async |connection| store::applications::rename(connection, id, name).await);
    Ok(renaming.await?)
}

fn answer(media_type: &'static str, found: Option<Stored>) -> Answer {
    let stored = found.ok_or_else(Problem::not_found)?;
    Ok(Json(media_type, Application::new(stored, None)).into_response())
}
