//! LISTEN, with a reconnect that nobody misses.
//!
//! A notification carries no data; it says how far the timeline has come and who should look. So whoever
//! listens must look once after every connect, for what was said while nobody listened; and has how far
//! the timeline has come announced anew, on a connection of its own, since what it has heard so far
//! counts no more.

use std::{convert::Infallible, sync::Arc, time::Duration};

use sqlx::postgres::{PgListener, PgNotification};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::{
    store::{
        self, Database, Purpose, Session,
        outbox::WAKE_CHANNEL,
        wakeups::{self, Wakeup},
    },
    sync::Heard,
};

/// The pause before the next attempt to listen.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// How long it may take to have the timeline's last timestamp announced; longer than the wait for the
/// lane's lock.
const ANNOUNCE_TIME_MAX: Duration = Duration::from_secs(20);

/// The pause after an announcement: whatever voids what is known may do it many times a second.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(500);

/// A connection on which nothing was heard for this long is replaced: it is most likely dead, since every
/// replica sends a [pulse](wakeups::PULSE_CHANNEL) several times as often, unless the queue of notifications
/// is all but full.
const QUIET_MAX: Duration = Duration::from_secs(12);

/// Hears the notifications of all replicas and wakes who waits for them.
pub struct Listener {
    database: Database,
    announcing: Session,
    heard: Arc<Heard>,
    hub: Arc<Hub>,
    outbox: Arc<Notify>,
}

impl Listener {
    /// `outbox` is notified whenever there may be new events.
    pub fn new(database: Database, heard: Arc<Heard>, hub: Arc<Hub>, outbox: Arc<Notify>) -> Self {
        let announcing = database.session(Purpose::Announcing);
        Self {
            database,
            announcing,
            heard,
            hub,
            outbox,
        }
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
    async fn listen(&mut self) -> store::Result<Infallible> {
        // Finds the primary, and says why where there is none. A connection that is left of an attempt that
        // failed would be to the one of then.
        self.announcing.discard();
        self.announcing.connection().await?;
        let channels = [wakeups::CHANNEL, WAKE_CHANNEL, wakeups::PULSE_CHANNEL];
        let listener = self.database.listen(channels).await?;
        self.heard.begin_era();
        self.outbox.notify_one();
        self.hub.wake(&Wakeup::EVERYBODY);
        let Self {
            announcing,
            heard,
            hub,
            outbox,
            ..
        } = self;
        let hearing = hear_all(listener, |notification| match notification.channel() {
            WAKE_CHANNEL => outbox.notify_one(),
            wakeups::PULSE_CHANNEL => {}
            _ => {
                let wakeup = Wakeup::parse(notification.payload());
                heard.hear(&wakeup);
                hub.wake(&wakeup);
            }
        });
        tokio::select! {
            result = hearing => result,
            never = announce_eras(announcing, heard) => match never {},
        }
    }
}

/// Hears notifications until the connection is lost or has long been quiet, which is an error.
async fn hear_all(
    mut listener: PgListener,
    mut hear: impl FnMut(&PgNotification),
) -> store::Result<Infallible> {
    let lost = || store::Error::timed_out("the connection of the listener is lost");
    loop {
        let heard = store::in_time(QUIET_MAX, async { Ok(listener.try_recv().await?) }).await?;
        hear(&heard.ok_or_else(lost)?);
    }
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
