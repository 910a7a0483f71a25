//! What a load generator for requests cannot measure: streams, and searches among many messages.
//!
//! `scripts/bench` starts the service and names it by BASE, SERVICE_PID, MESSAGES_SECRET and
//! DATABASE_URL; SECONDS_A_ROW is how long a row is measured. The argument is `live` or `search`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark spawns, reads clocks and the environment, writes its own SQL, and fails by panicking"
)]

mod live;
mod search;
mod service;

use std::sync::Arc;

use service::Service;

#[tokio::main]
async fn main() {
    let service = Arc::new(Service::from_environment());
    match std::env::args().nth(1).as_deref() {
        Some("live") => live::measure(service).await,
        Some("search") => search::measure(service).await,
        other => panic!("{other:?} is neither live nor search"),
    }
}
