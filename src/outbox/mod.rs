//! Events: from the rows of committed changes to RabbitMQ.
//!
//! # The promise
//! Every event of a committed change reaches the broker at least once, none of a change that was
//! not committed does, and first deliveries for one file of one application come in the order of
//! their changes.
//!
//! # How
//! An event is a row, stored in the transaction of its change. The publisher reads the oldest rows,
//! publishes them `mandatory` and persistent on a channel with confirms, and deletes what the broker
//! has confirmed. At the start of every connection the queue is declared, where it is missing.
//!
//! # The races, and how each was decided
//! - *Two replicas publish.* One at a time: the publisher holds an advisory lock on the connection
//!   with which it also reads and deletes. An error there closes the channel before anything else,
//!   so whoever leads next publishes after it.
//! - *The connection breaks with events under way.* Some are confirmed, some are not, in any
//!   order. What is not deleted is published again. So that this never puts a file's second event
//!   before its first, at most one unconfirmed event per file is under way.
//! - *No queue takes the event.* The broker would confirm it all the same; `mandatory` makes it
//!   come back, and that counts as a failure.
//! - *The broker is away.* Every await on it has a limit; everything else goes on, and the rows wait.
//! - *An alarm blocks the broker* (memory, disk). It says so and reads nothing more until the alarm ends.
//!   What is under way is waited for, because it will be taken; readiness and metrics tell of it.
//! - *The database refuses to delete* (it is read-only, the right is revoked, a trigger raises). Events
//!   that cannot be deleted would be published for ever. So before each window the publisher deletes its
//!   first event and rolls back: where that fails, nothing is published. A delete may fail all the same,
//!   at its commit. What the broker has confirmed is remembered until it is deleted, over reconnects too,
//!   and nothing else is published before. Another replica, or the next process, publishes it once more.

mod broker;
mod queue;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub use broker::{BrokerConfig, QueueType};

use crate::{
    notifications::Subscriber,
    store::{
        self, Lead, Session,
        outbox::{self, Event},
    },
};
use broker::Channel;

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

/// An idle publisher looks this often without being woken: a lost wake-up costs no more than that.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// How often a replica that does not publish asks whether it should.
const LEAD_PERIOD: Duration = Duration::from_secs(2);

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

/// What the publisher tells others of itself.
#[derive(Clone, Default)]
pub struct Signs {
    /// Whether this replica publishes.
    pub connected: Arc<AtomicBool>,
    /// Whether an alarm keeps the broker from taking what it publishes.
    pub blocked: Arc<AtomicBool>,
}

/// Publishes the outbox while it leads.
pub struct Publisher {
    session: Session,
    config: Arc<BrokerConfig>,
    wake: Arc<Wake>,
    signs: Signs,
    /// What the broker has confirmed and the database still has. Nothing is published before it is
    /// deleted, so it is one window at the most.
    confirmed: Vec<Event>,
}

impl Publisher {
    /// `wake` tells of new events.
    pub fn new(session: Session, config: BrokerConfig, wake: Arc<Wake>, signs: Signs) -> Self {
        Self {
            session,
            config: Arc::new(config),
            wake,
            signs,
            confirmed: Vec::new(),
        }
    }

    /// Publishes until `stop`: connect, drain, and after any failure wait and begin again.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = PAUSE_MIN;
        while !stop.is_cancelled() {
            let outcome = stop.run_until_cancelled(self.lead(&mut pause)).await;
            if let Some(Err(error)) = outcome {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "events are not being published");
            }
            // The channel is closed by now; only then may another replica lead.
            self.signs.connected.store(false, Ordering::Relaxed);
            self.signs.blocked.store(false, Ordering::Relaxed);
            self.session.discard();
            stop.run_until_cancelled(sleep(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Deletes what was confirmed before, waits for its turn, connects to the broker and drains the
    /// outbox until something fails.
    async fn lead(&mut self, pause: &mut Duration) -> Result<(), Error> {
        self.delete_confirmed().await?;
        while !store::in_time(STATEMENT_TIME_MAX, async {
            store::try_lead(self.session.connection().await?, Lead::Publishing).await
        })
        .await?
        {
            sleep(LEAD_PERIOD).await;
        }
        let channel =
            Channel::open(Arc::clone(&self.config), Arc::clone(&self.signs.blocked)).await?;
        tracing::info!(queue = %self.config.queue, "publishing events");
        self.signs.connected.store(true, Ordering::Relaxed);
        let outcome = self.drain(&channel, pause).await;
        channel.close().await;
        outcome
    }

    async fn drain(&mut self, channel: &Channel, pause: &mut Duration) -> Result<(), Error> {
        loop {
            channel.check()?;
            if channel.is_blocked() {
                sleep(LOOK_PERIOD).await;
                continue;
            }
            let events = store::in_time(STATEMENT_TIME_MAX, async {
                outbox::oldest(self.session.connection().await?, WINDOW_EVENTS).await
            })
            .await?;
            if let Some(first) = events.first() {
                self.prove_deletable(first).await?;
            }
            for round in rounds(&events) {
                self.publish(channel, &round).await?;
                *pause = PAUSE_MIN;
            }
            if events.is_empty() {
                // Looking anyway after the period needs no other reason.
                let _ = timeout(LOOK_PERIOD, self.wake.0.notified()).await;
            }
        }
    }

    /// Publishes events of different files side by side and deletes those that were confirmed.
    async fn publish(&mut self, channel: &Channel, round: &[&Event]) -> Result<(), Error> {
        let (confirmed, outcome) = channel.publish(round).await;
        metrics::counter!("messages_events_published_total").increment(confirmed.len() as u64);
        self.confirmed.extend(confirmed.into_iter().cloned());
        self.delete_confirmed().await?;
        Ok(outcome?)
    }

    /// Fails where an event could not be deleted after it was published.
    async fn prove_deletable(&mut self, event: &Event) -> Result<(), Error> {
        let session = &mut self.session;
        store::in_time(STATEMENT_TIME_MAX, async {
            outbox::prove_deletable(session.connection().await?, event).await
        })
        .await
        .map_err(Error::Undeletable)
    }

    async fn delete_confirmed(&mut self) -> Result<(), Error> {
        if self.confirmed.is_empty() {
            return Ok(());
        }
        let Self {
            session, confirmed, ..
        } = self;
        store::in_time(STATEMENT_TIME_MAX, async {
            outbox::delete(session.connection().await?, confirmed.iter()).await
        })
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
            application: ApplicationId(i64::from(file % 2)),
            timestamp: Timestamp(timestamp),
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
