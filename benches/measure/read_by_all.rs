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
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    generators::{self, FOLDER, Found, Requests},
    service::{Service, call, token},
};

/// The members of the chat, as `scripts/bench` creates it. Each has a connection.
const MEMBERS: u32 = 1000;

/// Between two marks of a member.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends, while the members of the first chat of 1,000 read.
pub async fn measure(service: &Service, requests: Requests) -> Found {
    let chats = std::fs::read_to_string(format!("{FOLDER}/chats")).unwrap();
    let mut chats = chats
        .lines()
        .filter_map(|line| line.strip_prefix("chat-1000 "));
    let path = format!("/chats/{}/read", chats.next().unwrap());
    let (mut readers, marked) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for member in 1..=MEMBERS {
        let (mut connection, path) = (service.connect().await, path.clone());
        let marked = Arc::clone(&marked);
        let mut ticks = interval_at(Instant::now() + PAUSE * member / MEMBERS, PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let token = token(ApplicationId::DEFAULT, &format!("user-{member}"));
        readers.spawn(async move {
            // Forth and back, so that a mark moves the position.
            for number in [1, 0].into_iter().cycle() {
                ticks.tick().await;
                let body = format!(r#"{{"number":{number},"back":true}}"#);
                call(&mut connection, "PUT", &path, &token, &body).await;
                marked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let began = Instant::now();
    let found = generators::requests_meanwhile(service, requests).await;
    let rate = marked.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    eprintln!("{rate:.0} positions a second were moved");
    assert_eq!(readers.len(), MEMBERS as usize, "a reader has failed");
    readers.shutdown().await;
    found
}
