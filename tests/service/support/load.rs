//! The load that proves the promise: writers who remember what was acknowledged, watchers who
//! remember what they saw, and the one checker that compares them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::{Client, PATIENCE, Replica, Reply, Stream, eventually, fail_if_a_replica_died};

/// As a polite client waits where `Retry-After` would be too long for a test.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The timestamps of acknowledged changes that concern the user who is followed.
#[derive(Clone, Default)]
pub struct Acknowledged(Arc<Mutex<BTreeSet<i64>>>);

impl Acknowledged {
    pub fn add(&self, timestamp: i64) {
        self.0.lock().unwrap().insert(timestamp);
    }

    pub fn all(&self) -> BTreeSet<i64> {
        self.0.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// How a client follows the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It repeats `GET /messages?after=<last>`.
    Page,
    /// The same with `wait`.
    Poll,
    /// It keeps a stream open.
    Stream,
}

/// A client that follows the timeline of one user, or the feed, as the README teaches, over one replica after the
/// other: it goes on with the next one when an answer is over or does not come.
pub struct Watcher {
    way: Way,
    /// The path of the timeline, and where its pages have their entries.
    timeline: (&'static str, &'static str),
    /// The kinds of entries that it asks for, as the query has them; empty: all.
    kinds: String,
    clients: Vec<Client>,
    turn: usize,
    cursor: i64,
    stream: Option<Stream>,
    /// The entries that it has received, in their order.
    received: Vec<Value>,
}

impl Watcher {
    pub fn new(way: Way, clients: Vec<Client>) -> Self {
        Self::of(("/messages", "messages"), way, clients)
    }

    /// The clients of an application that follow its feed.
    pub fn of_feed(way: Way, clients: Vec<Client>) -> Self {
        Self::of(("/feed", "entries"), way, clients)
    }

    /// The same, asking for entries of these kinds alone. One with a stream comes to the end only if the last entry
    /// is of one of them.
    pub fn with_kinds(self, kinds: &[&str]) -> Self {
        Self {
            kinds: format!("kinds={}", kinds.join(",")),
            ..self
        }
    }

    fn of(timeline: (&'static str, &'static str), way: Way, clients: Vec<Client>) -> Self {
        Self {
            way,
            timeline,
            kinds: String::new(),
            clients,
            turn: 0,
            cursor: 0,
            stream: None,
            received: Vec::new(),
        }
    }

    /// Follows to the end, which is set later.
    async fn follow_to(mut self, mut end: watch::Receiver<i64>) -> Self {
        while self.cursor < *end.borrow_and_update() {
            tokio::select! {
                () = self.read() => {}
                _ = end.changed() => {}
            }
            fail_if_a_replica_died("the watcher comes to the end");
        }
        self
    }

    async fn read(&mut self) {
        match self.way {
            Way::Page => self.read_page("").await,
            Way::Poll => self.read_page("&wait=30").await,
            Way::Stream => self.read_block().await,
        }
    }

    async fn read_page(&mut self, wait: &str) {
        let (path, list) = self.timeline;
        let (cursor, kinds) = (self.cursor, &self.kinds);
        let path = format!("{path}?after={cursor}&limit=100{wait}&{kinds}");
        let request = self.next_client().request(Method::GET, &path);
        let Ok(reply) = Reply::try_of(request).await else {
            return;
        };
        if reply.status == 503 {
            return;
        }
        let mut page = reply.expect(200);
        self.received.append(page[list].as_array_mut().unwrap());
        self.cursor = page["next"].as_i64().unwrap();
    }

    async fn read_block(&mut self) {
        if self.stream.is_none() {
            let cursor = self.cursor.to_string();
            let path = format!("{}?{}", self.timeline.0, self.kinds);
            let request = self
                .next_client()
                .streaming(&path)
                .header("Last-Event-ID", cursor);
            self.stream = Stream::try_open(request).await;
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        match stream.block().await {
            Some(block) if block.event == "update" => {
                self.cursor = block.id.unwrap();
                assert_eq!(timestamp_of(&block.data), self.cursor);
                self.received.push(block.data);
            }
            Some(_) => {}
            None => self.stream = None,
        }
    }

    fn next_client(&mut self) -> &Client {
        self.turn += 1;
        &self.clients[self.turn % self.clients.len()]
    }
}

/// Writers and watchers at work.
pub struct Load {
    done: Arc<AtomicBool>,
    acknowledged: Acknowledged,
    end: watch::Sender<i64>,
    writers: Vec<JoinHandle<()>>,
    watchers: Vec<JoinHandle<Watcher>>,
}

impl Load {
    pub fn start(watchers: impl IntoIterator<Item = Watcher>) -> Self {
        let end = watch::Sender::new(i64::MAX);
        let follow = |watcher: Watcher| tokio::spawn(watcher.follow_to(end.subscribe()));
        let watchers = watchers.into_iter().map(follow).collect();
        Self {
            done: Arc::default(),
            acknowledged: Acknowledged::default(),
            end,
            writers: Vec::new(),
            watchers,
        }
    }

    /// Adds a writer, which writes until the flag is set and adds what was acknowledged.
    pub fn add_writer<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        write: impl FnOnce(Arc<AtomicBool>, Acknowledged) -> F,
    ) {
        let writing = write(Arc::clone(&self.done), self.acknowledged.clone());
        self.writers.push(tokio::spawn(writing));
    }

    /// Adds writers to the followed user, who take turns with the replicas.
    pub fn add_writers(&mut self, count: usize, to: &'static str, replicas: &[&Replica]) {
        for number in 0..count {
            let client = replicas[number % replicas.len()].user(&format!("writer-{number}"));
            self.add_writer(|done, acknowledged| write_until(client, to, done, acknowledged));
        }
    }

    /// Waits until `count` more changes are acknowledged.
    pub async fn until_more(&self, count: usize) {
        let target = self.acknowledged.len() + count;
        eventually("more is acknowledged", async || {
            (self.acknowledged.len() >= target).then_some(())
        })
        .await;
    }

    /// Stops the writers, and waits until each has ended.
    pub async fn stop_writers(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        for writer in self.writers.drain(..) {
            writer.await.unwrap();
        }
    }

    /// Adds a change that the test itself has made.
    pub fn add(&self, timestamp: i64) {
        self.acknowledged.add(timestamp);
    }

    /// Stops the writers, lets the watchers come to the last change that was acknowledged, and
    /// returns what was acknowledged and what each watcher has seen.
    pub async fn stop(self) -> (BTreeSet<i64>, Vec<Vec<i64>>) {
        let (acknowledged, received) = self.stop_with_entries().await;
        let timestamps =
            |entries: &Vec<Value>| entries.iter().map(timestamp_of).collect::<Vec<_>>();
        (acknowledged, received.iter().map(timestamps).collect())
    }

    /// As [`stop`](Self::stop), with the entries that each watcher has received.
    pub async fn stop_with_entries(mut self) -> (BTreeSet<i64>, Vec<Vec<Value>>) {
        self.stop_writers().await;
        let acknowledged = self.acknowledged.all();
        self.end
            .send_replace(*acknowledged.last().expect("something was written"));
        let mut received = Vec::new();
        for watcher in self.watchers {
            let following = tokio::time::timeout(PATIENCE, watcher).await;
            let watcher = following.expect("the watcher comes to the end").unwrap();
            received.push(watcher.received);
        }
        (acknowledged, received)
    }

    /// Stops the load; nobody may have missed anything that was acknowledged, or seen it twice.
    pub async fn finish(self) {
        let (acknowledged, seen) = self.stop().await;
        for seen in seen {
            assert_eq!(missed(&acknowledged, &seen), Vec::<i64>::new());
        }
    }
}

/// The checker: timestamps must be strictly ascending; returns what was acknowledged and not seen.
pub fn missed(acknowledged: &BTreeSet<i64>, seen: &[i64]) -> Vec<i64> {
    assert!(
        seen.is_sorted_by(|one, next| one < next),
        "timestamps do not ascend"
    );
    let seen: BTreeSet<_> = seen.iter().copied().collect();
    acknowledged.difference(&seen).copied().collect()
}

/// Sends to `to`, edits and deletes over and over until `done`; what was acknowledged is added.
/// A request without an answer is repeated with its key, and counts once it is answered.
async fn write_until(client: Client, to: &str, done: Arc<AtomicBool>, acknowledged: Acknowledged) {
    let mut turn = 0;
    while !done.load(Ordering::SeqCst) {
        turn += 1;
        let key = uuid::Uuid::new_v4().to_string();
        let body = json!({ "to": to, "text": format!("turn {turn}"), "files": [key] });
        let send = || client.posting(body.clone()).header("Idempotency-Key", &key);
        let sent = until_answered(send, &[201]).await.json();
        acknowledged.add(sent["timestamp"].as_i64().unwrap());
        if turn % 3 == 0 {
            change(&client, &sent, turn, &acknowledged).await;
        }
    }
}

/// Edits the message, and deletes every other one after that. A repeated edit does not fail
/// against itself; a repeated deletion finds the message gone.
async fn change(client: &Client, sent: &Value, turn: i32, acknowledged: &Acknowledged) {
    let id = &sent["id"];
    let text = format!("edit {turn}");
    let if_match = sent["timestamp"].to_string();
    let edit = || {
        client
            .patching(id, json!({ "text": text }))
            .header("If-Match", &if_match)
    };
    let edited = until_answered(edit, &[200]).await.json();
    acknowledged.add(edited["timestamp"].as_i64().unwrap());
    if turn % 6 == 0 {
        let request = client
            .deleting(id)
            .header("If-Match", edited["timestamp"].to_string());
        if let Ok(reply) = Reply::try_of(request).await
            && reply.status == 200
        {
            acknowledged.add(reply.json()["timestamp"].as_i64().unwrap());
        }
    }
}

/// Repeats a request until it is answered with something else than 503: with one of these statuses, then.
pub async fn until_answered(
    request: impl Fn() -> reqwest::RequestBuilder,
    statuses: &[u16],
) -> Reply {
    let end = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < end {
        match Reply::try_of(request()).await {
            Ok(reply) if reply.status != 503 => {
                let is_expected = statuses.contains(&reply.status);
                assert!(is_expected, "{}: {}", reply.status, reply.text);
                return reply;
            }
            _ => tokio::time::sleep(RETRY_PAUSE).await,
        }
        fail_if_a_replica_died("a change is answered");
    }
    panic!("in vain: an answer of {statuses:?}")
}

/// Where on the timeline an entry is.
pub fn timestamp_of(entry: &Value) -> i64 {
    entry["timestamp"]
        .as_i64()
        .expect("an entry has a timestamp")
}
