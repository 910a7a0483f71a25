//! While a timeline is trimmed, nobody reads a page with a gap: a page has what comes next, or the reader is told
//! that it is behind.
//!
//! Triggers copy every entry that is written. Nobody trims the copy, so it is the timeline as it would be if
//! everything were kept. It is compared with what was acknowledged, and every answer is compared with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Included},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::support::{
    Block, Client, Database, PATIENCE, Replica, Stream, administered, eventually,
};

/// How often the timeline is trimmed while it is read.
const TRIMMINGS: usize = 8;

/// Each writer sends from one user to another one.
const WRITERS: [[&str; 2]; 4] = [
    ["jane", "john"],
    ["john", "jane"],
    ["kim", "john"],
    ["john", "kim"],
];

/// Who owns the entries of the feed.
const FEED: &str = "";

/// How many entries a slow reader takes at a time.
const SLOW_LIMIT: usize = 5;

/// Entries by timestamp, each with what it is about.
type Entries = BTreeMap<i64, String>;

/// The messages that were acknowledged: for each user whom they concern, and for the feed, their ids by timestamp.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<BTreeMap<&'static str, BTreeMap<i64, i64>>>>);

impl Sent {
    fn add(&self, users: [&'static str; 2], message: &Value) {
        let timestamp = message["timestamp"].as_i64().unwrap();
        let id = message["id"].as_i64().unwrap();
        let mut sent = self.0.lock().unwrap();
        for owner in users.into_iter().chain([FEED]) {
            sent.entry(owner).or_default().insert(timestamp, id);
        }
    }

    /// The newest one.
    fn last(&self, owner: &str) -> i64 {
        let sent = self.0.lock().unwrap();
        let last = sent.get(owner).and_then(|sent| sent.last_key_value());
        last.map_or(0, |(timestamp, _)| *timestamp)
    }

    fn all(&self) -> BTreeMap<&'static str, BTreeMap<i64, i64>> {
        self.0.lock().unwrap().clone()
    }
}

/// What a reader was answered.
#[derive(Debug)]
struct Answer {
    /// The cursor.
    after: i64,
    /// A page with fewer entries is the end of the timeline.
    limit: usize,
    /// The newest change that was acknowledged before the reader asked.
    acknowledged: i64,
    /// How often the timeline was trimmed before.
    trimmings: usize,
    found: Found,
}

#[derive(Debug)]
enum Found {
    Page {
        entries: Vec<(i64, String)>,
        next: i64,
    },
    Behind {
        trimmed: i64,
    },
}

impl Answer {
    /// What is wrong with it, compared with the whole timeline.
    fn fault(&self, whole: &Entries) -> Option<String> {
        let between = |after: i64, up_to: i64| {
            let range = (Excluded(after), Included(up_to.max(after)));
            let entries = whole.range::<i64, _>(range);
            entries.map(|(timestamp, subject)| (*timestamp, subject.clone()))
        };
        let is_right = match &self.found {
            Found::Page { entries, next } => {
                let has_all = between(self.after, *next).eq(entries.iter().cloned());
                let is_full = entries.len() >= self.limit;
                let is_at_end = between(*next, self.acknowledged).next().is_none();
                *next >= self.after && has_all && (is_full || is_at_end)
            }
            Found::Behind { trimmed } => between(self.after, *trimmed).next().is_some(),
        };
        (!is_right).then(|| format!("{self:?}"))
    }

    /// Whether it is a page on which there is something.
    fn has_entries(&self) -> bool {
        matches!(&self.found, Found::Page { entries, .. } if !entries.is_empty())
    }

    fn is_behind(&self) -> bool {
        matches!(self.found, Found::Behind { .. })
    }
}

/// What an entry of a page or of the feed is about.
fn subject(entry: &Value) -> String {
    let id = &entry["id"];
    match (entry["kind"].as_str(), entry["with"].as_str()) {
        (Some("message.created"), _) => format!("message.created {id}"),
        (Some(kind), _) => kind.to_owned(),
        (None, Some(with)) => format!("with {with}"),
        (None, None) => format!("message {id}"),
    }
}

fn entry(entry: &Value) -> (i64, String) {
    (entry["timestamp"].as_i64().unwrap(), subject(entry))
}

/// A reader of a timeline, which remembers what it was answered. It asks one replica after the other.
struct Reader {
    owner: &'static str,
    limit: usize,
    /// What else it asks for.
    query: &'static str,
    clients: [Client; 2],
    cursor: i64,
    sent: Sent,
    /// How often the timeline was trimmed.
    trimmings: watch::Receiver<usize>,
    answers: Vec<Answer>,
}

impl Reader {
    /// Reads on until the writers have stopped and everything is read.
    async fn follow(mut self, stopped: watch::Receiver<bool>) -> Self {
        while !self.is_done(&stopped) {
            self.read_page().await;
        }
        self
    }

    /// The same over a stream.
    async fn follow_stream(mut self, mut stopped: watch::Receiver<bool>) -> Self {
        let mut stream = self.open().await;
        while !self.is_done(&stopped) {
            let goes_on = tokio::select! {
                block = stream.block() => self.take_block(block).await,
                _ = stopped.changed() => true,
            };
            if !goes_on {
                stream = self.open().await;
            }
        }
        self
    }

    /// Reads one page each time that the timeline was trimmed, and so falls behind. When it begins anew, it reads
    /// another one.
    async fn read_slowly(mut self) -> Self {
        while self.trimmings.changed().await.is_ok() {
            self.read_page().await;
            if self.answers.last().is_some_and(Answer::is_behind) {
                self.read_page().await;
            }
        }
        self
    }

    /// The same over streams, of which it reads a few blocks.
    async fn read_streams_slowly(mut self) -> Self {
        while self.trimmings.changed().await.is_ok() {
            let mut stream = self.open().await;
            let before = self.answers.len();
            while self.answers.len() < before + SLOW_LIMIT {
                let block = stream.block().await;
                let is_over = block.as_ref().is_none_or(|block| block.event == "current");
                if is_over || !self.take_block(block).await {
                    break;
                }
            }
        }
        self
    }

    fn is_done(&self, stopped: &watch::Receiver<bool>) -> bool {
        *stopped.borrow() && self.cursor >= self.sent.last(self.owner)
    }

    /// The path of its timeline, and where the pages have their entries.
    fn timeline(&self) -> (&'static str, &'static str) {
        match self.owner {
            FEED => ("/feed", "entries"),
            _ => ("/messages", "messages"),
        }
    }

    fn next_client(&mut self) -> &Client {
        self.clients.rotate_left(1);
        &self.clients[0]
    }

    async fn read_page(&mut self) {
        let (path, entries) = self.timeline();
        let acknowledged = self.sent.last(self.owner);
        let path = format!(
            "{path}?after={}&limit={}{}",
            self.cursor, self.limit, self.query
        );
        let reply = self.next_client().get(&path).await;
        let found = if reply.status == 410 {
            let problem = reply.expect_problem(410, "cursor-behind");
            let trimmed = problem["trimmed"].as_i64().unwrap();
            Found::Behind { trimmed }
        } else {
            let page = reply.expect(200);
            let entries = page[entries].as_array().unwrap().iter();
            Found::Page {
                entries: entries.map(entry).collect(),
                next: page["next"].as_i64().unwrap(),
            }
        };
        self.take(found, self.limit, acknowledged).await;
    }

    async fn open(&mut self) -> Stream {
        let path = format!("{}?after={}", self.timeline().0, self.cursor);
        Stream::open(self.next_client().streaming(&path)).await
    }

    /// Takes a block of a stream. Returns whether the stream goes on.
    async fn take_block(&mut self, block: Option<Block>) -> bool {
        let Some(block) = block else {
            return false;
        };
        let found = match block.event.as_str() {
            "update" => Found::Page {
                entries: vec![entry(&block.data)],
                next: block.id.unwrap(),
            },
            "reset" => {
                assert_eq!(block.data["type"], "/problems/cursor-behind");
                let trimmed = block.data["trimmed"].as_i64().unwrap();
                Found::Behind { trimmed }
            }
            _ => return true,
        };
        let goes_on = matches!(found, Found::Page { .. });
        self.take(found, 1, 0).await;
        goes_on
    }

    /// Remembers an answer, and goes on after it. Who is behind begins anew, as the README says.
    async fn take(&mut self, found: Found, limit: usize, acknowledged: i64) {
        let after = self.cursor;
        self.cursor = match &found {
            Found::Page { next, .. } => *next,
            Found::Behind { trimmed } if self.owner == FEED => *trimmed,
            Found::Behind { .. } => {
                let list = self.next_client().get("/conversations").await;
                list.expect(200)["latest"].as_i64().unwrap()
            }
        };
        self.answers.push(Answer {
            after,
            limit,
            acknowledged,
            trimmings: *self.trimmings.borrow(),
            found,
        });
    }

    fn saw_no_gap(&self, whole: &Entries) {
        let answers = self.answers.iter();
        let faults: Vec<_> = answers.filter_map(|answer| answer.fault(whole)).collect();
        assert_eq!(faults, [""; 0], "{:?}", self.owner);
    }

    fn was_behind_and_went_on(&self) {
        let behind = self.answers.iter().filter(|answer| answer.is_behind());
        let pages = self.answers.iter().filter(|answer| answer.has_entries());
        let counts = (behind.count(), pages.count());
        assert!(counts.0 > 0 && counts.1 > 0, "{:?}: {counts:?}", self.owner);
    }
}

/// Has the database copy every entry that is written: of the timelines of the users, and of the feed.
async fn copy_entries(database: &Database) {
    database
        .execute(
            "CREATE TABLE every_entry (
                 owner text, timestamp bigint, subject text, PRIMARY KEY (owner, timestamp)
             );
             CREATE FUNCTION copy_update() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN
                 INSERT INTO every_entry VALUES (
                     NEW.user_id, NEW.timestamp,
                     coalesce('message ' || NEW.message_id, 'with ' || NEW.with_user)
                 );
                 RETURN NULL;
             END $$;
             CREATE TRIGGER copied AFTER INSERT ON updates
             FOR EACH ROW EXECUTE FUNCTION copy_update();
             CREATE FUNCTION copy_change() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN
                 INSERT INTO every_entry VALUES (
                     '', NEW.timestamp,
                     CASE NEW.kind WHEN 'message-created' THEN 'message.created ' || NEW.message_id
                                   ELSE 'messages.expired' END
                 );
                 RETURN NULL;
             END $$;
             CREATE TRIGGER copied AFTER INSERT ON changes FOR EACH ROW
             WHEN (NEW.kind IN ('message-created', 'messages-expired'))
             EXECUTE FUNCTION copy_change()",
        )
        .await;
}

/// All entries, by their owner.
async fn copied_entries(database: &Database) -> BTreeMap<String, Entries> {
    let mut connection = database.connect().await;
    let rows = sqlx::query("SELECT owner, timestamp, subject FROM every_entry");
    let mut copied: BTreeMap<String, Entries> = BTreeMap::new();
    for row in rows.fetch_all(&mut connection).await.unwrap() {
        let entries = copied.entry(row.get(0)).or_default();
        entries.insert(row.get(1), row.get(2));
    }
    copied
}

/// Sends from one user to another one until `stopped`.
async fn write(from: Client, users: [&'static str; 2], stopped: Arc<AtomicBool>, sent: Sent) {
    while !stopped.load(Ordering::SeqCst) {
        let message = from.send(users[1], "hello").await;
        sent.add(users, &message);
    }
}

/// Makes what is written up to a timestamp some days older, each row once: nobody else changes a row that is young.
async fn age_up_to(database: &Database, timestamp: i64) {
    for table in ["messages", "changes"] {
        let young = format!("timestamp <= {timestamp} AND created > now() - interval '1 day'");
        let set = "SET created = created - interval '3 days'";
        database
            .execute(&format!("UPDATE {table} {set} WHERE {young}"))
            .await;
    }
}

/// How many updates were deleted.
async fn deleted(replicas: &[Replica; 2]) -> f64 {
    let mut deleted = 0.0;
    for replica in replicas {
        let label = "table=\"updates\"";
        deleted += replica.metric("messages_trimmed_total", label).await;
    }
    deleted
}

/// Has the timeline trimmed again and again, each time up to where it ended when it was trimmed before, and says
/// so each time. So what a reader begins anew with is still there the next time, and not the time after that.
async fn trim(database: &Database, replicas: &[Replica; 2], trimmings: &watch::Sender<usize>) {
    let newest = "SELECT max(timestamp) FROM changes";
    let mut end = database.count(newest).await;
    let (mut trimmed, mut gone) = (0, 0.0);
    for turn in 1..=TRIMMINGS {
        age_up_to(database, end).await;
        let before = (trimmed, gone);
        trimmed = eventually("the timeline is trimmed further", async || {
            let now = database.count("SELECT trimmed FROM applications").await;
            (now > before.0).then_some(now)
        })
        .await;
        gone = eventually("updates are deleted", async || {
            let now = deleted(replicas).await;
            (now > before.1).then_some(now)
        })
        .await;
        end = database.count(newest).await;
        trimmings.send_replace(turn);
    }
}

/// The whole timelines: they have every message that was acknowledged, and no other one.
async fn whole_timelines(database: &Database, sent: &Sent) -> BTreeMap<String, Entries> {
    let whole = copied_entries(database).await;
    for (owner, sent) in sent.all() {
        let kind = if owner == FEED {
            "message.created"
        } else {
            "message"
        };
        let expected = sent.iter().map(|(at, id)| (*at, format!("{kind} {id}")));
        let expected: Entries = expected.collect();
        let is_message = |subject: &str| subject.starts_with(&format!("{kind} "));
        let messages = whole[owner]
            .iter()
            .filter(|(_, subject)| is_message(subject));
        let messages: Entries = messages.map(|(at, it)| (*at, it.clone())).collect();
        assert_eq!(messages, expected, "{owner}");
        assert!(
            whole[owner].len() > expected.len(),
            "{owner}: that messages expire is an entry, too"
        );
    }
    whole
}

async fn ended(readers: Vec<JoinHandle<Reader>>) -> Vec<Reader> {
    let mut ended = Vec::new();
    for reader in readers {
        let reading = timeout(PATIENCE, reader).await;
        ended.push(reading.expect("the reader comes to the end").unwrap());
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_while_a_timeline_is_trimmed_sees_no_gap() {
    let database = Database::fresh().await;
    let settings = || administered().with("RETENTION_PERIOD", "1");
    let replicas = [
        Replica::start(&database, settings()).await,
        Replica::start(&database, settings()).await,
    ];
    let app = replicas[0].application().await;
    copy_entries(&database).await;
    let policy = json!({ "policy": { "retentionDays": 1 } });
    let kept = app.call(Method::PATCH, "/applications/self", policy).await;
    kept.expect(200);

    let (sent, stopped) = (Sent::default(), Arc::new(AtomicBool::new(false)));
    let (trimmings, no_more) = (watch::Sender::new(0), watch::Sender::new(false));
    let reader = |owner: &'static str, limit: usize, query: &'static str| Reader {
        owner,
        limit,
        query,
        clients: [0, 1].map(|place| match owner {
            FEED => app.at(&replicas[place].base),
            user => replicas[place].user(user),
        }),
        cursor: 0,
        sent: sent.clone(),
        trimmings: trimmings.subscribe(),
        answers: Vec::new(),
    };
    let followers = vec![
        tokio::spawn(reader("john", 100, "&wait=1").follow(no_more.subscribe())),
        tokio::spawn(reader("jane", 100, "&wait=1&include=message").follow(no_more.subscribe())),
        tokio::spawn(reader(FEED, 100, "&wait=1").follow(no_more.subscribe())),
        tokio::spawn(reader("john", 1, "").follow_stream(no_more.subscribe())),
    ];
    let slow = vec![
        tokio::spawn(reader("john", SLOW_LIMIT, "").read_slowly()),
        tokio::spawn(reader("jane", SLOW_LIMIT, "&include=message").read_slowly()),
        tokio::spawn(reader(FEED, SLOW_LIMIT, "").read_slowly()),
        tokio::spawn(reader("john", 1, "").read_streams_slowly()),
    ];
    let writers = WRITERS.into_iter().enumerate().map(|(number, users)| {
        let from = replicas[number % 2].user(users[0]);
        tokio::spawn(write(from, users, Arc::clone(&stopped), sent.clone()))
    });
    let writers: Vec<_> = writers.collect();
    eventually("everybody has written", async || {
        let has_written = |users: &[&str; 2]| sent.last(users[0]) > 0 && sent.last(users[1]) > 0;
        WRITERS.iter().all(has_written).then_some(())
    })
    .await;

    trim(&database, &replicas, &trimmings).await;
    stopped.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    no_more.send_replace(true);
    let followers = ended(followers).await;
    drop(trimmings);
    let slow = ended(slow).await;
    let whole = whole_timelines(&database, &sent).await;
    for reader in followers.iter().chain(&slow) {
        reader.saw_no_gap(&whole[reader.owner]);
    }
    for reader in &followers {
        let pages = reader.answers.iter().filter(|answer| answer.has_entries());
        let turns: BTreeSet<_> = pages.map(|answer| answer.trimmings).collect();
        assert!(turns.len() >= TRIMMINGS, "pages between all: {turns:?}");
    }
    for reader in &slow {
        reader.was_behind_and_went_on();
    }
}

/// If the judge saw nothing wrong with these, the test above would prove nothing.
#[test]
fn the_judge_finds_a_page_with_a_gap() {
    let subject = |timestamp: i64| format!("message {timestamp}");
    let whole: Entries = [3, 5, 8, 9].map(|at| (at, subject(at))).into();
    let fault = |after: i64, found: Found| {
        let answer = Answer {
            after,
            limit: 2,
            acknowledged: 8,
            trimmings: 0,
            found,
        };
        answer.fault(&whole)
    };
    let page = |after: i64, timestamps: &[i64], next: i64| {
        let entries = timestamps.iter().map(|at| (*at, subject(*at))).collect();
        fault(after, Found::Page { entries, next })
    };
    let right: [(i64, &[i64], i64); 7] = [
        (0, &[3, 5], 5),
        (3, &[5, 8], 8),
        (4, &[5, 8], 8),
        (5, &[8], 8),
        (8, &[9], 9),
        (8, &[], 8),
        // The cursor of the feed moves on beyond the last entry.
        (9, &[], 12),
    ];
    for (after, timestamps, next) in right {
        assert_eq!(page(after, timestamps, next), None, "{timestamps:?}");
    }
    let wrong: [(i64, &[i64], i64, &str); 9] = [
        (0, &[5, 8], 8, "the first one is left out"),
        (0, &[3, 8], 8, "one in the middle is left out"),
        (0, &[3], 3, "acknowledged ones are left out at the end"),
        (0, &[3, 5], 8, "the cursor is moved beyond one"),
        (0, &[], 8, "all are left out"),
        (3, &[], 3, "nothing is found where there is something"),
        (3, &[3, 5], 5, "one comes again"),
        (3, &[8, 5], 8, "they do not ascend"),
        (5, &[], 3, "the cursor is moved back"),
    ];
    for (after, timestamps, next, what) in wrong {
        assert!(page(after, timestamps, next).is_some(), "{what}");
    }
    let other = vec![(5, subject(5)), (8, "with jane".to_owned())];
    let other = fault(
        3,
        Found::Page {
            entries: other,
            next: 8,
        },
    );
    assert!(other.is_some(), "an entry is about something else");
    assert_eq!(fault(3, Found::Behind { trimmed: 5 }), None);
    let in_vain = fault(5, Found::Behind { trimmed: 7 });
    assert!(in_vain.is_some(), "nothing is missing after the cursor");
}
