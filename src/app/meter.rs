//! Measures what is not counted as it happens, and sends the pulse.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::sleep;

use crate::{
    http::Broker,
    store::{self, Session, in_time},
    timeline::Timeline,
};

/// How often it is measured.
const PERIOD: Duration = Duration::from_secs(3);

/// How long the database may take for it. With two periods and a new connection it is less than listeners
/// wait for a pulse.
const DATABASE_TIME_MAX: Duration = Duration::from_secs(3);

/// After so many measurements what is left of old batches is deleted: about once a minute.
const FORGET_ROUNDS: u64 = 20;

/// What is measured, and the connection for it: a busy pool may not hold up the pulse.
pub struct Meter {
    pub session: Session,
    pub timeline: Timeline,
    pub broker: Broker,
    pub metrics: PrometheusHandle,
}

impl Meter {
    /// Measures for ever. It also keeps PostgreSQL's queue of notifications moving, and lets the recorder
    /// fold what it has collected, which nobody else does where nobody asks for the metrics.
    pub async fn run(mut self) {
        for round in 0_u64.. {
            if let Err(error) = in_time(DATABASE_TIME_MAX, self.measure_database()).await {
                tracing::warn!(%error, "the database cannot be measured");
                self.session.discard();
            }
            if round % FORGET_ROUNDS == 0
                && let Err(error) = in_time(DATABASE_TIME_MAX, self.forget_batches()).await
            {
                tracing::warn!(%error, "old batches cannot be forgotten");
                self.session.discard();
            }
            let stalled_for = self.timeline.progress().stalled_for().as_secs_f64();
            metrics::gauge!("messages_writes_stalled_seconds").set(stalled_for);
            let is_publishing = f64::from(u8::from(self.broker.is_publishing()));
            metrics::gauge!("messages_broker_connected").set(is_publishing);
            let is_blocked = f64::from(u8::from(self.broker.is_blocked()));
            metrics::gauge!("messages_broker_blocked").set(is_blocked);
            self.metrics.run_upkeep();
            sleep(PERIOD).await;
        }
    }

    async fn measure_database(&mut self) -> store::Result<()> {
        let connection = self.session.connection().await?;
        let usage = store::notify::queue_usage(connection).await?;
        metrics::gauge!("messages_notification_queue_usage").set(usage);
        store::notify::send_pulse(connection, usage).await?;
        let backlog = store::outbox::backlog(connection).await?;
        let age = backlog
            .oldest
            .map_or(0.0, |oldest| (backlog.now - oldest).as_seconds_f64());
        metrics::gauge!("messages_outbox_events").set(backlog.events as f64);
        metrics::gauge!("messages_outbox_oldest_seconds").set(age);
        let pending = store::search::count_pending(connection).await?;
        metrics::gauge!("messages_search_pending").set(pending as f64);
        Ok(())
    }

    async fn forget_batches(&mut self) -> store::Result<()> {
        store::timeline::forget_batches(self.session.connection().await?).await
    }
}
