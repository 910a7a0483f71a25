//! What one installation exports is the same in another one: in worlds whose acts follow from seeds.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    archives::{all, converter, history, import, run},
    support::{Client, Database, Dice, Replica, Reply, administered, new_seed, repeated_seed},
};

const CHATS: usize = 3;

/// What users and the application do in a world, or try to do.
const ACTS: usize = 400;

/// What an archive has of a chat, beside its members and its messages.
const OF_CHAT: [&str; 12] = [
    "name",
    "owner",
    "created",
    "members",
    "messages",
    "attributes",
    "posting",
    "frozen",
    "history",
    "slowMode",
    "reactions",
    "retentionDays",
];

/// Two seeds that stay, and two new ones; or the one that repeats the world of a test that has failed.
fn seeds() -> Vec<u64> {
    match repeated_seed("ROUND_TRIP_SEED") {
        Some(seed) => vec![seed],
        None => vec![1, 2, new_seed(), new_seed()],
    }
}

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
            let mentions = mentions.as_array().unwrap().iter();
            let mentions: Vec<_> = mentions.filter(is_member).cloned().collect();
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
        archive.push(archived_chat(app, &chat).await);
    }
    for (place, one) in users.iter().enumerate() {
        for other in &users[place..] {
            archive.extend(archived_pair(app, one, other).await);
        }
    }
    archive
}

async fn archived_chat(app: &Client, chat: &Value) -> Value {
    let path = format!("/chats/{}", chat["number"]);
    let (mut names, mut members) = (Vec::new(), Vec::new());
    for member in all(app, &format!("{path}/members"), "members", None).await {
        let name = member["user"].as_str().unwrap().to_owned();
        let parts = ["role", "since", "read"].map(|field| member.get(field).cloned());
        let seen = seen_by(&app.acting_as(&name), &path).await;
        members.push(json!({ "user": name, "parts": parts, "seen": seen }));
        names.push(name);
    }
    let about = OF_CHAT.map(|field| chat.get(field).cloned());
    let history = portable(history(app, &path).await, &names);
    json!({ "chat": about, "members": members, "history": history })
}

/// A chat as one of its members sees it, with the numbers of the messages that it reads.
async fn seen_by(member: &Client, path: &str) -> Value {
    let chat = member.get(path).await.expect(200);
    let seen = ["role", "read", "unread", "mentions", "reads"];
    let seen = seen.map(|field| chat.get(field).cloned());
    let history = history(member, path).await;
    let numbers = history.iter().map(|message| message["number"].clone());
    let newest = &chat["message"]["number"];
    json!({ "seen": seen, "newest": newest, "numbers": Value::from_iter(numbers) })
}

/// `None` if the users have not written to each other.
async fn archived_pair(app: &Client, one: &str, other: &str) -> Option<Value> {
    let (acting, path) = (app.acting_as(one), format!("/users/{other}"));
    let seen = acting.get(&path).await;
    if seen.status == 404 {
        return None;
    }
    let seen = seen.expect(200);
    let users = [one.to_owned(), other.to_owned()];
    let history = portable(history(&acting, &path).await, &users);
    let seen =
        ["created", "messages", "read", "unread", "reads"].map(|field| seen.get(field).cloned());
    Some(json!({ "pair": users, "seen": seen, "history": history }))
}

/// How many members do not read everything of their chats.
fn late_members(archive: &[Value]) -> usize {
    let length = |list: &Value| list.as_array().map_or(0, Vec::len);
    let late = archive.iter().map(|conversation| {
        let members = conversation["members"].as_array().into_iter().flatten();
        let read = members.map(|member| length(&member["seen"]["numbers"]));
        let messages = length(&conversation["history"]);
        read.filter(|read| *read < messages).count()
    });
    late.sum()
}

/// A world of some users whose acts follow from a seed.
struct World {
    replica: Replica,
    app: Client,
    users: Vec<String>,
    dice: Dice,
    /// What was sent, and by which user.
    sent: Vec<(usize, Value)>,
}

/// A call of a user or of the application.
struct Act {
    caller: Client,
    method: Method,
    path: String,
    body: Value,
    /// It needs the timestamp of what it changes.
    is_conditional: bool,
}

impl Act {
    fn new(caller: Client, method: Method, path: String, body: Value) -> Self {
        Self {
            caller,
            method,
            path,
            body,
            is_conditional: false,
        }
    }

    fn conditional(self) -> Self {
        Self {
            is_conditional: true,
            ..self
        }
    }

    async fn done(self) -> Reply {
        let request = self.caller.request(self.method, &self.path);
        let request = match self.is_conditional {
            true => {
                let now = self.caller.get(&self.path).await.json();
                request.header("If-Match", now["timestamp"].to_string())
            }
            false => request,
        };
        Reply::of(Client::with_body(request, &self.path, &self.body)).await
    }
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
        let users = self.users.len();
        let (actor, peer, chat) = (self.pick(users), self.pick(users), self.pick(CHATS) + 1);
        let peer = self.users[peer].clone();
        let nth = self.pick(1 + self.sent.len());
        let act = match (self.pick(16), self.sent.get(nth).cloned()) {
            (0..5, _) => {
                let reply = self.post(actor, &peer, chat).done().await;
                if reply.status == 201 {
                    self.sent.push((actor, reply.json()));
                }
                return;
            }
            (5..9, Some((sender, message))) => self.change_message(actor, sender, &message),
            (9..11, _) => {
                let place = [format!("/chats/{chat}"), format!("/users/{peer}")];
                let path = format!("{}/read", place[self.pick(2)]);
                let body = json!({ "number": self.pick(20), "back": true });
                Act::new(self.user(actor), Method::PUT, path, body)
            }
            (11..15, _) => self.change_members(actor, &peer, chat),
            (15, _) => self.change_rules(chat),
            _ => return,
        };
        act.done().await;
    }

    /// A message into a chat or to a user.
    fn post(&mut self, actor: usize, peer: &str, chat: usize) -> Act {
        let mut body = json!({ "text": format!("words {}", self.pick(1000)) });
        let (path, place, name) = match self.pick(3) {
            0 => ("/messages".to_owned(), "to", json!(peer)),
            _ => (format!("/chats/{chat}/messages"), "chat", json!(chat)),
        };
        if place == "to" {
            body["to"] = name.clone();
        }
        match self.pick(6) {
            0 | 1 => body["mentions"] = json!([peer]),
            2 => body["mentionsAll"] = json!(true),
            _ => {}
        }
        if self.pick(3) == 0 {
            body["files"] = json!([format!("file-{}", self.pick(100))]);
            body["attributes"] = json!({ "n": self.pick(100) });
        }
        let is_there = |(sender, message): &&(usize, Value)| {
            message[place] == name && (place == "chat" || *sender == actor)
        };
        let earlier = self.sent.iter().rev().find(is_there);
        let earlier = earlier.map(|(_, message)| message["id"].clone());
        if let Some(id) = earlier.filter(|_| self.dice.roll(2) == 0) {
            body["replyTo"] = id;
        }
        Act::new(self.user(actor), Method::POST, path, body)
    }

    /// An edit or a deletion by the sender of a message, or a reaction.
    fn change_message(&mut self, actor: usize, sender: usize, message: &Value) -> Act {
        let path = format!("/messages/{}", message["id"]);
        match self.pick(6) {
            0 => {
                let body = json!({ "text": format!("edited {}", self.pick(1000)) });
                Act::new(self.user(sender), Method::PATCH, path, body).conditional()
            }
            1 => Act::new(self.user(sender), Method::DELETE, path, Value::Null).conditional(),
            choice => {
                let key = ["a", "b", "%F0%9F%91%8D"][self.pick(3)];
                let method = match choice {
                    2 => Method::DELETE,
                    _ => Method::PUT,
                };
                let path = format!("{path}/reactions/{key}");
                Act::new(self.user(actor), method, path, Value::Null)
            }
        }
    }

    /// The application adds whom it likes, so many join late.
    fn change_members(&mut self, actor: usize, peer: &str, chat: usize) -> Act {
        let (app, as_actor) = (self.app.clone(), self.user(actor));
        let path = format!("/chats/{chat}/members/{peer}");
        match self.pick(4) {
            0 | 1 => Act::new(app, Method::PUT, path, Value::Null),
            2 => Act::new(as_actor, Method::DELETE, path, Value::Null),
            _ => {
                let role = ["moderator", "member", "reader"][self.pick(3)];
                let words = format!("{peer} is {role}");
                let body = json!({ "role": role, "message": { "text": words } });
                let caller = [app, as_actor][self.pick(2)].clone();
                Act::new(caller, Method::PATCH, path, body)
            }
        }
    }

    /// Other rules of a chat. Those by which most messages are refused come seldom, and soon end. A slow chat has its
    /// members wait for a day, so what is refused does not depend on how long a world takes.
    fn change_rules(&mut self, chat: usize) -> Act {
        let body = match self.pick(10) {
            0..4 => json!({ "history": "joined" }),
            4 => json!({ "history": "all" }),
            5 => json!({ "reactions": self.pick(2) == 0 }),
            6 => json!({ "retentionDays": 36_500 - self.pick(2) }),
            7 => match self.pick(3) {
                0 => json!({ "slowMode": 86_400 }),
                1 => json!({ "frozen": true }),
                _ => json!({ "posting": "moderators" }),
            },
            _ => json!({ "slowMode": 0, "frozen": false, "posting": "members" }),
        };
        let path = format!("/chats/{chat}");
        Act::new(self.app.clone(), Method::PATCH, path, body).conditional()
    }
}

async fn world(database: &Database, seed: u64) -> World {
    let replica = Replica::start(database, administered()).await;
    let app = replica.application().await;
    let users = ["jane", "john", "Kim", "ann@shop", "zoe"].map(str::to_owned);
    let mut world = World {
        replica,
        app,
        users: users.into(),
        dice: Dice(seed),
        sent: Vec::new(),
    };
    for index in 0..CHATS {
        let owner = world.user(index);
        let name = format!("Chat {index}");
        owner.chat(&name, &["jane", "john", "zoe"]).await;
    }
    for _ in 0..ACTS {
        world.act().await;
    }
    world
}

/// Another installation, which has what an application of one exports.
struct Elsewhere {
    app: Client,
    replica: Replica,
    _database: Database,
}

async fn copied(replica: &Replica, app: &Client) -> Elsewhere {
    let mut export = converter("messages_feed");
    export.env("BASE", &replica.base).env("TOKEN", app.token());
    let file = run(export).await;
    let secret = "the secret of another installation, which is long enough";
    let settings = administered().with("MESSAGES_SECRET", secret);
    let database = Database::fresh().await;
    let replica = Replica::start(&database, settings).await;
    let app = replica.application().await;
    import(&app, &file).await;
    Elsewhere {
        app,
        replica,
        _database: database,
    }
}

#[tokio::test]
async fn what_one_installation_exports_has_the_same_histories_in_another() {
    let (seeds, mut late) = (seeds(), 0);
    for seed in &seeds {
        let repeat = format!("ROUND_TRIP_SEED={seed}");
        eprintln!("{repeat}");
        let database = Database::fresh().await;
        let world = world(&database, *seed).await;
        assert!(world.sent.len() > 20, "{repeat}: {}", world.sent.len());
        let original = archive(&world.app, &world.users).await;
        assert!(original.len() > 5, "{repeat}: {original:?}");
        late += late_members(&original);
        let copy = copied(&world.replica, &world.app).await;
        assert_eq!(archive(&copy.app, &world.users).await, original, "{repeat}");
        // What was imported is exported as well.
        let again = copied(&copy.replica, &copy.app).await;
        assert_eq!(
            archive(&again.app, &world.users).await,
            original,
            "{repeat}, again"
        );
    }
    // One world alone may have nobody who joined late where that matters.
    assert!(late > 0 || seeds.len() == 1, "everybody reads everything");
}
