//! RabbitMQ: a channel with confirms, and what counts as delivered.

use std::{pin::pin, time::Duration};

use lapin::{
    BasicProperties, Confirmation, Connection, ConnectionProperties, ErrorKind, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::PublisherState;
use crate::domain::ApplicationId;

/// How long the broker may take to answer while no alarm blocks it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a wait checks whether an alarm (memory, disk) blocks the broker. The broker announces
/// one and then reads nothing more.
const ALARM_CHECK_PERIOD: Duration = Duration::from_millis(500);

/// How often a blocked broker is looked at.
const BLOCKED_PERIOD: Duration = Duration::from_secs(1);

/// AMQP's delivery mode of a message that outlives a restart of the broker.
const PERSISTENT: u8 = 2;

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

/// What is published.
pub struct Publication<'a> {
    pub exchange: &'a str,
    pub routing_key: String,
    pub body: Vec<u8>,
    pub properties: BasicProperties,
    /// Whether it must reach a queue: if none takes it, that is a failure.
    pub mandatory: bool,
}

/// The properties of something that an application is concerned with: JSON, persistent.
pub fn properties(
    application: ApplicationId,
    kind: &str,
    message_id: String,
    created: OffsetDateTime,
) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(
        "application".into(),
        AMQPValue::LongLongInt(application.get()),
    );
    let created = created.unix_timestamp().try_into().unwrap_or_default();
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_type(kind.into())
        .with_message_id(message_id.into())
        .with_timestamp(created)
        .with_app_id("messages".into())
        .with_headers(headers)
}

/// An open channel with confirms, on a connection of its own.
pub struct ConfirmChannel {
    connection: Connection,
    channel: lapin::Channel,
    state: watch::Sender<PublisherState>,
}

/// Connects to the broker.
pub async fn connect(url: &SecretString) -> Result<Connection, Error> {
    let properties = ConnectionProperties::default().with_connection_name("messages".into());
    in_time(Connection::connect(url.expose_secret(), properties)).await
}

impl ConfirmChannel {
    /// Opens a channel on the connection, and switches confirms on.
    pub async fn open(
        connection: Connection,
        state: watch::Sender<PublisherState>,
    ) -> Result<Self, Error> {
        let channel = in_time(connection.create_channel()).await?;
        in_time(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self {
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

    /// Waits while an alarm keeps the broker from taking anything.
    pub async fn wait_until_unblocked(&self) -> Result<(), Error> {
        self.check()?;
        while self.is_blocked() {
            sleep(BLOCKED_PERIOD).await;
            self.check()?;
        }
        Ok(())
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

    /// Publishes everything, then waits for the confirms. Returns for each whether it is confirmed, and the
    /// first failure if there was one.
    pub async fn publish(
        &self,
        publications: Vec<Publication<'_>>,
    ) -> (Vec<bool>, Result<(), Error>) {
        let mut outcome = Ok(());
        let mut in_flight = Vec::with_capacity(publications.len());
        for publication in publications {
            match self.send(publication).await {
                Ok(confirm) => in_flight.push(confirm),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let mut confirmed = Vec::with_capacity(in_flight.len());
        let mut deadline = Instant::now() + ANSWER_TIME_MAX;
        for confirm in in_flight {
            let answer = self.patiently(confirm, &mut deadline).await;
            let delivered = answer.and_then(|confirmation| delivered(&confirmation));
            confirmed.push(delivered.is_ok());
            outcome = outcome.and(delivered);
        }
        (confirmed, outcome)
    }

    async fn send(&self, publication: Publication<'_>) -> Result<PublisherConfirm, Error> {
        let options = BasicPublishOptions {
            mandatory: publication.mandatory,
            ..BasicPublishOptions::default()
        };
        let publishing = self.channel.basic_publish(
            publication.exchange.into(),
            publication.routing_key.as_str().into(),
            options,
            &publication.body,
            publication.properties,
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

impl Error {
    /// Whether the broker has refused a step with this answer. It has closed the step's channel then.
    pub fn is_refusal(&self, expected: AMQPSoftError) -> bool {
        let Self::Failed(error) = self else {
            return false;
        };
        matches!(error.kind(), ErrorKind::ProtocolError(answer) if *answer.kind() == AMQPErrorKind::Soft(expected))
    }
}
