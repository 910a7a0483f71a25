//! Messages into a chat of 1,000, while everybody there reads everything: each member moves its
//! position once a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use messages::domain::ApplicationId;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    generators::{self, FOLDER, Found, Requests},
    service::{Service, call, token},
};

/// The connections over which the members move their positions.
const READERS: usize = 20;

/// The members of the chat, as `scripts/bench` creates it.
const MEMBERS: usize = 1000;

/// Between two marks of a reader, which stands for many members: each marks once a second.
const PAUSE: Duration = Duration::from_millis((1000 * READERS / MEMBERS) as u64);

/// Sends, while the members of the first chat of 1,000 read.
pub async fn measure(service: &Service, requests: Requests) -> Found {
    let chats = std::fs::read_to_string(format!("{FOLDER}/chats")).unwrap();
    let mut chats = chats.lines().filter_map(|line| line.strip_prefix("1000 "));
    let path = format!("/chats/{}/read", chats.next().unwrap());
    let (mut readers, marked) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for reader in 0..READERS {
        let (connection, path) = (service.connect().await, path.clone());
        let marked = Arc::clone(&marked);
        readers.spawn(async move {
            let (mut connection, mut ticks) = (connection, interval(PAUSE));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let tokens: Vec<_> = (reader + 1..=MEMBERS)
                .step_by(READERS)
                .map(|member| token(ApplicationId::DEFAULT, &format!("user-{member}")))
                .collect();
            // Forth and back, so that every mark moves a position.
            for (turn, token) in tokens.iter().cycle().enumerate() {
                ticks.tick().await;
                let body = format!(r#"{{"number":{},"back":true}}"#, turn / tokens.len() % 2);
                call(&mut connection, "PUT", &path, token, &body).await;
                marked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let (began, seconds) = (Instant::now(), service.seconds);
    let found = spawn_blocking(move || generators::requests(requests, seconds));
    let found = found.await.unwrap();
    let rate = marked.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    eprintln!("{rate:.0} positions a second were moved");
    assert_eq!(readers.len(), READERS, "a reader has failed");
    readers.shutdown().await;
    found
}
