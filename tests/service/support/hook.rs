//! A server of an application: it gets what is posted to a webhook or a hook, over real HTTP.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::sync::Notify;

use super::{Client, eventually};

/// How a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Takes,
    /// 200 with this text.
    Says(String),
    Status(u16),
    RedirectsTo(String),
    /// 200 with a body that has no end.
    WithoutEnd,
    /// It answers when it is [released](Hook::releases).
    Hangs,
}

/// What was posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Posted {
    pub id: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the server has taken it.
    pub is_taken: bool,
}

/// The server, and what it has got.
#[derive(Clone)]
pub struct Hook {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<HookState>,
    released: Notify,
}

struct HookState {
    answer: Answer,
    posted: Vec<Posted>,
}

impl Hook {
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(HookState {
                answer: Answer::Takes,
                posted: Vec::new(),
            }),
            released: Notify::new(),
        });
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    pub fn answers(&self, answer: Answer) {
        self.shared.state.lock().unwrap().answer = answer;
    }

    /// Takes from now on, and answers those whom it has kept waiting.
    pub fn releases(&self) {
        let state = &mut *self.shared.state.lock().unwrap();
        state.answer = Answer::Takes;
        self.shared.released.notify_waiters();
    }

    pub fn posted(&self) -> Vec<Posted> {
        self.shared.state.lock().unwrap().posted.clone()
    }

    /// Has an application bring its feed here. Returns the webhook.
    pub async fn register(&self, application: &Client, settings: Value) -> Value {
        let mut body = settings;
        body["url"] = json!(self.url);
        let made = application.call(Method::POST, "/webhooks", body).await;
        made.expect(201)
    }

    /// Waits until `count` requests have come, and returns them.
    pub async fn until(&self, count: usize) -> Vec<Posted> {
        eventually("requests come to the webhook", async || {
            Some(self.posted()).filter(|posted| posted.len() >= count)
        })
        .await
    }

    /// Waits until the change at `timestamp` is taken. Returns the timestamps of all that is taken, in
    /// the order in which they came first: what comes again has the same `webhook-id`.
    pub async fn until_taken(&self, timestamp: i64) -> Vec<i64> {
        eventually("the webhook has taken the last change", async || {
            let taken = handled(&self.posted());
            taken.contains(&timestamp).then_some(taken)
        })
        .await
    }
}

impl Posted {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn entries(&self) -> Vec<Value> {
        self.json()["entries"].as_array().unwrap().clone()
    }

    pub fn timestamps(&self) -> Vec<i64> {
        let entries = self.entries();
        let timestamps = entries.iter().map(|entry| entry["timestamp"].as_i64());
        timestamps.map(Option::unwrap).collect()
    }

    /// Whether it is signed with this secret, as another library finds.
    pub fn is_signed_with(&self, secret: &Value) -> bool {
        let webhook = Webhook::new(secret.as_str().unwrap()).unwrap();
        webhook.verify(&self.body, &self.headers).is_ok()
    }
}

/// The timestamps of what a server has taken that drops every request whose id it has seen.
fn handled(posted: &[Posted]) -> Vec<i64> {
    let mut ids = BTreeSet::new();
    let taken = posted.iter().filter(|posted| posted.is_taken);
    let new = taken.filter(|posted| ids.insert(posted.id.clone()));
    new.flat_map(Posted::timestamps).collect()
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let released = shared.released.notified();
    tokio::pin!(released);
    released.as_mut().enable();
    let answer = {
        let mut state = shared.state.lock().unwrap();
        let answer = state.answer.clone();
        state.posted.push(Posted {
            id: headers["webhook-id"].to_str().unwrap().to_owned(),
            headers,
            body,
            is_taken: matches!(answer, Answer::Takes | Answer::Says(_) | Answer::WithoutEnd),
        });
        answer
    };
    match answer {
        Answer::Takes => StatusCode::NO_CONTENT.into_response(),
        Answer::Says(text) => text.into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::RedirectsTo(url) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response()
        }
        Answer::WithoutEnd => {
            let part = Bytes::from(vec![b'x'; 64 * 1024]);
            let parts = stream::repeat_with(move || Ok::<_, Infallible>(part.clone()));
            Body::from_stream(parts).into_response()
        }
        Answer::Hangs => {
            released.await;
            StatusCode::NO_CONTENT.into_response()
        }
    }
}
