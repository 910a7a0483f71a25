//! Brokers as operators keep them: users with few rights, queues with arguments of their own,
//! alarms.

use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::json;

use crate::support::{Database, EventQueue, Replica, Servers, Settings, eventually};

/// A broker of the test's own.
async fn broker() -> Servers {
    tokio::task::spawn_blocking(|| Servers::start("rabbitmq"))
        .await
        .unwrap()
}

/// Sends a message with a file from a replica of these settings, and waits for its event.
async fn publishes(what: &str, queue: &EventQueue, settings: Settings) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, settings).await;
    replica
        .user("jane")
        .post(json!({ "to": "john", "files": [what] }))
        .await
        .expect(201);
    database.until_events_are_published().await;
    let events = queue.consume_until(|events| !events.is_empty()).await;
    assert_eq!(
        events
            .iter()
            .map(|event| event.file.as_str())
            .collect::<Vec<_>>(),
        [what]
    );
}

fn arguments_of_an_operator() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1_000_000));
    arguments
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_exists_is_used_as_it_is_and_whoever_may_write_needs_no_other_right() {
    let servers = broker().await;
    tokio::task::block_in_place(|| {
        servers.rabbitmqctl(&["add_user", "writer", "secret"]);
        servers.rabbitmqctl(&["set_permissions", "-p", "/", "writer", "", ".*", ""]);
    });
    let writer = servers.amqp_url.replace("guest:guest", "writer:secret");
    assert_ne!(writer, servers.amqp_url);

    let queue = EventQueue::at(&servers.amqp_url);
    queue.declare(arguments_of_an_operator()).await;
    publishes("arguments-of-an-operator", &queue, queue.settings()).await;
    publishes(
        "no-right-to-configure",
        &queue,
        queue.settings().with("AMQP_URL", &writer),
    )
    .await;

    let channel = queue.connect().await.create_channel().await.unwrap();
    let (exchange, key) = ("files", "usage");
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let declaring = channel.exchange_declare(
        exchange.into(),
        ExchangeKind::Topic,
        options,
        FieldTable::default(),
    );
    declaring.await.unwrap();
    let settings = |queue: &EventQueue| {
        queue
            .settings()
            .with("AMQP_EXCHANGE", exchange)
            .with("AMQP_ROUTING_KEY", key)
    };
    let bound = EventQueue::at(&servers.amqp_url);
    publishes("bound-by-the-service", &bound, settings(&bound)).await;
    let (name, options) = (queue.name.as_str().into(), QueueBindOptions::default());
    channel
        .queue_bind(
            name,
            exchange.into(),
            key.into(),
            options,
            FieldTable::default(),
        )
        .await
        .unwrap();
    publishes(
        "bound-by-an-operator",
        &queue,
        settings(&queue).with("AMQP_URL", &writer),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_under_an_alarm_is_reported_and_gets_each_event_once_it_takes_them() {
    let servers = broker().await;
    let database = Database::fresh().await;
    let queue = EventQueue::at(&servers.amqp_url);
    let replica = Replica::start(&database, queue.settings()).await;
    let broker_state =
        async || replica.nobody().get("/health/ready").await.expect(200)["broker"].clone();
    eventually("it publishes", async || {
        (broker_state().await == "publishing").then_some(())
    })
    .await;
    tokio::task::block_in_place(|| servers.rabbitmqctl(&["set_vm_memory_high_watermark", "0"]));
    for file in ["a", "b", "c"] {
        replica
            .user("jane")
            .post(json!({ "to": "john", "files": [file] }))
            .await
            .expect(201);
    }
    eventually("readiness reports the alarm", async || {
        (broker_state().await == "blocked").then_some(())
    })
    .await;
    eventually("the alarm is measured", async || {
        (replica.metric("messages_broker_blocked", "").await == 1.0).then_some(())
    })
    .await;
    tokio::task::block_in_place(|| servers.rabbitmqctl(&["set_vm_memory_high_watermark", "0.8"]));
    database.until_events_are_published().await;
    eventually("it publishes again", async || {
        (broker_state().await == "publishing").then_some(())
    })
    .await;
    let events = queue.consume_until(|events| events.len() >= 3).await;
    let files: Vec<_> = events.iter().map(|event| event.file.as_str()).collect();
    assert_eq!(files, ["a", "b", "c"], "nothing is repeated");
    let log = replica.log();
    assert!(
        !log.iter().any(|line| line.contains("not being published")),
        "an alarm is no failure: {log:#?}"
    );
}
