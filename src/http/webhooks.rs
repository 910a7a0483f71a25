//! Webhooks: an application names URLs to which the service brings its feed.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            ApplicationChangeProblems, ApplicationCreateProblems, ApplicationReadProblems,
            OwnListProblems, WebhookIdPath,
        },
        problem::Problem,
        representation::{Json, WebhookJson, WebhookListJson, created_secret, secret},
    },
    extract::{
        caller::OwnApplication,
        checks::Checks,
        media::PlainJson,
        request_bodies::{NewWebhookJson, WebhookPatchJson},
    },
};
use crate::{
    callbacks::{CallbackUrl, SigningSecret},
    domain::WebhookId,
    random,
    store::webhooks::{self, Refused},
};

/// Creates a webhook: the service posts the feed to its URL.
///
/// Each request has up to 100 entries (see `WebhookBatch`), in order, and the next one is sent when the
/// answer is 2xx within 10 s. Otherwise the same is sent again, after 1 s to 5 min, until it is taken. So skip
/// entries up to the last timestamp that you have handled.
///
/// Requests are signed as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`,
/// `webhook-signature`), with a secret that is shown this once. An application has up to 10 webhooks.
#[utoipa::path(
    post,
    path = "/webhooks",
    tag = "feed",
    request_body(content((NewWebhookJson = "application/json"))),
    responses(
        (status = 201, description = "Created, with its secret",
            body = WebhookJson, content_type = "application/json",
            headers(("Location" = String, description = "`/webhooks/{id}`"))),
        ApplicationCreateProblems,
    ),
)]
pub async fn create_webhook(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let body = checks.body::<NewWebhookJson>().await?;
    let passed = checks.finish(|| body)?;
    let (url, new) = passed.input;
    check(&service, &url).await?;
    let (application, id) = (passed.caller, WebhookId::drawn(random::number()));
    let signing = SigningSecret::generate();
    let creating = service.reads.change(async |connection| {
        webhooks::insert(connection, application, id, &new, signing.bytes()).await
    });
    let stored = creating.await?.map_err(problem)?;
    let path = format!("/webhooks/{}", id.get());
    let webhook = WebhookJson::new(stored, Some(signing.text()));
    Ok(created_secret(&path, passed.media_type, webhook))
}

/// Lists the webhooks of the application, the oldest first.
///
/// Each tells how far it has come, how far it is behind, and why it was last not taken.
#[utoipa::path(
    get,
    path = "/webhooks",
    tag = "feed",
    responses(
        (status = 200, description = "All of them",
            body = WebhookListJson, content_type = "application/json"),
        OwnListProblems,
    ),
)]
pub async fn list_webhooks(
    State(service): State<Service>,
    checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let passed = checks.finish(|| Some(()))?;
    let application = passed.caller;
    let reading = service.query(async |connection| {
        let mut read = Vec::new();
        for webhook in webhooks::list(connection, application).await? {
            let lag = webhooks::lag(connection, application, &webhook).await?;
            read.push((webhook, lag));
        }
        Ok(read)
    });
    let list: WebhookListJson = reading.await?.into_iter().collect();
    Ok(Json(passed.media_type, list).into_response())
}

/// Reads a webhook.
///
/// It tells how far it has come, how far it is behind, and why it was last not taken.
#[utoipa::path(
    get,
    path = "/webhooks/{id}",
    tag = "feed",
    params(WebhookIdPath),
    responses(
        (status = 200, description = "The webhook",
            body = WebhookJson, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn get_webhook(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let id = checks.path::<WebhookId>();
    let passed = checks.finish(|| id)?;
    let (application, id) = (passed.caller, passed.input);
    let reading = service.query(async |connection| {
        let Some(webhook) = webhooks::find(connection, application, id).await? else {
            return Ok(None);
        };
        let lag = webhooks::lag(connection, application, &webhook).await?;
        Ok(Some(WebhookJson::read(webhook, lag)))
    });
    let webhook = reading.await?.ok_or_else(Problem::not_found)?;
    Ok(Json(passed.media_type, webhook).into_response())
}

/// Changes a webhook.
///
/// `after` has it get what comes after that timestamp: again, or without what is in between. A webhook that
/// has failed is tried again at once. A request that is under way is not called back.
#[utoipa::path(
    patch,
    path = "/webhooks/{id}",
    tag = "feed",
    params(WebhookIdPath),
    request_body(content(
        (WebhookPatchJson = "application/merge-patch+json"),
        (WebhookPatchJson = "application/json"),
    )),
    responses(
        (status = 200, description = "The webhook",
            body = WebhookJson, content_type = "application/json"),
        ApplicationChangeProblems,
    ),
)]
pub async fn change_webhook(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let patch = checks.body::<WebhookPatchJson>().await?;
    let id = checks.path::<WebhookId>();
    let passed = checks.finish(|| id.zip(patch))?;
    let (id, (url, patch)) = passed.input;
    if let Some(url) = &url {
        check(&service, url).await?;
    }
    let application = passed.caller;
    let changing = service
        .reads
        .change(async |connection| webhooks::update(connection, application, id, &patch).await);
    let stored = changing.await?.map_err(problem)?;
    Ok(Json(passed.media_type, WebhookJson::new(stored, None)).into_response())
}

/// Removes a webhook.
///
/// A request that is under way is not called back.
#[utoipa::path(
    delete,
    path = "/webhooks/{id}",
    tag = "feed",
    params(WebhookIdPath),
    responses(
        (status = 204, description = "Removed"),
        ApplicationReadProblems,
    ),
)]
pub async fn delete_webhook(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let id = checks.path::<WebhookId>();
    let passed = checks.finish(|| id)?;
    let (application, id) = (passed.caller, passed.input);
    let removing = service
        .reads
        .change(async |connection| webhooks::remove(connection, application, id).await);
    if removing.await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::not_found())
    }
}

/// Makes a new secret for a webhook.
///
/// Requests are signed with the one before as well, for 24 hours from now, so that no server has to learn of
/// it in the same moment.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/secret",
    tag = "feed",
    params(WebhookIdPath),
    responses(
        (status = 201, description = "The webhook with its new secret",
            body = WebhookJson, content_type = "application/json"),
        ApplicationReadProblems,
    ),
)]
pub async fn replace_webhook_secret(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let id = checks.path::<WebhookId>();
    let passed = checks.finish(|| id)?;
    let (application, id) = (passed.caller, passed.input);
    let signing = SigningSecret::generate();
    let replacing = service.reads.change(async |connection| {
        webhooks::replace_secret(connection, application, id, signing.bytes()).await
    });
    let stored = replacing.await?.ok_or_else(Problem::not_found)?;
    let webhook = WebhookJson::new(stored, Some(signing.text()));
    Ok(secret(passed.media_type, webhook))
}

/// Refuses a URL that could not be called at present.
pub async fn check(service: &Service, url: &CallbackUrl) -> Result<(), Problem> {
    let checking = service.callbacks.check(url).await;
    checking.map_err(|unreachable| Problem::invalid_field("url", unreachable.to_string()))
}

fn problem(refused: Refused) -> Problem {
    match refused {
        Refused::NotFound => Problem::not_found(),
        Refused::TooMany => Problem::invalid_field("url", "must be one of at most 10 webhooks"),
        Refused::Ahead { end } => {
            let detail = format!("must be at most {end}, the end of the timeline");
            Problem::invalid_field("after", detail)
        }
        Refused::Behind { trimmed } => {
            let detail = format!("must be at least {trimmed}: what is before is not kept any more");
            Problem::invalid_field("after", detail)
        }
    }
}
