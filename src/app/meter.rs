//! Measures what is not counted as it happens, and sends the pulse.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::{Instant, sleep};

use crate::{
    followers::{PublisherState, PublisherStatus},
    store::{
        self, Delivering, Duty, FeedPublishing, Indexing, Publishing, Session, followers::Lag,
        in_time, webhooks::deliveries,
    },
    timeline::Timeline,
};

/// The pause between two measurements.
const PERIOD: Duration = Duration::from_secs(3);

/// How long the database may take for a measurement. Two periods, a measurement and a new
/// connection take less time than a listener waits for a pulse.
const DATABASE_TIME_MAX: Duration = Duration::from_secs(3);

/// How long the database may take to measure the lag of the followers in all applications: the next
/// pulse waits for it.
const LAG_TIME_MAX: Duration = Duration::from_secs(5);

/// That takes this share of the time at the most, however many applications there are.
const LAG_SHARE: u32 = 100;

/// The meter. It has its own connection, so that a busy pool cannot delay the pulse.
pub struct Meter {
    pub session: Session,
    pub timeline: Timeline,
    pub publisher: PublisherStatus,
    pub publishes_feeds: bool,
    pub metrics: PrometheusHandle,
}

impl Meter {
    /// Measures for ever. It also keeps PostgreSQL's queue of notifications moving, and makes the
    /// recorder aggregate its samples, which happens nowhere else while nobody reads the metrics.
    pub async fn run(mut self) {
        let mut next_lag = Instant::now();
        loop {
            if let Err(error) = in_time(DATABASE_TIME_MAX, self.measure_database()).await {
                tracing::warn!(%error, "the database cannot be measured");
                self.session.discard();
            }
            let started = Instant::now();
            if started >= next_lag {
                if let Err(error) = in_time(LAG_TIME_MAX, self.measure_lag()).await {
                    tracing::warn!(%error, "the lag of the followers cannot be measured");
                    self.session.discard();
                }
                next_lag = Instant::now() + started.elapsed() * LAG_SHARE;
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
        store::notify::send_pulse(connection, usage).await
    }

    async fn measure_lag(&mut self) -> store::Result<()> {
        let connection = self.session.connection().await?;
        record_lag::<Publishing>(store::followers::lag::<Publishing>(connection).await?);
        record_lag::<Indexing>(store::followers::lag::<Indexing>(connection).await?);
        record_lag::<Delivering>(deliveries::lag(connection).await?);
        if self.publishes_feeds {
            let lag = store::followers::lag::<FeedPublishing>(connection).await?;
            record_lag::<FeedPublishing>(lag);
        }
        Ok(())
    }
}

fn record_lag<R: Duty>(lag: Lag) {
    metrics::gauge!("messages_follower_lag_changes", "follower" => R::NAME).set(lag.changes as f64);
    metrics::gauge!("messages_follower_lag_seconds", "follower" => R::NAME).set(lag.seconds);
}
