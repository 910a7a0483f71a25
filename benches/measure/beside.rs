//! Sends, while others react, signal, flood the service, or an application brings its data in or lets them go.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use messages::domain::ApplicationId;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    data::{self, Data},
    generators::FOLDER,
    service::{Service, call, exchange, token},
};

/// What others do.
#[derive(Debug, Clone, Copy)]
pub enum Beside {
    /// Each of the 1,000 members of a chat reacts to the same message, once, all at the beginning.
    Reactions,
    /// 100 users signal as often as they may, to users who have streams open. Nobody sends to any of them: a
    /// message on a stream would cost more than a signal.
    Signals,
    /// The same users signal ten times as often.
    Flood,
    /// One user sends fifty times as many messages as a user of the application may.
    OneUser,
    /// See [`data`].
    Data(Data),
}

/// The members of the chat, as `scripts/bench` creates it.
const MEMBERS: u32 = 1000;

/// The connections of those who react.
const REACTING: u32 = 50;

const SIGNALLING: u32 = 100;

/// The connections of the user who floods, and its messages.
const FLOODING: u32 = 50;
const FLOOD_A_SECOND: u32 = 1000;

/// Between two signals of a user, as often as it may.
const PAUSE: Duration = Duration::from_secs(1);

/// Those who do it.
pub struct Others {
    beside: Beside,
    tasks: JoinSet<()>,
    /// How often they have done it.
    done: Arc<AtomicU64>,
}

/// Begins it.
pub async fn begin(service: &Service, beside: Beside) -> Others {
    let done = Arc::new(AtomicU64::new(0));
    let tasks = match beside {
        Beside::Reactions => react(service, &done).await,
        Beside::Signals => signal(service, &done, PAUSE).await,
        Beside::Flood => signal(service, &done, PAUSE / 10).await,
        Beside::OneUser => send_too_much(service, &done).await,
        Beside::Data(data) => data::begin(service, data, &done).await,
    };
    Others {
        beside,
        tasks,
        done,
    }
}

impl Others {
    /// Ends it, after so many seconds.
    pub async fn finish(mut self, service: &Service, seconds: f64) {
        let done = self.done.load(Ordering::Relaxed);
        eprintln!("{:?}: {done} in {seconds:.1} s", self.beside);
        if let Beside::Data(data) = self.beside {
            data::finish(service, data).await;
        }
        self.tasks.shutdown().await;
    }
}

async fn react(service: &Service, done: &Arc<AtomicU64>) -> JoinSet<()> {
    let chats = fs::read_to_string(format!("{FOLDER}/chats")).unwrap();
    let mut chats = chats
        .lines()
        .filter_map(|line| line.strip_prefix("chat-1000 "));
    let path = format!("/chats/{}/messages", chats.next().unwrap());
    let owner = token_of(1);
    let mut connection = service.connect().await;
    let body = r#"{"text":"react to this"}"#;
    let message = call(&mut connection, "POST", &path, &owner, body).await;
    let path = format!("/messages/{}/reactions/+1", message["id"]);
    let mut others = JoinSet::new();
    for first in 1..=REACTING {
        let (mut connection, path) = (service.connect().await, path.clone());
        let done = Arc::clone(done);
        others.spawn(async move {
            for member in (first..=MEMBERS).step_by(REACTING as usize) {
                let head = format!("PUT {path} HTTP/1.1");
                let (status, _) = exchange(&mut connection, &head, &token_of(member), "").await;
                assert_eq!(status, 201);
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    others
}

async fn signal(service: &Service, done: &Arc<AtomicU64>, pause: Duration) -> JoinSet<()> {
    let mut others = JoinSet::new();
    for number in 1..=SIGNALLING {
        let (sender, receiver) = (format!("typist-{number}"), format!("reader-{number}"));
        let mut stream = service.connect().await;
        let request = format!(
            "GET /messages?after=latest&signals=1 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {}\r\n\r\n",
            token(ApplicationId::DEFAULT, &receiver)
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let done = Arc::clone(done);
        others.spawn(async move {
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap() > 0 {
                let is_signal = line.starts_with("event: signal");
                done.fetch_add(is_signal.into(), Ordering::Relaxed);
                line.clear();
            }
        });
        let mut connection = service.connect().await;
        let mut ticks = interval_at(Instant::now() + pause * number / SIGNALLING, pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        others.spawn(async move {
            let head = format!("POST /users/{receiver}/signals HTTP/1.1");
            let token = token(ApplicationId::DEFAULT, &sender);
            loop {
                ticks.tick().await;
                let body = r#"{"kind":"typing","ttl":5}"#;
                let (status, _) = exchange(&mut connection, &head, &token, body).await;
                assert!([202, 429].contains(&status), "{status}");
            }
        });
    }
    others
}

async fn send_too_much(service: &Service, done: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut others = JoinSet::new();
    let token = fs::read_to_string(format!("{FOLDER}/flooder")).unwrap();
    // First, what it may send at once is used up.
    let mut connection = service.connect().await;
    while flood(&mut connection, &token).await == 201 {}
    for number in 1..=FLOODING {
        let (mut connection, token) = (service.connect().await, token.clone());
        let done = Arc::clone(done);
        let pause = PAUSE * FLOODING / FLOOD_A_SECOND;
        let mut ticks = interval_at(Instant::now() + pause * number / FLOODING, pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        others.spawn(async move {
            loop {
                ticks.tick().await;
                let status = flood(&mut connection, &token).await;
                done.fetch_add((status == 429).into(), Ordering::Relaxed);
            }
        });
    }
    others
}

async fn flood(connection: &mut BufReader<TcpStream>, token: &str) -> u16 {
    let body = r#"{"to":"user-1","text":"flood"}"#;
    let head = "POST /messages HTTP/1.1";
    let (status, _) = exchange(connection, head, token, body).await;
    assert!([201, 429].contains(&status), "{status}");
    status
}

fn token_of(user: u32) -> String {
    token(ApplicationId::DEFAULT, &format!("user-{user}"))
}
