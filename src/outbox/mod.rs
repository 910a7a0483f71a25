//! Events: from the rows of committed changes to RabbitMQ.
//!
//! # The promise
//! Every event of a committed change reaches the broker at least once, no event of any other change
//! does, and the first deliveries for one file of one application come in the order of their
//! changes.
//!
//! # How
//! An event is a row, stored in the transaction of its change. The publisher reads the oldest rows,
//! publishes them `mandatory` and persistent on a channel with confirms, and deletes the events
//! that the broker has confirmed. At the start of every connection it declares the queue, if that
//! is missing.
//!
//! # The races, and how each was decided
//! - *Two replicas publish.* Only the leader does, with its [`Leadership`] as the proof: reading
//!   and deleting happen on the connection that holds the lock. After an error on it the channel is
//!   closed before the lock is freed, so the next leader publishes after it.
//! - *The connection breaks while events are in flight.* Some are confirmed, some are not, in any
//!   order. What is not deleted is published again. At most one unconfirmed event per file is in
//!   flight, so this never puts a file's second event before its first.
//! - *No queue takes the event.* The broker would confirm it all the same; `mandatory` makes it
//!   come back, and that counts as a failure.
//! - *The broker is away.* Every await on it has a limit; everything else goes on, and the rows
//!   wait.
//! - *An alarm blocks the broker* (memory, disk). The broker announces the alarm and reads nothing
//!   more until it ends. The publisher waits for the events in flight, because the broker will
//!   still take them. Readiness and metrics report the alarm.
//! - *The database refuses to delete* (it is read-only, the right is revoked, a trigger raises).
//!   Events that cannot be deleted would be published for ever. So before each window the publisher
//!   deletes its first event and rolls back: if that fails, nothing is published. A delete may
//!   still fail at its commit. So the publisher remembers which events the broker has confirmed
//!   until they are deleted, across reconnects, and publishes nothing else meanwhile. Another
//!   leader, or the next process, publishes them once more.

mod broker;
mod queue;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub use broker::{BrokerConfig, QueueType};

use crate::{
    notifications::Subscriber,
    store::{
        self, Database, Leadership, PgConnection, Publishing, Purpose,
        outbox::{self, Event},
    },
};
use broker::ConfirmChannel;

/// Events that are read and published in one go.
const WINDOW_EVENTS: i64 = 1000;

/// Wakes the publisher when there may be new events.
#[derive(Default)]
pub struct Wake(Notify);

impl Subscriber for Wake {
    fn reconnected(&self) {
        self.0.notify_one();
    }

    fn events_added(&self) {
        self.0.notify_one();
    }
}

/// How often an idle publisher looks for events without a wake-up: a lost one costs no more than
/// that.
const IDLE_PERIOD: Duration = Duration::from_secs(1);

/// The pauses after failures double from the first to the last of these.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long the database may take for one statement of the publisher.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Database(#[from] store::Error),
    #[error("events cannot be deleted, so none are published: {0}")]
    Undeletable(#[source] store::Error),
    #[error(transparent)]
    Broker(#[from] broker::Error),
}

/// What the publisher of this replica is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublisherState {
    /// No broker is configured, so there is no publisher.
    NotConfigured,
    /// Another replica leads, or the broker is away.
    NotPublishing,
    /// This replica leads and has a channel.
    Publishing,
    /// As above, and an alarm keeps the broker from taking events.
    Blocked,
}

/// The present state, for health and metrics.
pub type PublisherStatus = watch::Receiver<PublisherState>;

/// The status where no broker is configured.
pub fn not_configured() -> PublisherStatus {
    watch::channel(PublisherState::NotConfigured).1
}

/// Publishes the outbox while this replica leads.
pub struct Publisher {
    database: Database,
    config: Arc<BrokerConfig>,
    wake: Arc<Wake>,
    state: watch::Sender<PublisherState>,
    /// What the broker has confirmed and the database still has: one window at the most, because
    /// nothing is published before it is deleted.
    confirmed: Vec<Event>,
}

impl Publisher {
    /// `wake` is notified of new events.
    pub fn new(
        database: Database,
        config: BrokerConfig,
        wake: Arc<Wake>,
    ) -> (Self, PublisherStatus) {
        let (state, status) = watch::channel(PublisherState::NotPublishing);
        let publisher = Self {
            database,
            config: Arc::new(config),
            wake,
            state,
            confirmed: Vec::new(),
        };
        (publisher, status)
    }

    /// Publishes until `stop`: leads, and after any failure waits and begins again.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = PAUSE_MIN;
        while !stop.is_cancelled() {
            let outcome = stop.run_until_cancelled(self.lead(&mut pause)).await;
            if let Some(Err(error)) = outcome {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "events are not being published");
            }
            self.state.send_replace(PublisherState::NotPublishing);
            stop.run_until_cancelled(sleep(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Deletes what was confirmed before, becomes the leader, connects to the broker and drains the
    /// outbox until something fails.
    async fn lead(&mut self, pause: &mut Duration) -> Result<(), Error> {
        self.delete_confirmed_before().await?;
        let mut leader = Leadership::acquire(&self.database).await?;
        let channel = ConfirmChannel::open(Arc::clone(&self.config), self.state.clone()).await?;
        tracing::info!(queue = %self.config.queue, "publishing events");
        self.state.send_replace(PublisherState::Publishing);
        let outcome = self.drain(&mut leader, &channel, pause).await;
        // Only after this may another replica lead.
        channel.close().await;
        outcome
    }

    async fn drain(
        &mut self,
        leader: &mut Leadership<Publishing>,
        channel: &ConfirmChannel,
        pause: &mut Duration,
    ) -> Result<(), Error> {
        loop {
            channel.check()?;
            if channel.is_blocked() {
                sleep(IDLE_PERIOD).await;
                continue;
            }
            let reading = outbox::oldest(leader, WINDOW_EVENTS);
            let events = store::in_time(STATEMENT_TIME_MAX, reading).await?;
            let Some(first) = events.first() else {
                // A wake-up and a timeout have the same effect: read again.
                let _ = timeout(IDLE_PERIOD, self.wake.0.notified()).await;
                continue;
            };
            // Fails if an event could not be deleted after it was published.
            store::in_time(STATEMENT_TIME_MAX, outbox::prove_deletable(leader, first))
                .await
                .map_err(Error::Undeletable)?;
            for round in rounds(&events) {
                self.publish(leader, channel, &round).await?;
                *pause = PAUSE_MIN;
            }
        }
    }

    /// Publishes events of different files side by side and deletes those that were confirmed.
    async fn publish(
        &mut self,
        leader: &mut Leadership<Publishing>,
        channel: &ConfirmChannel,
        round: &[&Event],
    ) -> Result<(), Error> {
        let (confirmed, outcome) = channel.publish(round).await;
        metrics::counter!("messages_events_published_total").increment(confirmed.len() as u64);
        self.confirmed.extend(confirmed.into_iter().cloned());
        self.delete_confirmed(leader.connection()).await?;
        Ok(outcome?)
    }

    /// Deletes what was confirmed before the lead was lost. Another replica may lead now, and would
    /// publish it again.
    async fn delete_confirmed_before(&mut self) -> Result<(), Error> {
        if self.confirmed.is_empty() {
            return Ok(());
        }
        let connecting = self.database.connect(Purpose::Publishing);
        let mut connection = store::in_time(STATEMENT_TIME_MAX, connecting).await?;
        self.delete_confirmed(&mut connection).await
    }

    async fn delete_confirmed(&mut self, connection: &mut PgConnection) -> Result<(), Error> {
        let deleting = outbox::delete(connection, &self.confirmed);
        store::in_time(STATEMENT_TIME_MAX, deleting)
            .await
            .map_err(Error::Undeletable)?;
        self.confirmed.clear();
        Ok(())
    }
}

/// Splits events into rounds without two of the same file, keeping the order of each file.
fn rounds(events: &[Event]) -> Vec<Vec<&Event>> {
    let mut rounds: Vec<Vec<&Event>> = Vec::new();
    let mut earlier = HashMap::new();
    for event in events {
        let count = earlier.entry((event.application, &event.file)).or_insert(0);
        if rounds.len() == *count {
            rounds.push(Vec::new());
        }
        rounds[*count].push(event);
        *count += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;
    use crate::domain::{ApplicationId, FileId, Timestamp};

    fn events(files: &[u8]) -> Vec<Event> {
        let event = |(timestamp, file): (i64, &u8)| Event {
            application: ApplicationId::new(i64::from(file % 2)),
            timestamp: Timestamp::new(timestamp),
            index: 0,
            file: FileId::trusted(&file.to_string()),
            in_use: true,
            created: OffsetDateTime::UNIX_EPOCH,
        };
        (1..).zip(files).map(event).collect()
    }

    proptest! {
        #[test]
        fn rounds_hold_every_event_once_no_file_twice_and_each_file_in_order(
            files in proptest::collection::vec(0u8..6, 0..60),
        ) {
            let events = events(&files);
            let rounds = rounds(&events);
            for round in &rounds {
                let mut seen = std::collections::HashSet::new();
                prop_assert!(round.iter().all(|event| seen.insert((event.application, &event.file))));
            }
            let published: Vec<_> = rounds.into_iter().flatten().collect();
            prop_assert_eq!(published.len(), events.len());
            for event in &events {
                let of_file = |other: &&Event| other.file == event.file;
                let order: Vec<_> = published.iter().copied().filter(of_file).collect();
                prop_assert!(order.is_sorted_by_key(|event| event.timestamp));
            }
        }
    }
}
