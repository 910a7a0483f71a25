//! Connection poolers between the service and PostgreSQL: one that serves it, and ones that cannot.

use crate::support::{Database, Replica, Servers, Settings, eventually};

async fn server() -> Servers {
    tokio::task::spawn_blocking(|| Servers::start("postgres"))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_in_session_mode_what_is_acknowledged_survives_a_crash() {
    let servers = server().await;
    let direct = Database::at(&servers.database_url);
    // As it comes, the server loses what it has answered in the last moments before a crash.
    direct
        .execute("ALTER SYSTEM SET synchronous_commit = off")
        .await;
    direct
        .execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        .await;
    direct
        .execute("ALTER SYSTEM SET wal_writer_flush_after = '2GB'")
        .await;
    tokio::task::block_in_place(|| {
        servers.stop("postgres");
        servers.start_again("postgres");
    });
    let pooled = Database::at(&tokio::task::block_in_place(|| servers.pooler("session")));
    let replica = Replica::start(&pooled, Settings::default()).await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let mut stream = replica.user("john").stream("after=0").await;
    for count in 0..60 {
        jane.post_into(chat, &count.to_string()).await;
    }
    tokio::task::block_in_place(|| servers.crash("postgres"));
    tokio::task::block_in_place(|| servers.start_again("postgres"));
    assert_eq!(direct.count("SELECT count(*) FROM messages").await, 60);
    for _ in 0..60 {
        stream.update().await;
    }
    // For a while after a failed login the pooler refuses whoever comes.
    let found = eventually("it is ready again", async || {
        let is_ready = replica.nobody().get("/health/ready").await.status == 200;
        let reply = jane.get("/messages/search?q=59").await;
        (is_ready && reply.status == 200).then(|| reply.json())
    })
    .await;
    assert_eq!(found["hits"][0]["message"]["text"], "59");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_in_transaction_mode_it_does_not_start() {
    let servers = server().await;
    let pooled = tokio::task::block_in_place(|| servers.pooler("transaction"));
    let said = Replica::refused_to_start(&pooled).await;
    assert!(said.contains("pooler in transaction mode"), "{said}");
}
