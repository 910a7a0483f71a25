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

/// What a message of the data set has: its sender, its time and its text.
type Parts = [Value; 3];

fn parts(message: &Value) -> Parts {
    ["from", "created", "text"].map(|field| message[field].clone())
}

/// Imports the data set as a file. Returns its lines.
async fn import_dataset(database: &Database, dataset: &Path) -> String {
    let mut convert = converter("chitchat");
    convert.arg(dataset);
    let file = run(convert).await;
    let place = std::env::temp_dir().join(format!("chitchat-{}", std::process::id()));
    std::fs::write(&place, &file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_messages"));
    command
        .args(["import", place.to_str().unwrap()])
        .env("DATABASE_URL", &database.url)
        .env("MESSAGES_SECRET", SECRET);
    let said = run(command).await;
    std::fs::remove_file(&place).unwrap();
    assert_eq!(said.trim(), "272481 lines are stored");
    file
}

/// The keys of the chats, in the order of the lines, and the messages under each key.
fn messages_of(file: &str) -> (Vec<String>, HashMap<String, Vec<Parts>>) {
    let (mut keys, mut messages) = (Vec::new(), HashMap::new());
    for line in file.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("chat").is_some() {
            keys.push(line["key"].as_str().unwrap().to_owned());
        }
        if let Some(message) = line.get("message") {
            let chat = message["chat"].as_str().unwrap().to_owned();
            let of_chat: &mut Vec<Parts> = messages.entry(chat).or_default();
            of_chat.push(parts(message));
        }
    }
    (keys, messages)
}

/// The messages of each chat by its number, as the feed has them.
async fn messages_in_feed(database: &Database) -> HashMap<i64, Vec<Parts>> {
    let mut feed = Command::new(env!("CARGO_BIN_EXE_messages"));
    feed.arg("feed").env("DATABASE_URL", &database.url);
    let mut messages: HashMap<i64, Vec<Parts>> = HashMap::new();
    for entry in run(feed).await.lines() {
        let entry: Value = serde_json::from_str(entry).unwrap();
        if let Some(message) = entry.get("message") {
            let of_chat = messages.entry(entry["chat"].as_i64().unwrap()).or_default();
            of_chat.push(parts(message));
            assert_eq!(message["number"], of_chat.len(), "{entry}");
        }
    }
    messages
}

/// The longest word of a chat that is plain letters between blanks and stops, and the number of its message.
fn longest_word(messages: &[Parts]) -> Option<(&str, usize)> {
    let is_stop = |letter: char| ".,!?".contains(letter);
    let texts = messages.iter().map(|[_, _, text]| text.as_str());
    let texts = (1..)
        .zip(texts)
        .filter_map(|(number, text)| Some((number, text?)));
    let words = texts.flat_map(|(number, text)| {
        let words = text.split_whitespace();
        words.map(move |word| (word.trim_matches(is_stop), number))
    });
    let is_plain = |word: &str| !word.is_empty() && word.bytes().all(|it| it.is_ascii_alphabetic());
    let plain = words.filter(|(word, _)| is_plain(word));
    plain.max_by_key(|(word, _)| word.len())
}

/// A word of a chat is found in it, by the sender and by the application: the message that has it, and nothing
/// without it or from elsewhere.
async fn a_word_is_found(replica: &Replica, app: &Client, chat: i64, messages: &[Parts]) {
    let (word, number) = longest_word(messages).expect("a word");
    let [from, _, text] = &messages[number - 1];
    let from = from.as_str().unwrap();
    let sender = replica.user(from);
    let narrowed = format!("/messages/search?chat={chat}&q={word}&limit=100");
    let inside = format!("/chats/{chat}/messages/search?q={word}&limit=100");
    for (caller, query) in [
        (&sender, narrowed),
        (&sender, inside.clone()),
        (app, inside),
    ] {
        let found = caller.get(&query).await.expect(200);
        let hits = found["hits"].as_array().unwrap();
        let hit = hits.iter().find(|hit| hit["message"]["number"] == number);
        let hit = hit.unwrap_or_else(|| panic!("{query}: {found}"));
        assert_eq!(hit["message"]["text"], *text, "{query}");
        let highlight = hit["highlight"].as_str().unwrap();
        assert!(highlight.contains(&format!("<mark>{word}</mark>")), "{hit}");
        for hit in hits {
            assert_eq!(hit["message"]["chat"], chat, "{query}");
            let text = hit["message"]["text"].as_str().unwrap().to_lowercase();
            assert!(text.contains(&word.to_lowercase()), "{query}: {hit}");
        }
    }
}

#[tokio::test]
async fn a_real_data_set_comes_back_with_every_time_and_count_and_is_found() {
    let Some(path) = dataset() else {
        println!("skipped: scripts/dataset could not fetch the data set");
        return;
    };
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let file = import_dataset(&database, &path).await;
    let counted = "SELECT count(*) FROM messages";
    assert_eq!(database.count(counted).await, 258_145);

    let (keys, expected) = messages_of(&file);
    assert_eq!(keys.len(), 7168);
    let stored = messages_in_feed(&database).await;
    for (number, key) in (1..).zip(&keys) {
        assert_eq!(stored.get(&number), expected.get(key), "chat {number}");
    }
    let samples = || (1..=7168).step_by(200);
    for number in samples() {
        let history = history(&app, &format!("/chats/{number}")).await;
        let history: Vec<_> = history.iter().map(parts).collect();
        assert_eq!(stored.get(&number), Some(&history), "chat {number}");
    }
    database.until_indexed().await;
    for number in samples() {
        a_word_is_found(&replica, &app, number, &stored[&number]).await;
    }
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
