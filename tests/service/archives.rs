//! Whole archives: of other systems, and of another installation of this service.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{Client, Database, Dice, Replica, Reply, SECRET, administered};

/// Lines of a request.
const LINES_MAX: usize = 1000;

fn converter(name: &str) -> Command {
    let path = format!("{}/examples/import/{name}.py", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.arg(path).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn succeeded(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

async fn run(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    succeeded(output.await.unwrap())
}

async fn import(app: &Client, file: &str) {
    let lines: Vec<_> = file.lines().collect();
    for part in lines.chunks(LINES_MAX) {
        let request = app.request(Method::POST, "/import").body(part.join("\n"));
        let reply = Reply::of(request.header(CONTENT_TYPE, "application/x-ndjson")).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        for result in reply.text.lines() {
            let result: Value = serde_json::from_str(result).unwrap();
            assert!(result["status"].as_i64() < Some(300), "{result}");
        }
    }
}

/// What is on all pages of a list, from the first one that follows a cursor.
async fn all(caller: &Client, path: &str, items: &str, after: Option<i64>) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), after.map(Value::from));
    loop {
        let cursor = match &after {
            Some(Value::String(user)) => format!("&after={user}"),
            Some(number) => format!("&after={number}"),
            None => String::new(),
        };
        let page = format!("{path}?limit=100&include=reactions{cursor}");
        let page = caller.get(&page).await.expect(200);
        found.extend(page[items].as_array().unwrap().iter().cloned());
        after = page.get("next").cloned();
        if after.is_none() {
            return found;
        }
    }
}

async fn history(caller: &Client, conversation: &str) -> Vec<Value> {
    all(
        caller,
        &format!("{conversation}/messages"),
        "messages",
        Some(0),
    )
    .await
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

/// Another application, and its client.
async fn other_application(replica: &Replica) -> (i64, Client) {
    let administrator = replica.administrator();
    let made = administrator
        .call(Method::POST, "/applications", json!({ "name": "copy" }))
        .await;
    let made = made.expect(201);
    (
        made["id"].as_i64().unwrap(),
        replica.with_token(made["token"].as_str().unwrap()),
    )
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

/// Where the data set is, if it could be fetched: see scripts/dataset.
fn dataset() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".local/data/chitchat_dataset-0.9.0-py3-none-any.whl");
    path.is_file().then_some(path)
}

/// What a message of the data set has.
fn parts(message: &Value) -> [Value; 3] {
    ["from", "created", "text"].map(|field| message[field].clone())
}

#[tokio::test]
async fn a_real_data_set_comes_back_with_every_time_and_count() {
    let Some(path) = dataset() else {
        println!("skipped: scripts/dataset could not fetch the data set");
        return;
    };
    let mut convert = converter("chitchat");
    convert.arg(&path);
    let file = run(convert).await;
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let folder = std::env::temp_dir().join(format!("chitchat-{}", std::process::id()));
    std::fs::write(&folder, &file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_messages"));
    command
        .args(["import", folder.to_str().unwrap()])
        .env("DATABASE_URL", &database.url)
        .env("MESSAGES_SECRET", SECRET);
    let said = run(command).await;
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(said.trim(), "272481 lines are stored");
    let counted = "SELECT count(*) FROM messages";
    assert_eq!(database.count(counted).await, 258_145);

    let mut expected: HashMap<String, Vec<[Value; 3]>> = HashMap::new();
    let mut keys = Vec::new();
    for line in file.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("chat").is_some() {
            keys.push(line["key"].as_str().unwrap().to_owned());
        }
        if let Some(message) = line.get("message") {
            let chat = message["chat"].as_str().unwrap().to_owned();
            expected.entry(chat).or_default().push(parts(message));
        }
    }
    assert_eq!(keys.len(), 7168);
    let mut feed = Command::new(env!("CARGO_BIN_EXE_messages"));
    feed.arg("feed").env("DATABASE_URL", &database.url);
    let mut stored: HashMap<i64, Vec<[Value; 3]>> = HashMap::new();
    for entry in run(feed).await.lines() {
        let entry: Value = serde_json::from_str(entry).unwrap();
        if let Some(message) = entry.get("message") {
            let chat = stored.entry(entry["chat"].as_i64().unwrap()).or_default();
            chat.push(parts(message));
            assert_eq!(message["number"], chat.len(), "{entry}");
        }
    }
    for (number, key) in (1..).zip(&keys) {
        assert_eq!(stored.get(&number), expected.get(key), "chat {number}");
    }
    for number in (1..=7168).step_by(200) {
        let history = history(&app, &format!("/chats/{number}")).await;
        let history: Vec<_> = history.iter().map(parts).collect();
        assert_eq!(stored.get(&number), Some(&history), "chat {number}");
    }
    database.until_indexed().await;
    let first = &expected[&keys[0]][0];
    let (sender, text) = (first[0].as_str().unwrap(), first[2].as_str().unwrap());
    let words = text.split(|letter: char| !letter.is_ascii_alphabetic());
    let longest = words.max_by_key(|word| word.len()).unwrap();
    let query = format!("/messages/search?q={longest}&from={sender}");
    let hits = replica.user(sender).get(&query).await.expect(200);
    let is_first = |hit: &Value| hit["message"]["text"] == text;
    assert!(
        hits["hits"].as_array().unwrap().iter().any(is_first),
        "{query}: {hits}"
    );
}

/// The converters of other systems' exports, on small exports, and their lines on the real service.
#[tokio::test]
async fn what_the_converters_make_is_imported() {
    run(converter("check")).await;
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/import/samples");
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let mut imported = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "ndjson")
        {
            let (_, app) = other_application(&replica).await;
            let file = std::fs::read_to_string(path).unwrap();
            import(&app, &file).await;
            let page = app
                .get("/feed?limit=1000&include=message")
                .await
                .expect(200);
            let entries = page["entries"].as_array().unwrap().iter();
            let found = entries.filter(|entry| entry["kind"] == "message.imported");
            let found: Vec<_> = found
                .map(|entry| entry["message"]["text"].clone())
                .collect();
            let lines = file.lines().map(|line| serde_json::from_str(line).unwrap());
            let messages = lines.filter_map(|line: Value| line.get("message").cloned());
            let texts: Vec<_> = messages.map(|message| message["text"].clone()).collect();
            assert_eq!(found, texts);
            imported += 1;
        }
    }
    assert!(imported >= 7, "{imported}");
}
