//! LISTEN, on a connection that is replaced when it is lost.
//!
//! Commits during a gap between two connections notify nobody here. So after every connect the
//! listener calls the subscribers. The end of a timeline is announced at request, for subscribers
//! that rely on every notification of an application.

use std::{convert::Infallible, sync::Arc, time::Duration};

use sqlx::postgres::{PgListener, PgNotification};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    AddressedSignal, Announcements, CommitNotice, Notification, Subscriber, TimestampRange,
};
use crate::{
    domain::ApplicationId,
    store::{
        self, Database, Purpose, Session,
        notify::{PULSE_CHANNEL, SIGNALS_CHANNEL, UPDATES_CHANNEL, WEBHOOKS_CHANNEL},
    },
};

/// The pause before the next attempt to listen.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// How long an announcement may take; longer than the wait for the lane's lock.
const ANNOUNCE_TIME_MAX: Duration = Duration::from_secs(20);

/// The pause after an announcement: they may be requested many times a second.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(500);

/// A connection on which nothing arrives for this long is most likely dead, and is replaced: every
/// replica sends a [pulse](PULSE_CHANNEL) several times as often, unless PostgreSQL's queue of
/// notifications is almost full.
const QUIET_TIME_MAX: Duration = Duration::from_secs(12);

/// Receives the notifications of all replicas.
pub struct Listener {
    database: Database,
    announcing: Session,
    subscribers: Vec<Arc<dyn Subscriber>>,
    announcements: Arc<Announcements>,
}

impl Listener {
    /// Timelines are announced as `announcements` requests.
    pub fn new(
        database: Database,
        subscribers: Vec<Arc<dyn Subscriber>>,
        announcements: Arc<Announcements>,
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
            self.call_subscribers(|subscriber| subscriber.disconnected());
            if let Some(Err(error)) = ended {
                tracing::warn!(%error, "the listener has no connection");
                stop.run_until_cancelled(sleep(RECONNECT_PAUSE)).await;
            }
        }
    }

    /// Listens until the connection is lost or has been quiet for too long. Then it is dropped
    /// together with its pool: the library would reconnect without reporting the gap, and closing a
    /// dead connection would occupy the pool's only place.
    async fn listen(&mut self) -> store::Result<Infallible> {
        // Finds the primary, or returns why there is none. A connection of an earlier attempt may
        // lead to a server that was the primary then.
        self.announcing.discard();
        self.announcing.connection().await?;
        let channels = [
            UPDATES_CHANNEL,
            WEBHOOKS_CHANNEL,
            PULSE_CHANNEL,
            SIGNALS_CHANNEL,
        ];
        let listener = self.database.listen(&channels).await?;
        self.call_subscribers(|subscriber| subscriber.reconnected());
        let announcements = Arc::clone(&self.announcements);
        let receiving = receive_all(listener, &self.subscribers);
        tokio::select! {
            result = receiving => result,
            never = announce_all(&mut self.announcing, &announcements) => match never {},
        }
    }

    fn call_subscribers(&self, event: impl Fn(&dyn Subscriber)) {
        for subscriber in &self.subscribers {
            event(subscriber.as_ref());
        }
    }
}

/// Receives notifications until the connection is lost or has been quiet for too long: both are
/// errors.
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
        WEBHOOKS_CHANNEL => {
            let application = received.payload().parse().map(ApplicationId::new);
            for subscriber in subscribers {
                application
                    .iter()
                    .for_each(|id| subscriber.webhooks_changed(*id));
            }
        }
        SIGNALS_CHANNEL => {
            for signal in AddressedSignal::parse_all(received.payload()) {
                for subscriber in subscribers {
                    subscriber.signalled(&signal);
                }
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

/// Announces at each request. A failed announcement is not repeated: whoever needs it requests it
/// again.
async fn announce_all(session: &mut Session, announcements: &Announcements) -> Infallible {
    loop {
        for application in announcements.take().await {
            let announcing = announce(session, application);
            if let Err(error) = store::in_time(ANNOUNCE_TIME_MAX, announcing).await {
                tracing::warn!(%error, "the end of a timeline cannot be announced yet");
                session.discard();
            }
        }
        session.discard();
        sleep(ANNOUNCE_PAUSE).await;
    }
}

/// Notifies every replica of the end of an application's timeline, as an empty batch would.
async fn announce(session: &mut Session, application: ApplicationId) -> store::Result<()> {
    let mut transaction = session.enter_lane(application).await?;
    let lane = transaction.lane(application);
    let notice = CommitNotice {
        application,
        range: TimestampRange {
            after: lane.end(),
            last: lane.end(),
        },
        written: lane.now(),
        uses_files: false,
    };
    let payloads = notice.payloads(Default::default());
    session.give_back(transaction.commit(&payloads).await?);
    Ok(())
}
