//! The queue of events: used as it is if it exists, declared if it is missing.
//!
//! A user of the broker often may write but not configure, and an operator may have declared the
//! queue with other arguments. So the service first checks whether the queue exists, which needs no
//! right, and declares it only if it is missing. Whether a binding exists cannot be checked. So the
//! service tries to bind, and ignores a refusal: if no queue takes an event, the broker returns it.

use lapin::{
    Connection,
    options::{QueueBindOptions, QueueDeclareOptions},
    protocol::AMQPSoftError,
    types::{AMQPValue, FieldTable},
};

use super::{
    super::broker::{Error, in_time},
    BrokerConfig, QueueType,
};

/// Ensures that the queue exists, and that it is bound unless the exchange is the default one. Each
/// step has its own channel, because the broker closes the channel of a step that it refuses.
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
        Err(error) if error.is_refusal(AMQPSoftError::NOTFOUND) => {
            declare(connection, config, QueueDeclareOptions::durable()).await?;
        }
        declared => declared?,
    }
    if config.exchange.is_empty() {
        return Ok(());
    }
    match bind(connection, config).await {
        Err(error) if error.is_refusal(AMQPSoftError::ACCESSREFUSED) => {
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

/// The arguments of a new queue; the broker ignores them if the queue exists.
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
