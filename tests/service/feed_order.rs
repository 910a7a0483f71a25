//! The promise of the feed: whoever follows it receives the log of the application, entry for entry and in its order.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Acknowledged, Answer, Client, Consumer, Database, Fault, FeedDelivery, Hook, Load, Replica,
    Watcher, Way, faults, feed_log, missed, publishing_to, timestamp_of, until_answered,
};

const REPLICAS: usize = 3;

/// Each replica is killed twice. So whoever leads a follower of the feed is killed at least once, and so is the
/// replica that leads after it.
const KILLS: usize = 2 * REPLICAS;

const WRITERS: usize = 9;
const TEAMS: usize = 6;

/// What the writers and the teams do.
const KINDS: [&str; 10] = [
    "chat.changed",
    "chat.created",
    "conversation.read",
    "member.added",
    "member.changed",
    "member.removed",
    "message.created",
    "message.deleted",
    "message.edited",
    "reactions.changed",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_follower_of_the_feed_misses_a_change_though_each_replica_is_killed() {
    let database = Database::fresh().await;
    let exchange = format!("test.{}", uuid::Uuid::new_v4());
    let settings = || publishing_to(&exchange).calling_loopback();
    let consumer = Consumer::bind(&exchange, "1.#").await;
    let hook = Hook::start().await;
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(Replica::start(&database, settings()).await);
    }
    let app = replicas[0].application().await;
    hook.register(&app, json!({ "after": 0 })).await;
    let mut load = start_load(&app, &replicas);
    for turn in 0..KILLS {
        load.until_more(150).await;
        let victim = &mut replicas[turn % REPLICAS];
        hook.answers(Answer::Status(503));
        victim.kill();
        load.until_more(50).await;
        hook.answers(Answer::Takes);
        let base = victim.base.clone();
        *victim = Replica::start_again_at(&base, &database, settings()).await;
    }
    load.stop_writers().await;
    // The lane is entered by one writer after the other: what was under way is committed before this, or never.
    let last = timestamp_of(&replicas[0].user("jane").send("john", "the end").await);
    load.add(last);
    let (acknowledged, received) = load.stop_with_entries().await;

    let log = feed_log(&database).await;
    check_load(&log, &acknowledged);
    for entries in received {
        assert_eq!(faults(&log, &FeedDelivery::one_by_one(entries)), []);
    }
    assert_eq!(faults(&log, &consumer.until(last).await), []);
    hook.until_taken(last).await;
    assert_eq!(faults(&log, &taken(&hook)), []);
}

/// Followers of every way, each of which begins at another replica, and everybody who writes.
fn start_load(app: &Client, replicas: &[Replica]) -> Load {
    let ways = [Way::Page, Way::Poll, Way::Stream, Way::Stream];
    let watchers = ways.into_iter().enumerate().map(|(place, way)| {
        let clients = replicas.iter().map(|replica| app.at(&replica.base));
        let mut clients: Vec<_> = clients.collect();
        clients.rotate_left(place % REPLICAS);
        Watcher::of_feed(way, clients)
    });
    let mut load = Load::start(watchers);
    load.add_writers(WRITERS, "john", &replicas.iter().collect::<Vec<_>>());
    for number in 0..TEAMS {
        let team = Team::new(number, replicas);
        load.add_writer(|done, acknowledged| team.work(done, acknowledged));
    }
    load
}

/// The log must hold every change that was acknowledged, up to the last one, and every kind of change.
fn check_load(log: &[Value], acknowledged: &BTreeSet<i64>) {
    let timestamps: Vec<_> = log.iter().map(timestamp_of).collect();
    assert_eq!(missed(acknowledged, &timestamps), Vec::<i64>::new());
    assert_eq!(timestamps.last(), acknowledged.last());
    let kinds: BTreeSet<_> = log.iter().map(|entry| entry["kind"].as_str()).collect();
    assert_eq!(kinds, KINDS.map(Some).into_iter().collect());
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

/// Three members of a chat who do everything that the feed tells of a chat, and a setting, of which it tells nobody.
/// The owner is at one replica, and the guests are at the next one.
struct Team {
    number: usize,
    owner: Client,
    guests: [Client; 2],
}

impl Team {
    fn new(number: usize, replicas: &[Replica]) -> Self {
        let [one, other] = [number, number + 1].map(|place| &replicas[place % replicas.len()]);
        let guest = |place: usize| other.user(&format!("guest-{number}-{place}"));
        Self {
            number,
            owner: one.user(&format!("owner-{number}")),
            guests: [guest(0), guest(1)],
        }
    }

    /// Works until `done`, once at least. Each change is repeated until it is answered, and all of them may be
    /// repeated.
    async fn work(self, done: Arc<AtomicBool>, acknowledged: Acknowledged) {
        let chat = self.create().await;
        for round in 1.. {
            let message = self.post(&chat, round).await;
            acknowledged.add(timestamp_of(&message));
            let [one, other] = &self.guests;
            // At once, so that both are often changes of one batch.
            tokio::join!(
                take_note(one, &chat, &message),
                take_note(other, &chat, &message)
            );
            self.change_members(&chat, round).await;
            self.rename(&chat, round).await;
            let settings = json!({ "pinned": round % 2 == 1 });
            let path = format!("{chat}/settings");
            until_answered(|| one.request(Method::PATCH, &path).json(&settings), &[200]).await;
            if done.load(Ordering::SeqCst) {
                break;
            }
        }
    }

    /// Creates the chat; returns its path.
    async fn create(&self) -> String {
        let number = self.number;
        let members = ["guest-N-0", "guest-N-1", "idle-N-0"];
        let members = members.map(|name| name.replace('N', &number.to_string()));
        let body = json!({ "name": "Team", "members": members });
        let chat = self.posted("/chats", &body).await;
        format!("/chats/{}", chat["number"])
    }

    async fn post(&self, chat: &str, round: usize) -> Value {
        let body = json!({ "text": format!("round {round}") });
        self.posted(&format!("{chat}/messages"), &body).await
    }

    /// What the owner has created, once.
    async fn posted(&self, path: &str, body: &Value) -> Value {
        let key = uuid::Uuid::new_v4().to_string();
        let request = || {
            let request = self.owner.request(Method::POST, path).json(body);
            request.header("Idempotency-Key", &key)
        };
        until_answered(request, &[201]).await.json()
    }

    /// The second guest leaves and comes back, and of two others the one takes the place of the other.
    async fn change_members(&self, chat: &str, round: usize) {
        let number = self.number;
        let guest = format!("{chat}/members/guest-{number}-1");
        until_answered(|| self.owner.request(Method::DELETE, &guest), &[204]).await;
        until_answered(|| self.owner.request(Method::PUT, &guest), &[201, 204]).await;
        let idle = |place: usize| format!("idle-{number}-{}", place % 2);
        let body = json!({ "add": [idle(round)], "remove": [idle(round + 1)] });
        let path = format!("{chat}/members");
        let request = || self.owner.request(Method::PATCH, &path).json(&body);
        until_answered(request, &[200]).await;
    }

    /// Renames the chat. Where the answer to an earlier attempt was lost, the name is already this one.
    async fn rename(&self, chat: &str, round: usize) {
        let present = until_answered(|| self.owner.request(Method::GET, chat), &[200]).await;
        let if_match = present.json()["timestamp"].to_string();
        let body = json!({ "name": format!("Round {round}") });
        let request = || {
            let request = self.owner.request(Method::PATCH, chat).json(&body);
            request.header("If-Match", &if_match)
        };
        until_answered(request, &[200]).await;
    }
}

/// A guest reacts to a message, and has read it.
async fn take_note(guest: &Client, chat: &str, message: &Value) {
    let path = format!("/messages/{}/reactions/like", message["id"]);
    until_answered(|| guest.request(Method::PUT, &path), &[201, 204]).await;
    let path = format!("{chat}/read");
    let body = json!({ "number": message["number"] });
    until_answered(|| guest.request(Method::PUT, &path).json(&body), &[200]).await;
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
