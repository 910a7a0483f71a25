//! Signals: what is posted on a replica, sent to all replicas, and delivered to the streams that asked.
//!
//! # The promise
//! There is none but this: a signal costs others nothing. It is stored nowhere, has no place on the
//! timeline, and travels by a notification of its own, outside every batch. Whatever is too much or cannot
//! be sent at once is dropped and counted.
//!
//! # How
//! [`Signals::post`] decides who receives a signal, and has it wait for the sender, [`Signals::run`], which
//! notifies all replicas at most 20 times a second, of as many signals as fit. On every replica the listener
//! passes them on, and each stream of a recipient that asked for signals has an [`Inbox`].
//!
//! # The races, and how each was decided
//! - *A recipient leaves the chat, or blocks the sender, while a signal is under way.* It still arrives:
//!   what counts is who was there when it was posted.
//! - *The sender waits for the database.* What waits with it is dropped if the database fails, since it is
//!   old by then. A newer signal of the same kind replaces an older one that waits.
//! - *A stream is slow.* Its inbox is bounded, and the oldest signals are dropped.

mod inbox;
mod pace;
mod recipients;
mod waiting;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

pub use inbox::Inbox;

use self::{inbox::Inboxes, pace::Pace, waiting::Waiting};
use crate::{
    batching::QueueError,
    domain::{ApplicationId, Clock, Conversation, NewSignal, Refusal, UserId},
    notifications::{AddressedSignal, Notification, Subscriber},
    store::{self, Pool, notify},
};

/// The pause after a notification: at most 20 of them a second, however many signals are posted. Each takes
/// the lock on PostgreSQL's queue of notifications, which every commit of a change needs.
const SEND_PAUSE: Duration = Duration::from_millis(50);

/// Posts that look up their recipients at the same time: half of the connections of the pool. The others are for
/// those who read.
const LOOKUPS_MAX: usize = 4;

/// How long a post waits for its turn to do so.
const TURN_TIME_MAX: Duration = Duration::from_secs(5);

/// Why a signal is not sent.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The user may signal again in a second.
    #[error("a user may send one signal a second")]
    TooMany,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Busy(#[from] QueueError),
    #[error(transparent)]
    Database(#[from] store::Error),
}

/// The signals of this replica.
pub struct Signals {
    reads: Pool,
    clock: Clock,
    pace: Pace,
    lookups: Semaphore,
    waiting: Waiting,
    inboxes: Arc<Inboxes>,
}

impl Signals {
    pub fn new(reads: Pool, clock: Clock) -> Self {
        Self {
            reads,
            clock,
            pace: Pace::default(),
            lookups: Semaphore::new(LOOKUPS_MAX),
            waiting: Waiting::default(),
            inboxes: Arc::default(),
        }
    }

    /// Posts a signal to everybody else in a conversation: whoever may send a message there may. Each user
    /// may post one a second on each replica. That it is accepted does not say that it arrives.
    pub async fn post(
        &self,
        application: ApplicationId,
        from: &UserId,
        conversation: &Conversation,
        new: NewSignal,
    ) -> Result<(), SignalError> {
        if !self.pace.allows(application, from) {
            return Err(SignalError::TooMany);
        }
        let looking = self.recipients(application, from, conversation, &new);
        let to = looking
            .await
            .inspect_err(|_| self.pace.take_back(application, from))?;
        if !to.is_empty() {
            let draft = new.draft();
            let signal = new.sent_by(from.clone(), conversation.chat());
            let addressed = AddressedSignal {
                application,
                signal,
                to,
            };
            self.waiting.put(addressed, draft);
        }
        Ok(())
    }

    async fn recipients(
        &self,
        application: ApplicationId,
        from: &UserId,
        conversation: &Conversation,
        new: &NewSignal,
    ) -> Result<Vec<UserId>, SignalError> {
        let turn = timeout(TURN_TIME_MAX, self.lookups.acquire()).await;
        let turn = turn.map_err(|_| QueueError::Overdue)?;
        let _turn = turn.map_err(|_| QueueError::Closed)?;
        let now = (self.clock)().into();
        let looking = self.reads.query(async |connection| {
            let draft = new.draft();
            recipients::find(connection, application, from, conversation, draft, now).await
        });
        Ok(looking.await??)
    }

    /// The signals that reach the user from now on.
    pub fn open(&self, application: ApplicationId, user: &UserId) -> Inbox {
        self.inboxes.open(application, user)
    }

    /// Sends what is posted until it is dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            let (payload, count) = self.waiting.take().await;
            let sending = self.reads.query(async |connection| {
                notify::send_lightly(connection, notify::SIGNALS_CHANNEL, &payload).await
            });
            match sending.await {
                Ok(true) => {}
                Ok(false) => drop_signals(count, "notifications"),
                Err(error) => {
                    tracing::debug!(%error, "signals cannot be sent");
                    drop_signals(count + self.waiting.clear(), "database");
                }
            }
            sleep(SEND_PAUSE).await;
        }
    }
}

impl Subscriber for Signals {
    fn reconnected(&self) {}

    fn notified(&self, _notification: &Notification) {}

    fn signalled(&self, signal: &AddressedSignal) {
        self.inboxes.deliver(signal);
    }
}

/// Counts signals that are dropped, by where there was no room for them.
fn drop_signals(count: usize, at: &'static str) {
    metrics::counter!("messages_signals_dropped_total", "at" => at).increment(count as u64);
}
