//! Search by senders, files and times, with words and without.

use std::ops::Range;

use messages::search::Query;
use proptest::{collection::vec, option, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{Client, Database, Replica, Settings, administered, eventually, service};

/// The hits of a page, the newest first.
async fn hits(user: &Client, query: &str) -> Vec<Value> {
    let path = format!("/messages/search?limit=100&{query}");
    let page = user.get(&path).await.expect(200);
    page["hits"].as_array().unwrap().clone()
}

/// The ids of the caller's messages that a search finds.
async fn found(user: &Client, query: &str) -> Vec<i64> {
    let hits = hits(user, query).await;
    hits.iter().map(|hit| id_of(&hit["message"])).collect()
}

fn id_of(message: &Value) -> i64 {
    message["id"].as_i64().unwrap()
}

/// Sends a message of any content and returns its id.
async fn send(user: &Client, to: &str, content: Value) -> i64 {
    let mut body = content;
    body["to"] = json!(to);
    id_of(&user.post(body).await.expect(201))
}

/// From now on a message with an attribute `created` is stored as created at that time, so that times
/// do not ascend with the ids.
async fn let_messages_have_their_own_times(database: &Database) {
    let trigger = "CREATE FUNCTION set_created() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN NEW.created := NEW.attributes ->> 'created'; RETURN NEW; END $$;
         CREATE TRIGGER set_created BEFORE INSERT ON messages FOR EACH ROW
         WHEN (NEW.attributes ->> 'created' IS NOT NULL) EXECUTE FUNCTION set_created()";
    database.execute(trigger).await;
}

#[tokio::test]
async fn each_filter_finds_what_it_says_before_and_in_the_index() {
    let (database, replica) = service().await;
    let [jane, john] = ["jane", "john"].map(|user| replica.user(user));
    let_messages_have_their_own_times(&database).await;
    let mut indexer = Some(database.block_indexer().await);
    let chat = jane.chat("Team", &["john"]).await;
    let at = |time: &str| json!({ "created": time });
    let sent = json!({ "text": "hello there", "attributes": at("2026-03-01T10:00:00Z") });
    let hello = send(&jane, "john", sent).await;
    let sent = json!({ "files": ["a"], "attributes": at("2021-01-01T00:00:00Z") });
    let file = send(&john, "jane", sent).await;
    let attributes = at("2026-02-28T10:00:00.000001Z");
    let sent = json!({ "files": ["b"], "text": "hello file", "attributes": attributes });
    let both = send(&john, "jane", sent).await;
    let sent = json!({ "attributes": at("1969-07-20T20:17:00Z") });
    let data = send(&jane, "john", sent).await;
    let sent = json!({ "text": "?!", "attributes": at("2026-02-28T10:00:00Z") });
    let signs = send(&jane, "jane", sent).await;
    let sent = json!({ "text": "hello chat", "attributes": at("2150-01-01T00:00:00Z") });
    let path = format!("/chats/{chat}/messages");
    let posted = id_of(&john.call(Method::POST, &path, sent).await.expect(201));
    for _ in ["pending", "indexed"] {
        for (query, expected) in [
            ("from=john", vec![posted, both, file]),
            ("from=jane", vec![signs, data, hello]),
            ("from=nobody", vec![]),
            ("has=file", vec![both, file]),
            ("has=file&q=hello", vec![both]),
            ("from=john&q=hel", vec![posted, both]),
            ("from=john&has=file&with=john&q=hello", vec![both]),
            ("from=john&chat=1", vec![posted]),
            ("from=jane&with=jane", vec![signs]),
            ("since=2026-03-01T10:00:00Z", vec![posted, hello]),
            ("since=2026-03-01T11:00:00%2B01:00", vec![posted, hello]),
            ("since=2026-03-01T10:00:00.000001Z", vec![posted]),
            ("until=2026-02-28T10:00:00Z", vec![data, file]),
            ("until=2026-02-28T10:00:00.000001Z", vec![signs, data, file]),
            ("until=1970-01-01T00:00:00Z", vec![data]),
            ("since=2107-01-01T00:00:00Z", vec![posted]),
            (
                "since=2021-01-01T00:00:00Z&until=2026-03-01T00:00:00Z",
                vec![signs, both, file],
            ),
            (
                "since=2026-02-28T10:00:00Z&until=2026-02-28T10:00:00.000001Z",
                vec![signs],
            ),
            (
                "q=hello&since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z",
                vec![both, hello],
            ),
            ("q=%3F%21&from=jane", vec![]),
        ] {
            assert_eq!(found(&jane, query).await, expected, "{query}");
        }
        drop(indexer.take());
        database.until_indexed().await;
    }
}

#[tokio::test]
async fn without_words_the_whole_text_is_escaped_and_nothing_is_marked() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    send(&jane, "john", json!({ "files": ["a"] })).await;
    send(&jane, "john", json!({ "text": "<b> & \"c\"" })).await;
    let all = hits(&jane, "from=jane").await;
    assert_eq!(all[0]["highlight"], "&lt;b&gt; &amp; &quot;c&quot;");
    assert_eq!(all[1].get("highlight"), None, "it has no text");
    assert_eq!(all[1]["message"]["files"], json!(["a"]));
    let marked = hits(&jane, "from=jane&q=b").await;
    assert_eq!(
        marked[0]["highlight"],
        "&lt;<mark>b</mark>&gt; &amp; &quot;c&quot;"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_found_from_its_answer_on_by_what_the_message_is_then() {
    let database = Database::fresh().await;
    let mut replicas = vec![
        Replica::start(&database, Settings::default()).await,
        Replica::start(&database, Settings::default()).await,
    ];
    let survivor = replicas.pop().unwrap();
    let writers = (0..6).map(|writer| {
        let sender = survivor.user(&format!("sender-{writer}"));
        let john = survivor.user("john");
        tokio::spawn(async move {
            let by_sender = format!("from=sender-{writer}");
            let by_time = format!("{by_sender}&since=2020-01-01T00:00:00Z");
            let mut expected = Vec::new();
            for number in 0..25 {
                let id = match number % 3 {
                    0 => send(&sender, "john", json!({ "files": ["a"] })).await,
                    1 => send(&sender, "john", json!({ "attributes": { "k": 1 } })).await,
                    _ => send(&sender, "john", json!({ "text": "words" })).await,
                };
                expected.insert(0, id);
                assert_eq!(found(&john, &by_sender).await, expected);
                if number % 4 == 0 {
                    let message = john.get(&format!("/messages/{id}")).await.expect(200);
                    let gone = john.delete(&message["id"], &message["timestamp"]).await;
                    gone.expect(200);
                    expected.remove(0);
                }
                assert_eq!(found(&john, &by_time).await, expected, "number {number}");
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    // Whoever indexes now, one of the two dies meanwhile.
    eventually("some messages are indexed", async || {
        (database.count("SELECT count(*) FROM search_entries").await > 10).then_some(())
    })
    .await;
    replicas[0].kill();
    for writer in writers {
        writer.await.unwrap();
    }
    database.until_indexed().await;
    let kept = "SELECT count(*) FROM messages WHERE NOT deleted";
    let entries = "SELECT count(*) FROM search_entries";
    assert_eq!(database.count(entries).await, database.count(kept).await);
}

#[tokio::test]
async fn filters_show_nothing_that_the_caller_may_not_read() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let [jane, john, jim] = ["jane", "john", "jim"].map(|user| replica.user(user));
    let chat = jane.chat("Team", &["john"]).await;
    let joined = json!({ "history": "joined" });
    let path = format!("/chats/{chat}");
    let tag = jane.get(&path).await.expect(200)["timestamp"].clone();
    let change = jane
        .request(Method::PATCH, &path)
        .header("if-match", tag.to_string());
    crate::support::Reply::of(change.json(&joined))
        .await
        .expect(200);
    jane.post_into(chat, "before").await;
    send(&jane, "john", json!({ "text": "to john" })).await;
    let members = format!("/chats/{chat}/members");
    jane.ask(Method::PUT, &format!("{members}/jim"), None).await;
    let after = id_of(&jane.post_into(chat, "after").await);
    let shop = replica.administrator();
    let shop = shop
        .call(Method::POST, "/applications", json!({ "name": "shop" }))
        .await;
    let shop = shop.expect(201)["id"].as_i64().unwrap();
    let strangers = ["jane", "john"].map(|user| replica.user_of(shop, user));
    for _ in ["perhaps pending", "indexed"] {
        for query in [
            "from=jane",
            "since=2020-01-01T00:00:00Z",
            "from=jane&chat=1",
        ] {
            assert_eq!(found(&jim, query).await, [after], "{query}");
        }
        assert_eq!(found(&john, "from=jane").await.len(), 3);
        for stranger in &strangers {
            assert_eq!(found(stranger, "from=jane").await, [0; 0]);
        }
        let path = format!("/chats/{chat}/messages/search?from=jane");
        let in_chat = jim.get(&path).await.expect(200);
        assert_eq!(in_chat["hits"].as_array().unwrap().len(), 1);
        strangers[0]
            .get(&path)
            .await
            .expect_problem(404, "not-found");
        database.until_indexed().await;
    }
    let member = format!("{members}/john");
    john.ask(Method::DELETE, &member, None).await.expect(204);
    assert_eq!(found(&john, "from=jane").await.len(), 1);
    let path = format!("/chats/{chat}/messages/search?from=jane");
    john.get(&path).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn bad_filters_are_refused_all_together() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &[]).await;
    for place in ["/messages", &format!("/chats/{chat}/messages")] {
        for (query, fields) in [
            ("", vec!["q"]),
            ("limit=3&before=9", vec!["q"]),
            ("q=&from=jane", vec!["q"]),
            ("from=a%20b", vec!["from"]),
            ("from=", vec!["from"]),
            ("has=link", vec!["has"]),
            ("has=", vec!["has"]),
            ("since=yesterday", vec!["since"]),
            ("since=2026-11-01", vec!["since"]),
            ("until=2026-11-01T00:00:00", vec!["until"]),
            (
                "since=2026-11-01T00:00:00Z&until=2026-11-01T00:00:00Z",
                vec!["until"],
            ),
            (
                "q=&from=.&has=x&since=x&until=x&limit=0",
                vec!["q", "from", "has", "since", "until", "limit"],
            ),
        ] {
            let reply = jane.get(&format!("{place}/search?{query}")).await;
            assert_eq!(reply.wrong_fields(), fields, "{place} {query}");
        }
        for query in [
            "from=jane&limit=x",
            "from=jane&before=-1",
            "from=jane&from=john",
        ] {
            let reply = jane.get(&format!("{place}/search?{query}")).await;
            reply.expect_problem(400, "malformed");
        }
    }
    assert_eq!(
        jane.get("/messages/search?with=john").await.wrong_fields(),
        ["q"],
        "a conversation alone is its history"
    );
}

/// A message to be sent, and what becomes of it.
#[derive(Debug, Clone)]
struct Planned {
    /// The indexes of its sender and its conversation.
    sender: usize,
    place: usize,
    text: Option<String>,
    has_file: bool,
    /// A second since 1970.
    created: i64,
    /// The text of an edit; an empty one deletes it.
    change: Option<String>,
}

const SENDERS: [&str; 3] = ["jane", "john", "jim"];

fn words() -> impl Strategy<Value = String> {
    vec("(red|green|blue|greenish)", 1..4).prop_map(|words| words.join(" "))
}

fn planned() -> impl Strategy<Value = Planned> {
    let change = option::weighted(0.4, prop_oneof![words(), Just(String::new())]);
    // Several share a block of times, and some are at its borders.
    let created = prop_oneof![
        1_500_000_000..1_800_000_000_i64,
        Just(1_700_003_840),
        1_700_000_000..1_700_100_000_i64,
    ];
    let texts = option::weighted(0.7, words());
    (0..3usize, 0..4usize, texts, any::<bool>(), created, change).prop_map(
        |(sender, place, text, has_file, created, change)| Planned {
            sender,
            place,
            text,
            has_file,
            created,
            change,
        },
    )
}

/// What is searched for.
#[derive(Debug, Clone)]
struct Wanted {
    q: Option<String>,
    from: Option<usize>,
    has_file: bool,
    /// Indexes of messages at whose times the span begins and ends.
    span: (Option<usize>, Option<usize>),
    narrowed: Option<usize>,
    limit: usize,
}

fn wanted(messages: usize) -> impl Strategy<Value = Wanted> {
    let ends = (
        option::weighted(0.4, 0..messages),
        option::weighted(0.4, 0..messages),
    );
    let q = option::weighted(0.5, "(red|green|gre|blue b|\"red green\"|green red)");
    let narrowed = option::weighted(0.3, 0..3usize);
    (
        q,
        option::of(0..3usize),
        any::<bool>(),
        ends,
        narrowed,
        1..8usize,
    )
        .prop_map(|(q, from, has_file, span, narrowed, limit)| Wanted {
            q,
            from,
            has_file,
            span,
            narrowed,
            limit,
        })
}

/// Values of a strategy, the same ones in every run.
fn values<S: Strategy>(strategy: S, count: Range<usize>) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    let value = |_| strategy.new_tree(&mut runner).unwrap().current();
    count.map(value).collect()
}

/// Sends what is planned, and changes it. Returns the messages as they are then, as
/// one who reads all of them has them, the newest first.
async fn carry_out(plan: &[Planned], replica: &Replica) -> Vec<Value> {
    let users = SENDERS.map(|user| replica.user(user));
    let chat = users[0].chat("Team", &["john", "jim"]).await;
    let mut ids = Vec::new();
    for planned in plan {
        let user = &users[planned.sender];
        let created = OffsetDateTime::from_unix_timestamp(planned.created).unwrap();
        let created = created.format(&Rfc3339).unwrap();
        let mut body = json!({ "attributes": { "created": created } });
        if planned.has_file || planned.text.is_none() {
            body["files"] = json!(["a"]);
        }
        if let Some(text) = &planned.text {
            body["text"] = json!(text);
        }
        let sent = match planned.place {
            3 => {
                let path = format!("/chats/{chat}/messages");
                user.call(Method::POST, &path, body).await
            }
            to => {
                body["to"] = json!(SENDERS[to]);
                user.post(body).await
            }
        };
        let sent = sent.expect(201);
        ids.push(sent["id"].to_string());
        match planned.change.as_deref() {
            None => {}
            Some("") => {
                user.delete(&sent["id"], &sent["timestamp"])
                    .await
                    .expect(200);
            }
            Some(text) => {
                let edit = json!({ "text": text });
                user.patch(&sent["id"], &sent["timestamp"], edit)
                    .await
                    .expect(200);
            }
        }
    }
    let reader = &users[0];
    let list = reader
        .get(&format!("/messages?ids={}", ids.join(",")))
        .await
        .expect(200);
    let mut messages = list["messages"].as_array().unwrap().clone();
    messages.reverse();
    messages
}

impl Wanted {
    fn time<'m>(&self, end: Option<usize>, messages: &'m [Value]) -> Option<&'m str> {
        messages[end? % messages.len()]["created"].as_str()
    }

    /// Its query, without the page; `None` if it is none.
    fn query(&self, messages: &[Value]) -> Option<String> {
        let (since, until) = (
            self.time(self.span.0, messages),
            self.time(self.span.1, messages),
        );
        let is_empty = since
            .zip(until)
            .is_some_and(|(since, until)| since >= until);
        let narrowed = self.narrowed.map(|place| match place {
            2 => "chat=1".to_owned(),
            user => format!("with={}", SENDERS[user]),
        });
        let filters = [
            self.from.map(|user| format!("from={}", SENDERS[user])),
            self.has_file.then(|| "has=file".to_owned()),
            since.map(|since| format!("since={since}")),
            until.map(|until| format!("until={until}")),
            self.q
                .as_ref()
                .map(|q| format!("q={}", q.replace(' ', "%20").replace('"', "%22"))),
        ];
        let filters: Vec<_> = filters.into_iter().flatten().collect();
        let parts: Vec<_> = filters.iter().cloned().chain(narrowed).collect();
        (!filters.is_empty() && !is_empty).then(|| parts.join("&"))
    }

    /// Whether a message is found, by looking at it alone.
    fn accepts(&self, message: &Value, messages: &[Value]) -> bool {
        if message["deleted"] == true {
            return false;
        }
        let text = message["text"].as_str();
        let has_words =
            |q: &String| text.is_some_and(|text| Query::parse(q).unwrap().find_in(text).is_some());
        let created = message["created"].as_str().unwrap();
        let is_in = |place| match place {
            2 => message["chat"] == 1,
            user => {
                let other = SENDERS[user];
                let (from, to) = (&message["from"], &message["to"]);
                message.get("to").is_some()
                    && [(from, to), (to, from)].contains(&(&json!("jane"), &json!(other)))
            }
        };
        self.q.as_ref().is_none_or(has_words)
            && self
                .from
                .is_none_or(|user| message["from"] == SENDERS[user])
            && (!self.has_file || message.get("files").is_some())
            && self
                .time(self.span.0, messages)
                .is_none_or(|since| created >= since)
            && self
                .time(self.span.1, messages)
                .is_none_or(|until| created < until)
            && self.narrowed.is_none_or(is_in)
    }
}

/// All pages of a search: the ids.
async fn pages(user: &Client, query: &str, limit: usize) -> Vec<i64> {
    let (mut found, mut before) = (Vec::new(), String::new());
    loop {
        let path = format!("/messages/search?{query}&limit={limit}{before}");
        let page = user.get(&path).await.expect(200);
        let hits = page["hits"].as_array().unwrap();
        assert!(hits.len() <= limit, "{path}");
        found.extend(hits.iter().map(|hit| id_of(&hit["message"])));
        match page.get("next") {
            Some(next) => before = format!("&before={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn any_combination_finds_what_a_look_at_each_message_does() {
    const MESSAGES: usize = 60;
    let (database, replica) = service().await;
    let_messages_have_their_own_times(&database).await;
    let mut indexer = Some(database.block_indexer().await);
    let plan = values(planned(), 0..MESSAGES);
    let messages = carry_out(&plan, &replica).await;
    let jane = replica.user("jane");
    let mut hits = 0;
    for _ in ["pending", "indexed"] {
        for wanted in values(wanted(messages.len()), 0..150) {
            let Some(query) = wanted.query(&messages) else {
                continue;
            };
            let expected = messages
                .iter()
                .filter(|message| wanted.accepts(message, &messages));
            let expected: Vec<_> = expected.map(id_of).collect();
            hits += expected.len();
            assert_eq!(
                pages(&jane, &query, wanted.limit).await,
                expected,
                "{query}"
            );
        }
        drop(indexer.take());
        database.until_indexed().await;
    }
    assert!(hits > 400, "most searches find something: {hits}");
}
