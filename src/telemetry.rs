//! What the process tells of itself: log lines and metrics.

use std::{io::IsTerminal, str::FromStr};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What is logged: a level, or directives of `tracing`'s EnvFilter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// The value is not a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be error, warn, info, debug, trace or off, or directives, as warn,messages=debug")]
pub struct BadLogFilter;

impl FromStr for LogFilter {
    type Err = BadLogFilter;

    fn from_str(value: &str) -> Result<Self, BadLogFilter> {
        if EnvFilter::try_new(value).is_err() || !value.split(',').all(is_directive) {
            return Err(BadLogFilter);
        }
        Ok(Self(value.to_owned()))
    }
}

/// A single word is a level. EnvFilter takes any other word for the name of a module, so that a
/// misspelt level would silence everything else.
fn is_directive(part: &str) -> bool {
    part.contains(['=', '[']) || (!part.is_empty() && part.parse::<LevelFilter>().is_ok())
}

/// Durations from half a millisecond, what one change takes alone, to the longest wait, in seconds.
const SECONDS_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Batches from one caller to the largest.
const SIZE_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Sends log lines to standard error.
pub fn log(format: LogFormat, filter: &LogFilter) {
    let registry = tracing_subscriber::registry().with(EnvFilter::new(&filter.0));
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Human => registry.with(layer).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
    }
}

/// Records metrics for the whole process; the handle renders them.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZE_BUCKETS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

    describe_histogram!(
        "http_request_seconds",
        Unit::Seconds,
        "Requests by route, method and status"
    );
    describe_gauge!("http_connections", "Open connections");
    describe_gauge!(
        "http_pending_answer_bytes",
        Unit::Bytes,
        "Large answers that are not taken yet"
    );
    describe_counter!(
        "http_unreadable_requests_total",
        "What could not be read as a request, by the status of its answer"
    );
    describe_gauge!(
        "messages_live_connections",
        "Open streams and held answers, by kind"
    );
    describe_counter!(
        "http_held_requests_total",
        "Streams and held answers, by route"
    );
    describe_counter!(
        "messages_wakeups_total",
        "Notifications heard, by whom they wake"
    );
    describe_counter!(
        "messages_lost_wakeups_total",
        "Changes that were found without a wake-up"
    );
    describe_histogram!(
        "messages_delivery_seconds",
        Unit::Seconds,
        "Time from the writing of a change, when its batch had the lock, to its way out on a live \
         connection, by the clocks of the database and of this replica"
    );
    describe_histogram!(
        "messages_batch_size",
        Unit::Count,
        "Requests in one batch, by queue"
    );
    describe_histogram!(
        "messages_queue_wait_seconds",
        Unit::Seconds,
        "Time before a request's batch began"
    );
    describe_gauge!(
        "messages_queue_waiting",
        "Requests that wait for their batch, by queue"
    );
    describe_histogram!(
        "messages_batch_seconds",
        Unit::Seconds,
        "Time that a batch of changes took"
    );
    describe_counter!(
        "messages_batch_failures_total",
        "Batches of changes that failed at the database, by reason; most succeed when tried again"
    );
    describe_gauge!(
        "messages_writes_stalled_seconds",
        Unit::Seconds,
        "Time that changes have waited without any commit"
    );
    describe_gauge!(
        "messages_database_connections_in_use",
        "Connections that are in use, by pool: 8 for reads and 4 for searches at the most"
    );
    describe_gauge!(
        "messages_notification_queue_usage",
        "How full the queue of notifications of the PostgreSQL server is, from 0 to 1"
    );
    describe_counter!(
        "messages_history_branches_total",
        "Failovers and restores that this replica was the first to find: commits may be lost"
    );
    describe_gauge!(
        "messages_search_pending",
        "Changes of texts that are not indexed yet"
    );
    describe_counter!(
        "messages_search_indexed_total",
        "Changes of texts that were indexed"
    );
    describe_counter!(
        "messages_events_published_total",
        "Events that the broker has confirmed"
    );
    describe_gauge!(
        "messages_outbox_events",
        "Events that wait for the broker, counted up to 100,000"
    );
    describe_gauge!(
        "messages_outbox_oldest_seconds",
        Unit::Seconds,
        "Age of the oldest event that waits"
    );
    describe_gauge!(
        "messages_broker_connected",
        "1 while this replica publishes events"
    );
    describe_gauge!(
        "messages_broker_blocked",
        "1 while a memory or disk alarm keeps the broker from taking the events of this replica"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_directives_and_no_misspelt_level() {
        for value in [
            "info",
            "DEBUG",
            "off",
            "warn,messages=debug",
            "messages::http[request]=trace",
        ] {
            assert!(value.parse::<LogFilter>().is_ok(), "{value}");
        }
        for value in [
            "",
            "inof",
            "verbose",
            "info,",
            "messages=inof",
            "info,messages",
            "a=b=c",
        ] {
            assert_eq!(value.parse::<LogFilter>(), Err(BadLogFilter), "{value}");
        }
    }
}
