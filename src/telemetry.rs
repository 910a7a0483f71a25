//! What the process tells of itself: log lines and metrics.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Durations from half a millisecond, what one change takes alone, to the longest wait, in seconds.
const SECONDS_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Batches from one caller to the largest.
const SIZE_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Sends log lines to standard error. `filter` is a level, or directives of `tracing`'s EnvFilter.
pub fn log(format: LogFormat, filter: &str) {
    let registry = tracing_subscriber::registry().with(EnvFilter::new(filter));
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
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

    describe_histogram!("http_request_seconds", Unit::Seconds, "Requests by route, method and status");
    describe_gauge!("http_connections", "Open connections");
    describe_gauge!("http_pending_answer_bytes", Unit::Bytes, "Large answers that are not taken yet");
    describe_counter!(
        "http_unreadable_requests_total",
        "What could not be read as a request, by the status of its answer"
    );
    describe_gauge!("messages_live_connections", "Open streams and held answers, by kind");
    describe_counter!("http_held_requests_total", "Streams and held answers, by route");
    describe_counter!("messages_wakeups_total", "Notifications heard, by whom they wake");
    describe_counter!("messages_lost_wakeups_total", "Changes that were found without a wake-up");
    describe_histogram!(
        "messages_delivery_seconds",
        Unit::Seconds,
        "Time from the writing of a change, just before its commit, to its way out on a live \
         connection, by the clocks of the database and of this replica"
    );
    describe_histogram!("messages_batch_size", Unit::Count, "Requests in one batch, by queue");
    describe_histogram!(
        "messages_queue_wait_seconds",
        Unit::Seconds,
        "Time before a request's batch began"
    );
    describe_gauge!("messages_queue_waiting", "Requests that wait for their batch, by queue");
    describe_histogram!("messages_batch_seconds", Unit::Seconds, "Time that a batch of changes took");
    describe_counter!("messages_events_published_total", "Events that the broker has confirmed");
    describe_gauge!("messages_outbox_events", "Events that wait for the broker, counted up to 100,000");
    describe_gauge!(
        "messages_outbox_oldest_seconds",
        Unit::Seconds,
        "Age of the oldest event that waits"
    );
    describe_gauge!("messages_broker_connected", "1 while this replica publishes events");
    describe_gauge!(
        "messages_broker_blocked",
        "1 while a memory or disk alarm keeps the broker from taking the events of this replica"
    );
}
