//! The queue of events: used as it is where it exists, declared where it is missing.
//!
//! A user of the broker often may write and not configure, and an operator may have given the queue
//! arguments of its own. So the service asks first whether the queue is there, which takes no right,
//! and declares it only where it is not. A binding cannot be asked for, so it is tried, and a refusal
//! counts for nothing: where no queue takes an event, the broker returns it.

use lapin::{
    Connection, ErrorKind,
    options::{QueueBindOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use super::broker::{BrokerConfig, Error, QueueType, in_time};

/// Makes sure that the queue is there, and bound where the exchange is not the default one. Each step
/// has a channel of its own, because the broker closes the channel of a step that it refuses.
pub async fn ensure(connection: &Connection, config: &BrokerConfig) -> Result<(), Error> {
    match declare(
        connection,
        config,
        QueueDeclareOptions {
            passive: true,
            ..Default::default()
        },
    )
    .await
    {
        Err(error) if is_refused_with(&error, AMQPSoftError::NOTFOUND) => {
            declare(connection, config, QueueDeclareOptions::durable()).await?;
        }
        declared => declared?,
    }
    if config.exchange.is_empty() {
        return Ok(());
    }
    match bind(connection, config).await {
        Err(error) if is_refused_with(&error, AMQPSoftError::ACCESSREFUSED) => {
            tracing::info!(%error, queue = %config.queue, "the queue is not bound by the service");
            Ok(())
        }
        bound => bound,
    }
}

async fn declare(
    connection: &Connection,
    config: &BrokerConfig,
    options: QueueDeclareOptions,
) -> Result<(), Error> {
    let channel = in_time(connection.create_channel()).await?;
    in_time(channel.queue_declare(config.queue.as_str().into(), options, arguments(config)))
        .await?;
    in_time(channel.close(200, "done".into())).await
}

async fn bind(connection: &Connection, config: &BrokerConfig) -> Result<(), Error> {
    let channel = in_time(connection.create_channel()).await?;
    in_time(channel.queue_bind(
        config.queue.as_str().into(),
        config.exchange.as_str().into(),
        config.routing_key.as_str().into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    ))
    .await?;
    in_time(channel.close(200, "done".into())).await
}

/// What a queue is declared with; the broker does not look at it where the queue exists.
fn arguments(config: &BrokerConfig) -> FieldTable {
    let mut arguments = FieldTable::default();
    if config.queue_type == QueueType::Quorum {
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("quorum".into()),
        );
    }
    arguments
}

fn is_refused_with(error: &Error, expected: AMQPSoftError) -> bool {
    let Error::Failed(error) = error else {
        return false;
    };
    matches!(error.kind(), ErrorKind::ProtocolError(answer) if *answer.kind() == AMQPErrorKind::Soft(expected))
}
