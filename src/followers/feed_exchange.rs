//! The exchange of the feed: every change of every application, from the timeline to RabbitMQ.
//!
//! # The promise
//! Every entry of every feed reaches the exchange at least once, and the first deliveries of one
//! application come in the order of its timeline. An entry that comes again has the same `message_id`, and
//! is one of the last [`PAGE`] that came.
//!
//! # How
//! The follower reads a page of the feed, publishes its entries persistently on a channel with confirms,
//! and moves its cursor as far as the broker has confirmed all of them. Whether a queue takes an entry is the
//! matter of those who bind one: the exchange drops what nobody wants.
//!
//! # The races, and how each was decided
//! - *The connection breaks while entries are in flight.* The broker has taken the first ones of them, and
//!   what it has not confirmed is published again.
//! - *A queue refuses an entry* (it is full and rejects). That queue may have got later entries of the page
//!   already. Until every queue takes the entry, the application's entries are published one at a time, so
//!   that the other queues get no more than this one again and again; other applications go on.
//! - *The cursor cannot be moved.* Before each page it is moved and rolled back, as for the events of
//!   files: if that fails, nothing is published.
//! - *An alarm blocks the broker.* The follower waits for its end.

use std::{collections::BTreeSet, time::Duration};

use lapin::{
    Connection, ExchangeKind, options::ExchangeDeclareOptions, protocol::AMQPSoftError,
    types::FieldTable,
};
use secrecy::SecretString;
use tokio::sync::watch;

use super::{
    Followed, Follower, PublisherState,
    broker::{self, ConfirmChannel, Publication, in_time},
};
use crate::{
    domain::{ApplicationId, Cursor, Timestamp},
    store::{
        self, FeedPublishing, Leadership,
        feed::{self, FeedEntry, FeedInclude, FeedPage, FeedRequest, Kinds},
        followers,
        pages::PageSize,
    },
};

/// Entries that are published before the cursor is moved.
const PAGE: u16 = 250;

/// About as many bytes as they have at the most.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// How long the database may take for one statement.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(15);

/// Writes an entry as JSON.
pub type RenderEntry = fn(&FeedEntry) -> Vec<u8>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] store::Error),
    #[error("the cursor of the exchange was moved by somebody else")]
    Moved,
    #[error(transparent)]
    Broker(#[from] broker::Error),
}

/// Where the feeds go, and how an entry is written.
#[derive(Debug, Clone)]
pub struct FeedExchangeConfig {
    pub url: SecretString,
    /// A durable topic exchange. It is declared if it is missing.
    pub exchange: String,
    pub render: RenderEntry,
}

/// Publishes the feeds.
pub struct FeedExchange {
    config: FeedExchangeConfig,
    /// Applications whose last entry was refused by a queue.
    refused: BTreeSet<ApplicationId>,
}

impl FeedExchange {
    pub fn new(config: FeedExchangeConfig) -> Self {
        Self {
            config,
            refused: BTreeSet::new(),
        }
    }

    async fn read(
        &self,
        leader: &mut Leadership<FeedPublishing>,
        application: ApplicationId,
        from: Timestamp,
    ) -> store::Result<FeedPage> {
        let is_refused = self.refused.contains(&application);
        let request = FeedRequest {
            application,
            cursor: Cursor::After(from),
            kinds: Kinds::all(),
            size: PageSize {
                entries: if is_refused { 1 } else { PAGE },
                bytes: PAGE_BYTES,
            },
            include: FeedInclude::default(),
        };
        let requests = [&request];
        let reading = feed::entries(leader.connection(), application, &requests);
        let mut pages = store::in_time(STATEMENT_TIME_MAX, reading).await?;
        Ok(pages.pop().expect("a page for the request"))
    }

    /// Publishes a page. Returns how far the broker has confirmed all of it, and the first failure.
    async fn publish(
        &self,
        channel: &ConfirmChannel,
        application: ApplicationId,
        page: &FeedPage,
    ) -> (Option<Timestamp>, Result<(), broker::Error>) {
        let publications = page.entries.iter().map(|entry| Publication {
            exchange: &self.config.exchange,
            routing_key: format!("{}.{}", application.get(), entry.feed_name()),
            body: (self.config.render)(entry),
            properties: broker::properties(
                application,
                entry.feed_name(),
                entry.timestamp.to_string(),
                entry.created,
            ),
            mandatory: false,
        });
        let (confirmed, outcome) = channel.publish(publications.collect()).await;
        let confirmed = confirmed.iter().take_while(|is_confirmed| **is_confirmed);
        let confirmed = confirmed.count();
        metrics::counter!("messages_feed_published_total").increment(confirmed as u64);
        let last = page.entries[..confirmed].last();
        let reached = match outcome {
            Ok(()) => Some(page.reached),
            Err(_) => last.map(|entry| entry.timestamp),
        };
        (reached, outcome)
    }
}

/// Tells of changes that were trimmed before they were published. That of an exchange which is new begins with what
/// is kept.
fn log_gap(application: ApplicationId, from: Timestamp, trimmed: Timestamp) {
    if from > Timestamp::new(0) && from < trimmed {
        let (application, from, trimmed) = (application.get(), from.get(), trimmed.get());
        tracing::error!(
            application,
            "the exchange does not get the changes after {from} up to {trimmed}, which were trimmed while a \
             replica without AMQP_FEED_EXCHANGE led: set it for all replicas"
        );
    }
}

impl Follower for FeedExchange {
    type Duty = FeedPublishing;
    type Work = ConfirmChannel;
    type Error = Error;

    async fn begin(&mut self) -> Result<ConfirmChannel, Error> {
        let exchange = self.config.exchange.as_str();
        let connection = broker::connect(&self.config.url).await?;
        ensure(&connection, exchange).await?;
        // Health reports the broker as the publisher of the events of files finds it.
        let state = watch::Sender::new(PublisherState::Publishing);
        let channel = ConfirmChannel::open(connection, state).await?;
        tracing::info!(exchange, "publishing the feeds");
        Ok(channel)
    }

    async fn follow(
        &mut self,
        channel: &mut ConfirmChannel,
        leader: &mut Leadership<FeedPublishing>,
        application: ApplicationId,
    ) -> Result<Followed, Error> {
        channel.wait_until_unblocked().await?;
        let from = followers::cursor(leader, application).await?;
        let page = self.read(leader, application, from).await?;
        if page.reached <= from {
            return Ok(Followed::ToTheEnd);
        }
        let proving = followers::prove_movable(leader, application, from, page.reached);
        if !store::in_time(STATEMENT_TIME_MAX, proving).await? {
            return Err(Error::Moved);
        }
        let (reached, outcome) = self.publish(channel, application, &page).await;
        if let Some(to) = reached {
            let moving = followers::move_cursor(leader, application, from, to);
            store::in_time(STATEMENT_TIME_MAX, moving).await?;
            log_gap(application, from, page.trimmed);
        }
        match outcome {
            Ok(()) => {
                self.refused.remove(&application);
            }
            Err(broker::Error::NotAccepted) => {
                tracing::warn!(
                    application = application.get(),
                    "a queue refuses an entry of the feed"
                );
                self.refused.insert(application);
                return Ok(Followed::ToTheEnd);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(if page.reached < page.timeline_end {
            Followed::AWindow
        } else {
            Followed::ToTheEnd
        })
    }

    async fn caught_up(
        &mut self,
        channel: &mut ConfirmChannel,
        _: &mut Leadership<FeedPublishing>,
    ) -> Result<(), Error> {
        Ok(channel.check()?)
    }

    async fn end(&mut self, channel: ConfirmChannel) {
        channel.close().await;
    }
}

/// Makes sure that the exchange is there. A user of the broker often may write but not configure, so it
/// is declared only if it is missing.
async fn ensure(connection: &Connection, exchange: &str) -> Result<(), broker::Error> {
    let passive = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    match declare(connection, exchange, passive).await {
        Err(error) if error.is_refusal(AMQPSoftError::NOTFOUND) => {
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            declare(connection, exchange, durable).await
        }
        declared => declared,
    }
}

/// On a channel of its own, because the broker closes that of a step that it refuses.
async fn declare(
    connection: &Connection,
    exchange: &str,
    options: ExchangeDeclareOptions,
) -> Result<(), broker::Error> {
    let channel = in_time(connection.create_channel()).await?;
    let topic = ExchangeKind::Topic;
    in_time(channel.exchange_declare(exchange.into(), topic, options, FieldTable::default()))
        .await?;
    in_time(channel.close(200, "done".into())).await
}
