//! The promise of the feed: whoever follows it receives the log of the application, entry for entry and in its order.

mod team;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use team::Team;

use crate::support::{
    Answer, Client, Consumer, Database, Fault, FeedDelivery, Hook, Load, Replica, Watcher, Way,
    faults, feed_log, missed, publishing_to, timestamp_of,
};

const REPLICAS: usize = 3;

/// Each replica is killed twice. So whoever leads a follower of the feed is killed at least once, and so is the
/// replica that leads after it.
const KILLS: usize = 2 * REPLICAS;

const WRITERS: usize = 9;
const TEAMS: usize = 6;

/// What the writers and the teams do.
const KINDS: [&str; 12] = [
    "chat.changed",
    "chat.created",
    "chat.deleted",
    "conversation.read",
    "member.added",
    "member.changed",
    "member.removed",
    "message.created",
    "message.deleted",
    "message.edited",
    "message.reported",
    "reactions.changed",
];

/// What a follower of a few kinds asks for. The last change is of one of them, so the follower comes to the end.
const KINDS_FOLLOWED: [&str; 3] = ["chat.deleted", "message.created", "message.reported"];

/// What a webhook of a few kinds asks for.
const KINDS_POSTED: [&str; 3] = ["chat.deleted", "member.changed", "message.reported"];

#[tokio::test(flavor = "multi_thread")]
async fn no_follower_of_the_feed_misses_a_change_though_each_replica_is_killed() {
    let database = Database::fresh().await;
    let exchange = format!("test.{}", uuid::Uuid::new_v4());
    let settings = || publishing_to(&exchange).calling_loopback();
    let consumer = Consumer::bind(&exchange, "1.#").await;
    let (hook, hook_of_few) = (Hook::start().await, Hook::start().await);
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(Replica::start(&database, settings()).await);
    }
    let app = replicas[0].application().await;
    hook.register(&app, json!({ "after": 0 })).await;
    let few = json!({ "after": 0, "kinds": KINDS_POSTED });
    hook_of_few.register(&app, few).await;
    let mut load = start_load(&app, &replicas);
    for turn in 0..KILLS {
        load.until_more(200).await;
        let victim = &mut replicas[turn % REPLICAS];
        hook.answers(Answer::Status(503));
        victim.kill();
        load.until_more(100).await;
        hook.answers(Answer::Takes);
        let base = victim.base.clone();
        *victim = Replica::start_again_at(&base, &database, settings()).await;
    }
    load.stop_writers().await;
    // The lane is entered by one writer after the other: what was under way is committed before this, or never.
    let last = timestamp_of(&replicas[0].user("jane").send("john", "the end").await);
    load.add(last);
    let (acknowledged, mut received) = load.stop_with_entries().await;

    let log = feed_log(&database).await;
    check_load(&log, &acknowledged);
    let few = FeedDelivery::one_by_one(received.pop().unwrap());
    assert_eq!(faults(&of_kinds(&log, &KINDS_FOLLOWED), &few), []);
    for entries in received {
        assert_eq!(faults(&log, &FeedDelivery::one_by_one(entries)), []);
    }
    assert_eq!(faults(&log, &consumer.until(last).await), []);
    hook.until_taken(last).await;
    assert_eq!(faults(&log, &taken(&hook)), []);
    let few = of_kinds(&log, &KINDS_POSTED);
    hook_of_few
        .until_taken(timestamp_of(few.last().unwrap()))
        .await;
    assert_eq!(faults(&few, &taken(&hook_of_few)), []);
}

/// Followers of every way, each of which begins at another replica, and everybody who writes. The last follower asks
/// for a few kinds alone.
fn start_load(app: &Client, replicas: &[Replica]) -> Load {
    let follower = |place: usize, way: Way| {
        let clients = replicas.iter().map(|replica| app.at(&replica.base));
        let mut clients: Vec<_> = clients.collect();
        clients.rotate_left(place % REPLICAS);
        Watcher::of_feed(way, clients)
    };
    let ways = [Way::Page, Way::Poll, Way::Stream, Way::Stream];
    let watchers = ways.into_iter().enumerate();
    let watchers = watchers.map(|(place, way)| follower(place, way));
    let of_few = follower(ways.len(), Way::Poll).with_kinds(&KINDS_FOLLOWED);
    let mut load = Load::start(watchers.chain([of_few]));
    load.add_writers(WRITERS, "john", &replicas.iter().collect::<Vec<_>>());
    for number in 0..TEAMS {
        let team = Team::new(number, replicas);
        load.add_writer(|done, acknowledged| team.work(done, acknowledged));
    }
    load
}

/// The log must hold every change that was acknowledged, up to the last one, and every kind of change. A deletion of a
/// chat is answered without a timestamp, so these are counted: all chats are deleted but those of the teams.
fn check_load(log: &[Value], acknowledged: &BTreeSet<i64>) {
    let timestamps: Vec<_> = log.iter().map(timestamp_of).collect();
    assert_eq!(missed(acknowledged, &timestamps), Vec::<i64>::new());
    assert_eq!(timestamps.last(), acknowledged.last());
    let kinds: BTreeSet<_> = log.iter().map(|entry| entry["kind"].as_str()).collect();
    assert_eq!(kinds, KINDS.map(Some).into_iter().collect());
    let count = |kind: &str| log.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!(count("chat.created"), TEAMS + count("chat.deleted"));
}

/// The entries of these kinds.
fn of_kinds(log: &[Value], kinds: &[&str]) -> Vec<Value> {
    let is_asked_for = |entry: &&Value| kinds.contains(&entry["kind"].as_str().unwrap());
    log.iter().filter(is_asked_for).cloned().collect()
}

/// The requests that the server has taken.
fn taken(hook: &Hook) -> Vec<FeedDelivery> {
    let posted = hook.posted().into_iter().filter(|posted| posted.is_taken);
    let deliveries = posted.map(|posted| FeedDelivery {
        entries: posted.entries(),
        id: posted.id,
    });
    deliveries.collect()
}

fn entry(timestamp: i64) -> Value {
    json!({ "timestamp": timestamp, "kind": "message.created", "actor": "jane" })
}

fn entries(timestamps: &[i64]) -> Vec<Value> {
    timestamps.iter().copied().map(entry).collect()
}

/// What has come from a log of 1, 2, 3 and 4, and what is wrong with it.
const TRACES: &[(&[i64], &[Fault])] = &[
    (&[1, 2, 3, 4], &[]),
    (&[1, 2, 4], &[Fault::Missing(3)]),
    (&[2, 3, 4], &[Fault::Missing(1)]),
    (&[1, 2, 3], &[Fault::Missing(4)]),
    (&[1, 3, 2, 4], &[Fault::Late(2)]),
    (
        &[4, 2, 3, 1],
        &[Fault::Late(2), Fault::Late(3), Fault::Late(1)],
    ),
    (&[1, 2, 3, 4, 5], &[Fault::NotInLog(5)]),
    (&[0, 1, 2, 3, 4], &[Fault::NotInLog(0)]),
    (&[9, 1, 2, 3, 4], &[Fault::NotInLog(9)]),
    (&[1, 2, 2, 3, 4], &[Fault::Again(2)]),
    (&[1, 2, 3, 4, 1], &[Fault::Again(1)]),
];

#[test]
fn the_checker_finds_each_fault_of_a_follower_to_whom_nothing_comes_twice() {
    let log = entries(&[1, 2, 3, 4]);
    let found = |received: Vec<Value>| faults(&log, &FeedDelivery::one_by_one(received));
    for (received, expected) in TRACES {
        assert_eq!(found(entries(received)), *expected, "{received:?}");
    }
    // What has come under a timestamp must be what the log has there, but for its time.
    let mut received = log.clone();
    received[2]["actor"] = json!("john");
    assert_eq!(found(received), [Fault::NotInLog(3), Fault::Missing(3)]);
    let mut received = log.clone();
    received[3].as_object_mut().unwrap().remove("actor");
    assert_eq!(found(received), [Fault::NotInLog(4), Fault::Missing(4)]);
    let mut received = log.clone();
    received[0]["created"] = json!("2026-11-20T09:30:00.123456Z");
    assert_eq!(found(received), []);
}

#[test]
fn the_checker_tells_a_repeat_from_what_is_none() {
    let log = entries(&[1, 2, 3, 4]);
    let found = |received: &[(&str, &[i64])]| {
        let deliveries = received.iter().map(|(id, timestamps)| FeedDelivery {
            id: (*id).to_owned(),
            entries: entries(timestamps),
        });
        faults(&log, &deliveries.collect::<Vec<_>>())
    };
    let first: (&str, &[i64]) = ("1-2", &[1, 2]);
    let second: (&str, &[i64]) = ("3-4", &[3, 4]);
    assert_eq!(found(&[first, second]), []);
    assert_eq!(found(&[first, first, second, second]), []);
    assert_eq!(found(&[first, second, first]), [], "a repeat may come late");
    assert_eq!(found(&[second, first]), [1, 2].map(Fault::Late));
    assert_eq!(found(&[first, first]), [3, 4].map(Fault::Missing));
    // The same entries under another id, and other entries under the same id.
    let again = found(&[first, ("2-3", &[2, 3]), second]);
    assert_eq!(again, [2, 3].map(Fault::Again));
    let no_repeat = || Fault::NoRepeat("1-2".to_owned());
    assert_eq!(found(&[first, ("1-2", &[1]), second]), [no_repeat()]);
    assert_eq!(found(&[first, ("1-2", &[2, 1]), second]), [no_repeat()]);
    let lost = [no_repeat(), Fault::Missing(3), Fault::Missing(4)];
    assert_eq!(found(&[first, ("1-2", &[3, 4])]), lost);
}
