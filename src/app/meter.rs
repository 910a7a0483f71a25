//! Measures what is not counted as it happens, and sends the pulse.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::sleep;

use crate::{
    outbox::{PublisherState, PublisherStatus},
    store::{self, Session, in_time},
    timeline::Timeline,
};

/// The pause between two measurements.
const PERIOD: Duration = Duration::from_secs(3);

/// How long the database may take for a measurement. Two periods, a measurement and a new
/// connection take less time than a listener waits for a pulse.
const DATABASE_TIME_MAX: Duration = Duration::from_secs(3);

/// After so many measurements the rows of old batches are deleted: about once a minute.
const FORGET_ROUNDS: u64 = 20;

/// The meter. It has its own connection, so that a busy pool cannot delay the pulse.
pub struct Meter {
    pub session: Session,
    pub timeline: Timeline,
    pub publisher: PublisherStatus,
    pub metrics: PrometheusHandle,
}

impl Meter {
    /// Measures for ever. It also keeps PostgreSQL's queue of notifications moving, and makes the
    /// recorder aggregate its samples, which happens nowhere else while nobody reads the metrics.
    pub async fn run(mut self) {
        for round in 0_u64.. {
            if let Err(error) = in_time(DATABASE_TIME_MAX, self.measure_database()).await {
                tracing::warn!(%error, "the database cannot be measured");
                self.session.discard();
            }
            if round % FORGET_ROUNDS == 0
                && let Err(error) = in_time(DATABASE_TIME_MAX, self.forget_batches()).await
            {
                tracing::warn!(%error, "the rows of old batches cannot be deleted");
                self.session.discard();
            }
            let stalled_for = self.timeline.progress().stalled_for().as_secs_f64();
            metrics::gauge!("messages_writes_stalled_seconds").set(stalled_for);
            self.measure_publisher();
            self.metrics.run_upkeep();
            sleep(PERIOD).await;
        }
    }

    fn measure_publisher(&self) {
        let state = *self.publisher.borrow();
        let is_blocked = state == PublisherState::Blocked;
        let is_connected = is_blocked || state == PublisherState::Publishing;
        metrics::gauge!("messages_broker_connected").set(u8::from(is_connected));
        metrics::gauge!("messages_broker_blocked").set(u8::from(is_blocked));
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
