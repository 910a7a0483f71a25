//! A restore from a backup: what was given out since must not be given again, to anybody.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Database, Replica, administered, eventually, token};

/// A database that is put back to what it was, while replicas run on it.
struct Restorable {
    database: Database,
    backup: String,
}

impl Restorable {
    /// A backup of what is there; nobody may be connected.
    async fn of(database: Database) -> Self {
        let name = name(&database);
        let backup = format!("{name}_backup");
        server()
            .execute(&format!("CREATE DATABASE {backup} TEMPLATE {name}"))
            .await;
        Self { database, backup }
    }

    /// Puts the backup in the place of the database, whose connections end. Its timeline is
    /// advanced before, as an operator does it.
    async fn restore(&self) {
        let (name, backup, server) = (name(&self.database), &self.backup, server());
        advance_timeline(&self.database.url.replace(&name, backup));
        server
            .execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            .await;
        server
            .execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
            .await;
        server
            .execute(&format!("ALTER DATABASE {backup} RENAME TO {name}"))
            .await;
    }
}

fn name(database: &Database) -> String {
    database.url.rsplit('/').next().unwrap().to_owned()
}

fn server() -> Database {
    Database::at_shared_server()
}

async fn create_application(replica: &Replica, name: &str) -> Value {
    let (administrator, body) = (replica.administrator(), json!({ "name": name }));
    let create = async || {
        administrator
            .call(Method::POST, "/applications", body.clone())
            .await
    };
    let first = create().await;
    if first.status != 503 {
        return first.expect(201);
    }
    // A connection that was used within the last second is not tested before it is used again.
    first.expect_problem(503, "database-unavailable");
    create().await.expect(201)
}

fn advance_timeline(database_url: &str) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_messages"));
    let status = command
        .args(["timeline", "advance"])
        .env("DATABASE_URL", database_url)
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_lost_application_is_ever_good_for_another_one() {
    let database = Database::fresh().await;
    let mut replica = Replica::start(&database, administered()).await;
    replica.user("jane").chat("Kept", &["john"]).await;
    replica.signal_to_stop();
    replica.ended().await;
    drop(replica);
    let restorable = Restorable::of(database).await;
    let database = &restorable.database;
    let replica = Replica::start(database, administered()).await;
    let lost = create_application(&replica, "lost").await["id"]
        .as_i64()
        .unwrap();
    let jane_of_lost =
        replica.with_token(&token(lost, "jane", std::time::Duration::from_secs(3600)));
    jane_of_lost.send("jane", "to myself").await;
    let mut stream = jane_of_lost.stream("").await;
    let lost_chat = replica.user("jane").chat("Lost", &["john"]).await;

    restorable.restore().await;
    eventually(
        "tokens of an application that does not exist are not good any more",
        async || {
            let reply = jane_of_lost
                .post(json!({ "to": "jane", "text": "lost" }))
                .await;
            (reply.status == 401).then_some(())
        },
    )
    .await;
    // It ends with the application.
    while stream.block().await.is_some() {}
    let other = create_application(&replica, "another").await["id"]
        .as_i64()
        .unwrap();
    assert_ne!(other, lost);
    let jane_of_other = replica.user_of(other, "jane");
    jane_of_other
        .send("jane", "a secret of the other application")
        .await;
    for path in [
        "/messages",
        "/messages/search?q=secret",
        "/users/jane/messages",
    ] {
        // What was known of the application a moment ago counts for some seconds.
        let gone = eventually("the token is not good for reads either", async || {
            let reply = jane_of_lost.get(path).await;
            (reply.status != 200).then_some(reply)
        });
        gone.await.expect_problem(401, "unauthorized");
    }
    assert!(replica.user("jane").chat("New", &["john"]).await > lost_chat);
    assert_eq!(
        database
            .count(&format!(
                "SELECT count(*) FROM messages WHERE application_id = {lost}"
            ))
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_applications_that_are_made_together_differ() {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, administered()).await;
    let mut ids = Vec::new();
    for count in 0..20 {
        ids.push(
            create_application(&replica, &count.to_string()).await["id"]
                .as_i64()
                .unwrap(),
        );
    }
    assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
    assert!(
        ids.iter().all(|id| (1 << 12..1 << 53).contains(id)),
        "they are exact in JavaScript: {ids:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_that_are_behind_the_rows_give_two_applications_no_number_twice() {
    let database = Database::fresh().await;
    let replicas = [
        Replica::start(&database, administered()).await,
        Replica::start(&database, administered()).await,
    ];
    let other = create_application(&replicas[0], "other").await["id"]
        .as_i64()
        .unwrap();
    let applications = [1, other];
    let mut last = [(0, 0); 2];
    for round in 0..3 {
        for replica in &replicas {
            for (application, last) in applications.iter().zip(&mut last) {
                let jane = replica.user_of(*application, "jane");
                let sent = jane.send("john", "hello").await;
                let numbers = ["timestamp", "id"].map(|name| sent[name].as_i64().unwrap());
                assert!(numbers[0] > last.0 && numbers[1] > last.1, "{round}");
                *last = (numbers[0], numbers[1]);
            }
        }
        database
            .execute("SELECT setval('timeline', 1), setval('message_ids', 1)")
            .await;
    }
    for numbers in ["timestamp FROM changes", "id FROM messages"] {
        let (number, table) = numbers.split_once(" FROM ").unwrap();
        let twice = format!("SELECT count(*) - count(DISTINCT {number}) FROM {table}");
        assert_eq!(database.count(&twice).await, 0, "{table}");
    }
    for application in applications {
        let page = replicas[0].user_of(application, "john").sync("").await;
        assert_eq!(page["total"], 6);
    }
}
