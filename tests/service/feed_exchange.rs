//! The exchange of the feed: what is published, where and how.

use std::collections::BTreeSet;

use lapin::types::{AMQPValue, FieldTable};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    feed::feed,
    support::{Consumer, Database, Replica, eventually, publishing_to, until_exchange},
};

#[tokio::test]
async fn the_service_declares_a_durable_topic_exchange_where_there_is_none() {
    let database = Database::fresh().await;
    let exchange = format!("test.{}", uuid::Uuid::new_v4());
    let _replica = Replica::start(&database, publishing_to(&exchange)).await;
    until_exchange(&exchange).await;
}

#[tokio::test]
async fn the_exchange_gets_every_entry_under_its_application_and_kind() {
    let database = Database::fresh().await;
    let exchange = format!("test.{}", uuid::Uuid::new_v4());
    let replica = Replica::start(&database, publishing_to(&exchange)).await;
    let app = replica.application().await;
    let declared = Consumer::bind(&exchange, "1.message.*").await;
    let jane = replica.user("jane");
    jane.chat("Team", &[]).await;
    let sent = jane.send("john", "hi").await;
    let (mut bodies, mut properties) = (Vec::<Value>::new(), None);
    declared
        .consume(|delivery| {
            bodies.push(serde_json::from_slice(&delivery.data).unwrap());
            assert_eq!(delivery.routing_key.as_str(), "1.message.created");
            properties = Some(delivery.properties.clone());
            true
        })
        .await;
    let page = feed(&app, "kinds=message.created").await;
    assert_eq!(bodies, [page["entries"][0].clone()]);
    let properties = properties.unwrap();
    let told = |value: &Option<lapin::types::ShortString>| value.as_ref().unwrap().to_string();
    assert_eq!(told(properties.message_id()), sent["timestamp"].to_string());
    assert_eq!(told(properties.kind()), "message.created");
    assert_eq!(properties.delivery_mode(), &Some(2), "persistent");
    eventually("the exchange has everything", async || {
        let lag = replica.metric("messages_follower_lag_changes", "feed-exchange");
        (lag.await == 0.0).then_some(())
    })
    .await;
}

/// A queue that is full and rejects holds up its application and no other one, and gets everything when
/// it takes entries again.
#[tokio::test]
async fn a_queue_that_refuses_entries_gets_them_later_and_delays_no_other_application() {
    let database = Database::fresh().await;
    let exchange = format!("test.{}", uuid::Uuid::new_v4());
    let replica = Replica::start(&database, publishing_to(&exchange)).await;
    let body = json!({ "name": "shop" });
    let administrator = replica.administrator();
    let shop = administrator.call(Method::POST, "/applications", body);
    let shop = shop.await.expect(201)["id"].as_i64().unwrap();
    let full = Consumer::bind_queue(&exchange, "1.#", full_and_rejecting(2)).await;
    let other = Consumer::bind(&exchange, "#").await;
    let (jane, owner) = (replica.user("jane"), replica.user_of(shop, "owner"));
    let mut sent = BTreeSet::new();
    for turn in 0..10 {
        let message = jane.send("john", &format!("turn {turn}")).await;
        sent.insert(message["timestamp"].as_i64().unwrap());
    }
    eventually("the queue refuses an entry", async || {
        let mut log = replica.log().into_iter();
        log.any(|line| line.contains("a queue refuses an entry of the feed"))
            .then_some(())
    })
    .await;
    let elsewhere = owner.send("guest", "hi").await["timestamp"].as_i64();
    let mut handled = BTreeSet::new();
    other
        .consume(|delivery| {
            handled.insert(timestamp_of(delivery));
            handled.iter().copied().max() >= elsewhere
        })
        .await;
    assert!(handled.contains(&elsewhere.unwrap()));
    let mut delivered = BTreeSet::new();
    full.consume(|delivery| {
        delivered.insert(timestamp_of(delivery));
        delivered == sent
    })
    .await;
}

/// The arguments of a queue that takes no more than so many entries.
fn full_and_rejecting(entries: i32) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(entries));
    let reject = AMQPValue::LongString("reject-publish".into());
    arguments.insert("x-overflow".into(), reject);
    arguments
}

fn timestamp_of(delivery: &lapin::message::Delivery) -> i64 {
    let id = delivery.properties.message_id().as_ref().unwrap();
    id.as_str().parse().unwrap()
}
