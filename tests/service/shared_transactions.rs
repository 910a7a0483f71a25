//! Small batches of several applications in one transaction.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::task::JoinHandle;

use crate::support::{
    Client, Cut, Database, Proxy, Replica, Reply, Settings, eventually, open_lane,
};

/// The writers of a replica.
const WRITERS: i64 = 4;

/// Each of these applications has a blocked lane for which a writer waits.
const BLOCKED: std::ops::RangeInclusive<i64> = 2..=1 + WRITERS;

/// The commands of these applications wait for a writer. They are the commands of as many
/// applications as a transaction may have, with the one whose writer waited for its lane.
const WAITING: std::ops::RangeInclusive<i64> = 2 + WRITERS..=32 + WRITERS;

/// A replica whose writers all wait for lanes, while commands of many applications wait for them.
struct Crowd {
    database: Database,
    replica: Replica,
    lanes: Vec<PgConnection>,
    /// The answers to the senders, by application.
    blocked: Vec<JoinHandle<Reply>>,
    waiting: Vec<JoinHandle<Reply>>,
}

/// A replica, which reaches the database as `behind`, and all the applications.
async fn tenants(database: &Database, behind: &Database) -> Replica {
    let replica = Replica::start(behind, Settings::default()).await;
    database
        .execute(
            "INSERT INTO applications (id, name) SELECT id, 'tenant' FROM generate_series(2, 99) AS id;
             INSERT INTO followers (application_id, name, cursor)
             SELECT id, name, 0 FROM generate_series(2, 99) AS id, (SELECT DISTINCT name FROM followers) AS follower",
        )
        .await;
    replica
}

/// Sends the application's own number.
async fn send(user: Client, application: i64) -> Reply {
    let body = json!({ "to": "john", "text": application.to_string() });
    user.post(body).await
}

impl Crowd {
    /// In each application a user makes the `command`.
    async fn gather<F: Future<Output = Reply> + Send + 'static>(
        database: Database,
        replica: Replica,
        command: impl Fn(Client, i64) -> F,
    ) -> Self {
        // The time for which lanes are blocked is short.
        let command = |application| command(replica.user_of(application, "jane"), application);
        let blocked: Vec<_> = BLOCKED.map(command).collect();
        let waiting: Vec<_> = WAITING.map(command).collect();
        let mut lanes = Vec::new();
        for application in BLOCKED {
            lanes.push(database.block_lane_of(application).await);
        }
        let blocked = blocked.into_iter().map(tokio::spawn).collect();
        database.until_writers_wait(WRITERS).await;
        let waiting: Vec<_> = waiting.into_iter().map(tokio::spawn).collect();
        let commands = WRITERS as f64 + waiting.len() as f64;
        replica.until_waiting("timeline", commands).await;
        Self {
            database,
            replica,
            lanes,
            blocked,
            waiting,
        }
    }

    /// Lets the writer of the first application go on.
    async fn let_one_go_on(&mut self) {
        open_lane(self.lanes.remove(0)).await;
    }

    /// Opens the other lanes. Returns the answers to the applications that were blocked, and to
    /// those that waited.
    async fn answers(self) -> (Database, Replica, Vec<Reply>, Vec<Reply>) {
        for lane in self.lanes {
            open_lane(lane).await;
        }
        let (mut blocked, mut waiting) = (Vec::new(), Vec::new());
        for answer in self.blocked {
            blocked.push(answer.await.unwrap());
        }
        for answer in self.waiting {
            waiting.push(answer.await.unwrap());
        }
        (self.database, self.replica, blocked, waiting)
    }
}

/// Each application has exactly the message that it has sent, on a timeline of its own.
async fn each_has_its_message(replica: &Replica, replies: impl Iterator<Item = &Reply>) {
    for (application, reply) in (BLOCKED.chain(WAITING)).zip(replies) {
        let sent = reply.expect(201);
        assert_eq!(sent["text"], application.to_string());
        assert_eq!(sent["number"], 1);
        let page = replica.user_of(application, "john").sync("").await;
        assert_eq!(page["total"], 1);
        assert_eq!(page["messages"][0]["id"], sent["id"]);
        assert_eq!(page["latest"], sent["timestamp"]);
    }
}

/// Sends once more in each application, whose last number is `number`: what the writers have kept
/// of a transaction that failed must not count.
async fn each_goes_on(replica: &Replica, applications: impl Iterator<Item = i64>, number: i64) {
    for application in applications {
        let john = replica.user_of(application, "john");
        let next = john.send("jane", "next").await;
        assert_eq!(next["number"], number + 1, "{application}");
    }
}

/// In how many transactions the newest changes of the waiting applications were made.
async fn transactions(database: &Database) -> i64 {
    let first = WAITING.start();
    let count = format!(
        "SELECT count(DISTINCT newest.transaction) FROM (
             SELECT DISTINCT ON (application_id) xmin::text AS transaction FROM changes
             WHERE application_id >= {first} ORDER BY application_id, timestamp DESC
         ) AS newest"
    );
    database.count(&count).await
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_applications_share_a_transaction_and_wait_for_no_lane_of_another() {
    let database = Database::fresh().await;
    let replica = tenants(&database, &database).await;
    let mut crowd = Crowd::gather(database, replica, send).await;
    let slow = *WAITING.start();
    let held = crowd.database.block_lane_of(slow).await;
    crowd.let_one_go_on().await;
    let unheld = crowd.waiting.split_off(1);
    for answer in unheld {
        answer.await.unwrap().expect(201);
    }
    // The writer that is free now waits for the lane that was held, and holds none meanwhile.
    crowd.database.until_writers_wait(WRITERS).await;
    assert!(!crowd.waiting[0].is_finished());
    let transactions = format!(
        "SELECT count(DISTINCT xmin::text) FROM changes WHERE application_id = {} OR application_id > {slow}",
        BLOCKED.start(),
    );
    assert_eq!(crowd.database.count(&transactions).await, 1);
    open_lane(held).await;
    let (_database, replica, blocked, waiting) = crowd.answers().await;
    each_has_its_message(&replica, blocked.iter().chain(&waiting)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_transaction_has_changes_of_every_kind() {
    let database = Database::fresh().await;
    let replica = tenants(&database, &database).await;
    let mut sent = HashMap::new();
    for application in WAITING {
        let [jane, john] = ["jane", "john"].map(|user| replica.user_of(application, user));
        sent.insert(application, jane.send("john", "first").await);
        john.send("jane", "second").await;
    }
    let mut crowd = Crowd::gather(database, replica, |jane, application| {
        change(jane, application, sent.get(&application).cloned())
    })
    .await;
    crowd.let_one_go_on().await;
    let (database, replica, _, waiting) = crowd.answers().await;
    assert_eq!(transactions(&database).await, 1);
    for (application, reply) in WAITING.zip(&waiting) {
        assert!([200, 201].contains(&reply.status), "{}", reply.text);
        let page = replica.user_of(application, "jane").sync("").await;
        assert_eq!(page["total"], 3);
        let entries = page["messages"].as_array().unwrap();
        assert_eq!(entries.last().unwrap()["timestamp"], page["latest"]);
    }
    let (sends, others): (Vec<_>, Vec<_>) = WAITING.partition(|application| application % 4 == 0);
    each_goes_on(&replica, sends.into_iter(), 3).await;
    each_goes_on(&replica, others.into_iter(), 2).await;
}

/// Sends, marks the second message as read, creates a chat or edits the first message.
async fn change(jane: Client, application: i64, first: Option<Value>) -> Reply {
    match (first, application % 4) {
        (Some(_), 1) => {
            let read = json!({ "number": 2 });
            jane.call(Method::PUT, "/users/john/read", read).await
        }
        (Some(_), 2) => {
            let chat = json!({ "name": "Shared", "members": ["john"] });
            jane.call(Method::POST, "/chats", chat).await
        }
        (Some(first), 3) => {
            let edit = json!({ "text": "changed" });
            jane.patch(&first["id"], &first["timestamp"], edit).await
        }
        _ => send(jane, application).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_application_cannot_store_hurts_no_other() {
    let database = Database::fresh().await;
    let replica = tenants(&database, &database).await;
    let mut crowd = Crowd::gather(database, replica, send).await;
    crowd.database.refuse_messages("9").await;
    crowd.let_one_go_on().await;
    let (_database, replica, blocked, mut waiting) = crowd.answers().await;
    let poisoned = (9 - WAITING.start()) as usize;
    waiting.remove(poisoned).expect_problem(500, "internal");
    for reply in blocked.iter().chain(&waiting) {
        reply.expect(201);
    }
    let page = replica.user_of(9, "john").sync("").await;
    assert_eq!(page["total"], 0);
    each_goes_on(&replica, [9].into_iter(), 0).await;
    each_goes_on(&replica, BLOCKED.chain(WAITING).filter(|id| *id != 9), 1).await;
}

/// The commit of a transaction of many applications is cut: every caller must get the true result,
/// and nothing may happen twice.
async fn a_shared_commit_is_cut(cut: Cut) {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database.url, cut).await;
    let behind = Database::at(&proxy.url(&database.url));
    let replica = tenants(&database, &behind).await;
    let mut crowd = Crowd::gather(database, replica, send).await;
    proxy.arm();
    crowd.let_one_go_on().await;
    eventually("the commit is cut", async || {
        (proxy.cuts() == 1).then_some(())
    })
    .await;
    let (database, replica, blocked, waiting) = crowd.answers().await;
    each_has_its_message(&replica, blocked.iter().chain(&waiting)).await;
    let messages = database.count("SELECT count(*) FROM messages").await;
    assert_eq!(messages, (blocked.len() + waiting.len()) as i64);
    let expected = match cut {
        Cut::Answer => 1,
        Cut::Commit => waiting.len() as i64,
    };
    assert_eq!(transactions(&database).await, expected);
    each_goes_on(&replica, BLOCKED.chain(WAITING), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_shared_commit_is_found_out() {
    a_shared_commit_is_cut(Cut::Answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_shared_commit_is_made_again() {
    a_shared_commit_is_cut(Cut::Commit).await;
}
