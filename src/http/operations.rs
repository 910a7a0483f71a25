//! For operators: liveness, readiness and metrics.

use std::time::Duration;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{
    Service,
    answer::{openapi::OpenProblems, representation::Json},
    extract::media,
};
use crate::{followers::PublisherState, store, timeline::WriteState};

/// How long the database may take to answer a check of readiness.
const READINESS_TIME_MAX: Duration = Duration::from_secs(2);

/// Whether the service can do its work.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthJson {
    status: HealthStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = DatabaseState, required = false)]
    database: Option<DatabaseState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = WritesState, required = false)]
    writes: Option<WritesState>,
    /// Events wait in the database while nobody publishes; so this is reported and not required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BrokerState, required = false)]
    broker: Option<BrokerState>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum HealthStatus {
    Up,
    Down,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum DatabaseState {
    Available,
    /// It is away, or what answers cannot be worked with: the log says which.
    Unavailable,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum WritesState {
    Available,
    /// The database has no more room.
    DiskFull,
    /// The database takes no changes at present.
    ReadOnly,
    /// Changes fail for another reason, which the log tells.
    Failing,
    /// Changes wait, and for 8 seconds none was committed.
    Stalled,
}

impl From<WriteState> for WritesState {
    fn from(state: WriteState) -> Self {
        match state {
            WriteState::Available => Self::Available,
            WriteState::DiskFull => Self::DiskFull,
            WriteState::ReadOnly => Self::ReadOnly,
            WriteState::Failing => Self::Failing,
            WriteState::Stalled => Self::Stalled,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum BrokerState {
    /// `AMQP_URL` is not set: events wait in the database.
    NotConfigured,
    /// This replica publishes events.
    Publishing,
    /// This replica would, and a memory or disk alarm keeps the broker from taking anything.
    Blocked,
    /// Another replica does, or the broker is away.
    NotPublishing,
}

impl From<PublisherState> for BrokerState {
    fn from(state: PublisherState) -> Self {
        match state {
            PublisherState::NotConfigured => Self::NotConfigured,
            PublisherState::Publishing => Self::Publishing,
            PublisherState::Blocked => Self::Blocked,
            PublisherState::NotPublishing => Self::NotPublishing,
        }
    }
}

/// Reports that the process runs and answers.
///
/// It asks nobody else, so a database that is away does not matter.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operations",
    security(),
    responses(
        (status = 200, description = "It does",
            body = HealthJson, content_type = "application/json"),
        OpenProblems,
    ),
)]
pub async fn get_liveness() -> Response {
    let health = HealthJson {
        status: HealthStatus::Up,
        database: None,
        writes: None,
        broker: None,
    };
    Json(media::JSON, health).into_response()
}

/// Reports whether requests can be served.
///
/// The database must be a primary that takes changes; the broker is reported and not required. A
/// failure of the last changes is reported for 15 seconds, so that a replica that is not ready is
/// tried again.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operations",
    security(),
    responses(
        (status = 200, description = "They can",
            body = HealthJson, content_type = "application/json"),
        (status = 503, description = "They cannot: the database is away, or takes no changes",
            body = HealthJson, content_type = "application/json"),
        OpenProblems,
    ),
)]
pub async fn get_readiness(State(service): State<Service>) -> Response {
    let looking = service
        .reads
        .query(async |connection| store::is_primary(connection).await);
    let is_primary = timeout(READINESS_TIME_MAX, looking)
        .await
        .is_ok_and(|found| found.unwrap_or(false));
    let writes = service.timeline.progress().state();
    let (code, status) = if is_primary && writes == WriteState::Available {
        (StatusCode::OK, HealthStatus::Up)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, HealthStatus::Down)
    };
    let database = if is_primary {
        DatabaseState::Available
    } else {
        DatabaseState::Unavailable
    };
    let health = HealthJson {
        status,
        database: Some(database),
        writes: Some(writes.into()),
        broker: Some((*service.publisher.borrow()).into()),
    };
    (code, Json(media::JSON, health)).into_response()
}

/// Returns the metrics of this replica.
///
/// In the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    security(),
    responses(
        (status = 200, description = "Counters, gauges and histograms",
            body = String, content_type = "text/plain"),
        OpenProblems,
    ),
)]
pub async fn get_metrics(State(service): State<Service>) -> Response {
    let content_type = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (content_type, service.metrics.render()).into_response()
}
