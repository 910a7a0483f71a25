//! LISTEN, with a reconnect that nobody misses.
//!
//! A notification carries no data; it says "look". So whoever listens must look once after every
//! connect, for what was said while nobody listened.

use std::{io, sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::store::{
    self, CONNECT_TIME_MAX, Purpose, connect_options,
    outbox::WAKE_CHANNEL,
    wakeups::{self, Wakeup, Who},
};

/// The pause before the next attempt to listen.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// How long it may take until a new connection listens.
const LISTEN_TIME_MAX: Duration = Duration::from_secs(6);

/// A connection on which nothing was heard for this long is replaced: it may be dead, and asking
/// it would interrupt the read of a notification.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// Hears the notifications of all replicas and wakes who waits for them.
pub struct Listener {
    options: PgConnectOptions,
    hub: Arc<Hub>,
    outbox: Arc<Notify>,
}

impl Listener {
    /// `outbox` is notified whenever there may be new events.
    pub fn new(database_url: &str, hub: Arc<Hub>, outbox: Arc<Notify>) -> store::Result<Self> {
        let options = connect_options(database_url, Purpose::Listening)?;
        Ok(Self { options, hub, outbox })
    }

    /// Listens until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.listen()).await {
                tracing::warn!(%error, "the listener has no connection");
                stop.run_until_cancelled(sleep(RECONNECT_PAUSE)).await;
            }
        }
    }

    /// Listens until the connection is lost or has long been quiet. It is thrown away then, with
    /// its pool: the library's own reconnect would be silent about what it has missed, and its
    /// farewell on a dead connection would keep the pool's one place.
    async fn listen(&self) -> Result<(), sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIME_MAX)
            .connect_lazy_with(self.options.clone());
        let connecting = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen_all([wakeups::CHANNEL, WAKE_CHANNEL]).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let mut listener = timeout(LISTEN_TIME_MAX, connecting).await.map_err(|_| lost())??;
        self.wake_everybody();
        while let Ok(heard) = timeout(QUIET_MAX, listener.try_recv()).await {
            match heard? {
                Some(notification) => self.hear(&notification),
                None => return Err(lost()),
            }
        }
        Ok(())
    }

    fn hear(&self, notification: &PgNotification) {
        if notification.channel() == WAKE_CHANNEL {
            self.outbox.notify_one();
        } else {
            self.hub.wake(&Wakeup::parse(notification.payload()));
        }
    }

    fn wake_everybody(&self) {
        self.outbox.notify_one();
        self.hub.wake(&Wakeup { who: Who::Everybody, written: None });
    }
}

fn lost() -> sqlx::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}
