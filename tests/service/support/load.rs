//! The load that proves the promise: writers who remember what was acknowledged, followers who
//! remember what they saw, and the one checker that compares them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::{Client, PATIENCE, Reply};

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

/// A client that repeats `GET /messages?after=<last>` as the README teaches.
pub struct Follower {
    clients: Vec<Client>,
    turn: usize,
    cursor: i64,
    pub seen: Vec<i64>,
}

impl Follower {
    /// Follows one user, over one replica after the other.
    pub fn new(clients: Vec<Client>) -> Self {
        Self { clients, turn: 0, cursor: 0, seen: Vec::new() }
    }

    /// Reads one page; an answer that does not come is asked for again from the same cursor.
    /// Returns whether the page was empty.
    pub async fn read(&mut self) -> bool {
        self.turn += 1;
        let client = &self.clients[self.turn % self.clients.len()];
        let path = format!("/messages?after={}&limit=100", self.cursor);
        let request = client.request(reqwest::Method::GET, &path);
        let Ok(reply) = Reply::try_of(request).await else { return false };
        if reply.status == 503 {
            return false;
        }
        let page = reply.expect(200);
        let entries = page["messages"].as_array().unwrap();
        self.seen.extend(entries.iter().map(|entry| entry["timestamp"].as_i64().unwrap()));
        self.cursor = page["next"].as_i64().unwrap();
        entries.is_empty()
    }

    /// Follows until `done`, and then until there is nothing more.
    pub async fn follow_until(mut self, done: Arc<AtomicBool>) -> Self {
        loop {
            let is_over = done.load(Ordering::SeqCst);
            let is_empty = self.read().await;
            if is_over && is_empty {
                return self;
            }
        }
    }
}

/// The checker: timestamps must be strictly ascending; returns what was acknowledged and not seen.
pub fn missed(acknowledged: &BTreeSet<i64>, seen: &[i64]) -> Vec<i64> {
    assert!(seen.is_sorted_by(|one, next| one < next), "timestamps do not ascend");
    let seen: BTreeSet<_> = seen.iter().copied().collect();
    acknowledged.difference(&seen).copied().collect()
}

/// Sends to `to`, edits and deletes over and over until `done`; what was acknowledged is added.
/// A request without an answer is repeated with its key, and counts once it is answered.
pub async fn write_until(client: Client, to: &str, done: Arc<AtomicBool>, acknowledged: Acknowledged) {
    let mut turn = 0;
    while !done.load(Ordering::SeqCst) {
        turn += 1;
        let key = uuid::Uuid::new_v4().to_string();
        let body = json!({ "to": to, "text": format!("turn {turn}"), "files": [key] });
        let send = || client.posting(body.clone()).header("Idempotency-Key", &key);
        let sent = until_answered(send, 201).await;
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
    let edit = || client.patching(id, json!({ "text": text })).header("If-Match", &if_match);
    let edited = until_answered(edit, 200).await;
    acknowledged.add(edited["timestamp"].as_i64().unwrap());
    if turn % 6 == 0 {
        let request = client.deleting(id).header("If-Match", edited["timestamp"].to_string());
        if let Ok(reply) = Reply::try_of(request).await
            && reply.status == 200
        {
            acknowledged.add(reply.json()["timestamp"].as_i64().unwrap());
        }
    }
}

/// Repeats a request until it is answered with something else than 503: with this status, then.
async fn until_answered(request: impl Fn() -> reqwest::RequestBuilder, status: u16) -> Value {
    let end = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < end {
        match Reply::try_of(request()).await {
            Ok(reply) if reply.status != 503 => return reply.expect(status),
            _ => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
    panic!("in vain: an answer of {status}")
}
