//! LISTEN, with a reconnect that nobody misses.
//!
//! A notification carries no data; it says how far the timeline has come and who should look. So whoever
//! listens must look once after every connect, for what was said while nobody listened; and has how far
//! the timeline has come announced anew, on a connection of its own, since what it has heard so far
//! counts no more.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::{
    store::{
        self, CONNECT_TIME_MAX, Purpose, Session, connect_options,
        outbox::WAKE_CHANNEL,
        wakeups::{self, Wakeup},
    },
    sync::Heard,
};

/// The pause before the next attempt to listen.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// How long it may take until a new connection listens.
const LISTEN_TIME_MAX: Duration = Duration::from_secs(6);

/// How long it may take to have the timeline's last timestamp announced; longer than the wait for the
/// lane's lock.
const ANNOUNCE_TIME_MAX: Duration = Duration::from_secs(20);

/// The pause after an announcement: whatever voids what is known may do it many times a second.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(500);

/// A connection on which nothing was heard for this long is replaced: it may be dead, and asking
/// it would interrupt the read of a notification.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// Hears the notifications of all replicas and wakes who waits for them.
pub struct Listener {
    options: PgConnectOptions,
    announcing: Session,
    heard: Arc<Heard>,
    hub: Arc<Hub>,
    outbox: Arc<Notify>,
}

impl Listener {
    /// `outbox` is notified whenever there may be new events.
    pub fn new(
        database_url: &str,
        heard: Arc<Heard>,
        hub: Arc<Hub>,
        outbox: Arc<Notify>,
    ) -> store::Result<Self> {
        let options = connect_options(database_url, Purpose::Listening)?;
        let announcing = Session::new(database_url, Purpose::Announcing)?;
        Ok(Self { options, announcing, heard, hub, outbox })
    }

    /// Listens until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ended = stop.run_until_cancelled(self.listen()).await;
            self.heard.begin_era();
            if let Some(Err(error)) = ended {
                tracing::warn!(%error, "the listener has no connection");
                stop.run_until_cancelled(sleep(RECONNECT_PAUSE)).await;
            }
        }
    }

    /// Listens until the connection is lost or has long been quiet. It is thrown away then, with
    /// its pool: the library's own reconnect would be silent about what it has missed, and its
    /// farewell on a dead connection would keep the pool's one place.
    async fn listen(&mut self) -> Result<(), sqlx::Error> {
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
        let listener = timeout(LISTEN_TIME_MAX, connecting).await.map_err(|_| lost())??;
        self.heard.begin_era();
        self.outbox.notify_one();
        self.hub.wake(&Wakeup::EVERYBODY);
        let Self { announcing, heard, hub, outbox, .. } = self;
        let hearing = hear_all(listener, |notification| {
            if notification.channel() == WAKE_CHANNEL {
                return outbox.notify_one();
            }
            let wakeup = Wakeup::parse(notification.payload());
            heard.hear(&wakeup);
            hub.wake(&wakeup);
        });
        tokio::select! {
            result = hearing => result,
            never = announce_eras(announcing, heard) => match never {},
        }
    }
}

/// Hears notifications until the connection is lost or has long been quiet.
async fn hear_all(
    mut listener: PgListener,
    mut hear: impl FnMut(&PgNotification),
) -> Result<(), sqlx::Error> {
    while let Ok(heard) = timeout(QUIET_MAX, listener.try_recv()).await {
        hear(&heard?.ok_or_else(lost)?);
    }
    Ok(())
}

/// Has how far the timeline has come announced in every era, until that succeeds.
async fn announce_eras(session: &mut Session, heard: &Heard) -> Infallible {
    loop {
        heard.era_begun().await;
        while let Err(error) = store::in_time(ANNOUNCE_TIME_MAX, async {
            store::announce(session.connection().await?).await
        })
        .await
        {
            tracing::warn!(%error, "how far the timeline has come is not known yet");
            session.discard();
            sleep(ANNOUNCE_PAUSE).await;
        }
        session.discard();
        sleep(ANNOUNCE_PAUSE).await;
    }
}

fn lost() -> sqlx::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}
