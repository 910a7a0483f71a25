//! An index whose terms meant something else in the version before.

use messages::store::MIGRATIONS;
use sqlx::migrate::Migrator;

use crate::support::{Client, Database, Replica, Settings};

/// The migration that has the index built anew.
const RENEWAL: i64 = 8;

/// A database as the version before left it: two messages, and an index of its terms. It took a
/// tilde that is a whole character of Thai, and so for the end of a word.
async fn database_of_the_version_before() -> Database {
    let database = Database::fresh().await;
    let earlier = MIGRATIONS
        .iter()
        .filter(|migration| migration.version < RENEWAL)
        .cloned()
        .collect();
    Migrator::with_migrations(earlier)
        .run(&mut database.connect().await)
        .await
        .unwrap();
    database
        .execute(
            "INSERT INTO messages
                 (application_id, id, timestamp, sender, recipient, created, read, text, deleted)
             VALUES (1, 1, 1, 'jane', 'john', now(), FALSE, U&'una man\\0303ana', FALSE),
                    (1, 2, 2, 'jane', 'john', now(), FALSE, U&'I\\0307stanbul', FALSE);
             SELECT setval('timeline', 2), setval('message_ids', 2);
             INSERT INTO updates (application_id, user_id, timestamp, message_id)
             VALUES (1, 'jane', 1, 1), (1, 'john', 1, 1), (1, 'jane', 2, 2), (1, 'john', 2, 2);
             INSERT INTO search_entries (application_id, message_id, terms)
             SELECT 1, id, (U&''':u1:jane'' '':u1:john'' '':a0:u1:jane'' '':a0:u1:john''
                               una man \\0303 ana i stanbul')::tsvector
             FROM messages;
             DELETE FROM search_pending",
        )
        .await;
    database
}

async fn ids(user: &Client, q: &str) -> Vec<i64> {
    let page = user
        .get(&format!("/messages/search?q={q}"))
        .await
        .expect(200);
    let hits = page["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["message"]["id"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn an_index_of_the_version_before_hides_nothing_and_is_built_anew() {
    let database = database_of_the_version_before().await;
    let replica = Replica::start(&database, Settings::default()).await;
    let john = replica.user("john");
    for _ in ["pending", "indexed"] {
        assert_eq!(ids(&john, "ma%C3%B1ana").await, [1]);
        assert_eq!(ids(&john, "istanbul").await, [2]);
        database.until_indexed().await;
    }
    assert_eq!(
        database.count("SELECT count(*) FROM search_entries").await,
        2
    );
    assert_eq!(
        database
            .count("SELECT count(*) FROM search_entries WHERE terms @@ 'stanbul'")
            .await,
        0,
        "the old terms are gone"
    );
}

#[tokio::test]
async fn an_indexer_of_the_version_before_writes_nothing_any_more() {
    let database = database_of_the_version_before().await;
    let _replica = Replica::start(&database, Settings::default()).await;
    // A replica of the version before may still run. Its indexer fails with this statement, keeps
    // what it has taken as pending, and gives up its turn.
    let write = "INSERT INTO search_entries (application_id, message_id, terms)
                 VALUES (1, 1, 'una man ana')
                 ON CONFLICT (application_id, message_id) DO UPDATE SET terms = excluded.terms";
    for _ in ["pending", "indexed"] {
        let written = sqlx::query(write)
            .execute(&mut database.connect().await)
            .await;
        assert!(written.is_err(), "{written:?}");
        database.until_indexed().await;
    }
}
