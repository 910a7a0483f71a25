//! A crowd of streams: how soon a change is told, how many a second, and what a stream costs.
//!
//! BASE, SERVICE_PID and MESSAGES_SECRET name the service. Times are taken from `created`, which is
//! drawn just before the commit, to the arrival of the event, by the one clock of this machine.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark spawns, reads clocks and the environment, and fails by panicking"
)]

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use messages::{
    auth::Signer,
    domain::{ApplicationId, UserId},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

const STREAMS: usize = 1000;

/// Connections that send; one alone sends no more than the commits of a single caller allow.
const SENDERS: usize = 64;

/// How long the streams may take to come to the last change after the last send.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);

type Microseconds = i64;

struct Service {
    address: String,
    pid: String,
    signer: Signer,
    seconds: u64,
}

/// Which change was told when.
#[derive(Clone, Default)]
struct Told {
    arrivals: Arc<Mutex<Vec<(i64, Microseconds)>>>,
    open: Arc<AtomicUsize>,
}

#[tokio::main]
async fn main() {
    let setting = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let service = Arc::new(Service {
        address: setting("BASE").trim_start_matches("http://").to_owned(),
        pid: setting("SERVICE_PID"),
        signer: Signer::new(&setting("MESSAGES_SECRET").into()).unwrap(),
        seconds: setting("SECONDS_A_ROW").parse().unwrap(),
    });
    // Everything that is set up once is set up before memory is measured.
    measure_sends(&service, "warm-up", 1, |_| "warm".to_owned(), Told::default(), 200).await;
    let before = service.resident_bytes();
    let (idle, crowd) = open_streams(&service, "crowd").await;
    let grown = service.resident_bytes().saturating_sub(before);
    println!("memory of a stream, {STREAMS} idle: {:.1} KiB", grown as f64 / STREAMS as f64 / 1024.0);

    let told = Told::default();
    let mut watch = JoinSet::new();
    open_stream(&service, "watcher", told.clone(), &mut watch).await;
    let to_watcher = |_| "watcher".to_owned();
    measure_sends(&service, "1 sender, 1,000 idle streams", 1, to_watcher, told, 0).await;

    for rate in [2000, 10_000] {
        let name = format!("{rate} sends/s to 1,000 streams");
        idle.clear();
        let to_crowd = |turn: usize| format!("crowd-{}", turn % STREAMS);
        measure_sends(&service, &name, SENDERS, to_crowd, idle.clone(), rate).await;
    }
    drop(crowd);
}

/// Opens the streams of all users of a crowd, from now on.
async fn open_streams(service: &Arc<Service>, crowd: &str) -> (Told, JoinSet<()>) {
    let (told, mut streams) = (Told::default(), JoinSet::new());
    for number in 0..STREAMS {
        open_stream(service, &format!("{crowd}-{number}"), told.clone(), &mut streams).await;
    }
    (told, streams)
}

/// Opens a stream and waits until it has caught up.
async fn open_stream(service: &Arc<Service>, user: &str, told: Told, streams: &mut JoinSet<()>) {
    let mut connection = BufReader::new(service.connect().await);
    let request = format!(
        "GET /messages?after=latest HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\
         Authorization: Bearer {}\r\n\r\n",
        service.token(user)
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    while line.trim_end() != "event: current" {
        line.clear();
        assert!(connection.read_line(&mut line).await.unwrap() > 0, "the stream is open");
    }
    told.open.fetch_add(1, Ordering::Relaxed);
    streams.spawn(async move {
        let mut line = Vec::new();
        while connection.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
            if let Some(id) = line.strip_prefix(b"id: ") {
                let id = std::str::from_utf8(id).unwrap().trim_end().parse().unwrap();
                told.arrivals.lock().unwrap().push((id, now()));
            }
            line.clear();
        }
    });
}

/// Sends for the time of a row, `rate` a second over all senders (0: each as soon as the one before
/// is answered), and prints how the streams were told.
async fn measure_sends(
    service: &Arc<Service>,
    name: &str,
    senders: usize,
    to: impl Fn(usize) -> String + Copy + Send + 'static,
    told: Told,
    rate: usize,
) {
    let (began, cpu_before) = (Instant::now(), service.cpu_seconds());
    let mut sending = JoinSet::new();
    for number in 0..senders {
        let service = Arc::clone(service);
        let pause = Duration::from_secs(1) * u32::try_from(senders).unwrap()
            / u32::try_from(rate.max(1)).unwrap();
        let pause = (rate > 0).then_some(pause);
        sending.spawn(async move { send(&service, number, senders, to, pause).await });
    }
    let sent: HashMap<i64, Microseconds> = sending.join_all().await.into_iter().flatten().collect();
    let seconds = began.elapsed().as_secs_f64();
    if told.open.load(Ordering::Relaxed) == 0 {
        return;
    }
    let all_told = async {
        while told.arrivals.lock().unwrap().len() < sent.len() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = timeout(DRAIN_TIME_MAX, all_told).await;
    let cpu = (service.cpu_seconds() - cpu_before) / began.elapsed().as_secs_f64();
    let arrivals = told.arrivals.lock().unwrap();
    let mut taken: Vec<_> = arrivals.iter().map(|(id, at)| at - sent[id]).collect();
    taken.sort_unstable();
    let percentile = |share: usize| taken[(taken.len() - 1) * share / 100] as f64 / 1000.0;
    println!(
        "{name}: {:.0} sent/s, {:.0} told/s, p50 {:.2} ms, p99 {:.2} ms, {:.0} % of a core, {} of {} told",
        sent.len() as f64 / seconds,
        taken.len() as f64 / seconds,
        percentile(50),
        percentile(99),
        cpu * 100.0,
        taken.len(),
        sent.len(),
    );
    assert_eq!(taken.len(), sent.len(), "every change is told once");
}

/// Sends over one connection; gives the timestamp of each message and when it was created.
async fn send(
    service: &Service,
    number: usize,
    senders: usize,
    to: impl Fn(usize) -> String,
    pause: Option<Duration>,
) -> Vec<(i64, Microseconds)> {
    let mut connection = BufReader::new(service.connect().await);
    let token = service.token(&format!("sender-{number}"));
    let end = Instant::now() + Duration::from_secs(service.seconds);
    // The senders take turns.
    let turn_of = |pause: Duration| {
        Instant::now() + pause * u32::try_from(number).unwrap() / u32::try_from(senders).unwrap()
    };
    let mut ticks = pause.map(|pause| interval_at(turn_of(pause), pause));
    if let Some(ticks) = &mut ticks {
        // Offered load does not wait for the service.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    }
    let (mut sent, mut turn) = (Vec::new(), number);
    while Instant::now() < end {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let body = format!(r#"{{"to":"{}","text":"{:100}"}}"#, to(turn), turn.to_string() + "x");
        turn += senders;
        let request = format!(
            "POST /messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        sent.push(answer(&mut connection).await);
    }
    sent
}

async fn answer(connection: &mut BufReader<TcpStream>) -> (i64, Microseconds) {
    let (mut line, mut length) = (String::new(), 0);
    connection.read_line(&mut line).await.unwrap();
    assert!(line.contains(" 201 "), "{line}");
    while line != "\r\n" {
        line.clear();
        connection.read_line(&mut line).await.unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.unwrap();
    let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let created = OffsetDateTime::parse(message["created"].as_str().unwrap(), &Rfc3339).unwrap();
    let created = i64::try_from(created.unix_timestamp_nanos() / 1000).unwrap();
    (message["timestamp"].as_i64().unwrap(), created)
}

impl Told {
    fn clear(&self) {
        self.arrivals.lock().unwrap().clear();
    }
}

impl Service {
    async fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.address).await.unwrap();
        connection.set_nodelay(true).unwrap();
        connection
    }

    fn token(&self, user: &str) -> String {
        let expires = SystemTime::now() + Duration::from_secs(3600);
        self.signer.sign(ApplicationId::DEFAULT, &UserId::parse(user).unwrap(), expires)
    }

    fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The processor time that the service has used, at the usual 100 ticks a second.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks: Vec<_> =
            fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).collect();
        (ticks[0] + ticks[1]) / 100.0
    }
}

fn now() -> Microseconds {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}
