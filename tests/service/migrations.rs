//! Migrations of tables that hold something.

use reqwest::Method;
use serde_json::json;
use sqlx::migrate::Migrator;

use crate::support::{Database, Replica, Settings};

/// A fresh database with the schema as it was after `count` migrations.
async fn database_after(count: usize) -> Database {
    let database = Database::fresh().await;
    let migrations = messages::store::MIGRATIONS
        .iter()
        .take(count)
        .cloned()
        .collect();
    Migrator::with_migrations(migrations)
        .run(&mut database.connect().await)
        .await
        .unwrap();
    database
}

#[tokio::test]
async fn numbers_of_chats_and_messages_go_on_where_they_were() {
    let database = database_after(6).await;
    database
        .execute(
            "UPDATE applications SET chats = 2 WHERE id = 1;
             INSERT INTO writers VALUES (gen_random_uuid(), 7, now());
             INSERT INTO chats (application_id, number, timestamp, name, owner, created, messages, members)
             VALUES (1, 1, 1, 'One', 'jane', now(), 2, 1), (1, 2, 2, 'Two', 'jane', now(), 0, 1);
             INSERT INTO chat_members (application_id, chat_number, user_id, joined)
             VALUES (1, 1, 'jane', 1), (1, 2, 'jane', 2);
             INSERT INTO messages (application_id, id, timestamp, sender, created, read, text, deleted,
                                   chat_number, number)
             VALUES (1, 1, 3, 'jane', now(), false, 'hello', false, 1, 1),
                    (1, 2, 5, 'jane', now(), false, NULL, true, 1, 2);
             INSERT INTO updates (application_id, user_id, timestamp, message_id)
             VALUES (1, 'jane', 3, 1), (1, 'jane', 4, 2), (1, 'jane', 5, 2);
             SELECT setval('timeline', 5), setval('message_ids', 2)",
        )
        .await;
    let replica = Replica::start(&database, Settings::default()).await;
    let jane = replica.user("jane");
    let chats = jane.get("/chats").await.expect(200);
    let counts: Vec<_> = chats["chats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chat| chat["messages"].clone())
        .collect();
    assert_eq!(counts, [json!(2), json!(0)]);
    assert_eq!(jane.post_into(1, "the next one").await["number"], 3);
    assert_eq!(jane.post_into(2, "the first one").await["number"], 1);
    assert_eq!(jane.chat("Three", &[]).await, 3);
    assert_eq!(jane.sync("").await["next"], 8);
    let deleted = jane
        .ask(Method::GET, "/chats/1/messages/2", None)
        .await
        .expect(200);
    assert_eq!(deleted["deleted"], true);
}
