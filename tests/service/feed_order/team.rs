//! Writers who make every kind of change that the feed tells of, and remember what was acknowledged.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Acknowledged, Client, Replica, timestamp_of, until_answered};

/// Three members of a chat who do everything that the feed tells of a chat, and a setting, of which it tells nobody.
/// The owner is at one replica, and the guests are at the next one.
pub struct Team {
    number: usize,
    owner: Client,
    guests: [Client; 2],
}

impl Team {
    pub fn new(number: usize, replicas: &[Replica]) -> Self {
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
    pub async fn work(self, done: Arc<AtomicBool>, acknowledged: Acknowledged) {
        let created = self.create().await;
        acknowledged.add(timestamp_of(&created));
        let chat = path_of(&created);
        for round in 1.. {
            let message = self.post(&chat, round).await;
            acknowledged.add(timestamp_of(&message));
            let [one, other] = &self.guests;
            // At once, so that both are often changes of one batch.
            tokio::join!(
                take_note(one, &chat, &message),
                take_note(other, &chat, &message)
            );
            self.add_reactions(&message, &acknowledged).await;
            acknowledged.add(report(one, &message).await);
            self.change_members(&chat, round, &acknowledged).await;
            acknowledged.add(self.rename(&chat, round).await);
            acknowledged.add(self.create_and_delete().await);
            let settings = json!({ "pinned": round % 2 == 1 });
            let path = format!("{chat}/settings");
            until_answered(|| one.request(Method::PATCH, &path).json(&settings), &[200]).await;
            if done.load(Ordering::SeqCst) {
                break;
            }
        }
    }

    /// Creates the chat of the team.
    async fn create(&self) -> Value {
        let number = self.number;
        let members = ["guest-N-0", "guest-N-1", "idle-N-0"];
        let members = members.map(|name| name.replace('N', &number.to_string()));
        let body = json!({ "name": "Team", "members": members });
        self.posted("/chats", &body).await
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

    /// Adds the reactions to a message: no answer has their timestamps, but the timeline of each member has.
    async fn add_reactions(&self, message: &Value, acknowledged: &Acknowledged) {
        let path = format!("/messages?after={}&limit=1000", timestamp_of(message));
        let page = until_answered(|| self.owner.request(Method::GET, &path), &[200]).await;
        let page = page.json();
        let entries = page["messages"].as_array().unwrap().iter();
        let reactions = entries.filter(|entry| entry["reactions"] == message["id"]);
        let timestamps: Vec<_> = reactions.map(timestamp_of).collect();
        assert!(!timestamps.is_empty(), "both guests have reacted: {page}");
        timestamps
            .into_iter()
            .for_each(|timestamp| acknowledged.add(timestamp));
    }

    /// The second guest leaves and comes back, and of two others the one takes the place of the other.
    async fn change_members(&self, chat: &str, round: usize, acknowledged: &Acknowledged) {
        let number = self.number;
        let guest = format!("{chat}/members/guest-{number}-1");
        until_answered(|| self.owner.request(Method::DELETE, &guest), &[204]).await;
        acknowledged.add(self.last_change_of(chat).await);
        until_answered(|| self.owner.request(Method::PUT, &guest), &[201, 204]).await;
        acknowledged.add(self.last_change_of(chat).await);
        let idle = |place: usize| format!("idle-{number}-{}", place % 2);
        let body = json!({ "add": [idle(round)], "remove": [idle(round + 1)] });
        let path = format!("{chat}/members");
        let request = || self.owner.request(Method::PATCH, &path).json(&body);
        let changed = until_answered(request, &[200]).await.json();
        acknowledged.add(timestamp_of(&changed));
    }

    /// Renames the chat. Where the answer to an earlier attempt was lost, the name is already this one.
    async fn rename(&self, chat: &str, round: usize) -> i64 {
        let if_match = self.last_change_of(chat).await.to_string();
        let body = json!({ "name": format!("Round {round}") });
        let request = || {
            let request = self.owner.request(Method::PATCH, chat).json(&body);
            request.header("If-Match", &if_match)
        };
        timestamp_of(&until_answered(request, &[200]).await.json())
    }

    /// The last change of the chat or of its members, all of which the owner makes.
    async fn last_change_of(&self, chat: &str) -> i64 {
        let present = until_answered(|| self.owner.request(Method::GET, chat), &[200]).await;
        timestamp_of(&present.json())
    }

    /// Creates another chat and deletes it. Where the answer to an earlier attempt was lost, it is already gone.
    /// Returns the timestamp of its creation.
    async fn create_and_delete(&self) -> i64 {
        let created = self.posted("/chats", &json!({ "name": "Short" })).await;
        let (path, timestamp) = (path_of(&created), timestamp_of(&created));
        let request = || {
            let request = self.owner.request(Method::DELETE, &path);
            request.header("If-Match", timestamp.to_string())
        };
        until_answered(request, &[204, 404]).await;
        timestamp
    }
}

fn path_of(chat: &Value) -> String {
    format!("/chats/{}", chat["number"])
}

/// A guest reacts to a message, and has read it.
async fn take_note(guest: &Client, chat: &str, message: &Value) {
    let path = format!("/messages/{}/reactions/like", message["id"]);
    until_answered(|| guest.request(Method::PUT, &path), &[201, 204]).await;
    let path = format!("{chat}/read");
    let body = json!({ "number": message["number"] });
    until_answered(|| guest.request(Method::PUT, &path).json(&body), &[200]).await;
}

/// A guest reports a message. Returns the id of the report, which is its timestamp.
async fn report(guest: &Client, message: &Value) -> i64 {
    let path = format!("/messages/{}/reports", message["id"]);
    let body = json!({ "reason": "spam" });
    let request = || guest.request(Method::POST, &path).json(&body);
    let reported = until_answered(request, &[200, 201]).await.json();
    reported["id"].as_i64().expect("a report has an id")
}
