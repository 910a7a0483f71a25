//! What one installation exports has the same histories in another one.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    archives::{all, converter, history, import, other_application, run},
    support::{Client, Database, Dice, Replica, Reply, administered},
};

/// A history without what each installation gives itself.
fn portable(history: Vec<Value>, members: &[String]) -> Vec<Value> {
    let numbers: HashMap<_, _> = history
        .iter()
        .map(|message| (message["id"].to_string(), message["number"].clone()))
        .collect();
    let portable = history.into_iter().map(|mut message| {
        let parts = message.as_object_mut().unwrap();
        for own in ["id", "timestamp", "chat", "reacted"] {
            parts.remove(own);
        }
        if let Some(id) = parts.get("replyTo") {
            let number = numbers[&id.to_string()].clone();
            parts.insert("replyTo".to_owned(), number);
        }
        if let Some(mentions) = parts.remove("mentions") {
            let is_member = |user: &&Value| members.iter().any(|member| *user == member);
            let mentions: Vec<_> = mentions
                .as_array()
                .unwrap()
                .iter()
                .filter(is_member)
                .cloned()
                .collect();
            if !mentions.is_empty() {
                parts.insert("mentions".to_owned(), json!(mentions));
            }
        }
        message
    });
    portable.collect()
}

/// Everything that is to come out of an application as it went in.
async fn archive(app: &Client, users: &[String]) -> Vec<Value> {
    let mut archive = Vec::new();
    for chat in all(app, "/chats", "chats", None).await {
        let path = format!("/chats/{}", chat["number"]);
        let members = all(app, &format!("{path}/members"), "members", None).await;
        let names: Vec<_> = members
            .iter()
            .map(|member| member["user"].as_str().unwrap().to_owned())
            .collect();
        let members: Vec<_> = members
            .iter()
            .map(|of| json!([of["user"], of["role"], of["read"]]))
            .collect();
        let history = history(app, &path).await;
        let fields = [
            "name",
            "owner",
            "created",
            "members",
            "messages",
            "attributes",
            "posting",
            "frozen",
        ];
        let fields = fields.map(|field| chat.get(field).cloned());
        archive.push(
            json!({ "chat": fields, "members": members, "history": portable(history, &names) }),
        );
    }
    for (place, one) in users.iter().enumerate() {
        for other in &users[place..] {
            let acting = app.acting_as(one);
            let seen = acting.get(&format!("/users/{other}")).await;
            if seen.status == 404 {
                continue;
            }
            let seen = seen.expect(200);
            let path = format!("/users/{other}");
            let history = portable(history(&acting, &path).await, &[one.clone(), other.clone()]);
            let seen = ["created", "messages", "read", "unread", "reads"]
                .map(|field| seen.get(field).cloned());
            archive.push(json!({ "pair": [one, other], "seen": seen, "history": history }));
        }
    }
    archive
}

/// A world of some users whose acts follow from a seed.
struct World {
    replica: Replica,
    app: Client,
    users: Vec<String>,
    dice: Dice,
    sent: Vec<(usize, Value)>,
}

impl World {
    fn pick(&mut self, choices: usize) -> usize {
        self.dice.roll(choices)
    }

    fn user(&self, index: usize) -> Client {
        self.app.acting_as(&self.users[index])
    }

    /// Somebody does something; what is refused is no matter.
    async fn act(&mut self) {
        let (actor, other, chat) = (self.pick(5), self.pick(5), self.pick(3) + 1);
        let (as_actor, peer) = (self.user(actor), self.users[other].clone());
        let (act, nth) = (self.pick(14), self.pick(1 + self.sent.len()));
        let earlier = self.sent.get(nth).cloned();
        let place = match self.pick(2) {
            0 => format!("/chats/{chat}"),
            _ => format!("/users/{peer}"),
        };
        let (method, path, body) = match (act, earlier) {
            (0..4, _) => {
                let text = format!("words {}", self.pick(1000));
                let (path, mut body) = match self.pick(2) {
                    0 => (format!("/chats/{chat}/messages"), json!({ "text": text })),
                    _ => ("/messages".to_owned(), json!({ "to": peer, "text": text })),
                };
                if self.pick(3) == 0 {
                    body["mentions"] = json!([peer]);
                }
                if self.pick(3) == 0 {
                    body["files"] = json!([format!("file-{}", self.pick(100))]);
                    body["attributes"] = json!({ "n": self.pick(100) });
                }
                if let (true, Some((_, message))) = (self.pick(2) == 0, self.sent.last()) {
                    body["replyTo"] = message["id"].clone();
                }
                (Method::POST, path, body)
            }
            (4, Some((_, message))) => {
                let path = format!("/messages/{}", message["id"]);
                (
                    Method::PATCH,
                    path,
                    json!({ "text": format!("edited {nth}") }),
                )
            }
            (5, Some((_, message))) => (
                Method::DELETE,
                format!("/messages/{}", message["id"]),
                Value::Null,
            ),
            (6 | 7, Some((_, message))) => {
                let key = ["a", "b", "%F0%9F%91%8D"][self.pick(3)];
                let path = format!("/messages/{}/reactions/{key}", message["id"]);
                let method = if act == 6 {
                    Method::PUT
                } else {
                    [Method::PUT, Method::DELETE][self.pick(2)].clone()
                };
                (method, path, Value::Null)
            }
            (8 | 9, _) => (
                Method::PUT,
                format!("{place}/read"),
                json!({ "number": self.pick(9), "back": true }),
            ),
            (10, _) => (
                Method::PUT,
                format!("/chats/{chat}/members/{peer}"),
                Value::Null,
            ),
            (11, _) => (
                Method::DELETE,
                format!("/chats/{chat}/members/{peer}"),
                Value::Null,
            ),
            (12, _) => {
                let role = ["moderator", "member", "reader"][self.pick(3)];
                let body =
                    json!({ "role": role, "message": { "text": format!("{peer} is {role}") } });
                (Method::PATCH, format!("/chats/{chat}/members/{peer}"), body)
            }
            _ => return,
        };
        let request = as_actor.request(method.clone(), &path);
        let sender = self.sent.get(nth).map_or(actor, |(sender, _)| *sender);
        let request = match (
            &method,
            path.starts_with("/messages/") && !path.contains("reactions"),
        ) {
            (&Method::PATCH | &Method::DELETE, true) => {
                let (as_sender, id) = (self.user(sender), &path);
                let tag = as_sender.get(id).await.json()["timestamp"].clone();
                as_sender
                    .request(method, &path)
                    .header("If-Match", tag.to_string())
            }
            _ => request,
        };
        let reply = Reply::of(Client::with_body(request, &path, &body)).await;
        if reply.status == 201 && path.ends_with("/messages") {
            self.sent.push((actor, reply.json()));
        }
    }
}

async fn world(database: &Database, seed: u64) -> World {
    let replica = Replica::start(database, administered()).await;
    let app = replica.application().await;
    let users: Vec<_> = ["jane", "john", "Kim", "ann@shop", "zoe"]
        .map(str::to_owned)
        .into();
    let mut world = World {
        replica,
        app,
        users,
        dice: Dice(seed),
        sent: Vec::new(),
    };
    for index in 0..3 {
        let owner = world.user(index);
        owner
            .chat(&format!("Chat {index}"), &["jane", "john", "zoe"])
            .await;
    }
    for _ in 0..400 {
        world.act().await;
    }
    assert!(world.sent.len() > 20, "{}", world.sent.len());
    world
}

#[tokio::test]
async fn what_one_installation_exports_has_the_same_histories_in_another() {
    for seed in 1..=4 {
        let database = Database::fresh().await;
        let world = world(&database, seed).await;
        let mut export = converter("messages_feed");
        let token = world.app.token().to_owned();
        export.env("BASE", &world.replica.base).env("TOKEN", &token);
        let file = run(export).await;
        let (_, copy) = other_application(&world.replica).await;
        import(&copy, &file).await;
        let (original, copied) = (
            archive(&world.app, &world.users).await,
            archive(&copy, &world.users).await,
        );
        assert!(original.len() > 5, "seed {seed}: {original:?}");
        assert_eq!(copied, original, "seed {seed}");
        // What was imported is exported as well.
        let mut export = converter("messages_feed");
        export
            .env("BASE", &world.replica.base)
            .env("TOKEN", copy.token());
        let (_, again) = other_application(&world.replica).await;
        import(&again, &run(export).await).await;
        assert_eq!(
            archive(&again, &world.users).await,
            original,
            "seed {seed}, again"
        );
    }
}
