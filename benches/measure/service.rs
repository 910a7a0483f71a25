//! The service that is measured: its process, its callers and their sends.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use messages::{
    auth::Signer,
    domain::{ApplicationId, UserId},
};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// BASE, SERVICE_PID and MESSAGES_SECRET name the service; SECONDS_A_ROW is how long a row is
/// measured.
pub struct Service {
    address: String,
    pid: String,
    pub seconds: u64,
}

/// A connection that sends, the `number`th of so many senders, which take turns.
pub struct Sender {
    pub application: ApplicationId,
    pub number: usize,
    pub senders: usize,
    /// One message each pause, whether the service keeps up or not; without one, each message as
    /// soon as the one before is answered.
    pub pause: Option<Duration>,
    pub time: Duration,
}

/// An answered send.
pub struct Sent {
    pub message: serde_json::Value,
    /// From when it was to be sent, or was where that was earlier, to its answer.
    pub latency: Duration,
}

impl Service {
    pub fn from_environment() -> Self {
        Self {
            address: setting("BASE").trim_start_matches("http://").to_owned(),
            pid: setting("SERVICE_PID"),
            seconds: setting("SECONDS_A_ROW").parse().unwrap(),
        }
    }

    pub async fn connect(&self) -> BufReader<TcpStream> {
        let connection = TcpStream::connect(&self.address).await.unwrap();
        connection.set_nodelay(true).unwrap();
        BufReader::new(connection)
    }

    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The processor time that the service has used, at the usual 100 ticks a second.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks: Vec<_> = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .collect();
        (ticks[0] + ticks[1]) / 100.0
    }

    /// How long a row is measured.
    pub fn time_of_row(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Sends over one connection. `message` returns the recipient and the text of each turn.
    pub async fn send(
        &self,
        sender: Sender,
        message: impl Fn(usize) -> (String, String),
    ) -> Vec<Sent> {
        let Sender {
            application,
            number,
            senders,
            pause,
            time,
        } = sender;
        let mut connection = self.connect().await;
        let token = token(application, &format!("sender-{number}"));
        let share = |pause: Duration| {
            pause * u32::try_from(number).unwrap() / u32::try_from(senders).unwrap()
        };
        let mut ticks = pause.map(|pause| interval_at(Instant::now() + share(pause), pause));
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        }
        let end = Instant::now() + time;
        let (mut sent, mut turn) = (Vec::new(), number);
        loop {
            let due = match &mut ticks {
                Some(ticks) => ticks.tick().await,
                None => Instant::now(),
            };
            if due >= end {
                return sent;
            }
            let (to, text) = message(turn);
            turn += senders;
            let body = format!(r#"{{"to":"{to}","text":"{text}"}}"#);
            let message = call(&mut connection, "POST", "/messages", &token, &body).await;
            sent.push(Sent {
                message,
                latency: due.elapsed(),
            });
        }
    }
}

/// A token of a user, good for an hour.
pub fn token(application: ApplicationId, user: &str) -> String {
    let signer = Signer::new(&setting("MESSAGES_SECRET").into()).unwrap();
    let (user, now) = (UserId::parse(user).unwrap(), SystemTime::now());
    signer.sign(application, &user, now, now + Duration::from_secs(3600))
}

pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// One request over a connection that is kept; the answer is JSON.
pub async fn call(
    connection: &mut BufReader<TcpStream>,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> serde_json::Value {
    let answer = ask(connection, method, path, token, body).await;
    serde_json::from_slice(&answer).unwrap()
}

/// As [`call`], for a change of what has a timestamp.
pub async fn change(
    connection: &mut BufReader<TcpStream>,
    path: &str,
    token: &str,
    timestamp: &serde_json::Value,
    body: &str,
) {
    let head = format!("PATCH {path} HTTP/1.1\r\nIf-Match: \"{timestamp}\"");
    succeed(connection, &head, token, body).await;
}

/// One request over a connection that is kept. Returns the body of the answer.
pub async fn ask(
    connection: &mut BufReader<TcpStream>,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1");
    succeed(connection, &head, token, body).await
}

/// As [`exchange`], for a request that must succeed.
async fn succeed(
    connection: &mut BufReader<TcpStream>,
    head: &str,
    token: &str,
    body: &str,
) -> Vec<u8> {
    let (status, body) = exchange(connection, head, token, body).await;
    assert!((200..300).contains(&status), "{head}: {status}");
    body
}

/// A request whose head begins like this; the status and the body of its answer.
pub async fn exchange(
    connection: &mut BufReader<TcpStream>,
    head: &str,
    token: &str,
    body: &str,
) -> (u16, Vec<u8>) {
    let head = format!("{head}\r\nContent-Type: application/json");
    exchange_typed(connection, &head, token, body).await
}

/// As [`exchange`], with the type of the body in `head`.
pub async fn exchange_typed(
    connection: &mut BufReader<TcpStream>,
    head: &str,
    token: &str,
    body: &str,
) -> (u16, Vec<u8>) {
    let request = format!(
        "{head}\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let (mut line, mut length) = (String::new(), 0);
    connection.read_line(&mut line).await.unwrap();
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{head}: {line}"));
    while line != "\r\n" {
        line.clear();
        connection.read_line(&mut line).await.unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.unwrap();
    (status, body)
}

/// The value that `share` percent do not exceed, in milliseconds.
pub fn percentile(sorted: &[Duration], share: usize) -> f64 {
    sorted[(sorted.len() - 1) * share / 100].as_secs_f64() * 1000.0
}

/// Changes that are not in the index of search yet.
pub async fn pending(database: &mut PgConnection) -> i64 {
    let behind = "SELECT count(*) FROM changes AS c
        JOIN followers AS f ON f.application_id = c.application_id AND f.name = 'search-index'
        WHERE c.timestamp > f.cursor";
    sqlx::query_scalar(behind)
        .fetch_one(database)
        .await
        .unwrap()
}

pub async fn execute(database: &mut PgConnection, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(database)
        .await
        .unwrap();
}
