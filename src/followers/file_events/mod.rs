//! The events of files: from the timeline to RabbitMQ.
//!
//! # The promise
//! Every use of a file that begins or ends with a committed change reaches the broker as an event at
//! least once, no event of any other change does, and the first deliveries for one file of one
//! application come in the order of their changes.
//!
//! # How
//! The follower reads a window of changes that use files, publishes their events `mandatory` and
//! persistent on a channel with confirms, and moves its cursor when the broker has confirmed all of
//! them. At the start of every connection it declares the queue, if that is missing.
//!
//! # The races, and how each was decided
//! - *Two replicas publish.* Only the leader does. After an error the channel is closed before the
//!   lock is freed, so the next leader publishes after it.
//! - *The connection breaks while events are in flight.* Some are confirmed, some are not, in any
//!   order. What is not confirmed is published again. At most one unconfirmed event per file is in
//!   flight, so this never puts a file's second event before its first.
//! - *No queue takes the event.* The broker would confirm it all the same; `mandatory` makes it
//!   come back, and that counts as a failure.
//! - *The broker is away.* Every await on it has a limit; everything else goes on, and the cursor
//!   stays where it is.
//! - *An alarm blocks the broker* (memory, disk). The broker announces the alarm and reads nothing
//!   more until it ends. The follower waits for the events in flight, because the broker will
//!   still take them. Readiness and metrics report the alarm.
//! - *The database refuses to move the cursor* (it is read-only, the right is revoked, a trigger
//!   raises). Then the same events would be published for ever. So before each window the follower
//!   moves the cursor and rolls back: if that fails, nothing is published. A move may still fail at
//!   its commit. So the follower remembers what the broker has confirmed of its window until the
//!   cursor is moved, across reconnects, and publishes nothing else meanwhile. Another leader, or the
//!   next process, publishes that window once more.

mod queue;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use serde::Serialize;
use tokio::sync::watch;

use super::{
    Followed, Follower, PublisherState, PublisherStatus,
    broker::{self, ConfirmChannel, Publication},
};
use crate::{
    domain::{ApplicationId, Timestamp},
    store::{
        self, Leadership, Publishing,
        file_events::{self, Event},
        followers,
    },
};

/// Changes whose events are published before the cursor is moved.
const WINDOW_CHANGES: i64 = 250;

/// How long the database may take for one statement.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] store::Error),
    #[error("the cursor of the events cannot be moved, so none are published: {0}")]
    Unmovable(#[source] store::Error),
    #[error("the cursor of the events was moved by somebody else")]
    Moved,
    #[error(transparent)]
    Broker(#[from] broker::Error),
}

/// Where events go.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    pub url: SecretString,
    /// The default exchange where empty.
    pub exchange: String,
    pub routing_key: String,
    /// The durable queue. It is declared if it is missing, and bound unless the exchange is the
    /// default one.
    pub queue: String,
    pub queue_type: QueueType,
}

/// How RabbitMQ stores the queue. It cannot be changed once the queue exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum QueueType {
    /// On one node.
    Classic,
    /// Replicated over the nodes of a cluster.
    Quorum,
}

/// The body of an event, as the README defines it for consumers.
#[derive(Serialize)]
struct FileUsage<'a> {
    #[serde(rename = "fileId")]
    file_id: &'a str,
    #[serde(rename = "inUse")]
    in_use: bool,
}

/// Publishes the events of files.
pub struct FileEvents {
    config: Arc<BrokerConfig>,
    state: watch::Sender<PublisherState>,
    /// What was begun and is not finished: nothing else is published before.
    window: Option<Window>,
}

/// The events between two places of the cursor.
struct Window {
    application: ApplicationId,
    from: Timestamp,
    to: Timestamp,
    /// In the order of the timeline.
    unconfirmed: Vec<Event>,
}

impl FileEvents {
    pub fn new(config: BrokerConfig) -> (Self, PublisherStatus) {
        let (state, status) = watch::channel(PublisherState::NotPublishing);
        let events = Self {
            config: Arc::new(config),
            state,
            window: None,
        };
        (events, status)
    }

    /// Reads the next window of an application. `None` if it has no more events.
    async fn read(
        leader: &mut Leadership<Publishing>,
        application: ApplicationId,
    ) -> store::Result<Option<Window>> {
        let from = followers::cursor(leader, application).await?;
        let events = file_events::after(leader, application, from, WINDOW_CHANGES).await?;
        Ok(events.last().map(|last| last.timestamp).map(|to| Window {
            application,
            from,
            to,
            unconfirmed: events,
        }))
    }

    /// Publishes what is not confirmed of the window, and moves the cursor.
    async fn finish(
        &mut self,
        channel: &ConfirmChannel,
        leader: &mut Leadership<Publishing>,
    ) -> Result<(), Error> {
        let Some(window) = &mut self.window else {
            return Ok(());
        };
        let (application, from, to) = (window.application, window.from, window.to);
        let proving = followers::prove_movable(leader, application, from, to);
        let is_ours = store::in_time(STATEMENT_TIME_MAX, proving)
            .await
            .map_err(Error::Unmovable)?;
        if !is_ours {
            self.window = None;
            return Err(Error::Moved);
        }
        window.publish(channel, &self.config).await?;
        let moving = followers::move_cursor(leader, application, from, to);
        store::in_time(STATEMENT_TIME_MAX, moving)
            .await
            .map_err(Error::Unmovable)?;
        self.window = None;
        Ok(())
    }
}

impl Window {
    /// Publishes events of different files side by side, and forgets those that are confirmed.
    async fn publish(
        &mut self,
        channel: &ConfirmChannel,
        config: &BrokerConfig,
    ) -> Result<(), Error> {
        let (mut confirmed, mut outcome) = (HashSet::new(), Ok(()));
        for round in rounds(&self.unconfirmed) {
            let publications = round.iter().map(|event| publication(event, config));
            let (of_round, of_broker) = channel.publish(publications.collect()).await;
            let of_round = round
                .iter()
                .zip(of_round)
                .filter(|(_, is_confirmed)| *is_confirmed);
            let before = confirmed.len();
            confirmed.extend(of_round.map(|(event, _)| (event.timestamp, event.index)));
            metrics::counter!("messages_events_published_total")
                .increment((confirmed.len() - before) as u64);
            if let Err(error) = of_broker {
                outcome = Err(error.into());
                break;
            }
        }
        self.unconfirmed
            .retain(|event| !confirmed.contains(&(event.timestamp, event.index)));
        outcome
    }
}

impl Follower for FileEvents {
    type Duty = Publishing;
    type Work = ConfirmChannel;
    type Error = Error;

    async fn begin(&mut self) -> Result<ConfirmChannel, Error> {
        let connection = broker::connect(&self.config.url).await?;
        queue::ensure(&connection, &self.config).await?;
        let channel = ConfirmChannel::open(connection, self.state.clone()).await?;
        tracing::info!(queue = %self.config.queue, "publishing events");
        self.state.send_replace(PublisherState::Publishing);
        Ok(channel)
    }

    async fn follow(
        &mut self,
        channel: &mut ConfirmChannel,
        leader: &mut Leadership<Publishing>,
        application: ApplicationId,
    ) -> Result<Followed, Error> {
        channel.wait_until_unblocked().await?;
        self.finish(channel, leader).await?;
        let reading = Self::read(leader, application);
        self.window = store::in_time(STATEMENT_TIME_MAX, reading).await?;
        if self.window.is_none() {
            return Ok(Followed::ToTheEnd);
        }
        self.finish(channel, leader).await?;
        Ok(Followed::AWindow)
    }

    async fn caught_up(
        &mut self,
        channel: &mut ConfirmChannel,
        leader: &mut Leadership<Publishing>,
    ) -> Result<(), Error> {
        channel.check()?;
        channel.is_blocked();
        self.finish(channel, leader).await
    }

    async fn end(&mut self, channel: ConfirmChannel) {
        self.state.send_replace(PublisherState::NotPublishing);
        channel.close().await;
    }
}

fn publication<'a>(event: &Event, config: &'a BrokerConfig) -> Publication<'a> {
    let body = FileUsage {
        file_id: event.file.as_str(),
        in_use: event.in_use,
    };
    Publication {
        exchange: &config.exchange,
        routing_key: config.routing_key.clone(),
        body: serde_json::to_vec(&body).expect("strings and booleans can be written as JSON"),
        properties: broker::properties(
            event.application,
            "fileUsage",
            format!("{}.{}", event.timestamp, event.index),
            event.created,
        ),
        mandatory: true,
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
