//! The exchange of the feed, as those see it who bind a queue to it.

use futures_util::StreamExt;
use lapin::{
    Channel,
    options::{
        BasicAckOptions, BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use serde_json::Value;

use super::{EventQueue, FeedDelivery, PATIENCE, Settings, administered, eventually};

/// What makes an administered replica publish the feeds.
pub fn publishing_to(exchange: &str) -> Settings {
    let mut settings = EventQueue::on_shared_broker().settings();
    settings.environment.extend(administered().environment);
    settings.with("AMQP_FEED_EXCHANGE", exchange)
}

/// Waits until the exchange is there, as a durable topic exchange, without declaring it.
pub async fn until_exchange(exchange: &str) {
    let connection = EventQueue::on_shared_broker().connect().await;
    eventually("the exchange is declared", async || {
        // The broker closes the channel of a step that it refuses.
        let channel = connection.create_channel().await.unwrap();
        let passive = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        let topic = lapin::ExchangeKind::Topic;
        let found =
            channel.exchange_declare(exchange.into(), topic, passive, FieldTable::default());
        found.await.ok()
    })
    .await;
    // RabbitMQ does not look at the properties of what is declared passively. It refuses to declare what is there with
    // other ones.
    let channel = connection.create_channel().await.unwrap();
    declare(&channel, exchange).await;
}

/// Declares the exchange as an operator would.
async fn declare(channel: &Channel, exchange: &str) {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let topic = lapin::ExchangeKind::Topic;
    channel
        .exchange_declare(exchange.into(), topic, durable, FieldTable::default())
        .await
        .unwrap();
}

/// A queue that is bound to the exchange of the feed.
pub struct Consumer {
    broker: EventQueue,
    queue: String,
}

impl Consumer {
    /// Declares the exchange, and binds a queue to it.
    pub async fn bind(exchange: &str, routing_key: &str) -> Self {
        Self::bind_queue(exchange, routing_key, FieldTable::default()).await
    }

    /// The same on the broker of a test.
    pub async fn bind_at(amqp_url: &str, exchange: &str, routing_key: &str) -> Self {
        let broker = EventQueue::at(amqp_url);
        Self::bind_on(broker, exchange, routing_key, FieldTable::default()).await
    }

    /// The same with arguments for the queue.
    pub async fn bind_queue(exchange: &str, routing_key: &str, arguments: FieldTable) -> Self {
        let broker = EventQueue::on_shared_broker();
        Self::bind_on(broker, exchange, routing_key, arguments).await
    }

    async fn bind_on(
        broker: EventQueue,
        exchange: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Self {
        let connection = broker.connect().await;
        let channel = connection.create_channel().await.unwrap();
        declare(&channel, exchange).await;
        let queue = format!("test.{}", uuid::Uuid::new_v4());
        channel
            .queue_declare(
                queue.as_str().into(),
                QueueDeclareOptions::durable(),
                arguments,
            )
            .await
            .unwrap();
        channel
            .queue_bind(
                queue.as_str().into(),
                exchange.into(),
                routing_key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        let _ = connection.close(200, "done".into()).await;
        Self { broker, queue }
    }

    /// What is delivered, up to the entry at `last`.
    pub async fn until(&self, last: i64) -> Vec<FeedDelivery> {
        let mut delivered = Vec::new();
        self.consume(|delivery| {
            let entry: Value = serde_json::from_slice(&delivery.data).unwrap();
            let id = delivery.properties.message_id().as_ref().unwrap();
            let id = id.to_string();
            assert_eq!(entry["timestamp"].to_string(), id);
            let is_last = entry["timestamp"] == last;
            let entries = vec![entry];
            delivered.push(FeedDelivery { id, entries });
            is_last
        })
        .await;
        delivered
    }

    /// Consumes until `is_last` says so.
    pub async fn consume(&self, mut is_last: impl FnMut(&lapin::message::Delivery) -> bool) {
        // The broker may have been started again since.
        let connection = self.broker.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions::default();
        let mut consumer = channel
            .basic_consume(
                self.queue.as_str().into(),
                "test".into(),
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let consuming = async {
            loop {
                let delivery = consumer.next().await.expect("the queue stays").unwrap();
                delivery.ack(BasicAckOptions::default()).await.unwrap();
                if is_last(&delivery) {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, consuming)
            .await
            .expect("every entry is delivered");
        let _ = connection.close(200, "done".into()).await;
    }
}
