//! The file service's end of the queue.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionProperties, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::{Settings, servers};

/// The pause between deliveries after which the events so far are looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// A queue of one test on a broker.
pub struct EventQueue {
    amqp_url: String,
    pub name: String,
}

/// An event as it was delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    pub body: serde_json::Value,
    pub message_id: String,
    pub timestamp: i64,
    pub file: String,
    pub in_use: bool,
    pub application: i64,
    pub properties: lapin::BasicProperties,
}

impl EventQueue {
    pub fn on_shared_broker() -> Self {
        Self::at(&servers::shared().1)
    }

    pub fn at(amqp_url: &str) -> Self {
        Self {
            amqp_url: amqp_url.to_owned(),
            name: format!("test.{}", uuid::Uuid::new_v4()),
        }
    }

    /// What makes a replica publish to this queue.
    pub fn settings(&self) -> Settings {
        Settings::default()
            .with("AMQP_URL", &self.amqp_url)
            .with("AMQP_QUEUE", &self.name)
    }

    pub async fn connect(&self) -> Connection {
        Connection::connect(&self.amqp_url, ConnectionProperties::default())
            .await
            .expect("the broker answers")
    }

    /// Declares the queue with these arguments, as an operator would.
    pub async fn declare(&self, arguments: FieldTable) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions::durable();
        channel
            .queue_declare(self.name.as_str().into(), options, arguments)
            .await
            .unwrap();
        let _ = connection.close(200, "done".into()).await;
    }

    /// Makes sure that the queue is there, whatever its arguments are.
    async fn ensure(&self) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let found =
            channel.queue_declare(self.name.as_str().into(), options, FieldTable::default());
        if found.await.is_err() {
            self.declare(FieldTable::default()).await;
        }
        let _ = connection.close(200, "done".into()).await;
    }

    /// How many events wait in the queue, which must be there.
    pub async fn waiting(&self) -> u32 {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare(self.name.as_str().into(), options, FieldTable::default())
            .await
            .unwrap();
        let _ = connection.close(200, "done".into()).await;
        queue.message_count()
    }

    /// Consumes until `enough` says so of all that was delivered.
    pub async fn consume_until(
        &self,
        mut enough: impl FnMut(&[Delivered]) -> bool,
    ) -> Vec<Delivered> {
        self.ensure().await;
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let (queue, arguments) = (self.name.as_str(), FieldTable::default());
        let options = BasicConsumeOptions::default();
        let mut consumer: Consumer = channel
            .basic_consume(queue.into(), "test".into(), options, arguments)
            .await
            .unwrap();
        let mut delivered = Vec::new();
        let consuming = async {
            loop {
                // `enough` goes through all events, so it is called in a pause between them.
                match tokio::time::timeout(PAUSE, consumer.next()).await {
                    Ok(delivery) => {
                        let delivery = delivery.expect("the queue stays").expect("a delivery");
                        delivery.ack(BasicAckOptions::default()).await.unwrap();
                        delivered.push(Delivered::new(&delivery));
                    }
                    Err(_) if enough(&delivered) => break,
                    Err(_) => {}
                }
            }
        };
        let in_time = tokio::time::timeout(super::PATIENCE, consuming).await;
        let ids: Vec<_> = delivered.iter().map(|event| &event.message_id).collect();
        assert!(in_time.is_ok(), "not enough events: {ids:?}");
        let _ = connection.close(200, "done".into()).await;
        delivered
    }
}

impl Delivered {
    fn new(delivery: &lapin::message::Delivery) -> Self {
        let body: serde_json::Value =
            serde_json::from_slice(&delivery.data).expect("a body of JSON");
        let properties = delivery.properties.clone();
        let message_id = properties
            .message_id()
            .as_ref()
            .expect("a message id")
            .to_string();
        let (timestamp, _) = message_id.split_once('.').expect("timestamp.index");
        let headers = properties.headers().as_ref().expect("headers");
        let application = match headers.inner().get("application") {
            Some(AMQPValue::LongLongInt(application)) => *application,
            other => panic!("application is {other:?}"),
        };
        Self {
            timestamp: timestamp.parse().expect("a timestamp"),
            file: body["fileId"].as_str().expect("a file").to_owned(),
            in_use: body["inUse"].as_bool().expect("a use"),
            body,
            message_id,
            application,
            properties,
        }
    }
}
