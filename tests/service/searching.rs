//! Search: what is found, by whom, and from when on.

use futures_util::StreamExt;
use messages::search::Query;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Database, Replica, Settings, administered, eventually, service};

/// The hits of a page.
async fn search(user: &Client, place: &str, q: &str, more: &str) -> Value {
    let q: String = url_encoded(q);
    user.get(&format!("{place}/search?q={q}{more}"))
        .await
        .expect(200)
}

/// The texts of the caller's messages that match, the newest first.
async fn texts(user: &Client, q: &str) -> Vec<String> {
    texts_of(&search(user, "/messages", q, "&limit=100").await)
}

fn texts_of(page: &Value) -> Vec<String> {
    let hits = page["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["message"]["text"].as_str().unwrap().to_owned())
        .collect()
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

const TEXTS: [&str; 8] = [
    "Hello, brave new world",
    "To be, or not to be: that is the question",
    "WORLDWIDE helloing <b>bold</b>",
    "私は日本語を話します。東京に住んでいます",
    "สวัสดีครับ ยินดีที่ได้รู้จัก",
    "Café au lait, naïve façade",
    "100% of C:\\temp_dir & 'quotes' | (pipes) ! <-> :*",
    "great 👍👍 work",
];

const EXPECTED: [(&str, &[usize]); 24] = [
    ("hello", &[2, 0]),
    ("world HELLO", &[0]),
    ("hello world", &[0]),
    ("hello worl", &[0]),
    ("hell world", &[]),
    ("w", &[7, 2, 0]),
    ("\"to be\"", &[1]),
    ("\"be to\"", &[]),
    ("question \"not to be\"", &[1]),
    ("\"brave new wor", &[0]),
    ("\"brave new wor\"", &[]),
    ("日本", &[3]),
    ("本語", &[3]),
    ("日語", &[]),
    ("東京 日本語", &[3]),
    ("京", &[3]),
    ("สวัสดี", &[4]),
    ("รู้จัก", &[4]),
    ("café", &[5]),
    ("cafe", &[]),
    ("👍", &[7]),
    ("temp_dir", &[6]),
    ("'quotes' | (pipes)", &[6]),
    ("%", &[]),
];

#[tokio::test]
async fn words_beginnings_phrases_and_parts_are_found_in_the_index_and_before_it() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let indexer = database.block_indexer().await;
    for text in TEXTS {
        jane.send("john", text).await;
    }
    expect_all(&jane).await;
    drop(indexer);
    database.until_indexed().await;
    assert_eq!(
        database.count("SELECT count(*) FROM search_entries").await,
        TEXTS.len() as i64
    );
    expect_all(&jane).await;
}

async fn expect_all(jane: &Client) {
    for (q, expected) in EXPECTED {
        let expected: Vec<_> = expected.iter().map(|index| TEXTS[*index]).collect();
        assert_eq!(texts(jane, q).await, expected, "{q}");
    }
}

#[tokio::test]
async fn matches_are_marked_and_everything_else_is_escaped() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let sent = jane
        .send("john", "<img src=x onerror=alert(1)> & \"world\"")
        .await;
    let page = search(&jane, "/messages", "IMG wor", "").await;
    assert_eq!(page["hits"].as_array().unwrap().len(), 1);
    assert_eq!(page["hits"][0]["message"], sent);
    assert_eq!(
        page["hits"][0]["highlight"],
        "&lt;<mark>img</mark> src=x onerror=alert(1)&gt; &amp; &quot;<mark>world</mark>&quot;"
    );
    assert_eq!(page.get("next"), None);
}

#[tokio::test]
async fn edited_messages_are_found_by_their_present_text_and_deleted_ones_never() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    for is_indexed in [true, false] {
        let sent = jane.send("john", "apples").await;
        let john = replica.user("john");
        john.marks(&sent["id"], true).await.expect(200);
        if is_indexed {
            database.until_indexed().await;
        }
        let indexer = database.block_indexer().await;
        let edited = jane
            .patch(&sent["id"], &sent["timestamp"], json!({"text": "pears"}))
            .await
            .expect(200);
        assert_eq!(texts(&jane, "apples").await, [""; 0]);
        assert_eq!(texts(&jane, "pears").await, ["pears"]);
        drop(indexer);
        if is_indexed {
            database.until_indexed().await;
            assert_eq!(texts(&jane, "apples").await, [""; 0]);
            assert_eq!(texts(&jane, "pears").await, ["pears"]);
        }
        jane.delete(&edited["id"], &edited["timestamp"])
            .await
            .expect(200);
        assert_eq!(texts(&jane, "pears").await, [""; 0]);
    }
    database.until_indexed().await;
    let entries = "SELECT count(*) FROM search_entries";
    assert_eq!(
        database.count(entries).await,
        0,
        "nothing of a deleted text is left"
    );
}

#[tokio::test]
async fn a_caller_finds_what_it_may_read_and_nothing_else() {
    let (database, replica) = service().await;
    let (jane, john, jim) = (
        replica.user("jane"),
        replica.user("john"),
        replica.user("jim"),
    );
    let chat = jane.chat("Team", &["john"]).await;
    let other = jim.chat("Others", &[]).await;
    jane.send("john", "word to john").await;
    jane.send("jane", "word to myself").await;
    jim.send("john", "word from jim").await;
    jane.post_into(chat, "word in chat").await;
    jim.post_into(other, "word elsewhere").await;
    for is_indexed in [false, true] {
        if is_indexed {
            database.until_indexed().await;
        }
        assert_eq!(
            texts(&jane, "word").await,
            ["word in chat", "word to myself", "word to john"]
        );
        assert_eq!(
            texts(&john, "word").await,
            ["word in chat", "word from jim", "word to john"]
        );
        assert_eq!(
            texts(&jim, "word").await,
            ["word elsewhere", "word from jim"]
        );
        let with = |more: &'static str| search(&jane, "/messages", "word", more);
        assert_eq!(texts_of(&with("&with=john").await), ["word to john"]);
        assert_eq!(texts_of(&with("&with=jane").await), ["word to myself"]);
        assert_eq!(texts_of(&with("&with=nobody").await), [""; 0]);
        assert_eq!(texts_of(&with("&chat=1").await), ["word in chat"]);
        let in_chat = search(&jane, &format!("/chats/{chat}/messages"), "word", "").await;
        assert_eq!(texts_of(&in_chat), ["word in chat"]);
        jim.get("/chats/1/messages/search?q=word")
            .await
            .expect_problem(404, "not-found");
        jim.get("/messages/search?q=word&chat=1")
            .await
            .expect_problem(404, "not-found");
    }
    // Who leaves a chat finds nothing of it any more, and who joins finds all of it.
    let members = format!("/chats/{chat}/members");
    john.ask(Method::DELETE, &format!("{members}/john"), None)
        .await
        .expect(204);
    jane.ask(Method::PUT, &format!("{members}/jim"), None).await;
    assert_eq!(
        texts(&john, "word").await,
        ["word from jim", "word to john"]
    );
    assert_eq!(
        texts(&jim, "word").await,
        ["word elsewhere", "word in chat", "word from jim"]
    );
}

#[tokio::test]
async fn a_user_whose_id_looks_like_a_term_of_the_index_finds_only_its_own() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    jane.send("john", "secret").await;
    database.until_indexed().await;
    for id in [
        "jane:a0",
        "jane:b0",
        "jane:c0",
        "a0:u1:jane",
        ":u1:jane",
        "1:jane",
        "u1:jane",
    ] {
        let other = replica.user(id);
        assert_eq!(texts(&other, "secret").await, [""; 0], "{id}");
        assert_eq!(
            texts_of(&search(&other, "/messages", "secret", "&with=john").await),
            [""; 0],
            "{id}"
        );
        other.send("jim", "word").await;
    }
    database.until_indexed().await;
    assert_eq!(texts(&jane, "word").await, [""; 0]);
}

#[tokio::test]
async fn a_member_of_thousands_of_chats_searches_them_all() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &[]).await;
    jane.post_into(chat, "needle").await;
    database
        .execute(
            "INSERT INTO chat_members (application_id, chat_number, user_id, joined)
             SELECT 1, number, 'jane', 1 FROM generate_series(2, 3000) AS number",
        )
        .await;
    for _ in ["pending", "indexed"] {
        assert_eq!(texts(&jane, "needle").await, ["needle"]);
        database.until_indexed().await;
    }
}

#[tokio::test]
async fn an_application_searches_chats_and_for_its_users() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let shop = replica
        .administrator()
        .call(Method::POST, "/applications", json!({"name": "shop"}))
        .await;
    let shop = replica.with_token(shop.expect(201)["token"].as_str().unwrap());
    let jane = shop.acting_as("jane");
    let chat = shop.chat("Team", &["jane"]).await;
    shop.post_into(chat, "word of the shop").await;
    jane.send("john", "word of jane").await;
    assert_eq!(
        shop.get("/messages/search?q=word").await.wrong_fields(),
        ["As-User"]
    );
    assert_eq!(
        texts(&jane, "word").await,
        ["word of jane", "word of the shop"]
    );
    let in_chat = search(&shop, &format!("/chats/{chat}/messages"), "word", "").await;
    assert_eq!(texts_of(&in_chat), ["word of the shop"]);
    assert_eq!(
        texts(&replica.user("jane"), "word").await,
        [""; 0],
        "another application has another jane"
    );
}

#[tokio::test]
async fn pages_lead_from_the_newest_to_the_oldest_whatever_lies_between() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let mut sent = Vec::new();
    // The ids lie in every stage of a search, and the first search reaches over several of them.
    for gap in [9_000, 130_000, 3_000_000, 50_000_000, 0] {
        for number in 0..3 {
            let message = jane.send("john", &format!("needle {number}")).await;
            sent.push(message["id"].as_i64().unwrap());
            jane.send("john", "hay").await;
        }
        database
            .execute(&format!(
                "SELECT setval('message_ids', last_value + {gap}) FROM message_ids"
            ))
            .await;
    }
    sent.reverse();
    for is_indexed in [false, true] {
        if is_indexed {
            database.until_indexed().await;
        }
        for (q, limit) in [("needle", 2), ("need", 2), ("needle", 100), ("nee", 7)] {
            let (mut found, mut more) = (Vec::new(), format!("&limit={limit}"));
            loop {
                let page = search(&jane, "/messages", q, &more).await;
                let hits = page["hits"].as_array().unwrap();
                assert!(hits.len() <= limit && !hits.is_empty());
                found.extend(
                    hits.iter()
                        .map(|hit| hit["message"]["id"].as_i64().unwrap()),
                );
                let Some(next) = page["next"].as_i64() else {
                    break;
                };
                more = format!("&limit={limit}&before={next}");
            }
            assert_eq!(found, sent, "{q} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_phrase_is_found_behind_hundreds_of_messages_that_only_have_its_words() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    jane.send("john", "alpha beta").await;
    let others = (0..600).map(|number| {
        let jane = jane.clone();
        async move { jane.send("john", &format!("beta {number} alpha")).await }
    });
    futures_util::stream::iter(others)
        .buffer_unordered(50)
        .count()
        .await;
    for _ in ["pending", "indexed"] {
        assert_eq!(texts(&jane, "\"alpha beta\"").await, ["alpha beta"]);
        database.until_indexed().await;
    }
}

#[tokio::test]
async fn bad_searches_are_refused() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for query in ["", "?q=", "?q=%20%09"] {
        assert_eq!(
            jane.get(&format!("/messages/search{query}"))
                .await
                .wrong_fields(),
            ["q"]
        );
    }
    let long = "x".repeat(201);
    assert_eq!(
        jane.get(&format!("/messages/search?q={long}"))
            .await
            .wrong_fields(),
        ["q"]
    );
    assert_eq!(texts(&jane, &"日".repeat(200)).await, [""; 0]);
    for query in ["before=x", "before=-1", "limit=ten", "chat=x", "q=%FF"] {
        jane.get(&format!("/messages/search?q=a&{query}"))
            .await
            .expect_problem(400, "malformed");
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("with=a%20b", "with"),
        ("with=a&chat=1", "chat"),
    ] {
        assert_eq!(
            jane.get(&format!("/messages/search?q=a&{query}"))
                .await
                .wrong_fields(),
            [field]
        );
    }
    jane.get("/messages/search?q=a&chat=9")
        .await
        .expect_problem(404, "not-found");
}

/// Queries of every kind, the same ones in every run.
fn queries(count: usize) -> Vec<String> {
    let strategy = prop_oneof![
        "\\PC{1,40}",
        "[\\x00-\\x7f]{1,30}",
        "[ab&|!()<>:*'\"\\\\%_ -]{1,12}",
        "(hello|world|to|be|new|th|日本|本語|สวัส|👍|\"|'| ){1,6}",
        "[a-d日本語]{1,3}( [a-d日本語]{1,2}){0,3}",
        Just("&".repeat(200)),
        "[a-z' \"]{200}",
    ];
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[tokio::test]
async fn whatever_is_typed_finds_exactly_what_matches() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let indexer = database.block_indexer().await;
    let short = [
        "a b",
        "ab cd",
        "b'a",
        "日本a",
        "本 語",
        "c\"d\" a",
        "it's a b%_c",
        "日本語",
    ];
    let mut sent: Vec<&str> = TEXTS.into_iter().chain(short).collect();
    for text in &sent {
        jane.send("john", text).await;
    }
    sent.reverse();
    let mut indexer = Some(indexer);
    for _ in ["pending", "indexed"] {
        for q in queries(300) {
            let Ok(query) = Query::parse(&q) else {
                continue;
            };
            let expected: Vec<_> = sent
                .iter()
                .copied()
                .filter(|text| query.find_in(text).is_some())
                .collect();
            assert_eq!(texts(&jane, &q).await, expected, "{q:?}");
        }
        drop(indexer.take());
        database.until_indexed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_from_its_answer_on_whoever_indexes_and_whatever_dies() {
    let database = Database::fresh().await;
    let mut replicas = vec![
        Replica::start(&database, Settings::default()).await,
        Replica::start(&database, Settings::default()).await,
    ];
    let survivor = replicas.pop().unwrap();
    let writers = (0..8).map(|writer| {
        let (jane, john) = (survivor.user("jane"), survivor.user("john"));
        tokio::spawn(async move {
            for number in 0..40 {
                let (first, second) = (
                    format!("first{writer}x{number}x"),
                    format!("second{writer}x{number}x"),
                );
                let sent = jane.send("john", &first).await;
                assert_eq!(
                    texts(&john, &first).await,
                    [first.as_str()],
                    "found at once"
                );
                let edited = jane
                    .patch(&sent["id"], &sent["timestamp"], json!({ "text": second }))
                    .await;
                let edited = edited.expect(200);
                assert_eq!(texts(&john, &first).await, [""; 0], "its past is not found");
                assert_eq!(
                    texts(&john, &second).await,
                    [second.as_str()],
                    "its present is found at once"
                );
                if number % 2 == 0 {
                    jane.delete(&edited["id"], &edited["timestamp"])
                        .await
                        .expect(200);
                    assert_eq!(texts(&john, &second).await, [""; 0], "a deleted one is not");
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    // Whoever indexes now, one of the two dies meanwhile, and the index is rebuilt.
    eventually("some texts are indexed", async || {
        (database.count("SELECT count(*) FROM search_entries").await > 20).then_some(())
    })
    .await;
    replicas[0].kill();
    rebuild(&database).await;
    for writer in writers {
        writer.await.unwrap();
    }
    database.until_indexed().await;
    let kept = "SELECT count(*) FROM messages WHERE text IS NOT NULL";
    let entries = "SELECT count(*) FROM search_entries";
    assert_eq!(database.count(entries).await, database.count(kept).await);
}

async fn rebuild(database: &Database) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_messages"));
    command
        .args(["search", "rebuild"])
        .env_clear()
        .env("DATABASE_URL", &database.url);
    let output = command.output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_rebuilt_index_finds_what_the_old_one_did_and_hides_nothing_meanwhile() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    for text in TEXTS {
        jane.send("john", text).await;
    }
    database.until_indexed().await;
    // An index that has lost its entries finds nothing; rebuilt from the messages it does.
    database.execute("DELETE FROM search_entries").await;
    assert_eq!(texts(&jane, "hello").await, [""; 0]);
    rebuild(&database).await;
    expect_all(&jane).await;
    database.until_indexed().await;
    expect_all(&jane).await;
}

#[tokio::test]
async fn a_search_that_takes_too_long_says_so() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    jane.send("john", "hello").await;
    let mut lock = database.connect().await;
    sqlx::query("BEGIN").execute(&mut lock).await.unwrap();
    sqlx::query("LOCK TABLE search_entries IN ACCESS EXCLUSIVE MODE")
        .execute(&mut lock)
        .await
        .unwrap();
    let reply = jane.get("/messages/search?q=hello").await;
    reply.expect_problem(503, "search-overdue");
    assert!(reply.headers.contains_key("retry-after"));
    drop(lock);
    assert_eq!(texts(&jane, "hello").await, ["hello"]);
}

#[tokio::test]
async fn the_index_answers_and_not_a_look_at_every_entry() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    for text in TEXTS {
        jane.send("john", text).await;
    }
    database.until_indexed().await;
    let count = async |of: &str| database.count(&format!("SELECT {of}")).await;
    let whole = "seq_scan FROM pg_stat_user_tables WHERE relname = 'search_entries'";
    let of_index = "idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'search_terms'";
    let before = count(whole).await;
    for _ in 0..10 {
        expect_all(&jane).await;
    }
    // The server counts with some delay, both at once.
    eventually("the scans of the index are counted", async || {
        (count(of_index).await > 0).then_some(())
    })
    .await;
    assert_eq!(count(whole).await, before);
}
