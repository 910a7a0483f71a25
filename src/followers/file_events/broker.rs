//! RabbitMQ: a channel with confirms, and what counts as delivered.

use std::{pin::pin, sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use super::{PublisherState, queue};
use crate::store::file_events::Event;

/// How long the broker may take to answer while no alarm blocks it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a wait checks whether an alarm (memory, disk) blocks the broker. The broker announces
/// one and then reads nothing more.
const ALARM_CHECK_PERIOD: Duration = Duration::from_millis(500);

/// AMQP's delivery mode of a message that outlives a restart of the broker.
const PERSISTENT: u8 = 2;

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
}

/// The body of an event, as the README defines it for consumers.
#[derive(Serialize)]
struct FileUsage<'a> {
    #[serde(rename = "fileId")]
    file_id: &'a str,
    #[serde(rename = "inUse")]
    in_use: bool,
}

/// An open channel with confirms, on a connection of its own.
pub struct ConfirmChannel {
    config: Arc<BrokerConfig>,
    connection: Connection,
    channel: lapin::Channel,
    state: watch::Sender<PublisherState>,
}

impl ConfirmChannel {
    /// Connects, ensures that the queue exists and switches confirms on.
    pub async fn open(
        config: Arc<BrokerConfig>,
        state: watch::Sender<PublisherState>,
    ) -> Result<Self, Error> {
        let properties = ConnectionProperties::default().with_connection_name("messages".into());
        let connecting = Connection::connect(config.url.expose_secret(), properties);
        let connection = in_time(connecting).await?;
        queue::ensure(&connection, &config).await?;
        let channel = in_time(connection.create_channel()).await?;
        in_time(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self {
            config,
            connection,
            channel,
            state,
        })
    }

    /// Fails once the connection or the channel is lost.
    pub fn check(&self) -> Result<(), Error> {
        let is_alive = self.connection.status().connected() && self.channel.status().connected();
        if is_alive { Ok(()) } else { Err(Error::Lost) }
    }

    /// Whether an alarm keeps the broker from taking events; the status reports it too. The broker
    /// announces an alarm only after something was published.
    pub fn is_blocked(&self) -> bool {
        let is_blocked = self.connection.status().blocked();
        self.state.send_replace(if is_blocked {
            PublisherState::Blocked
        } else {
            PublisherState::Publishing
        });
        is_blocked
    }

    /// Publishes all events, then waits for the confirms. Returns the confirmed events, and the
    /// first failure if there was one.
    pub async fn publish<'e>(&self, events: &[&'e Event]) -> (Vec<&'e Event>, Result<(), Error>) {
        let mut outcome = Ok(());
        let mut in_flight = Vec::with_capacity(events.len());
        for event in events {
            match self.send(event).await {
                Ok(confirm) => in_flight.push((*event, confirm)),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let mut confirmed = Vec::with_capacity(in_flight.len());
        let mut deadline = Instant::now() + ANSWER_TIME_MAX;
        for (event, confirm) in in_flight {
            let answer = self.patiently(confirm, &mut deadline).await;
            match answer.and_then(|confirmation| delivered(&confirmation)) {
                Ok(()) => confirmed.push(event),
                Err(error) if outcome.is_ok() => outcome = Err(error),
                Err(_) => {}
            }
        }
        (confirmed, outcome)
    }

    async fn send(&self, event: &Event) -> Result<PublisherConfirm, Error> {
        let body = FileUsage {
            file_id: event.file.as_str(),
            in_use: event.in_use,
        };
        let body = serde_json::to_vec(&body).expect("strings and booleans can be written as JSON");
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let publishing = self.channel.basic_publish(
            self.config.exchange.as_str().into(),
            self.config.routing_key.as_str().into(),
            options,
            &body,
            properties(event),
        );
        self.patiently(publishing, &mut (Instant::now() + ANSWER_TIME_MAX))
            .await
    }

    /// Waits for the broker until `deadline`. An alarm extends it: the broker takes what was sent
    /// when the alarm ends, so sending it again would repeat it.
    async fn patiently<T>(
        &self,
        step: impl Future<Output = lapin::Result<T>>,
        deadline: &mut Instant,
    ) -> Result<T, Error> {
        let mut step = pin!(step);
        loop {
            let now = Instant::now();
            if self.is_blocked() {
                *deadline = now + ANSWER_TIME_MAX;
            }
            let check = (now + ALARM_CHECK_PERIOD).min(*deadline);
            match timeout_at(check, &mut step).await {
                Ok(answer) => return Ok(answer?),
                Err(_) if check == *deadline && !self.is_blocked() => return Err(Error::TimedOut),
                Err(_) => self.check()?,
            }
        }
    }

    /// Closes the connection. An error is ignored: the connection is lost then.
    pub async fn close(self) {
        let _ = in_time(self.connection.close(200, "bye".into())).await;
    }
}

fn properties(event: &Event) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(
        "application".into(),
        AMQPValue::LongLongInt(event.application.get()),
    );
    let created = event
        .created
        .unix_timestamp()
        .try_into()
        .unwrap_or_default();
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_type("fileUsage".into())
        .with_message_id(format!("{}.{}", event.timestamp, event.index).into())
        .with_timestamp(created)
        .with_app_id("messages".into())
        .with_headers(headers)
}

/// Whether the broker has taken responsibility. An `Ack` with a message confirms an event that the
/// broker has returned, because no queue takes it.
fn delivered(confirmation: &Confirmation) -> Result<(), Error> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(Error::Returned),
        Confirmation::Nack(_) | Confirmation::NotRequested => Err(Error::NotAccepted),
    }
}

pub async fn in_time<T>(step: impl Future<Output = lapin::Result<T>>) -> Result<T, Error> {
    let answer = timeout(ANSWER_TIME_MAX, step)
        .await
        .map_err(|_| Error::TimedOut)?;
    Ok(answer?)
}
