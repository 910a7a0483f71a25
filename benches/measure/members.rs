//! Adding 999 members to a chat of one: at once, or one by one.

use messages::domain::ApplicationId;
use serde_json::json;
use tokio::time::Instant;

use super::{
    generators::Found,
    service::{Service, ask, call, percentile, token},
};

/// With its owner, that is the largest chat.
const MEMBERS: usize = 999;

/// Adds the members of a new chat, so many with each call, and again until the time of a row is over. What
/// is counted is members.
pub async fn measure(service: &Service, at_once: usize) -> Found {
    let connection = &mut service.connect().await;
    let owner = token(ApplicationId::DEFAULT, "user-1");
    let members: Vec<_> = (0..MEMBERS)
        .map(|number| format!("member-{number}"))
        .collect();
    let (mut taken, mut added, began) = (Vec::new(), 0, Instant::now());
    while began.elapsed() < service.time_of_row() || added % MEMBERS > 0 {
        let body = r#"{"name":"bench"}"#;
        let chat = call(connection, "POST", "/chats", &owner, body).await["number"].clone();
        for members in members.chunks(at_once) {
            let started = Instant::now();
            let path = format!("/chats/{chat}/members");
            let body = json!({ "add": members }).to_string();
            ask(connection, "PATCH", &path, &owner, &body).await;
            taken.push(started.elapsed());
            added += members.len();
        }
    }
    let rate = added as f64 / began.elapsed().as_secs_f64();
    taken.sort_unstable();
    Found {
        rate,
        p50_ms: percentile(&taken, 50),
        p95_ms: percentile(&taken, 95),
        p99_ms: percentile(&taken, 99),
    }
}
