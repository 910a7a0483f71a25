//! Whole archives of other systems.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Reply, SECRET, administered};

/// Lines of a request.
const LINES_MAX: usize = 1000;

pub fn converter(name: &str) -> Command {
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

pub async fn run(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    succeeded(output.await.unwrap())
}

pub async fn import(app: &Client, file: &str) {
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
pub async fn all(caller: &Client, path: &str, items: &str, after: Option<i64>) -> Vec<Value> {
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

/// What the caller reads of a conversation.
pub async fn history(caller: &Client, conversation: &str) -> Vec<Value> {
    all(
        caller,
        &format!("{conversation}/messages"),
        "messages",
        Some(0),
    )
    .await
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
