//! The exchange of the feed: every change of every application, from the timeline to RabbitMQ.
//!
//! # The promise
//! Every entry of every feed reaches the exchange at least once, and those of one application in the order
//! of their timestamps. An entry that comes again has the same `message_id`.
//!
//! # How
//! The follower reads a page of the feed, publishes its entries persistently on a channel with confirms,
//! and moves its cursor when the broker has confirmed all of them. Whether a queue takes an entry is the
//! matter of those who bind one: the exchange drops what nobody wants.
//!
//! # The races, and how each was decided
//! - *The connection breaks while entries are in flight.* The broker has taken the first ones of them, and
//!   they are all published again: a consumer sees a part of a page twice, and skips what is not beyond
//!   the last `message_id` that it knows.
//! - *A queue refuses an entry* (it is full and rejects). The page is published again until every entry is
//!   confirmed. Such a queue has the later entries of the page before the refused one.

use std::time::Duration;

use lapin::{
    BasicProperties, Connection, ExchangeKind,
    options::ExchangeDeclareOptions,
    protocol::AMQPSoftError,
    types::{AMQPValue, FieldTable},
};
use secrecy::SecretString;
use tokio::{sync::watch, time::sleep};

use super::{
    Followed, Follower, PublisherState,
    broker::{self, ConfirmChannel, PERSISTENT, Publication, in_time},
};
use crate::{
    domain::{ApplicationId, Cursor},
    store::{
        self, FeedPublishing, Leadership, Render,
        feed::{self, FeedEntry, FeedInclude, FeedRequest, Kinds},
        followers,
        pages::PageSize,
    },
};

/// Entries that are published before the cursor is moved.
const PAGE: PageSize = PageSize {
    entries: 250,
    bytes: 1024 * 1024,
};

/// How often a blocked broker is looked at.
const BLOCKED_PERIOD: Duration = Duration::from_secs(1);

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

/// Where the feed goes, and how it is written.
#[derive(Debug, Clone)]
pub struct FeedExchangeConfig {
    pub url: SecretString,
    /// A durable topic exchange. It is declared if it is missing.
    pub exchange: String,
    pub render: RenderEntry,
    pub render_message: Render,
}

/// Publishes the feed.
pub struct FeedExchange {
    config: FeedExchangeConfig,
    state: watch::Sender<PublisherState>,
}

impl FeedExchange {
    pub fn new(config: FeedExchangeConfig) -> Self {
        let state = watch::Sender::new(PublisherState::NotPublishing);
        Self { config, state }
    }

    fn publication(&self, application: ApplicationId, entry: &FeedEntry) -> Publication<'_> {
        Publication {
            exchange: &self.config.exchange,
            routing_key: format!("{}.{}", application.get(), entry.told_as()),
            body: (self.config.render)(entry),
            properties: properties(application, entry),
            mandatory: false,
        }
    }
}

impl Follower for FeedExchange {
    type Role = FeedPublishing;
    type Work = ConfirmChannel;
    type Error = Error;

    async fn begin(&mut self) -> Result<ConfirmChannel, Error> {
        let exchange = self.config.exchange.as_str();
        let connection = broker::connect(&self.config.url).await?;
        ensure(&connection, exchange).await?;
        let channel = ConfirmChannel::open(connection, self.state.clone()).await?;
        tracing::info!(exchange, "publishing the feed");
        Ok(channel)
    }

    async fn follow(
        &mut self,
        channel: &mut ConfirmChannel,
        leader: &mut Leadership<FeedPublishing>,
        application: ApplicationId,
    ) -> Result<Followed, Error> {
        channel.check()?;
        while channel.is_blocked() {
            sleep(BLOCKED_PERIOD).await;
            channel.check()?;
        }
        let from = followers::cursor(leader, application).await?;
        let request = FeedRequest {
            application,
            cursor: Cursor::After(from),
            kinds: Kinds::all(),
            size: PAGE,
            include: FeedInclude::default(),
        };
        let (requests, render) = ([&request], self.config.render_message);
        let reading = feed::read(leader.connection(), application, &requests, render);
        let mut pages = store::in_time(STATEMENT_TIME_MAX, reading).await?;
        let page = pages.pop().expect("a page for the request");
        if page.reached <= from {
            return Ok(Followed::ToTheEnd);
        }
        // Else the same entries would be published for ever.
        let proving = followers::prove_movable(leader, application, from, page.reached);
        if !store::in_time(STATEMENT_TIME_MAX, proving).await? {
            return Err(Error::Moved);
        }
        let entries = page.entries.iter();
        let publications = entries.map(|entry| self.publication(application, entry));
        let (_, outcome) = channel.publish(publications.collect()).await;
        outcome?;
        metrics::counter!("messages_feed_published_total").increment(page.entries.len() as u64);
        let moving = followers::move_cursor(leader, application, from, page.reached);
        store::in_time(STATEMENT_TIME_MAX, moving).await?;
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

fn properties(application: ApplicationId, entry: &FeedEntry) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(
        "application".into(),
        AMQPValue::LongLongInt(application.get()),
    );
    let created = entry.created.unix_timestamp().try_into();
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_type(entry.told_as().into())
        .with_message_id(entry.timestamp.to_string().into())
        .with_timestamp(created.unwrap_or_default())
        .with_app_id("messages".into())
        .with_headers(headers)
}
