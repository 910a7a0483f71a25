//! Telemetry: log lines and metrics.

use std::{io::IsTerminal, str::FromStr};

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Which events are logged: a level, or directives of `tracing`'s EnvFilter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// The value is no [`LogFilter`].
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

/// A single word must be a level. EnvFilter takes any other word for the name of a module, so a
/// misspelt level would silence everything else.
fn is_directive(part: &str) -> bool {
    part.contains(['=', '[']) || (!part.is_empty() && part.parse::<LevelFilter>().is_ok())
}

/// Durations in seconds, from half a millisecond, which a single change takes, to the longest wait.
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

/// A metric: its name, its unit if it has one, and its description.
type MetricDescription = (&'static str, Option<Unit>, &'static str);

const COUNTERS: &[MetricDescription] = &[
    (
        "messages_http_unreadable_requests_total",
        None,
        "Requests that could not be parsed, by the status of the answer",
    ),
    (
        "messages_http_held_requests_total",
        None,
        "Streams and held answers, by route",
    ),
    (
        "messages_wakeups_total",
        None,
        "Notifications received, by whom they concern",
    ),
    (
        "messages_lost_wakeups_total",
        None,
        "Changes that a follower read without a wake-up",
    ),
    (
        "messages_signals_dropped_total",
        None,
        "Signals that were dropped, by where: queue, notifications, database, stream",
    ),
    (
        "messages_batch_failures_total",
        None,
        "Batches of changes that failed at the database, by reason; most succeed when tried again",
    ),
    (
        "messages_expired_cleared_total",
        None,
        "Messages that had expired and were cleared",
    ),
    (
        "messages_trimmed_total",
        None,
        "Rows that were trimmed from timelines, by table",
    ),
    (
        "messages_webhook_requests_total",
        None,
        "Requests to webhooks, by whether they were taken",
    ),
    (
        "messages_history_branches_total",
        None,
        "Failovers and restores that this replica was the first to detect: commits may be lost",
    ),
    (
        "messages_search_indexed_total",
        None,
        "Changes that the index of search has followed",
    ),
    (
        "messages_events_published_total",
        None,
        "Events that the broker has confirmed",
    ),
];

const GAUGES: &[MetricDescription] = &[
    ("messages_http_connections", None, "Open connections"),
    (
        "messages_http_pending_answer_bytes",
        Some(Unit::Bytes),
        "Large answers that their callers have yet to receive",
    ),
    (
        "messages_live_connections",
        None,
        "Open streams and held answers, by kind",
    ),
    (
        "messages_cached_entries",
        None,
        "What is cached of reads and of tokens, by cache",
    ),
    (
        "messages_queue_waiting",
        None,
        "Requests that wait for their batch, by queue",
    ),
    (
        "messages_writes_stalled_seconds",
        Some(Unit::Seconds),
        "Time that changes have waited without any commit",
    ),
    (
        "messages_database_connections_in_use",
        None,
        "Connections in use, by pool",
    ),
    (
        "messages_notification_queue_usage",
        None,
        "Share of PostgreSQL's queue of notifications that is in use, from 0 to 1",
    ),
    (
        "messages_follower_lag_changes",
        None,
        "Changes that a follower has yet to follow; counting ends at a limit",
    ),
    (
        "messages_follower_lag_seconds",
        Some(Unit::Seconds),
        "Age of the oldest of these changes",
    ),
    (
        "messages_broker_connected",
        None,
        "1 while this replica publishes events",
    ),
    (
        "messages_broker_blocked",
        None,
        "1 while a memory or disk alarm keeps the broker from taking the events of this replica",
    ),
];

const HISTOGRAMS: &[MetricDescription] = &[
    (
        "messages_http_request_seconds",
        Some(Unit::Seconds),
        "Requests by route, method and status",
    ),
    (
        "messages_delivery_seconds",
        Some(Unit::Seconds),
        "Time from when a change's batch took the lock until it is sent on a live connection, \
         by the clocks of the database and of this replica",
    ),
    (
        "messages_batch_size",
        Some(Unit::Count),
        "Requests in one batch, by queue",
    ),
    (
        "messages_queue_wait_seconds",
        Some(Unit::Seconds),
        "Time before a request's batch began",
    ),
    (
        "messages_batch_seconds",
        Some(Unit::Seconds),
        "Time that a batch of changes took",
    ),
    (
        "messages_hook_seconds",
        Some(Unit::Seconds),
        "Time that the hooks of applications took to judge messages, by outcome",
    ),
];

fn describe() {
    metrics::with_recorder(|recorder| {
        for (name, unit, description) in COUNTERS {
            recorder.describe_counter((*name).into(), *unit, (*description).into());
        }
        for (name, unit, description) in GAUGES {
            recorder.describe_gauge((*name).into(), *unit, (*description).into());
        }
        for (name, unit, description) in HISTOGRAMS {
            recorder.describe_histogram((*name).into(), *unit, (*description).into());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_the_prefix_of_the_service() {
        for (name, _, _) in [COUNTERS, GAUGES, HISTOGRAMS].concat() {
            assert!(name.starts_with("messages_"), "{name}");
        }
    }

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
