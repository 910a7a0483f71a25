//! LISTEN, with a reconnect that nobody misses.
//!
//! A notification carries no data; it says "look". So whoever listens must look once after every
//! connect, for what was said while nobody listened, and every now and then anyway.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgListener, postgres::PgPoolOptions};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::store::{self, Purpose, connect_options, outbox::WAKE_CHANNEL};

/// The pause before the next attempt to listen.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Hears the notifications of all replicas and wakes who waits for them.
pub struct Listener {
    pool: PgPool,
    outbox: Arc<Notify>,
}

impl Listener {
    /// `outbox` is notified whenever there may be new events.
    pub fn new(database_url: &str, outbox: Arc<Notify>) -> store::Result<Self> {
        let options = connect_options(database_url, Purpose::Administration)?;
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options);
        Ok(Self { pool, outbox })
    }

    /// Listens until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.listen()).await {
                tracing::warn!(%error, "the listener lost its connection");
                stop.run_until_cancelled(sleep(RECONNECT_PAUSE)).await;
            }
        }
    }

    /// Listens until the connection is lost. A lost one is thrown away: the listener's own
    /// reconnect would be silent about what it has missed.
    async fn listen(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(WAKE_CHANNEL).await?;
        self.outbox.notify_one();
        while listener.try_recv().await?.is_some() {
            self.outbox.notify_one();
        }
        Ok(())
    }
}
