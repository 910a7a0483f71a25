//! Databases whose schema is another one.

use std::process::Command;

use messages::store::MIGRATIONS;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::migrate::Migrator;

use crate::{
    imports::{history, stored},
    support::{Database, Replica, administered, counted, counts_are_true, eventually},
};

/// What a start says about a database to which these migrations were applied.
async fn refusal(applied: &[i64]) -> String {
    let database = Database::fresh().await;
    let versions: Vec<_> = applied
        .iter()
        .map(|version| format!("({version}, '', now(), TRUE, '', 0)"))
        .collect();
    database
        .execute(&format!(
            "CREATE TABLE _sqlx_migrations (
                 version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL,
                 success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL
             );
             INSERT INTO _sqlx_migrations VALUES {}",
            versions.join(", ")
        ))
        .await;
    let output = Command::new(env!("CARGO_BIN_EXE_messages"))
        .arg("migrate")
        .env("DATABASE_URL", &database.url)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(
        database
            .count("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            .await,
        1,
        "nothing was created"
    );
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_database_from_before_the_first_release_is_refused_and_what_to_do_is_said() {
    let said = refusal(&[1, 2, 3, 4, 5, 6, 7, 8]).await;
    assert!(said.contains("before the first release"), "{said}");
    assert!(said.contains("new, empty database"), "{said}");
}

#[tokio::test]
async fn a_database_whose_migrations_had_another_text_is_refused() {
    let first = MIGRATIONS.iter().next().unwrap().version;
    let said = refusal(&[first]).await;
    assert!(said.contains("another text of migration"), "{said}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let said = refusal(&[99_991_231_000_000]).await;
    assert!(said.contains("newer version"), "{said}");
}

/// Later migrations run on a populated database, and the service goes on with what it holds.
#[tokio::test]
async fn every_later_migration_runs_on_populated_tables() {
    let database = Database::fresh().await;
    let first = MIGRATIONS.iter().next().unwrap().clone();
    let mut connection = database.connect().await;
    let schema = Migrator::with_migrations(vec![first]);
    schema.run(&mut connection).await.unwrap();
    database.execute(include_str!("first_release.sql")).await;

    let replica = Replica::start(&database, administered()).await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    feed_tells_what_was_there(&replica).await;
    assert_eq!(jane.sync("after=0&limit=100").await["total"], 9);
    let texts = jane.get("/users/john/messages").await.expect(200);
    assert_eq!(texts["messages"][0]["deleted"], true, "{texts}");
    assert_eq!(texts["messages"][1]["text"], "Hello, John");
    let john_has_read = serde_json::json!([{ "user": "john", "read": 2 }]);
    assert_eq!(
        jane.get("/users/john").await.expect(200)["reads"],
        john_has_read
    );
    assert_eq!(jane.get("/chats/1").await.expect(200)["messages"], 2);
    // The list goes by when messages were sent, and an edited one has kept that. John's own message
    // counts as read by him, and by jane it is not, but it is deleted.
    let page = jane.get("/conversations").await.expect(200);
    let shown = counted(&page).into_iter().map(|seen| {
        let fields = ["last", "read", "unread"].map(|field| seen[field].as_i64().unwrap());
        (seen["with"].clone(), fields)
    });
    let expected = [(Value::Null, [8, 2, 0]), ("john".into(), [2, 1, 0])];
    assert_eq!(shown.collect::<Vec<_>>(), expected, "{page}");
    let since = "SELECT count(*) FROM chat_members
                 WHERE (user_id, since, reads_after) IN (('jane', 0, 0), ('john', 0, 0), ('kim', 2, 0))";
    assert_eq!(
        database.count(since).await,
        3,
        "members read what came after them"
    );
    let kept = "SELECT count(*) FROM conversations WHERE first = 1 AND retention_days IS NULL";
    let all = database.count("SELECT count(*) FROM conversations").await;
    assert_eq!(database.count(kept).await, all, "nothing has expired");
    let trimmed = "SELECT count(*) FROM applications WHERE trimmed > 0 OR expired > 0";
    assert_eq!(database.count(trimmed).await, 0);
    counts_are_true(&jane, "jane").await;
    counts_are_true(&john, "john").await;
    let johns = john.get("/users/jane").await.expect(200);
    assert_eq!((&johns["last"], &johns["read"]), (&2.into(), &2.into()));
    assert_eq!(john.get("/chats/1").await.status, 404);
    // The entries of an older index have no terms for filters.
    for _ in ["perhaps pending", "indexed"] {
        for query in ["q=hello", "q=leaves", "has=file", "from=john"] {
            let hits = jane.get(&format!("/messages/search?{query}")).await;
            assert_eq!(hits.expect(200)["hits"].as_array().unwrap().len(), 1);
        }
        database.until_indexed().await;
    }
    let replies = jane.get("/messages/3/replies").await.expect(200);
    assert_eq!(replies["messages"][0]["text"], "John leaves");
    assert_eq!(replies["replies"], json!({ "count": 1, "last": 2 }));
    let sent = jane.send("john", "and now").await;
    assert_eq!(sent["number"], 3);
    assert!(sent["timestamp"].as_i64().unwrap() > 10);
    assert_eq!(jane.post_into(1, "alone").await["number"], 3);
    what_was_there_can_be_erased(&replica, &database).await;
}

/// A database to which the migrations before this one were applied.
async fn before(version: i64) -> Database {
    let database = Database::fresh().await;
    let earlier = MIGRATIONS.iter();
    let earlier = earlier.filter(|migration| migration.version < version);
    let schema = Migrator::with_migrations(earlier.cloned().collect());
    schema.run(&mut database.connect().await).await.unwrap();
    database
}

/// Somebody who was no member has an imported message in a chat, has pinned it, and is banned from the chat.
const OF_ADAM: &str = "
    INSERT INTO conversations (application_id, id, timestamp, created, chat_number, name, members, importing)
    VALUES (1, 20, 20, now(), 1, 'Old', 0, false);
    INSERT INTO messages
        (application_id, id, conversation_id, number, timestamp, sender, chat_number, created, text, deleted,
         import_key)
    VALUES (1, 20, 20, 1, 20, 'adam', 1, now(), 'from adam', false, '1'),
           (1, 21, 20, 2, 21, 'kim', 1, now(), 'from kim', false, '2');
    INSERT INTO pins (application_id, chat_number, message_id, timestamp, pinned_by, created)
    VALUES (1, 1, 20, 22, 'adam', now()), (1, 1, 21, 23, NULL, now());
    INSERT INTO chat_bans (application_id, chat_number, user_id, created)
    VALUES (1, 1, 'adam', now()), (1, 1, 'kim', now())";

#[tokio::test]
async fn an_export_has_what_was_there_before_its_indexes() {
    let database = before(20_261_210_000_100).await;
    database.execute(OF_ADAM).await;
    let replica = Replica::start(&database, administered()).await;
    let application = replica.application().await;
    let export = application.get("/users/adam/export").await;
    let lines = export.text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let (kind, content) = line.as_object().unwrap().iter().next().unwrap();
        json!([kind, content["chat"], content["text"], content["message"]])
    });
    let expected = json!([
        ["user", null, null, null],
        ["conversation", 1, null, null],
        ["message", 1, "from adam", null],
        ["pin", 1, null, 20],
        ["ban", 1, null, null],
    ]);
    assert_eq!(Value::from_iter(lines), expected, "{}", export.text);
}

/// John is being erased, and his conversation with jane has his pseudonym already; a message there does not.
const UNDER_WAY: &str = "
    INSERT INTO conversations
        (application_id, id, timestamp, created, least, greatest, least_read, greatest_read, least_as_of,
         greatest_as_of, least_blocks, greatest_blocks)
    VALUES (1, 20, 20, now(), 'erased:0f', 'jane', 0, 0, 0, 0, true, false),
           (1, 21, 20, now(), 'adam', 'erased:0f', 0, 0, 0, 0, false, true);
    INSERT INTO messages
        (application_id, id, conversation_id, number, timestamp, sender, recipient, created, text, deleted)
    VALUES (1, 20, 20, 1, 20, 'john', 'jane', now(), 'from john', false),
           (1, 21, 21, 1, 20, 'adam', 'john', now(), 'to john', false);
    INSERT INTO updates (application_id, user_id, timestamp, with_user) VALUES (1, 'jane', 21, 'john');
    INSERT INTO erasures
        (application_id, user_digest, user_id, pseudonym, timestamp, requested, deletes_others, step)
    VALUES (1, sha256('john'), 'john', 'erased:0f', 20, now(), false, 2);
    INSERT INTO erasures
        (application_id, user_digest, user_id, pseudonym, timestamp, requested, finished, deletes_others)
    VALUES (1, sha256('kim'), NULL, 'erased:0e', 19, now(), now(), false);
    UPDATE applications SET erasing = true WHERE id = 1";

#[tokio::test]
async fn an_erasure_that_is_under_way_walks_its_conversations_by_the_new_indexes() {
    let database = before(20_261_210_000_000).await;
    database.execute(UNDER_WAY).await;

    let _replica = Replica::start(&database, administered()).await;
    eventually("john is erased", async || {
        let done = "SELECT count(*) FROM erasures WHERE finished IS NOT NULL";
        (database.count(done).await == 2).then_some(())
    })
    .await;
    let named = "SELECT count(*) FROM messages WHERE 'john' IN (sender, recipient)";
    assert_eq!(database.count(named).await, 0);
    let named = "SELECT count(*) FROM updates WHERE 'john' IN (user_id, with_user)";
    assert_eq!(database.count(named).await, 0);
    let kept = "SELECT count(*) FROM messages WHERE text = 'to john' AND recipient = 'erased:0f'";
    assert_eq!(database.count(kept).await, 1);
}

/// A chat that is being imported, in which members are to read what came after they had joined.
const IMPORTING: &str = "
    INSERT INTO conversations
        (application_id, id, timestamp, created, chat_number, name, members, importing, since_joining)
    VALUES (1, 20, 20, now(), 1, 'Old', 0, true, true);
    INSERT INTO messages
        (application_id, id, conversation_id, number, timestamp, sender, chat_number, created, text, deleted,
         import_key)
    VALUES (1, 20, 20, 1, 20, 'jane', 1, now(), 'from jane', false, '1');
    INSERT INTO importing_members (application_id, chat_number, user_id, role)
    VALUES (1, 1, 'jane', 'member'), (1, 1, 'john', 'moderator')";

#[tokio::test]
async fn the_members_of_an_import_that_is_under_way_read_all_of_it() {
    let database = before(20_261_211_000_000).await;
    database.execute(IMPORTING).await;
    let replica = Replica::start(&database, administered()).await;
    let application = replica.application().await;
    let done = json!({ "key": "end", "done": { "chat": 1 } });
    stored(&application, &[done]).await;
    for user in ["jane", "john"] {
        let read = history(&replica.user(user), "/chats/1").await;
        assert_eq!(read[0]["text"], "from jane", "{user}");
    }
}

/// A user of before is erased like any other one.
async fn what_was_there_can_be_erased(replica: &Replica, database: &Database) {
    let application = replica.application().await;
    let erasing = application.call(Method::DELETE, "/users/john", Value::Null);
    erasing.await.expect(202);
    eventually("john is erased", async || {
        let report = application.get("/users/john/erasure").await.expect(200);
        (report["state"] == "done").then_some(())
    })
    .await;
    for (table, column) in [
        ("messages", "sender"),
        ("messages", "recipient"),
        ("updates", "user_id"),
        ("updates", "with_user"),
        ("changes", "actor"),
        ("chat_members", "user_id"),
        ("conversations", "greatest"),
    ] {
        let named = format!("SELECT count(*) FROM {table} WHERE {column} = 'john'");
        assert_eq!(database.count(&named).await, 0, "{table}.{column}");
    }
}

/// The feed tells of changes from before it was there as of all others.
async fn feed_tells_what_was_there(replica: &Replica) {
    let administrator = replica.administrator();
    let path = "/applications/1/token";
    let made = administrator.call(Method::POST, path, Value::Null).await;
    let application = replica.with_token(made.json()["token"].as_str().unwrap());
    let page = application.get("/feed").await.expect(200);
    let told = page["entries"].as_array().unwrap().iter().map(|entry| {
        let fields = ["id", "number", "with", "chat", "user"].map(|field| entry[field].clone());
        (
            entry["kind"].as_str().unwrap(),
            Value::from(fields.to_vec()),
        )
    });
    let expected = [
        ("message.created", json!([1, 1, "john", null, null])),
        ("message.created", json!([2, 2, "jane", null, null])),
        ("message.edited", json!([1, 1, "john", null, null])),
        ("message.deleted", json!([2, 2, "jane", null, null])),
        (
            "conversation.read",
            json!([null, null, "jane", null, "john"]),
        ),
        ("chat.created", json!([null, null, null, 1, null])),
        ("message.created", json!([3, 1, null, 1, null])),
        ("message.created", json!([4, 2, null, 1, null])),
        ("chat.changed", json!([null, null, null, 1, null])),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// A migration that is released stays as it is: databases have been made with its text.
#[test]
fn no_migration_is_ever_changed() {
    let checksums = MIGRATIONS.iter().map(|migration| {
        let digits = migration.checksum.iter().take(8);
        let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
        (migration.version, digits)
    });
    let expected = [
        (20_261_127_000_000, "e604b9e33ce2e1eb"),
        (20_261_128_000_000, "5052782951ba8ee3"),
        (20_261_129_000_000, "f24de661ea4f67be"),
        (20_261_130_000_000, "db2cb8ba991f760c"),
        (20_261_201_000_000, "189938fc600b559f"),
        (20_261_201_000_001, "ea3d375a1944cde7"),
        (20_261_202_000_000, "8d0cf75916ab132c"),
        (20_261_202_000_001, "3b18ebf949ab6808"),
        (20_261_203_000_000, "33572981045d3ede"),
        (20_261_204_000_000, "049fb6a2a0c83293"),
        (20_261_204_000_100, "89327ce12679ecdf"),
        (20_261_205_000_000, "4f7ef1d23b037106"),
        (20_261_206_000_000, "79517a23f9b073f6"),
        (20_261_207_000_000, "a62a331f2890da3f"),
        (20_261_208_000_000, "a63759885ab9e0b1"),
        (20_261_209_000_000, "796ccd1975e2033e"),
        (20_261_210_000_000, "243036e6f002151b"),
        (20_261_210_000_100, "d914fac052201dd6"),
        (20_261_211_000_000, "bfb7c8a7446f07b3"),
        (20_261_212_000_000, "8a97b9aebaeb7139"),
        (20_261_213_000_100, "98e17ed054c9f791"),
    ];
    let expected = expected.map(|(version, digits)| (version, digits.to_owned()));
    assert_eq!(checksums.collect::<Vec<_>>(), expected);
}
