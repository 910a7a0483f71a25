//! A database host that falls silent: its connections stay open, and nothing arrives on them any
//! more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::Executor;

use crate::support::{Client, Database, Replica, Reply, Settings, Wire, administered, eventually};

/// How soon every kind of call must succeed again, beside the time that as many successes take
/// anyway.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(15);

/// Callers of each kind: more than one for each place in a pool, with all kinds together.
const CALLERS: usize = 4;

/// The pause between two calls of a caller: it is not the machine that is tested.
const PAUSE: Duration = Duration::from_millis(20);

/// A kind of call: its name, and one call, which succeeds with this status.
type Kind = (&'static str, fn(Clients) -> reqwest::RequestBuilder, u16);

/// A replica whose changes wait for a writer as long as in service: a lost connection takes as long.
async fn usual_replica(database: &Database) -> Replica {
    let settings = administered().with("WRITE_WAIT_MS_MAX", "5000");
    Replica::start(database, settings).await
}

#[derive(Clone)]
struct Clients {
    jane: Client,
    application: Client,
    administrator: Client,
    nobody: Client,
}

const KINDS: [Kind; 11] = [
    (
        "send",
        |clients| {
            clients
                .jane
                .posting(json!({ "to": "john", "text": "hello" }))
        },
        201,
    ),
    (
        "sync",
        |clients| get(&clients.jane, "/messages?after=latest"),
        200,
    ),
    (
        "sync with data",
        |clients| get(&clients.jane, "/messages?include=message&limit=10"),
        200,
    ),
    ("message", |clients| get(&clients.jane, "/messages/1"), 200),
    (
        "history",
        |clients| get(&clients.jane, "/users/john/messages?limit=5"),
        200,
    ),
    ("chats", |clients| get(&clients.jane, "/chats"), 200),
    (
        "chat history",
        |clients| get(&clients.jane, "/chats/1/messages"),
        200,
    ),
    (
        "search",
        |clients| get(&clients.jane, "/messages/search?q=hello&limit=1"),
        200,
    ),
    (
        "application",
        |clients| get(&clients.application, "/applications/self"),
        200,
    ),
    (
        "administrator",
        |clients| get(&clients.administrator, "/applications"),
        200,
    ),
    (
        "readiness",
        |clients| get(&clients.nobody, "/health/ready"),
        200,
    ),
];

fn get(client: &Client, path: &str) -> reqwest::RequestBuilder {
    client.request(reqwest::Method::GET, path)
}

/// What the callers of a kind have seen.
#[derive(Default)]
struct Seen {
    /// Successes of calls that began after the silence, while all of them are to be counted.
    successes: AtomicUsize,
    silent: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_call_is_good_again_soon_after_the_database_fell_silent() {
    let database = Database::fresh().await;
    let wire = Wire::to(&database.url).await;
    let behind = Database::at(&wire.url(&database.url));
    let replica = usual_replica(&behind).await;
    let clients = clients(&replica).await;
    let seen: Vec<Arc<Seen>> = KINDS.iter().map(|_| Arc::default()).collect();
    let (mut callers, began) = (tokio::task::JoinSet::new(), Instant::now());
    for (kind, seen) in KINDS.iter().zip(&seen) {
        for _ in 0..CALLERS {
            callers.spawn(call_again_and_again(
                *kind,
                clients.clone(),
                Arc::clone(seen),
            ));
        }
    }
    for seen in &seen {
        until_succeeded(seen, CALLERS).await;
    }
    let usual = began.elapsed();
    wire.silence();
    for seen in &seen {
        seen.successes.store(0, Ordering::SeqCst);
        seen.silent.store(true, Ordering::SeqCst);
    }
    let since = Instant::now();
    for (kind, seen) in KINDS.iter().zip(&seen) {
        // More than may still have been on its way.
        until_succeeded(seen, CALLERS).await;
        let taken = since.elapsed();
        assert!(
            taken < RECOVERY_TIME_MAX + usual,
            "{} took {taken:?}, {usual:?} before",
            kind.0
        );
    }
    callers.shutdown().await;
    eventually("no connection is in use", async || {
        (replica
            .metric("messages_database_connections_in_use", "")
            .await
            <= 1.0)
            .then_some(())
    })
    .await;
}

/// Has every place of the pool taken: a lock makes eight reads wait at the same time. `false` where
/// the machine was too slow for them.
async fn fill_pool(replica: &Replica, database: &Database) -> bool {
    let mut locked = database.connect().await;
    locked
        .execute("BEGIN; LOCK TABLE applications")
        .await
        .unwrap();
    let read =
        |administrator: Client| async move { administrator.get("/applications").await.status };
    let waiting: Vec<_> = (0..8)
        .map(|_| tokio::spawn(read(replica.administrator())))
        .collect();
    let in_use = "pool=\"reads\"";
    eventually("the reads wait, or have", async || {
        let connections = replica
            .metric("messages_database_connections_in_use", in_use)
            .await;
        (connections == 8.0 || waiting.iter().all(|read| read.is_finished())).then_some(())
    })
    .await;
    locked.execute("COMMIT").await.unwrap();
    let mut all_succeeded = true;
    for read in waiting {
        all_succeeded &= read.await.unwrap() == 200;
    }
    all_succeeded
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_that_are_dead_cost_one_caller_the_time_of_one() {
    let database = Database::fresh().await;
    let wire = Wire::to(&database.url).await;
    let behind = Database::at(&wire.url(&database.url));
    let replica = usual_replica(&behind).await;
    let administrator = replica.administrator();
    while !fill_pool(&replica, &database).await {}
    wire.silence();
    // Who was used within a second is not tried.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let since = Instant::now();
    administrator.get("/applications").await.expect(200);
    let taken = since.elapsed();
    // The eight of them would take eight seconds.
    assert!(taken < Duration::from_secs(6), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_ends_that_waits_for_a_server_which_is_not_at_work_any_more() {
    let database = Database::fresh().await;
    drop(Replica::start(&database, Settings::default()).await);
    let wire = Wire::to(&database.url).await;
    let mut locked = database.connect().await;
    locked
        .execute("BEGIN; LOCK TABLE _sqlx_migrations")
        .await
        .unwrap();
    let url = wire.url(&database.url);
    let starting = tokio::spawn(async move { Replica::started_in_vain(&url).await });
    eventually("the migration waits", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'
                         AND application_name = 'messages migration'";
        (database.count(waiting).await > 0).then_some(())
    })
    .await;
    wire.silence();
    locked.execute("COMMIT").await.unwrap();
    assert!(starting.await.unwrap().contains("not at work any more"));
    // The server has found out as well, and has freed the lock of migrations.
    wire.lead_to(&database.url);
    Replica::start(&database, Settings::default())
        .await
        .user("jane")
        .send("john", "hello")
        .await;
}

async fn clients(replica: &Replica) -> Clients {
    let jane = replica.user("jane");
    jane.send("john", "hello").await;
    let chat = jane.chat("Team", &["john"]).await;
    jane.post_into(chat, "hello, everybody").await;
    let administrator = replica.administrator();
    let name = json!({ "name": "shop" });
    let created = administrator
        .call(reqwest::Method::POST, "/applications", name)
        .await
        .expect(201);
    let application = replica.with_token(created["token"].as_str().unwrap());
    Clients {
        jane,
        application,
        administrator,
        nobody: replica.nobody(),
    }
}

async fn call_again_and_again((name, request, status): Kind, clients: Clients, seen: Arc<Seen>) {
    loop {
        let is_silent = seen.silent.load(Ordering::SeqCst);
        let reply = Reply::of(request(clients.clone())).await;
        assert!(
            [status, 503].contains(&reply.status),
            "{name}: {} {}",
            reply.status,
            reply.text
        );
        if reply.status == status && is_silent == seen.silent.load(Ordering::SeqCst) {
            seen.successes.fetch_add(1, Ordering::SeqCst);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn until_succeeded(seen: &Seen, count: usize) {
    eventually("calls succeed", async || {
        (seen.successes.load(Ordering::SeqCst) >= count).then_some(())
    })
    .await;
}
