//! The database or the broker goes away under load and comes back.

use serde_json::{Value, json};

use crate::{
    events::first_deliveries,
    support::{
        Client, Consumer, Database, EventQueue, Load, Replica, Servers, Settings, Watcher, Way,
        eventually, faults, feed_log, timestamp_of,
    },
};

/// Eight writers to john, who follows in every way.
fn load(replica: &Replica) -> Load {
    let ways = [Way::Page, Way::Poll, Way::Stream];
    let mut load = Load::start(ways.map(|way| Watcher::new(way, vec![replica.user("john")])));
    load.add_writers(8, "john", &[replica]);
    load
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_means_503_until_it_is_back() {
    let servers = tokio::task::spawn_blocking(|| Servers::start("postgres"))
        .await
        .unwrap();
    let database = Database::at(&servers.database_url);
    let replica = Replica::start(&database, Default::default()).await;
    let load = load(&replica);
    for _ in 0..2 {
        load.until_more(200).await;
        tokio::task::block_in_place(|| servers.crash("postgres"));
        refuses_everything(&replica.user("jane")).await;
        assert_eq!(replica.nobody().get("/health/live").await.status, 200);
        assert_eq!(
            replica.nobody().get("/health/ready").await.expect(503)["database"],
            "unavailable"
        );
        tokio::task::block_in_place(|| servers.start_again("postgres"));
        load.until_more(200).await;
        eventually("the service is ready again", async || {
            (replica.nobody().get("/health/ready").await.status == 200).then_some(())
        })
        .await;
    }
    load.finish().await;
    assert_eq!(
        database
            .count("SELECT count(*) FROM messages WHERE sender = 'jane'")
            .await,
        0
    );
}

/// While the database is away, every operation is 503 with the reason and with Retry-After. (A
/// change may also find the writer busy with a commit whose outcome it cannot learn yet.)
async fn refuses_everything(jane: &Client) {
    for path in ["/messages", "/messages?include=message", "/messages/1"] {
        jane.get(path)
            .await
            .expect_problem(503, "database-unavailable");
    }
    let changes = [
        jane.post(json!({ "to": "john", "text": "not now" })).await,
        jane.patch(&json!(1), &json!(1), json!({ "text": "not now" }))
            .await,
        jane.delete(&json!(1), &json!(1)).await,
    ];
    for reply in changes {
        assert_eq!(reply.status, 503, "{}", reply.text);
        assert!(
            ["/problems/database-unavailable", "/problems/overloaded"]
                .contains(&reply.json()["type"].as_str().unwrap())
        );
        assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
        assert!(
            !reply.text.contains("127.0.0.1"),
            "no internals: {}",
            reply.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_a_database_that_is_away() {
    let servers = tokio::task::spawn_blocking(|| Servers::start("postgres"))
        .await
        .unwrap();
    let database = Database::at(&servers.database_url);
    let replica = Replica::start(&database, Settings::default()).await;
    let jane = replica.user("jane");
    let mut stream = replica.user("john").stream("").await;
    stream.begin_current().await;
    tokio::task::block_in_place(|| servers.crash("postgres"));
    let mut opened_meanwhile = replica.user("john").stream("after=latest").await;
    assert!(opened_meanwhile.block().await.unwrap().comment);
    tokio::task::block_in_place(|| servers.start_again("postgres"));
    let sent = eventually("the service recovers", async || {
        let reply = jane.post(json!({ "to": "john", "text": "hello" })).await;
        (reply.status == 201).then(|| reply.json())
    })
    .await;
    assert_eq!(stream.event("update").await.id, sent["timestamp"].as_i64());
    let from: Value = opened_meanwhile.next_event().await.id.into();
    assert!(from == 0 || from == sent["timestamp"], "{from}");
}

/// Ends the broker, with or without a chance to tidy up.
fn end_broker(servers: &Servers, crash: bool) {
    tokio::task::block_in_place(|| {
        if crash {
            servers.crash("rabbitmq")
        } else {
            servers.stop("rabbitmq")
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stops_holds_up_nothing_and_gets_everything() {
    let servers = tokio::task::spawn_blocking(|| Servers::start("rabbitmq"))
        .await
        .unwrap();
    let database = Database::fresh().await;
    let queue = EventQueue::at(&servers.amqp_url);
    let replica = Replica::start(&database, queue.settings()).await;
    let load = load(&replica);
    for crash in [false, true] {
        load.until_more(200).await;
        end_broker(&servers, crash);
        load.until_more(300).await;
        eventually("the backlog is measured", async || {
            let lag = async |unit: &str| {
                let name = format!("messages_follower_lag_{unit}");
                replica.metric(&name, "file-events").await
            };
            (lag("changes").await > 0.0 && lag("seconds").await > 0.0).then_some(())
        })
        .await;
        // Ready means that the database is there: the broker is reported and not required.
        eventually("the replica says that it does not publish", async || {
            let ready = replica.nobody().get("/health/ready").await.expect(200);
            (ready["broker"] == "notPublishing").then_some(())
        })
        .await;
        tokio::task::block_in_place(|| servers.start_again("rabbitmq"));
        eventually("the replica publishes again", async || {
            let ready = replica.nobody().get("/health/ready").await.expect(200);
            (ready["broker"] == "publishing").then_some(())
        })
        .await;
        load.until_more(200).await;
    }
    load.finish().await;
    database.until_events_are_published().await;
    let sent = database.count("SELECT count(*) FROM messages").await;
    let deleted = database
        .count("SELECT count(*) FROM messages WHERE deleted")
        .await;
    let events = queue
        .consume_until(|events| {
            first_deliveries(events)
                .values()
                .map(Vec::len)
                .sum::<usize>() as i64
                == sent + deleted
        })
        .await;
    let uses = first_deliveries(&events);
    assert_eq!(uses.len() as i64, sent, "every file was reported");
    assert!(
        uses.values().all(|uses| uses.is_sorted() && uses[0].1),
        "in the order of the changes"
    );
}

/// Every entry comes at least once, and the first deliveries in order.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_whose_broker_stops_gets_every_entry_of_the_feed_in_order() {
    let servers = tokio::task::spawn_blocking(|| Servers::start("rabbitmq"))
        .await
        .unwrap();
    let database = Database::fresh().await;
    let exchange = "feed";
    let consumer = Consumer::bind_at(&servers.amqp_url, exchange, "1.#").await;
    let settings = EventQueue::at(&servers.amqp_url).settings();
    let settings = settings.with("AMQP_FEED_EXCHANGE", exchange);
    let replica = Replica::start(&database, settings).await;
    let mut load = Load::start([]);
    load.add_writers(8, "john", &[&replica]);
    let published = async || replica.metric("messages_feed_published_total", "").await;
    let until_more_is_published = async |before: f64| {
        eventually("more is published", async || {
            (published().await > before).then_some(())
        })
        .await;
    };
    until_more_is_published(0.0).await;
    for crash in [false, true] {
        load.until_more(200).await;
        end_broker(&servers, crash);
        let before = published().await;
        load.until_more(300).await;
        eventually("the backlog is measured", async || {
            let lag = replica.metric("messages_follower_lag_changes", "feed-exchange");
            (lag.await >= 300.0).then_some(())
        })
        .await;
        tokio::task::block_in_place(|| servers.start_again("rabbitmq"));
        until_more_is_published(before).await;
    }
    load.stop().await;
    let log = feed_log(&database).await;
    let last = timestamp_of(log.last().expect("something was written"));
    assert_eq!(faults(&log, &consumer.until(last).await), []);
}
