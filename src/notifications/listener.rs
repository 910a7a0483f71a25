//! LISTEN, with a reconnect that nobody misses.
//!
//! After every connect the subscribers are told, since what was committed while nobody listened was not
//! notified; and how far the timeline has come is announced anew, on a connection of its own, for who
//! counts on having been notified of everything.

use std::{convert::Infallible, sync::Arc, time::Duration};

use sqlx::postgres::{PgListener, PgNotification};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Notification, Subscriber, TimestampRange, payloads};
use crate::{
    domain::Timestamp,
    store::{
        self, Database, Purpose, Session,
        notify::{EVENTS_CHANNEL, PULSE_CHANNEL, UPDATES_CHANNEL},
    },
};

/// The pause before the next attempt to listen.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// How long it may take to announce how far the timeline has come; longer than the wait for the lane's
/// lock.
const ANNOUNCE_TIME_MAX: Duration = Duration::from_secs(20);

/// The pause after an announcement: whatever asks for them may do it many times a second.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(500);

/// A connection on which nothing arrives for this long is replaced: it is most likely dead, since every
/// replica sends a [pulse](PULSE_CHANNEL) several times as often, unless the queue of notifications is all
/// but full.
const QUIET_TIME_MAX: Duration = Duration::from_secs(12);

/// Receives the notifications of all replicas.
pub struct Listener {
    database: Database,
    announcing: Session,
    subscribers: Vec<Arc<dyn Subscriber>>,
    announcements: Arc<Notify>,
}

impl Listener {
    /// How far the timeline has come is announced whenever `announcements` is notified.
    pub fn new(
        database: Database,
        subscribers: Vec<Arc<dyn Subscriber>>,
        announcements: Arc<Notify>,
    ) -> Self {
        let announcing = database.session(Purpose::Announcing);
        Self {
            database,
            announcing,
            subscribers,
            announcements,
        }
    }

    /// Listens until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ended = stop.run_until_cancelled(self.listen()).await;
            self.tell(|subscriber| subscriber.disconnected());
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
        // Finds the primary, and says why where there is none. A connection that is left of an attempt
        // that failed would be to the one of then.
        self.announcing.discard();
        self.announcing.connection().await?;
        let channels = [UPDATES_CHANNEL, EVENTS_CHANNEL, PULSE_CHANNEL];
        let listener = self.database.listen(channels).await?;
        self.tell(|subscriber| subscriber.reconnected());
        let announcements = Arc::clone(&self.announcements);
        let receiving = receive_all(listener, &self.subscribers);
        tokio::select! {
            result = receiving => result,
            never = announce_all(&mut self.announcing, &announcements) => match never {},
        }
    }

    fn tell(&self, event: impl Fn(&dyn Subscriber)) {
        for subscriber in &self.subscribers {
            event(subscriber.as_ref());
        }
    }
}

/// Receives notifications until the connection is lost or has long been quiet, which is an error.
async fn receive_all(
    mut listener: PgListener,
    subscribers: &[Arc<dyn Subscriber>],
) -> store::Result<Infallible> {
    let lost = || store::Error::timed_out("the connection of the listener is lost");
    loop {
        let receiving = async { Ok(listener.try_recv().await?) };
        let received = store::in_time(QUIET_TIME_MAX, receiving).await?;
        receive(&received.ok_or_else(lost)?, subscribers);
    }
}

fn receive(received: &PgNotification, subscribers: &[Arc<dyn Subscriber>]) {
    match received.channel() {
        PULSE_CHANNEL => {}
        EVENTS_CHANNEL => {
            for subscriber in subscribers {
                subscriber.events_added();
            }
        }
        _ => {
            let notification = Notification::parse(received.payload());
            for subscriber in subscribers {
                subscriber.notified(&notification);
            }
        }
    }
}

/// Announces whenever it is asked for, each time until that succeeds.
async fn announce_all(session: &mut Session, announcements: &Notify) -> Infallible {
    loop {
        announcements.notified().await;
        while let Err(error) = store::in_time(ANNOUNCE_TIME_MAX, announce(session)).await {
            tracing::warn!(%error, "how far the timeline has come is not known yet");
            session.discard();
            sleep(ANNOUNCE_PAUSE).await;
        }
        session.discard();
        sleep(ANNOUNCE_PAUSE).await;
    }
}

/// Notifies every replica of how far the timeline has come, as a batch does that changes nothing.
async fn announce(session: &mut Session) -> store::Result<()> {
    let mut lane = session.enter_lane().await?;
    let next = lane.next_numbers();
    let end = Timestamp(next.timestamp.0 - 1);
    let range = TimestampRange {
        after: end,
        last: end,
    };
    for payload in payloads(range, next.now, Default::default()) {
        store::notify::send(lane.connection(), UPDATES_CHANNEL, &payload).await?;
    }
    session.give_back(lane.commit().await?);
    Ok(())
}
