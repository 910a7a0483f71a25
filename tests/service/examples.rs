//! The consumers of the feed in `examples`, as they stand. Each is killed, and misses nothing.

use std::{path::PathBuf, process::Stdio, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::support::{Client, Database, PATIENCE, Replica, administered, eventually, token};

/// A consumer that runs in a folder of its own, where it keeps its cursor.
struct Consumer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Where and for whom consumers run.
struct Place {
    database: Database,
    replica: Replica,
    token: String,
    folder: PathBuf,
}

impl Place {
    async fn make() -> Self {
        let database = Database::fresh().await;
        let settings = administered().calling_loopback();
        let replica = Replica::start(&database, settings).await;
        let administrator = replica.administrator();
        let path = "/applications/1/token";
        let made = administrator.call(Method::POST, path, Value::Null).await;
        let folder = format!("examples-{}", uuid::Uuid::new_v4());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            database,
            token: made.json()["token"].as_str().unwrap().to_owned(),
            replica,
            folder,
        }
    }

    /// Starts an example, and waits until it has asked for the feed.
    async fn start(&self, name: &str) -> Consumer {
        let consumer = self.launch(name, "127.0.0.1");
        eventually("its answer is held", async || {
            let held = self
                .replica
                .metric("messages_live_connections", "kind=\"poll\"");
            (held.await > 0.0).then_some(())
        })
        .await;
        consumer
    }

    /// Starts the bot that has a client of its own. It keeps its copy.
    fn launch_bot(&self) -> Consumer {
        let mut process = Command::new("node");
        process
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/echo.js"))
            .arg(&self.replica.base)
            .env("TOKEN", token(1, "echo", Duration::from_secs(3600)));
        self.spawn(process)
    }

    /// Starts an example; one that listens does at this address.
    fn launch(&self, name: &str, host: &str) -> Consumer {
        let example = format!("{}/examples/{name}.py", env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new("python3");
        process
            .arg(example)
            .env("BASE", &self.replica.base)
            .env("APP", &self.token)
            .env("HOST", host)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        self.spawn(process)
    }

    fn spawn(&self, mut process: Command) -> Consumer {
        let mut process = process
            .current_dir(&self.folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python and Node.js are installed");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Consumer { process, lines }
    }

    fn user(&self, id: &str) -> Client {
        self.replica.user(id)
    }

    fn application(&self) -> Client {
        self.replica.with_token(&self.token)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Consumer {
    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("the consumer says something")
            .unwrap()
            .expect("it runs")
    }

    /// Waits for a line, whatever comes before it.
    async fn line_like(&mut self, is_meant: impl Fn(&str) -> bool) {
        while !is_meant(&self.line().await) {}
    }

    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

#[tokio::test]
async fn push_wakes_those_who_have_no_stream_open() {
    let place = Place::make().await;
    let (jane, jim) = (place.user("jane"), place.user("jim"));
    let mut push = place.start("push").await;
    jane.send("john", "one").await;
    assert_eq!(push.line().await, "push to john: jane: one (1 unread)");
    push.kill().await;

    let mut stream = jim.stream("after=latest").await;
    stream.begin_current().await;
    let chat = jane.chat("Team", &["john", "jim"]).await;
    let is_connected = async || {
        let database = place
            .database
            .count("SELECT count(*) FROM presence WHERE user_id = 'jim'");
        (database.await == 1).then_some(())
    };
    eventually("the stream is recorded", is_connected).await;
    jane.post_into(chat, "two").await;
    let mut push = place.start("push").await;
    // The last one before the end may come again.
    let mut line = push.line().await;
    if line.contains("one") {
        line = push.line().await;
    }
    assert_eq!(line, "push to john: jane: two (1 unread)");
    jane.send("john", "three").await;
    assert_eq!(push.line().await, "push to john: jane: three (2 unread)");
}

/// What jane has of the conversation with the bot: her texts and its answers.
async fn conversation(jane: &Client) -> Vec<String> {
    let page = jane.get("/users/echo/messages?after=0").await.expect(200);
    let messages = page["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_bot_answers_every_message_once() {
    let place = Place::make().await;
    let jane = place.user("jane");
    let mut bot = place.start("bot").await;
    let sent = jane.send("echo", "hi").await;
    assert_eq!(bot.line().await, "answered jane");
    bot.kill().await;
    assert_eq!(conversation(&jane).await, ["hi", "You said: hi"]);
    let answer = jane.get("/users/echo/messages/2").await.expect(200);
    assert_eq!(answer["replyTo"], sent["id"]);

    jane.send("echo", "are you there?").await;
    jane.send("john", "echo is away").await;
    let mut bot = place.start("bot").await;
    jane.send("echo", "hello?").await;
    let last = "You said: hello?";
    eventually("it has answered", async || {
        conversation(&jane)
            .await
            .contains(&last.to_owned())
            .then_some(())
    })
    .await;
    let mut texts = conversation(&jane).await;
    texts.retain(|text| text.starts_with("You said"));
    assert_eq!(texts, ["You said: hi", "You said: are you there?", last]);
    assert_eq!(bot.line().await, "answered jane");
}

#[tokio::test]
async fn the_bot_passes_over_what_it_may_not_answer() {
    let place = Place::make().await;
    let (jane, kim) = (place.user("jane"), place.user("kim"));
    place.start("bot").await.kill().await;
    jane.send("echo", &"x".repeat(20_000)).await;
    kim.send("echo", "hi").await;
    kim.blocks("echo", true).await;
    jane.send("echo", "hi").await;
    let mut bot = place.start("bot").await;
    for status in [422, 403] {
        let line = bot.line().await;
        let says = format!("\"status\":{status}");
        assert!(
            line.starts_with("refused: POST /messages") && line.contains(&says),
            "{line}"
        );
    }
    assert_eq!(bot.line().await, "answered jane");
    bot.kill().await;
    assert_eq!(conversation(&jane).await[1..], ["hi", "You said: hi"]);
    let _bot = place.start("bot").await;
    jane.send("echo", "again").await;
    eventually("it goes on", async || {
        let texts = conversation(&jane).await;
        texts.contains(&"You said: again".to_owned()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn moderation_passes_over_what_nobody_may_delete() {
    let place = Place::make().await;
    place.start("moderation").await.kill().await;
    let stuck = place.user("jane").send("john", "darn").await;
    let jim = place.user("jim");
    let sent = jim.send("kate", "heck").await;
    let app = place.application();
    for user in ["jane", "john", "jim"] {
        let path = format!("/users/{user}/restrictions");
        let restrictions = json!({ "suspendedUntil": "2099-01-01T00:00:00Z" });
        let restricted = app.call(Method::PUT, &path, restrictions).await;
        restricted.expect(200);
    }
    let mut moderation = place.start("moderation").await;
    let refused = format!("refused: DELETE /messages/{}", stuck["id"]);
    // For john, and for jane.
    for _ in 0..2 {
        let line = moderation.line().await;
        assert!(line.starts_with(&refused), "{line}");
    }
    let deleted = format!("deleted message {} of jim", sent["id"]);
    assert_eq!(moderation.line().await, deleted);
    let path = format!("/messages/{}", sent["id"]);
    assert_eq!(jim.get(&path).await.expect(200)["deleted"], true);
    moderation.kill().await;

    let mut moderation = place.start("moderation").await;
    let next = place.user("kim").send("kate", "heck").await;
    let deleted = format!("deleted message {} of kim", next["id"]);
    moderation.line_like(|line| line == deleted).await;
}

#[tokio::test]
async fn moderation_deletes_what_is_sent_and_what_is_edited() {
    let place = Place::make().await;
    let jane = place.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let moderation = place.start("moderation").await;
    let is_deleted = async |message: &Value| {
        let path = format!("/messages/{}", message["id"]);
        eventually("the message is deleted", async || {
            let present = jane.get(&path).await.expect(200);
            (present["deleted"] == true).then_some(())
        })
        .await;
    };
    let in_chat = jane.post_into(chat, "What the HECK").await;
    is_deleted(&in_chat).await;
    moderation.kill().await;

    let personal = jane.send("john", "darn it").await;
    let innocent = jane.send("john", "a fine checkered shirt").await;
    let edited = jane.send("john", "fine").await;
    let edit = json!({ "text": "oh heck" });
    jane.patch(&edited["id"], &edited["timestamp"], edit)
        .await
        .expect(200);
    let _moderation = place.start("moderation").await;
    is_deleted(&personal).await;
    is_deleted(&edited).await;
    let path = format!("/messages/{}", innocent["id"]);
    assert_eq!(jane.get(&path).await.expect(200), innocent);
}

/// An address of this machine that nobody else uses: a port that is free now may be taken later.
fn own_host() -> String {
    let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
    format!("127.{}.{b}.{}", a.max(1), c.clamp(1, 254))
}

#[tokio::test]
async fn a_webhook_whose_secret_was_not_written_is_used_again() {
    let place = Place::make().await;
    let (host, jane) = (own_host(), place.user("jane"));
    let webhooks = || place.database.count("SELECT count(*) FROM webhooks");
    let mut hook = place.launch("webhook", &host);
    eventually("it has created its webhook", async || {
        (webhooks().await == 1).then_some(())
    })
    .await;
    jane.send("john", "one").await;
    assert_eq!(hook.line().await, "jane: one");
    hook.kill().await;
    std::fs::remove_file(place.folder.join("webhook.secret")).unwrap();

    jane.send("john", "two").await;
    let mut hook = place.launch("webhook", &host);
    hook.line_like(|line| line == "jane: two").await;
    assert_eq!(webhooks().await, 1);
}

#[tokio::test]
async fn a_webhook_misses_no_message_though_it_was_away() {
    let place = Place::make().await;
    let host = own_host();
    let mut hook = place.launch("webhook", &host);
    eventually("it has created its webhook", async || {
        let webhooks = place.database.count("SELECT count(*) FROM webhooks");
        (webhooks.await == 1).then_some(())
    })
    .await;
    let jane = place.user("jane");
    jane.send("john", "one").await;
    assert_eq!(hook.line().await, "jane: one");
    hook.kill().await;
    jane.send("john", "two").await;
    eventually("it is missed", async || {
        let failing = place
            .database
            .count("SELECT count(*) FROM webhooks WHERE failures > 0");
        (failing.await == 1).then_some(())
    })
    .await;
    let mut hook = place.launch("webhook", &host);
    // The last one before the end may come again.
    let mut line = hook.line().await;
    if line == "jane: one" {
        line = hook.line().await;
    }
    assert_eq!(line, "jane: two");
}

#[tokio::test]
async fn the_bot_with_a_client_answers_everything_once() {
    let place = Place::make().await;
    let jane = place.user("jane");
    let mut bot = place.launch_bot();
    jane.send("echo", "one").await;
    while bot.line().await != "answered jane: one" {}
    bot.kill().await;
    jane.send("echo", "two").await;
    let mut bot = place.launch_bot();
    while bot.line().await != "answered jane: two" {}
    let answers = async || {
        let page = jane.get("/users/echo/messages").await.expect(200);
        let messages = page["messages"].as_array().unwrap().iter().rev();
        let answers = messages.filter(|message| message["from"] == "echo");
        let texts = answers.map(|message| message["text"].as_str().unwrap().to_owned());
        texts.collect::<Vec<_>>()
    };
    eventually("it answers", async || {
        (answers().await.len() >= 2).then_some(())
    })
    .await;
    assert_eq!(answers().await, ["You said: one", "You said: two"]);
}
