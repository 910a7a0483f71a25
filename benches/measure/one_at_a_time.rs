//! One application that sends one message at a time over one connection, alone or beside another
//! application that floods the service.
//!
//! The answers are timed here and not by wrk: for each slow answer, wrk also counts the requests that
//! it would have sent meanwhile.

use std::time::Duration;

use messages::domain::ApplicationId;
use tokio::task::spawn_blocking;

use super::{
    generators::{self, Found, Requests},
    service::{Sender, Service, percentile, setting},
    table::WARM_UP_SECONDS,
};

/// How much longer the flood lasts than what is measured beside it.
const FLOOD_SECONDS_AFTER: u64 = 1;

/// So few that the warm-up writes to all of them, if nothing else is done.
const RECIPIENTS: usize = 100;

/// Sends for the time of a row in the application TENANT, while another one makes the requests of
/// `beside`. Both warm up first.
pub async fn measure(service: &Service, beside: Option<Requests>) -> Found {
    let flood_seconds = WARM_UP_SECONDS + service.seconds + FLOOD_SECONDS_AFTER;
    let flood = beside
        .map(|requests| spawn_blocking(move || generators::requests(requests, flood_seconds)));
    send(service, Duration::from_secs(WARM_UP_SECONDS)).await;
    let mut taken = send(service, service.time_of_row()).await;
    if let Some(flood) = flood {
        assert!(!flood.is_finished(), "the flood lasts longer");
        eprintln!("the flood {:?}", flood.await.unwrap());
    }
    taken.sort_unstable();
    Found {
        rate: taken.len() as f64 / service.time_of_row().as_secs_f64(),
        p50_ms: percentile(&taken, 50),
        p95_ms: percentile(&taken, 95),
        p99_ms: percentile(&taken, 99),
    }
}

/// How long each send has taken.
async fn send(service: &Service, time: Duration) -> Vec<Duration> {
    let sender = Sender {
        application: ApplicationId::new(setting("TENANT").parse().unwrap()),
        number: 0,
        senders: 1,
        pause: None,
        time,
    };
    let text = "measure it ".repeat(9) + "x";
    let message = |turn| (format!("user-{}", turn % RECIPIENTS), text.clone());
    let sent = service.send(sender, message).await;
    sent.into_iter().map(|sent| sent.latency).collect()
}
