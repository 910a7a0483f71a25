//! RabbitMQ: a channel with confirms, and what counts as delivered.

use std::{sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::{Instant, timeout, timeout_at};

use crate::store::outbox::Event;

/// How long the broker may take to answer. An alarm (memory, disk) blocks publishers without an
/// error, so nothing here waits without end.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// AMQP's mark of a message that outlives a restart of the broker (delivery mode 2).
const PERSISTENT: u8 = 2;

/// Where events go.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    pub url: SecretString,
    /// The default exchange where empty.
    pub exchange: String,
    pub routing_key: String,
    /// The durable queue that is declared, and bound where the exchange is not the default one.
    pub queue: String,
    pub queue_type: QueueType,
}

/// How RabbitMQ keeps the queue. It cannot be changed once the queue exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum QueueType {
    /// On one node.
    Classic,
    /// Replicated over the nodes of a cluster.
    Quorum,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the broker failed: {0}")]
    Failed(#[from] lapin::Error),
    #[error("the broker did not answer in time")]
    TimedOut,
    #[error("the broker returned an event: no queue takes it")]
    Returned,
    #[error("the broker did not accept an event")]
    NotAccepted,
    #[error("the connection to the broker is lost")]
    Lost,
    #[error("the broker is blocked by an alarm")]
    Blocked,
}

/// The body of an event, as the contract has it.
#[derive(Serialize)]
struct FileUsage<'a> {
    #[serde(rename = "fileId")]
    file_id: &'a str,
    #[serde(rename = "inUse")]
    in_use: bool,
}

/// An open channel with confirms, on a connection of its own.
pub struct Channel {
    config: Arc<BrokerConfig>,
    connection: Connection,
    channel: lapin::Channel,
}

impl Channel {
    /// Connects, switches confirms on and makes sure that the queue is there.
    pub async fn open(config: Arc<BrokerConfig>) -> Result<Self, Error> {
        let properties = ConnectionProperties::default().with_connection_name("messages".into());
        let connecting = Connection::connect(config.url.expose_secret(), properties);
        let connection = in_time(connecting).await?;
        let channel = in_time(connection.create_channel()).await?;
        in_time(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        let opened = Self { config, connection, channel };
        opened.declare_queue().await?;
        Ok(opened)
    }

    async fn declare_queue(&self) -> Result<(), Error> {
        let config = &self.config;
        let mut arguments = FieldTable::default();
        if config.queue_type == QueueType::Quorum {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        let options = QueueDeclareOptions::durable();
        in_time(self.channel.queue_declare(config.queue.as_str().into(), options, arguments)).await?;
        if !config.exchange.is_empty() {
            in_time(self.channel.queue_bind(
                config.queue.as_str().into(),
                config.exchange.as_str().into(),
                config.routing_key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            ))
            .await?;
        }
        Ok(())
    }

    /// Fails once the connection or the channel is lost, or the broker takes nothing.
    pub fn check(&self) -> Result<(), Error> {
        let connection = self.connection.status();
        if connection.blocked() {
            return Err(Error::Blocked);
        }
        let is_alive = connection.connected() && self.channel.status().connected();
        is_alive.then_some(()).ok_or(Error::Lost)
    }

    /// Publishes all events, then waits for the confirms. Returns those that the broker has taken,
    /// beside the first failure, if there was one.
    pub async fn publish<'e>(&self, events: &[&'e Event]) -> (Vec<&'e Event>, Result<(), Error>) {
        let mut outcome = Ok(());
        let mut under_way = Vec::with_capacity(events.len());
        for event in events {
            match self.send(event).await {
                Ok(confirm) => under_way.push((*event, confirm)),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let mut confirmed = Vec::with_capacity(under_way.len());
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        for (event, confirm) in under_way {
            match delivered(confirm, deadline).await {
                Ok(()) => confirmed.push(event),
                Err(error) if outcome.is_ok() => outcome = Err(error),
                Err(_) => {}
            }
        }
        (confirmed, outcome)
    }

    async fn send(&self, event: &Event) -> Result<PublisherConfirm, Error> {
        let body = FileUsage { file_id: event.file.as_str(), in_use: event.in_use };
        let body = serde_json::to_vec(&body).expect("strings and booleans can be written as JSON");
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        in_time(self.channel.basic_publish(
            self.config.exchange.as_str().into(),
            self.config.routing_key.as_str().into(),
            options,
            &body,
            properties(event),
        ))
        .await
    }

    /// Closes the connection; one that is already lost needs no closing.
    pub async fn close(self) {
        let _ = in_time(self.connection.close(200, "bye".into())).await;
    }
}

fn properties(event: &Event) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("application".into(), AMQPValue::LongLongInt(event.application.0));
    let created = event.created.unix_timestamp().try_into().unwrap_or_default();
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_type("fileUsage".into())
        .with_message_id(format!("{}.{}", event.timestamp, event.index).into())
        .with_timestamp(created)
        .with_app_id("messages".into())
        .with_headers(headers)
}

/// Waits until the broker has taken responsibility. An `Ack` with a message in it is one that was
/// returned first, because no queue takes it.
async fn delivered(confirm: PublisherConfirm, deadline: Instant) -> Result<(), Error> {
    match timeout_at(deadline, confirm).await.map_err(|_| Error::TimedOut)?? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(Error::Returned),
        Confirmation::Nack(_) | Confirmation::NotRequested => Err(Error::NotAccepted),
    }
}

async fn in_time<T>(step: impl Future<Output = lapin::Result<T>>) -> Result<T, Error> {
    let answer = timeout(ANSWER_TIME_MAX, step).await.map_err(|_| Error::TimedOut)?;
    Ok(answer?)
}
