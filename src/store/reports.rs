//! The table `reports`: what users have told their application of messages.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Lane, Result, columns};
use crate::domain::{ApplicationId, MessageId, Report, Text, Timestamp, Title, UserId};

/// A report as its application sees it.
#[derive(Debug, Clone)]
pub struct ListedReport {
    pub report: Report,
    /// Since when the application has nothing to do about it any more.
    pub resolved: Option<OffsetDateTime>,
}

struct ReportRow {
    timestamp: i64,
    message_id: i64,
    reporter: String,
    reason: String,
    text: Option<String>,
    created: OffsetDateTime,
    resolved: Option<OffsetDateTime>,
}

impl ReportRow {
    fn into_listed(self) -> ListedReport {
        ListedReport {
            report: Report {
                timestamp: Timestamp::new(self.timestamp),
                message: MessageId::new(self.message_id),
                reporter: UserId::trusted(&self.reporter),
                reason: Title::trusted(self.reason),
                text: self.text.map(Text::trusted),
                created: self.created,
            },
            resolved: self.resolved,
        }
    }
}

/// A statement that returns reports: `$head`, and what follows the columns.
macro_rules! reports {
    ($head:literal, $tail:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            ReportRow,
            $head + "r.timestamp, r.message_id, r.reporter, r.reason, r.text, r.created, r.resolved " + $tail,
            $($argument),*
        )
    };
}

/// The reports that users have made of messages; nothing where they have made none.
pub async fn load(lane: &mut Lane<'_>, lookup: &[(MessageId, &UserId)]) -> Result<Vec<Report>> {
    columns!(for (message, reporter) in lookup => {
        messages: message.get(),
        reporters: reporter.as_str(),
    });
    let rows = reports!(
        "SELECT ",
        "FROM unnest($2::bigint[], $3::text[]) AS lookup (message_id, reporter)
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM reports AS found
            WHERE found.application_id = $1 AND found.message_id = lookup.message_id
              AND found.reporter = lookup.reporter
            LIMIT 1
        ) AS r",
        lane.application().get(),
        &messages,
        &reporters as &[&str],
    );
    let rows = rows.fetch_all(lane.connection()).await?;
    Ok(rows
        .into_iter()
        .map(|row| row.into_listed().report)
        .collect())
}

pub async fn insert(lane: &mut Lane<'_>, reports: &[&Report]) -> Result<()> {
    columns!(for report in reports => {
        timestamps: report.timestamp.get(),
        messages: report.message.get(),
        reporters: report.reporter.as_str(),
        reasons: report.reason.as_str(),
        texts: report.text.as_ref().map(Text::as_str),
        created: report.created,
    });
    sqlx::query!(
        "INSERT INTO reports (application_id, timestamp, message_id, reporter, reason, text, created)
         SELECT $1, new.* FROM unnest(
             $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]
         ) AS new",
        lane.application().get(),
        &timestamps,
        &messages,
        &reporters as &[&str],
        &reasons as &[&str],
        &texts as &[Option<&str>],
        &created,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// A page of the reports of an application, the oldest first: all, or those that are not resolved.
pub async fn list(
    connection: &mut PgConnection,
    application: ApplicationId,
    is_open: bool,
    after: Timestamp,
    limit: i64,
) -> Result<Vec<ListedReport>> {
    let rows = if is_open {
        let open = reports!(
            "SELECT ",
            "FROM reports AS r
            WHERE r.application_id = $1 AND r.timestamp > $2 AND r.resolved IS NULL
            ORDER BY r.timestamp
            LIMIT $3",
            application.get(),
            after.get(),
            limit,
        );
        open.fetch_all(connection).await?
    } else {
        let all = reports!(
            "SELECT ",
            "FROM reports AS r
            WHERE r.application_id = $1 AND r.timestamp > $2
            ORDER BY r.timestamp
            LIMIT $3",
            application.get(),
            after.get(),
            limit,
        );
        all.fetch_all(connection).await?
    };
    Ok(rows.into_iter().map(ReportRow::into_listed).collect())
}

/// The reports that a user has made after a point of the timeline, the oldest first.
pub async fn of_user(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    after: Timestamp,
    limit: i64,
) -> Result<Vec<Report>> {
    let rows = reports!(
        "SELECT ",
        "FROM reports AS r
        WHERE r.application_id = $1 AND r.reporter = $2 AND r.timestamp > $3
        ORDER BY r.timestamp
        LIMIT $4",
        application.get(),
        user.as_str(),
        after.get(),
        limit,
    );
    let rows = rows.fetch_all(connection).await?;
    let reports = rows.into_iter().map(|row| row.into_listed().report);
    Ok(reports.collect())
}

/// Marks a report as resolved, or as open again; `None` if there is none.
pub async fn resolve(
    connection: &mut PgConnection,
    application: ApplicationId,
    report: Timestamp,
    is_resolved: bool,
) -> Result<Option<ListedReport>> {
    let row = reports!(
        "UPDATE reports AS r
         SET resolved = CASE WHEN $3 THEN coalesce(resolved, now()) END
         WHERE application_id = $1 AND timestamp = $2
         RETURNING ",
        "",
        application.get(),
        report.get(),
        is_resolved,
    );
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(ReportRow::into_listed))
}
