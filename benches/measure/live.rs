//! A crowd of streams: how soon a change arrives, how many a second, and what a stream costs.
//!
//! Times are taken from `created`, which is drawn just before the commit, to the arrival of the
//! event, by the one clock of this machine.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use messages::domain::ApplicationId;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::service::{Sender, Sent, Service, percentile, token};

const STREAMS: usize = 1000;

/// Connections that send; one alone sends no more than the commits of a single caller allow.
const SENDERS: usize = 64;

/// How long the streams may take to come to the last change after the last send.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);

type Microseconds = i64;

/// How long 99 of 100 changes took at most: until their senders had the answers, and until they arrived.
struct Taken {
    send_p99_ms: f64,
    delivery_p99_ms: f64,
}

/// Which change arrived when.
#[derive(Clone, Default)]
struct Arrivals {
    all: Arc<Mutex<Vec<(i64, Microseconds)>>>,
    open: Arc<AtomicUsize>,
}

pub async fn measure(service: Arc<Service>) {
    // Everything that is set up once is set up before memory is measured.
    measure_sends(
        &service,
        "warm-up",
        1,
        |_| "warm".to_owned(),
        Arrivals::default(),
        200,
    )
    .await;
    let before = service.resident_bytes();
    let (idle, crowd) = open_streams(&service, "crowd").await;
    let grown = service.resident_bytes().saturating_sub(before);
    println!(
        "memory of a stream, {STREAMS} idle: {:.1} KiB",
        grown as f64 / STREAMS as f64 / 1024.0
    );

    let arrivals = Arrivals::default();
    let mut watch = JoinSet::new();
    open_stream(&service, "watcher", arrivals.clone(), &mut watch).await;
    let to_watcher = |_| "watcher".to_owned();
    let alone = measure_sends(
        &service,
        "1 sender, 1,000 idle streams",
        1,
        to_watcher,
        arrivals,
        0,
    )
    .await;

    // The first pass creates the conversations in which the others send.
    for (name, rate) in [
        ("sends to 1,000 streams, new conversations", 0),
        ("2,000 sends/s to 1,000 streams", 2000),
        ("10,000 sends/s to 1,000 streams", 10_000),
    ] {
        idle.clear();
        let to_crowd = |turn: usize| format!("crowd-{}", turn % STREAMS);
        let crowded = measure_sends(&service, name, SENDERS, to_crowd, idle.clone(), rate).await;
        let ratio = crowded.delivery_p99_ms / alone.send_p99_ms;
        println!("  its p99 is {ratio:.1} x that of one sender's sends");
    }
    drop(crowd);
}

/// Opens the streams of all users of a crowd, from now on.
async fn open_streams(service: &Arc<Service>, crowd: &str) -> (Arrivals, JoinSet<()>) {
    let (arrivals, mut streams) = (Arrivals::default(), JoinSet::new());
    for number in 0..STREAMS {
        open_stream(
            service,
            &format!("{crowd}-{number}"),
            arrivals.clone(),
            &mut streams,
        )
        .await;
    }
    (arrivals, streams)
}

/// Opens a stream and waits until it has caught up.
async fn open_stream(
    service: &Arc<Service>,
    user: &str,
    arrivals: Arrivals,
    streams: &mut JoinSet<()>,
) {
    let mut connection = service.connect().await;
    let request = format!(
        "GET /messages?after=latest HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\
         Authorization: Bearer {}\r\n\r\n",
        token(ApplicationId::DEFAULT, user)
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    while line.trim_end() != "event: current" {
        line.clear();
        assert!(
            connection.read_line(&mut line).await.unwrap() > 0,
            "the stream is open"
        );
    }
    arrivals.open.fetch_add(1, Ordering::Relaxed);
    streams.spawn(async move {
        let mut line = Vec::new();
        while connection
            .read_until(b'\n', &mut line)
            .await
            .is_ok_and(|length| length > 0)
        {
            if let Some(id) = line.strip_prefix(b"id: ") {
                let id = std::str::from_utf8(id).unwrap().trim_end().parse().unwrap();
                arrivals.all.lock().unwrap().push((id, now()));
            }
            line.clear();
        }
    });
}

/// Sends for the time of a row, `rate` a second over all senders (0: each as soon as the one before
/// is answered), and prints when each change arrived.
async fn measure_sends(
    service: &Arc<Service>,
    name: &str,
    senders: usize,
    to: impl Fn(usize) -> String + Copy + Send + 'static,
    arrivals: Arrivals,
    rate: usize,
) -> Taken {
    let (began, cpu_before) = (Instant::now(), service.cpu_seconds());
    let mut sending = JoinSet::new();
    for number in 0..senders {
        let service = Arc::clone(service);
        let pause = Duration::from_secs(1) * u32::try_from(senders).unwrap()
            / u32::try_from(rate.max(1)).unwrap();
        let pause = (rate > 0).then_some(pause);
        let message = move |turn: usize| (to(turn), format!("{turn:099}x"));
        let sender = Sender {
            application: ApplicationId::DEFAULT,
            number,
            senders,
            pause,
            time: service.time_of_row(),
        };
        sending.spawn(async move { service.send(sender, message).await });
    }
    let sent = sending.join_all().await;
    let mut answered: Vec<_> = sent.iter().flatten().map(|sent| sent.latency).collect();
    answered.sort_unstable();
    let send_p99_ms = percentile(&answered, 99);
    let sent: HashMap<i64, Microseconds> = sent.iter().flatten().map(created).collect();
    let seconds = began.elapsed().as_secs_f64();
    if arrivals.open.load(Ordering::Relaxed) == 0 {
        return Taken {
            send_p99_ms,
            delivery_p99_ms: 0.0,
        };
    }
    let all_arrived = async {
        while arrivals.all.lock().unwrap().len() < sent.len() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = timeout(DRAIN_TIME_MAX, all_arrived).await;
    let cpu = (service.cpu_seconds() - cpu_before) / began.elapsed().as_secs_f64();
    let arrived = arrivals.all.lock().unwrap();
    let mut taken: Vec<_> = arrived.iter().map(|(id, at)| at - sent[id]).collect();
    taken.sort_unstable();
    let delivery_ms = |share: usize| taken[(taken.len() - 1) * share / 100] as f64 / 1000.0;
    println!(
        "{name}: {:.0} sent/s, {:.0} received/s, p50 {:.2} ms, p99 {:.2} ms, {:.0} % of a core, {} of {} received, \
         sends p99 {send_p99_ms:.2} ms",
        sent.len() as f64 / seconds,
        taken.len() as f64 / seconds,
        delivery_ms(50),
        delivery_ms(99),
        cpu * 100.0,
        taken.len(),
        sent.len(),
    );
    assert_eq!(taken.len(), sent.len(), "every change arrives once");
    Taken {
        send_p99_ms,
        delivery_p99_ms: delivery_ms(99),
    }
}

/// The timestamp of a message, and when it was created.
fn created(sent: &Sent) -> (i64, Microseconds) {
    let created =
        OffsetDateTime::parse(sent.message["created"].as_str().unwrap(), &Rfc3339).unwrap();
    let created = i64::try_from(created.unix_timestamp_nanos() / 1000).unwrap();
    (sent.message["timestamp"].as_i64().unwrap(), created)
}

impl Arrivals {
    fn clear(&self) {
        self.all.lock().unwrap().clear();
    }
}

fn now() -> Microseconds {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros(),
    )
    .unwrap()
}
