//! Webhooks: the feed of an application, brought to its servers.
//!
//! # The promise
//! Every entry of the kinds that a webhook asks for is sent to it until it has taken it, in the order of
//! the timeline: one request at a time, each with a batch of entries, and none before the one before is
//! taken. A request that comes again has the same `webhook-id`, which names the first and the last of its
//! entries.
//!
//! # How
//! The leader brings the feed to many webhooks at once. In its turn ([`schedule`]) a webhook gets one batch:
//! a page after its cursor is read, the number of its entries is committed, they are posted, and the cursor
//! is moved when the answer is 2xx. What is written about webhooks is written on the connection that is the
//! proof of leadership, by a few short statements a turn. Pages are read on connections of their own, and
//! posts wait for nobody.
//!
//! # The races, and how each was decided
//! - *The leader dies between a request and its answer.* The next one sends the same again: the number of
//!   entries was committed before. If its messages or their recipients have grown, so that it would be too
//!   large, it has fewer entries and another id.
//! - *The application changes the webhook during its turn.* Each change raises the webhook's revision, and a
//!   turn writes nothing about another revision than it has read. So nothing is skipped that the change asks
//!   for, and the next turn begins with it at once.
//! - *A notification is lost.* Every few seconds all webhooks are looked at.
//! - *A webhook's page cannot be read.* That is a failure of this webhook, which is tried again later.

mod courier;
mod looks;
mod schedule;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::{Behind, Leader, PAUSE_MIN, lead_until, log_leadership};
use crate::{
    callbacks::Callbacks,
    domain::ApplicationId,
    notifications::{Notification, Subscriber},
    store::{self, Database, Delivering, Leadership, Render, feed::FeedEntry},
};
use courier::{Courier, Done};
use schedule::Schedule;

/// Writes the entries of one request as JSON.
pub type RenderBatch = fn(ApplicationId, &[FeedEntry]) -> Vec<u8>;

/// Notes what concerns webhooks.
pub struct WebhookNotes {
    behind: Behind,
    /// The applications that have changed their webhooks.
    changed: Mutex<BTreeSet<ApplicationId>>,
}

impl WebhookNotes {
    pub fn new(behind: Behind) -> Self {
        Self {
            behind,
            changed: Mutex::default(),
        }
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<ApplicationId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what was noted.
    fn pass_on(&self, schedule: &mut Schedule) {
        let noted = self.behind.take();
        if noted.all {
            schedule.note_all();
        }
        for application in noted.applications {
            schedule.note(application);
        }
        for application in std::mem::take(&mut *self.changed()) {
            schedule.note_change(application);
        }
    }
}

impl Subscriber for WebhookNotes {
    fn reconnected(&self) {
        self.behind.reconnected();
    }

    fn notified(&self, notification: &Notification) {
        self.behind.notified(notification);
    }

    fn webhooks_changed(&self, application: ApplicationId) {
        self.changed().insert(application);
        self.behind.note(application);
    }
}

/// Brings the feeds to webhooks.
pub struct Webhooks {
    pub database: Database,
    pub notes: Arc<WebhookNotes>,
    pub callbacks: Arc<Callbacks>,
    pub render_message: Render,
    pub render_batch: RenderBatch,
}

impl Webhooks {
    /// Works while this replica leads, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        lead_until(stop, self).await;
    }
}

impl Leader for Webhooks {
    type Duty = Delivering;
    type Error = store::Error;

    async fn lead(&mut self, pause: &mut Duration) -> store::Result<()> {
        let leader = Leadership::acquire(&self.database).await?;
        log_leadership::<Delivering>();
        let courier = Courier::new(self, leader);
        let mut schedule = Schedule::new();
        let mut under_way = FuturesUnordered::new();
        // Nothing is awaited in this loop but whatever happens first: the tasks wait for each other.
        loop {
            self.notes.pass_on(&mut schedule);
            while let Some(task) = schedule.begin() {
                under_way.push(courier.perform(task));
            }
            tokio::select! {
                Some(done) = under_way.next() => match done? {
                    Done::Look(scope, found) => {
                        schedule.end_look(&scope, found);
                        *pause = PAUSE_MIN;
                    }
                    Done::Turn(key, ended) => schedule.end_turn(key, ended),
                },
                () = self.notes.behind.wait_until(schedule.next_time()) => {}
            }
        }
    }
}
