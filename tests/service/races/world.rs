//! An application whose users race, and what it reads of them afterwards.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::judge::Call;
use crate::support::{
    Client, Database, PATIENCE, Replica, Reply, Stream, fail_if_a_replica_died, token,
};

/// The longest page of a timeline.
const PAGE: usize = 1000;

/// The turns of the scheduler that a call may wait before it is sent.
pub const HESITATION_MAX: usize = 24;

/// The pause before a call is repeated.
const PAUSE: Duration = Duration::from_millis(100);

/// An application, and the replicas to which its requests go.
pub struct World {
    pub app: Client,
    number: i64,
    bases: Vec<String>,
    /// What all calls are timed by.
    began: Instant,
}

impl World {
    pub async fn create(name: &str, replicas: &[&Replica]) -> Self {
        let administrator = replicas[0].administrator();
        let body = json!({ "name": name });
        let made = call(&administrator, Method::POST, "/applications", body).await;
        let made = made.expect(201);
        Self {
            app: administrator.with_token(made["token"].as_str().unwrap()),
            number: made["id"].as_i64().unwrap(),
            bases: replicas.iter().map(|it| it.base.clone()).collect(),
            began: Instant::now(),
        }
    }

    /// A user of the application.
    pub fn user(&self, id: &str) -> Client {
        let token = token(self.number, id, Duration::from_secs(3600));
        self.app.with_token(&token)
    }

    /// A user with a token of this moment.
    pub async fn minted(&self, id: &str) -> Client {
        let minted = call(&self.app, Method::POST, "/tokens", json!({ "user": id })).await;
        self.app
            .with_token(minted.expect(201)["token"].as_str().unwrap())
    }

    /// The same caller at one of the replicas: any number chooses one.
    pub fn at(&self, replica: usize, caller: &Client) -> Client {
        caller.at(&self.bases[replica % self.bases.len()])
    }

    /// Whatever `calling` does, and when.
    pub async fn timed<T>(&self, calling: impl Future<Output = T>) -> (Call, T) {
        let sent = self.began.elapsed();
        let output = calling.await;
        let answered = self.began.elapsed();
        (Call { sent, answered }, output)
    }

    /// The end of the feed.
    pub async fn latest(&self) -> i64 {
        let page = get(&self.app, "/feed?after=latest").await;
        page["latest"].as_i64().unwrap()
    }

    /// All entries of the feed.
    pub async fn feed(&self) -> Vec<Value> {
        let (mut entries, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/feed?after={after}&limit={PAGE}");
            let page = get(&self.app, &path).await;
            entries.extend(page["entries"].as_array().unwrap().clone());
            after = page["next"].as_i64().unwrap();
            if after >= page["latest"].as_i64().unwrap() {
                return entries;
            }
        }
    }

    /// The changes of what users are forbidden, which are no part of the feed: their timestamps, and
    /// whom they concern.
    pub async fn restrictions(&self, database: &Database) -> Vec<(i64, String)> {
        let mut connection = database.connect().await;
        let changes = "SELECT timestamp, members[1] FROM changes
             WHERE application_id = $1 AND kind = 'user-restricted' ORDER BY timestamp";
        let changes = sqlx::query_as(changes).bind(self.number);
        changes.fetch_all(&mut connection).await.unwrap()
    }
}

/// The answer to a request, which is repeated while it is answered with 503: then nothing has happened.
pub async fn served(request: RequestBuilder) -> Reply {
    again("the request is served", || async {
        let reply = Reply::of(request.try_clone().unwrap()).await;
        let is_unknown = reply.json()["type"] == "/problems/outcome-unknown";
        assert!(!is_unknown, "the database was there: {}", reply.text);
        (reply.status != 503).then_some(reply)
    })
    .await
}

/// As [`eventually`](crate::support::eventually), in tasks of their own.
async fn again<T, F: Future<Output = Option<T>>>(what: &str, attempt: impl Fn() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(value) = attempt().await {
            return value;
        }
        fail_if_a_replica_died(what);
        tokio::time::sleep(PAUSE).await;
    }
    panic!("in vain: {what}")
}

/// Calls with a body, or with none, which is null.
pub async fn call(caller: &Client, method: Method, path: &str, body: Value) -> Reply {
    let request = caller.request(method, path);
    served(Client::with_body(request, path, &body)).await
}

pub async fn get(caller: &Client, path: &str) -> Value {
    call(caller, Method::GET, path, Value::Null)
        .await
        .expect(200)
}

/// Creates a chat; returns its number.
pub async fn create_chat(owner: &Client, members: &[String]) -> i64 {
    let body = json!({ "name": "Races", "members": members });
    let made = call(owner, Method::POST, "/chats", body).await;
    made.expect(201)["number"].as_i64().unwrap()
}

/// Makes a member a moderator, for which it has to be one already.
pub async fn appoint(owner: &Client, chat: i64, member: &str) -> Value {
    let path = format!("/chats/{chat}/members/{member}");
    let role = json!({ "role": "moderator" });
    call(owner, Method::PATCH, &path, role).await.expect(200)
}

/// A stream of the user's timeline.
pub async fn follow(user: &Client, after: &Value) -> Stream {
    let path = format!("/messages?after={after}");
    let open = || Stream::try_open(user.streaming(&path));
    again("the stream is opened", open).await
}

/// All entries of a user's timeline.
pub async fn timeline(user: &Client) -> Vec<Value> {
    let (mut entries, mut after) = (Vec::new(), 0);
    loop {
        let page = get(user, &format!("/messages?after={after}&limit={PAGE}")).await;
        entries.extend(page["messages"].as_array().unwrap().clone());
        after = page["next"].as_i64().unwrap();
        if after >= page["latest"].as_i64().unwrap() {
            return entries;
        }
    }
}

/// Lets others go first: for some turns of the scheduler, up to [`HESITATION_MAX`].
pub async fn hesitate(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Suspends a user, or sets it free.
pub async fn suspend(app: &Client, user: &str, is_suspended: bool) -> Reply {
    let until = is_suspended.then_some("2999-01-01T00:00:00Z");
    let path = format!("/users/{user}/restrictions");
    let restrictions = json!({ "suspendedUntil": until });
    call(app, Method::PUT, &path, restrictions).await
}
