//! Reports as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{super::instant, ListPage};
use crate::{
    domain::Report,
    http::answer::openapi::schemas::{MessageIdSchema, TimestampSchema, UserIdSchema},
    store::reports::ListedReport,
};

/// What a user has told the application of a message.
#[derive(Serialize, ToSchema)]
#[schema(as = Report, example = json!({
    "id": 43, "message": 17, "from": "john", "reason": "spam",
    "created": "2026-11-20T09:30:00.123456Z"
}))]
pub struct ReportJson {
    /// The point on the timeline at which it was made.
    #[schema(value_type = TimestampSchema)]
    id: i64,
    #[schema(value_type = MessageIdSchema)]
    message: i64,
    #[schema(value_type = UserIdSchema)]
    from: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    text: Option<String>,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// For the application: since when it is resolved; absent while it is not.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "instant::serialize_option"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    resolved: Option<OffsetDateTime>,
}

impl ReportJson {
    /// For the user who has made it.
    pub fn made(report: &Report) -> Self {
        Self {
            id: report.timestamp.get(),
            message: report.message.get(),
            from: report.reporter.as_str().to_owned(),
            reason: report.reason.as_str().to_owned(),
            text: report.text.as_ref().map(|text| text.as_str().to_owned()),
            created: report.created,
            resolved: None,
        }
    }

    /// For the application.
    pub fn listed(listed: &ListedReport) -> Self {
        Self {
            resolved: listed.resolved,
            ..Self::made(&listed.report)
        }
    }
}

/// A page of reports, the oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ReportList)]
pub struct ReportListJson {
    reports: Vec<ReportJson>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TimestampSchema, required = false)]
    next: Option<i64>,
}

impl From<ListPage<ListedReport, i64>> for ReportListJson {
    fn from(page: ListPage<ListedReport, i64>) -> Self {
        Self {
            reports: page.items.iter().map(ReportJson::listed).collect(),
            next: page.next,
        }
    }
}
