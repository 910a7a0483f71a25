//! What all tests share: databases, replicas, callers, queues, and the load that proves things.

mod browser;
mod client;
mod counts;
mod database;
mod dice;
mod exchange;
mod feed_log;
mod hook;
mod issuer;
mod load;
mod nginx;
mod node;
mod person;
mod proxy;
mod queue;
mod replica;
mod servers;
mod stream;
mod watch;
mod wire;

pub use browser::Browser;
pub use client::{Client, Reply};
pub use counts::{counted, counts_are_true, first_screen};
pub use database::{Database, open_lane};
pub use dice::{Dice, new_seed, repeated_seed};
pub use exchange::{Consumer, publishing_to, until_exchange};
pub use feed_log::{Fault, FeedDelivery, faults, feed_log};
pub use hook::{Answer, Hook, Posted};
pub use issuer::{Issuer, IssuerKey};
pub use load::{Acknowledged, Load, Watcher, Way, missed, timestamp_of, until_answered};
pub use nginx::Nginx;
pub use node::Node;
pub use person::{PHONE, Person};
pub use proxy::{Cut, Proxy};
pub use queue::{Delivered, EventQueue};
pub use replica::{Replica, SECRET, Settings, administered, token, token_signed_by};
pub use servers::Servers;
pub use stream::{Block, Stream};
pub use watch::fail_if_a_replica_died;
pub use wire::Wire;

use std::time::Duration;

/// A fresh database and one replica on it, without a broker.
pub async fn service() -> (Database, Replica) {
    let database = Database::fresh().await;
    let replica = Replica::start(&database, Settings::default()).await;
    (database, replica)
}

/// Long enough for anything that happens at all, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// Waits until `condition` returns something, trying again and again. Fails at once if a replica of
/// the test has died.
pub async fn eventually<T, F: AsyncFnMut() -> Option<T>>(what: &str, mut condition: F) -> T {
    let waiting = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            fail_if_a_replica_died(what);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"))
}
