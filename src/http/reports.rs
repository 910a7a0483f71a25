//! Reports of messages: users make them, and their application looks after them.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            ApplicationChangeProblems, ApplicationListProblems, AsUser, DeletableProblems,
            MessageIdPath, NumberPage, OpenReports, ReportIdPath,
        },
        problem::Problem,
        representation::{Json, ListPage, ReportJson, ReportListJson},
    },
    extract::{
        caller::{Caller, OwnApplication},
        checks::Checks,
        media::PlainJson,
        params::{ReportId, ReportsParams},
        request_bodies::{NewReportJson, ResolutionJson},
    },
};
use crate::{
    domain::Timestamp,
    store::reports,
    timeline::{Effect, commands::ReportMessage},
};

/// Reports a message to the application.
///
/// Whoever may read the message may, once: a repeated report is answered with the first one. No member is
/// told; the application finds it in its feed (`message.reported`) and in `GET /reports`.
#[utoipa::path(
    post,
    path = "/messages/{id}/reports",
    tag = "messages",
    params(AsUser, MessageIdPath),
    request_body(content((NewReportJson = "application/json"))),
    responses(
        (status = 201, description = "Reported", body = ReportJson, content_type = "application/json"),
        (status = 200, description = "The report that the user has made before",
            body = ReportJson, content_type = "application/json"),
        DeletableProblems,
    ),
)]
pub async fn report_message(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let body = checks.body::<NewReportJson>().await?;
    let (user, id) = (checks.user(), checks.path());
    let command = || {
        let (reason, text) = body?;
        user.and(id).map(|id| ReportMessage { id, reason, text })
    };
    let passed = checks.finish(command)?;
    let reported = service.submit(&passed.caller, passed.input).await?;
    let status = match reported.effect {
        Effect::Changed => StatusCode::CREATED,
        Effect::Unchanged | Effect::Replayed => StatusCode::OK,
    };
    let report = ReportJson::made(&reported.output);
    Ok((status, Json(passed.media_type, report)).into_response())
}

/// Lists the reports of the application's users, the oldest first.
///
/// With `resolved=false` those alone that are not resolved.
#[utoipa::path(
    get,
    path = "/reports",
    tag = "applications",
    params(NumberPage, OpenReports),
    responses(
        (status = 200, description = "A page",
            body = ReportListJson, content_type = "application/json"),
        ApplicationListProblems,
    ),
)]
pub async fn list_reports(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let params = checks.query::<ReportsParams>();
    let passed = checks.finish(|| params)?;
    let (application, params) = (passed.caller, passed.input);
    let ReportsParams {
        after,
        limit,
        is_open,
    } = params;
    let reading = service.query(async |connection| {
        reports::list(connection, application, is_open, after, limit + 1).await
    });
    let page = ListPage::cut(reading.await?, limit, |last| last.report.timestamp.get());
    Ok(Json(passed.media_type, ReportListJson::from(page)).into_response())
}

/// Marks a report as resolved, or as open again.
///
/// A report that is resolved keeps the time at which it first was, and is not told to whoever has made it.
#[utoipa::path(
    patch,
    path = "/reports/{id}",
    tag = "applications",
    params(ReportIdPath),
    request_body(content(
        (ResolutionJson = "application/merge-patch+json"),
        (ResolutionJson = "application/json"),
    )),
    responses(
        (status = 200, description = "The report", body = ReportJson, content_type = "application/json"),
        ApplicationChangeProblems,
    ),
)]
pub async fn resolve_report(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, PlainJson>,
) -> Answer {
    let resolved = checks.body::<ResolutionJson>().await?;
    let id = checks.path::<ReportId>();
    let passed = checks.finish(|| id.zip(resolved))?;
    let (application, (ReportId(id), is_resolved)) = (passed.caller, passed.input);
    let resolving = service.reads.change(async |connection| {
        reports::resolve(connection, application, Timestamp::new(id), is_resolved).await
    });
    let report = resolving.await?.ok_or_else(Problem::not_found)?;
    Ok(Json(passed.media_type, ReportJson::listed(&report)).into_response())
}
