//! `messages import` that is killed, and repeated as it is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use sqlx::Row;
use tokio::process::{Child, Command};

use crate::support::{
    Database, Dice, Replica, SECRET, administered, eventually, new_seed, repeated_seed,
};

const CHATS: usize = 40;
const MEMBERS: [&str; 3] = ["jane", "john", "kim"];
const PAIRS: usize = 20;
const MESSAGES: usize = 12_000;

/// After how many lines a run is killed, at the most; it stores some more until the test sees that they are there.
const LINES_TO_KILL_MAX: usize = 1000;

/// How many lines are stored: those that begin conversations, messages, and ends.
const STORED: &str = "
    SELECT (SELECT count(*) FROM conversations) + (SELECT count(*) FROM messages)
         + (SELECT count(*) FROM conversations WHERE NOT importing)";

/// Lines to import, and what is to come out of them.
#[derive(Default)]
struct Lines {
    lines: Vec<Value>,
    /// The texts in each conversation, in their order: they are numbers.
    texts: BTreeMap<String, Vec<usize>>,
    replies: usize,
    reactions: usize,
}

/// A conversation of the file.
struct Place {
    name: String,
    begin: Value,
    /// What each of its messages has.
    message: Value,
    end: Value,
}

impl Place {
    fn chat(number: usize) -> Self {
        let name = format!("chat-{number}");
        Self {
            begin: json!({ "key": name, "chat": { "name": name, "members": MEMBERS } }),
            message: json!({ "chat": name, "from": MEMBERS[number % MEMBERS.len()] }),
            end: json!({ "key": "end", "done": { "chat": name } }),
            name,
        }
    }

    fn pair(number: usize) -> Self {
        let [name, other] = ["a", "b"].map(|letter| format!("{letter}-{number}"));
        Self {
            begin: json!({ "key": name, "personal": [name, other] }),
            message: json!({ "from": other, "to": name }),
            end: json!({ "key": "end", "done": { "personal": [name, other] } }),
            name,
        }
    }
}

impl Lines {
    fn chosen_by(dice: &mut Dice) -> Self {
        let chats = (0..CHATS).map(Place::chat);
        let places: Vec<_> = chats.chain((0..PAIRS).map(Place::pair)).collect();
        let mut file = Self::default();
        file.lines.extend(places.iter().map(|it| it.begin.clone()));
        for number in 0..MESSAGES {
            file.add(&places[dice.roll(places.len())], number, dice);
        }
        file.lines.extend(places.into_iter().map(|it| it.end));
        file
    }

    fn add(&mut self, place: &Place, number: usize, dice: &mut Dice) {
        let texts = self.texts.entry(place.name.clone()).or_default();
        let mut message = place.message.clone();
        message["text"] = json!(number.to_string());
        message["created"] = json!("2019-03-01T10:00:00Z");
        if let (0, Some(previous)) = (dice.roll(3), texts.last()) {
            message["replyTo"] = json!(format!("m{previous}"));
            self.replies += 1;
        }
        if dice.roll(5) == 0 {
            message["reactions"] = json!({ "👍": ["jane", "john"] });
            self.reactions += 2;
        }
        texts.push(number);
        let key = format!("m{number}");
        self.lines.push(json!({ "key": key, "message": message }));
    }

    fn write(&self) -> PathBuf {
        let name = format!("import-{}.ndjson", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn run(database: &Database, file: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_messages"))
        .arg("import")
        .arg(file)
        .env("DATABASE_URL", &database.url)
        .env("MESSAGES_SECRET", SECRET)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Runs an import again and again, and kills it while it stores lines, until one comes to its end. Returns how
/// many were killed.
async fn run_and_kill(database: &Database, file: &Path, dice: &mut Dice) -> (usize, Output) {
    let mut kills = 0;
    loop {
        let more = 1 + dice.roll(LINES_TO_KILL_MAX);
        let target = database.count(STORED).await + more as i64;
        let mut running = run(database, file);
        let has_ended = eventually("more lines are stored, or the run has ended", async || {
            if running.try_wait().unwrap().is_some() {
                return Some(true);
            }
            (database.count(STORED).await >= target).then_some(false)
        })
        .await;
        if has_ended {
            return (kills, running.wait_with_output().await.unwrap());
        }
        running.kill().await.unwrap();
        let status = running.wait().await.unwrap();
        // One that ends at that very moment has a code.
        kills += usize::from(status.code().is_none());
    }
}

/// The texts in each conversation by their numbers, of which there is no gap, with ids in the same order.
async fn stored_texts(database: &Database) -> BTreeMap<String, Vec<usize>> {
    let rows = sqlx::query(
        "SELECT coalesce(c.name, c.least), m.number, m.id, m.text
         FROM messages AS m
         JOIN conversations AS c ON c.application_id = m.application_id AND c.id = m.conversation_id
         ORDER BY m.conversation_id, m.number",
    );
    let rows = rows.fetch_all(&mut database.connect().await).await.unwrap();
    let mut texts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let conversation: String = row.get(0);
        let of_conversation = texts.entry(conversation.clone()).or_default();
        of_conversation.push(row.get::<String, _>(3).parse().unwrap());
        let number: i64 = row.get(1);
        assert_eq!(number, of_conversation.len() as i64, "{conversation}");
        let id: i64 = row.get(2);
        let before = newest.insert(conversation.clone(), id);
        assert!(before < Some(id), "{conversation}: {before:?}, {id}");
    }
    texts
}

/// Everything else that follows from the lines is there once.
async fn all_is_stored_once(database: &Database, file: &Lines, repeat: &str) {
    let replies = "SELECT count(*) FROM messages AS m
         JOIN messages AS r ON r.application_id = m.application_id AND r.id = m.reply_to
          AND r.conversation_id = m.conversation_id AND r.number = m.number - 1";
    let members = CHATS * MEMBERS.len();
    for (query, expected) in [
        (STORED, file.lines.len()),
        ("SELECT count(*) FROM conversations", CHATS + PAIRS),
        ("SELECT count(*) FROM messages", MESSAGES),
        (replies, file.replies),
        (
            "SELECT count(*) FROM messages WHERE reply_to IS NOT NULL",
            file.replies,
        ),
        ("SELECT count(*) FROM reactions", file.reactions),
        ("SELECT count(*) FROM chat_members", members),
        ("SELECT count(*) FROM importing_members", 0),
        // Each user learns of each of its conversations by one entry.
        ("SELECT count(*) FROM updates", members + 2 * PAIRS),
        // Two changes of each conversation, and one of each message.
        ("SELECT count(*) FROM changes", file.lines.len()),
    ] {
        let found = database.count(query).await;
        assert_eq!(found, expected as i64, "{repeat}: {query}");
    }
}

#[tokio::test]
async fn an_import_that_is_killed_is_repeated_until_it_ends_and_stores_everything_once() {
    let seed = repeated_seed("IMPORT_SEED").unwrap_or_else(new_seed);
    let (repeat, mut dice) = (format!("IMPORT_SEED={seed}"), Dice(seed));
    eprintln!("{repeat}");
    let database = Database::fresh().await;
    let _beside = Replica::start(&database, administered()).await;
    // So no run ends before its number of messages was looked at.
    database
        .execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
             CREATE TRIGGER wait AFTER INSERT ON messages FOR EACH STATEMENT EXECUTE FUNCTION wait()",
        )
        .await;
    let lines = Lines::chosen_by(&mut dice);
    let file = lines.write();
    let (kills, output) = run_and_kill(&database, &file, &mut dice).await;
    let again = run(&database, &file).wait_with_output().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(kills > 1, "{repeat}: {kills} runs were killed");
    let all = format!("{} lines are stored", lines.lines.len());
    for output in [output, again] {
        assert!(output.status.success(), "{repeat}: {:?}", output.status);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), all);
    }
    assert_eq!(stored_texts(&database).await, lines.texts, "{repeat}");
    all_is_stored_once(&database, &lines, &repeat).await;
}
