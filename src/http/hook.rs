//! The hook of an application: it names a server that judges messages before they are sent.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{ApplicationCreateProblems, ApplicationReadProblems},
        problem::Problem,
        representation::{HookJson, Json, created_secret},
    },
    extract::{
        caller::OwnApplication, checks::Checks, media::PlainJson, request_bodies::NewHookJson,
    },
    webhooks::check,
};
use crate::{
    callbacks::SigningSecret,
    store::hooks::{self, Hook},
};

/// Reads the hook of the application.
///
/// For an application's own token. With why the hook last did not judge a message.
#[utoipa::path(
    get,
    path = "/applications/self/hook",
    tag = "applications",
    responses(
        (status = 200, description = "The hook",
            body = HookJson, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn get_hook(
    State(service): State<Service>,
    checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let passed = checks.finish(|| Some(()))?;
    let application = passed.caller;
    let reading = service.query(async |connection| hooks::find(connection, application).await);
    let stored = reading.await?.ok_or_else(Problem::not_found)?;
    Ok(Json(passed.media_type, HookJson::new(stored, None)).into_response())
}

/// Sets the hook of the application: the server that judges what its users send, before it is sent.
///
/// For an application's own token. From then on, on every replica within 5 seconds, the service posts each
/// message and each edit of a user to it (see `HookQuestion`) and does what it answers (see `HookVerdict`): the
/// message is accepted, changed, or refused with 422 `rejected`. What it does not judge within `timeoutMs` is
/// accepted or rejected, as `onFailure` says. Other messages do not wait.
///
/// Requests are signed as Standard Webhooks has it, with a secret that is shown once, when the hook is new.
/// Remove the hook and set it again for another one.
#[utoipa::path(
    put,
    path = "/applications/self/hook",
    tag = "applications",
    request_body(content((NewHookJson = "application/json"))),
    responses(
        (status = 200, description = "Changed; its secret stays", body = HookJson, content_type = "application/json"),
        (status = 201, description = "Set, with its secret",
            body = HookJson, content_type = "application/json",
            headers(("Location" = String, description = "`/applications/self/hook`"))),
        ApplicationCreateProblems,
    ),
)]
pub async fn set_hook(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let body = checks.body::<NewHookJson>().await?;
    let passed = checks.finish(|| body)?;
    let (application, new) = (passed.caller, passed.input);
    check(&service, &new.url).await?;
    let signing = SigningSecret::generate();
    let hook = Hook {
        url: new.url.as_str().to_owned(),
        timeout: new.timeout,
        on_failure: new.on_failure,
        secret: signing.bytes().to_vec().into(),
    };
    let setting = service
        .reads
        .change(async |connection| hooks::set(connection, application, &hook).await);
    let stored = setting.await;
    service.authenticator.forget(application);
    let (stored, is_new) = stored?;
    if is_new {
        let hook = HookJson::new(stored, Some(signing.text()));
        return Ok(created_secret(
            "/applications/self/hook",
            passed.media_type,
            hook,
        ));
    }
    Ok(Json(passed.media_type, HookJson::new(stored, None)).into_response())
}

/// Removes the hook of the application.
///
/// For an application's own token. Its messages are not judged any more, on every replica within 5 seconds.
#[utoipa::path(
    delete,
    path = "/applications/self/hook",
    tag = "applications",
    responses(
        (status = 204, description = "Removed"),
        ApplicationReadProblems,
    ),
)]
pub async fn delete_hook(
    State(service): State<Service>,
    checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let passed = checks.finish(|| Some(()))?;
    let application = passed.caller;
    let removing = service
        .reads
        .change(async |connection| hooks::remove(connection, application).await);
    let removed = removing.await;
    service.authenticator.forget(application);
    if removed? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::not_found())
    }
}
