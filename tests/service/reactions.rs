//! Reactions to messages: exact under concurrent writers, shown as state, gone with their message.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Client, Database, Replica, Reply, Settings, administered, eventually, open_lane, service,
};

/// How many members react while the lane is held.
const AT_ONCE: usize = 250;

const THUMB: &str = "%F0%9F%91%8D";

async fn react(user: &Client, message: &Value, key: &str) -> Reply {
    let path = format!("/messages/{}/reactions/{key}", message["id"]);
    user.ask(Method::PUT, &path, None).await
}

async fn take_back(user: &Client, message: &Value, key: &str) -> Reply {
    let path = format!("/messages/{}/reactions/{key}", message["id"]);
    user.ask(Method::DELETE, &path, None).await
}

/// The reactions to a message, as `include=reactions` shows them.
async fn shown(user: &Client, message: &Value) -> Value {
    let path = format!("/messages/{}?include=reactions", message["id"]);
    let read = user.get(&path).await.expect(200);
    read.get("reactions").cloned().unwrap_or(json!({}))
}

/// Everything after a cursor, page by page, with `include`.
async fn all_after(user: &Client, mut after: i64, include: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    loop {
        let page = user.sync(&format!("after={after}&{include}")).await;
        entries.extend(page["messages"].as_array().unwrap().iter().cloned());
        after = page["next"].as_i64().unwrap();
        if after >= page["latest"].as_i64().unwrap() {
            return entries;
        }
    }
}

#[tokio::test]
async fn a_reaction_is_a_sibling_of_its_message_and_is_told_to_both() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "hi").await;
    assert_eq!(shown(&john, &sent).await, json!({}));
    let latest = john.sync("").await["latest"].clone();
    assert_eq!(react(&john, &sent, THUMB).await.status, 201);
    assert_eq!(react(&john, &sent, THUMB).await.status, 204);
    assert_eq!(react(&jane, &sent, THUMB).await.status, 201);
    assert_eq!(react(&jane, &sent, "%2B1").await.status, 201);
    let expected = json!({
        "👍": { "count": 2, "users": ["john", "jane"] },
        "+1": { "count": 1, "users": ["jane"] }
    });
    for user in [&jane, &john] {
        assert_eq!(shown(user, &sent).await, expected);
        let news = user
            .sync(&format!("after={latest}&include=reactions"))
            .await;
        let entries = news["messages"].as_array().unwrap();
        let [first, second, third] = entries.as_slice() else {
            panic!("one entry for each change: {news}")
        };
        for entry in [first, second] {
            let bare = json!({ "reactions": sent["id"], "timestamp": entry["timestamp"] });
            assert_eq!(entry, &bare, "what is there now comes with the newest");
        }
        assert_eq!(third["summary"], expected);
        let without = user.sync(&format!("after={latest}")).await;
        assert_eq!(without["messages"][2].get("summary"), None);
    }
    // The author's version is what it was.
    let read = jane.get(&format!("/messages/{}", sent["id"])).await;
    assert_eq!(read.json(), sent);
    assert_eq!(read.header("etag"), format!("\"{}\"", sent["timestamp"]));
    let edit = jane.patch(&sent["id"], &sent["timestamp"], json!({ "text": "ho" }));
    edit.await.expect(200);
    assert_eq!(shown(&john, &sent).await, expected, "an edit leaves them");

    for reply in [
        take_back(&jane, &sent, THUMB).await,
        take_back(&jane, &sent, THUMB).await,
    ] {
        assert_eq!(reply.status, 204);
    }
    let left = json!({
        "👍": { "count": 1, "users": ["john"] },
        "+1": { "count": 1, "users": ["jane"] }
    });
    assert_eq!(shown(&jane, &sent).await, left);
    for (list, user) in [
        ("/users/john/messages", &jane),
        ("/users/jane/messages", &john),
    ] {
        let history = user.get(&format!("{list}?include=reactions")).await;
        assert_eq!(history.expect(200)["messages"][0]["reactions"], left);
        let plain = user.get(list).await.expect(200);
        assert_eq!(plain["messages"][0].get("reactions"), None);
        let number = user.get(&format!("{list}/1?include=reactions")).await;
        assert_eq!(number.expect(200)["reactions"], left);
    }
    let named = format!("/messages?ids={}&include=reactions", sent["id"]);
    assert_eq!(
        jane.get(&named).await.expect(200)["messages"][0]["reactions"],
        left
    );
}

#[tokio::test]
async fn the_list_is_whole_and_is_paged() {
    let (_database, replica) = service().await;
    let names: Vec<_> = (0..25).map(|number| format!("user-{number:02}")).collect();
    let members: Vec<_> = names.iter().map(String::as_str).collect();
    let owner = replica.user("owner");
    let chat = owner.chat("Team", &members).await;
    let message = owner.post_into(chat, "hi").await;
    for name in &names {
        react(&replica.user(name), &message, "a").await;
    }
    react(&owner, &message, "b").await;
    let list = async |query: &str| {
        let path = format!("/messages/{}/reactions?{query}", message["id"]);
        owner.get(&path).await.expect(200)
    };
    let first = list("limit=20").await;
    assert_eq!(first["reactions"].as_array().unwrap().len(), 20);
    assert_eq!(
        first["reactions"][19],
        json!({ "number": 20, "user": "user-19", "key": "a" })
    );
    let rest = list(&format!("limit=20&after={}", first["next"])).await;
    let last = json!({ "number": 26, "user": "owner", "key": "b" });
    assert_eq!((&rest["reactions"][5], rest.get("next")), (&last, None));
    assert_eq!(list("key=b").await["reactions"], json!([last]));
    assert_eq!(list("key=c").await, json!({ "reactions": [] }));

    // 20 users are listed, and always the caller.
    let of = async |user: &str| shown(&replica.user(user), &message).await["a"].clone();
    let early = of("user-03").await;
    assert_eq!(early["count"], 25);
    assert_eq!(early["users"], json!(members[..20]));
    let late = of("user-24").await;
    let expected: Vec<_> = members[..19].iter().chain(&["user-24"]).collect();
    assert_eq!(late["users"], json!(expected));
}

#[tokio::test]
async fn what_is_no_reaction_is_refused() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let sent = jane.send("john", "hi").await;
    let stranger = react(&jim, &sent, "a").await;
    stranger.expect_problem(404, "not-found");
    let path = format!("/messages/{}/reactions", sent["id"]);
    jim.get(&path).await.expect_problem(404, "not-found");
    assert_eq!(react(&app, &sent, "a").await.wrong_fields(), ["As-User"]);
    assert_eq!(react(&app.acting_as("john"), &sent, "a").await.status, 201);
    let long = "a".repeat(65);
    for wrong in [long.as_str(), "a%00", "a%0A"] {
        assert_eq!(react(&john, &sent, wrong).await.wrong_fields(), ["key"]);
    }
    assert_eq!(react(&john, &sent, &"é".repeat(64)).await.status, 201);
    let wrong = jane
        .get(&format!("/messages/{}?include=replies,x", sent["id"]))
        .await;
    assert_eq!(wrong.wrong_fields(), ["include"]);
    jane.blocks("john", true).await;
    react(&john, &sent, "b")
        .await
        .expect_problem(403, "not-accepted");
    assert_eq!(take_back(&john, &sent, "a").await.status, 204);

    let chat = jane.chat("Team", &["john"]).await;
    let posted = jane.post_into(chat, "hi").await;
    react(&john, &posted, "a").await;
    let off = async |reactions: bool| {
        let path = format!("/chats/{chat}");
        let timestamp = jane.get(&path).await.expect(200)["timestamp"].clone();
        let request = jane.request(Method::PATCH, &path);
        let request = request.header("if-match", timestamp.to_string());
        let changed = Reply::of(request.json(&json!({ "reactions": reactions }))).await;
        changed.expect(200)["reactions"].clone()
    };
    assert_eq!(off(false).await, json!(false));
    react(&john, &posted, "b")
        .await
        .expect_problem(403, "forbidden");
    assert_eq!(shown(&jane, &posted).await["a"]["count"], 1, "they stay");
    assert_eq!(take_back(&john, &posted, "a").await.status, 204);
    assert_eq!(off(true).await, Value::Null);
    assert_eq!(react(&john, &posted, "b").await.status, 201);
}

#[tokio::test]
async fn they_are_gone_with_their_message() {
    let (database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let chat = jane.chat("Team", &["john"]).await;
    let kept = jane.post_into(chat, "kept").await;
    let posted = jane.post_into(chat, "hi").await;
    for message in [&kept, &posted] {
        react(&john, message, "a").await;
        react(&jane, message, "b").await;
    }
    let deleted = jane.delete(&posted["id"], &posted["timestamp"]).await;
    deleted.expect(200);
    react(&john, &posted, "a")
        .await
        .expect_problem(410, "deleted");
    assert_eq!(shown(&john, &posted).await, json!({}));
    let entries = all_after(&john, 0, "include=reactions").await;
    let of_deleted = entries
        .iter()
        .filter(|entry| entry["reactions"] == posted["id"]);
    assert!(
        of_deleted.clone().count() == 2 && of_deleted.clone().all(|it| it.get("summary").is_none())
    );
    for table in ["reactions", "reaction_counts"] {
        eventually("they are cleared", async || {
            let left = format!("SELECT count(DISTINCT message_id) FROM {table}");
            (database.count(&left).await == 1).then_some(())
        })
        .await;
    }
    assert_eq!(shown(&john, &kept).await["a"]["count"], 1);
    // A chat that is deleted takes those of all its messages with it.
    let path = format!("/chats/{chat}");
    let timestamp = jane.get(&path).await.expect(200)["timestamp"].clone();
    jane.ask(Method::DELETE, &path, Some(&timestamp)).await;
    for table in ["reactions", "reaction_counts"] {
        eventually("they are cleared with the chat", async || {
            let left = database
                .count(&format!("SELECT count(*) FROM {table}"))
                .await;
            (left == 0).then_some(())
        })
        .await;
    }
}

/// What PostgreSQL, JSON and URLs have a meaning for is a key as any other.
#[tokio::test]
async fn any_short_text_is_a_key() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "hi").await;
    let keys = [
        (r#"""#, "%22"),
        (r"\", "%5C"),
        (r#"a","b"#, "a%22%2C%22b"),
        (r"¯\_(ツ)_/¯", "%C2%AF%5C_(%E3%83%84)_%2F%C2%AF"),
        ("{}", "%7B%7D"),
        ("NULL", "NULL"),
        (" ", "%20"),
    ];
    for (_, key) in keys {
        assert_eq!(react(&john, &sent, key).await.status, 201, "{key}");
    }
    let shown_keys = shown(&jane, &sent).await;
    let expected = keys.map(|(key, _)| (key.to_owned(), json!({ "count": 1, "users": ["john"] })));
    assert_eq!(shown_keys, Value::Object(expected.into_iter().collect()));
    for (_, key) in keys {
        assert_eq!(take_back(&john, &sent, key).await.status, 204);
    }
    assert_eq!(shown(&jane, &sent).await, json!({}));
    // Two forms of one text are one key.
    react(&john, &sent, "e%CC%81").await;
    assert_eq!(react(&john, &sent, "%C3%A9").await.status, 204);
}

/// What one batch changes of the reactions to one message is one change.
#[tokio::test]
async fn a_thousand_members_react_at_once_and_the_counts_are_exact() {
    let (database, replica) = service().await;
    let names: Vec<_> = (0..999).map(|number| format!("u{number}")).collect();
    let members: Vec<_> = names.iter().map(String::as_str).collect();
    let owner = replica.user("owner");
    let chat = owner.chat("All", &members).await;
    let message = owner.post_into(chat, "hello, everybody").await;
    let before = database.count("SELECT count(*) FROM changes").await;
    for (turn, names) in names.chunks(AT_ONCE).enumerate() {
        let lane = database.block_lane().await;
        let reacting = join_all(names.iter().enumerate().map(|(number, name)| {
            let key = ["a", "b", "c"][(turn * AT_ONCE + number) % 3];
            let (user, message) = (replica.user(name), &message);
            async move { react(&user, message, key).await.status }
        }));
        let opening = async {
            replica.until_waiting("timeline", names.len() as f64).await;
            open_lane(lane).await;
        };
        let (statuses, ()) = tokio::join!(reacting, opening);
        assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
    }
    let counts = shown(&owner, &message).await;
    for key in ["a", "b", "c"] {
        assert_eq!(counts[key]["count"], 333);
    }
    let changes = database.count("SELECT count(*) FROM changes").await - before;
    assert!(changes < 20, "999 reactions in {changes} changes");
    let updates = database.count("SELECT count(*) FROM updates WHERE reactions_to IS NOT NULL");
    assert_eq!(updates.await, 1000 * changes);
    let rows = database.count("SELECT count(*) FROM reactions").await;
    assert_eq!(rows, 999);
}

#[tokio::test]
async fn the_feed_tells_who_has_reacted() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let app = replica.application().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let sent = jane.send("john", "hi").await;
    let lane = database.block_lane().await;
    let reacting = async {
        tokio::join!(react(&john, &sent, "a"), react(&jane, &sent, "a"));
    };
    let opening = async {
        replica.until_waiting("timeline", 2.0).await;
        open_lane(lane).await;
    };
    tokio::join!(reacting, opening);
    take_back(&john, &sent, "a").await;
    let page = app
        .get("/feed?kinds=reactions.changed&include=message")
        .await;
    let page = page.expect(200);
    let entries = page["entries"].as_array().unwrap();
    let listed = entries
        .iter()
        .map(|entry| ["kind", "id", "number", "user", "users"].map(|member| entry[member].clone()));
    let kind = json!("reactions.changed");
    let (id, number) = (sent["id"].clone(), json!(1));
    let expected = [
        [
            kind.clone(),
            id.clone(),
            number.clone(),
            Value::Null,
            json!(["jane", "john"]),
        ],
        [kind, id, number, json!("john"), Value::Null],
    ];
    assert_eq!(listed.collect::<Vec<_>>(), expected);
    assert_eq!(entries[1]["message"], sent);
    let page = app.get("/feed?include=recipients").await.expect(200);
    let with_recipients = page["entries"].as_array().unwrap().iter();
    let with_recipients = with_recipients.filter(|entry| entry.get("recipients").is_some());
    let kinds: Vec<_> = with_recipients.map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["message.created"], "a reaction notifies nobody");
}

/// One step of a random history of a chat.
#[derive(Debug, Clone)]
enum Step {
    React {
        user: usize,
        message: usize,
        key: usize,
    },
    TakeBack {
        user: usize,
        message: usize,
        key: usize,
    },
    Delete(usize),
    Join(usize),
    Leave(usize),
}

const USERS: [&str; 5] = ["ann", "ben", "cat", "dan", "eve"];
const KEYS: [&str; 3] = ["a", "%22", "%5C"];
const MESSAGES: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let reaction = || (0..USERS.len(), 0..MESSAGES, 0..KEYS.len());
    let step = prop_oneof![
        8 => reaction().prop_map(|(user, message, key)| Step::React { user, message, key }),
        4 => reaction().prop_map(|(user, message, key)| Step::TakeBack { user, message, key }),
        1 => (0..MESSAGES).prop_map(Step::Delete),
        1 => (1..USERS.len()).prop_map(Step::Join),
        1 => (1..USERS.len()).prop_map(Step::Leave),
    ];
    prop::collection::vec(prop::collection::vec(step, 1..12), 1..5)
}

/// The chat of one history, and what of it a follower has learned.
struct History<'a> {
    replicas: &'a [Replica; 2],
    chat: i64,
    messages: Vec<Value>,
}

impl History<'_> {
    fn user(&self, user: usize, turn: usize) -> Client {
        self.replicas[turn % 2].user(USERS[user])
    }

    /// Carries out some steps in one batch of a replica. Returns how many have changed something.
    async fn carry_out(&self, database: &Database, steps: &[Step], turn: usize) -> usize {
        let lane = database.block_lane().await;
        let carrying_out = join_all(steps.iter().map(|step| self.step(step, turn)));
        let opening = async {
            let waiting = &self.replicas[turn % 2];
            waiting.until_waiting("timeline", steps.len() as f64).await;
            open_lane(lane).await;
        };
        let (statuses, ()) = tokio::join!(carrying_out, opening);
        statuses
            .iter()
            .filter(|status| [200, 201].contains(*status))
            .count()
    }

    async fn step(&self, step: &Step, turn: usize) -> u16 {
        let member = |user: usize| format!("/chats/{}/members/{}", self.chat, USERS[user]);
        let owner = self.user(0, turn);
        let reply = match step {
            Step::React { user, message, key } => {
                let user = self.user(*user, turn);
                react(&user, &self.messages[*message], KEYS[*key]).await
            }
            Step::TakeBack { user, message, key } => {
                let user = self.user(*user, turn);
                take_back(&user, &self.messages[*message], KEYS[*key]).await
            }
            Step::Delete(message) => {
                let message = &self.messages[*message];
                owner.delete(&message["id"], &message["timestamp"]).await
            }
            Step::Join(user) => owner.ask(Method::PUT, &member(*user), None).await,
            Step::Leave(user) => owner.ask(Method::DELETE, &member(*user), None).await,
        };
        assert!(reply.status < 500, "{step:?}: {}", reply.text);
        reply.status
    }

    /// The reactions to each message that the user reads.
    async fn fresh(&self, user: &Client) -> BTreeMap<String, Value> {
        let ids = self
            .messages
            .iter()
            .map(|message| message["id"].to_string());
        let ids = ids.collect::<Vec<_>>().join(",");
        let path = format!("/messages?ids={ids}&include=reactions");
        let list = user.get(&path).await.expect(200);
        let messages = list["messages"].as_array().unwrap().iter();
        let reacted = messages.filter_map(|message| {
            Some((message["id"].to_string(), message.get("reactions")?.clone()))
        });
        reacted.collect()
    }
}

/// What a follower has learned of the reactions, by message.
struct Follower {
    after: i64,
    reactions: BTreeMap<String, Value>,
}

impl Follower {
    fn new(after: i64) -> Self {
        Self {
            after,
            reactions: BTreeMap::new(),
        }
    }

    /// Reads what is new. Without `include`, it asks for the reactions to each message that an entry names.
    async fn follow(&mut self, user: &Client, included: bool) {
        let include = if included {
            "include=reactions&limit=3"
        } else {
            "limit=3"
        };
        let entries = all_after(user, self.after, include).await;
        for entry in entries {
            self.after = entry["timestamp"].as_i64().unwrap();
            let Some(id) = entry.get("reactions").map(Value::to_string) else {
                if let Some(id) = entry.get("id") {
                    let read = user.get(&format!("/messages/{id}")).await;
                    if read.status == 200 && read.json()["deleted"] == true {
                        self.reactions.remove(&id.to_string());
                    }
                }
                continue;
            };
            let summary = match included {
                true => entry.get("summary").cloned(),
                false => {
                    let read = user.get(&format!("/messages/{id}?include=reactions")).await;
                    read.json().get("reactions").cloned()
                }
            };
            match summary.filter(|summary| summary != &json!({})) {
                Some(summary) => self.reactions.insert(id, summary),
                // With `include`, the newest entry of each page has it.
                None if included && entry.get("summary").is_none() => None,
                None => self.reactions.remove(&id),
            };
        }
    }
}

/// Random histories by two replicas, followed with and without `include=reactions`: both followers end at
/// what a fresh reader finds.
#[tokio::test]
async fn followers_end_at_what_a_fresh_reader_finds() {
    let database = Database::fresh().await;
    let first = Replica::start(&database, Settings::default()).await;
    let second = Replica::start(&database, Settings::default()).await;
    let replicas = [first, second];
    let (mut runner, mut accepted) = (TestRunner::default(), 0);
    for round in 0..12 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let owner = replicas[0].user(USERS[0]);
        let chat = owner.chat(&format!("history {round}"), &USERS[1..]).await;
        let mut messages = Vec::new();
        for text in 0..MESSAGES {
            messages.push(owner.post_into(chat, &text.to_string()).await);
        }
        let history = History {
            replicas: &replicas,
            chat,
            messages,
        };
        let latest = owner.sync("after=latest").await["latest"].as_i64().unwrap();
        let [mut with, mut without] = [latest; 2].map(Follower::new);
        for (turn, together) in steps.iter().enumerate() {
            accepted += history.carry_out(&database, together, turn).await;
            with.follow(&owner, true).await;
            without.follow(&owner, false).await;
        }
        let fresh = history.fresh(&owner).await;
        assert_eq!(with.reactions, fresh, "with include: {steps:?}");
        assert_eq!(without.reactions, fresh, "without include: {steps:?}");
        let counted = rows_of(&database, chat).await;
        assert_eq!(counted, totals(&fresh), "{steps:?}");
    }
    assert!(accepted > 50, "{accepted}");
}

/// How many reactions the messages of a chat have, by the rows.
async fn rows_of(database: &Database, chat: i64) -> i64 {
    let counted = format!(
        "SELECT count(*) FROM reactions JOIN messages AS m ON m.id = message_id
         WHERE m.chat_number = {chat} AND NOT m.deleted"
    );
    database.count(&counted).await
}

/// How many there are by the counts that are shown.
fn totals(shown: &BTreeMap<String, Value>) -> i64 {
    let keys = shown
        .values()
        .flat_map(|keys| keys.as_object().unwrap().values());
    keys.map(|key| key["count"].as_i64().unwrap()).sum()
}
