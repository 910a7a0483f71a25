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

mod schedule;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Behind, LOOK_TIME_MAX, Leader, PAUSE_MIN, lead_until, log_leadership};
use crate::{
    callbacks::{CallbackUrl, Callbacks, Request, SigningSecret},
    domain::{ApplicationId, Cursor, Timestamp},
    notifications::{Notification, Subscriber},
    random,
    store::{
        self, Database, Delivering, Leadership, Pool, Render,
        feed::{self, FeedEntry, FeedRequest, Kinds},
        pages::PageSize,
        webhooks::deliveries::{self, Delivery, Waiting, WebhookKey},
    },
};
use schedule::{Ended, Schedule, Scope, Task};

/// The most entries of a request.
const ENTRIES_MAX: u16 = 100;

/// The most bytes of a request with more than one entry.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// About as many bytes of messages are read for a request: the last one may exceed it.
const PAGE_BYTES: usize = BODY_BYTES_MAX / 2;

/// Pages that are read at the same time.
const READS_MAX: usize = 2;

/// The pauses after failures double from the first to the last of these.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(300);

/// The longest text of a failure, in characters.
const DETAIL_CHARS_MAX: usize = 500;

/// How long the database may take for one statement about a webhook.
const STEP_TIME_MAX: Duration = Duration::from_secs(15);

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
    type Role = Delivering;
    type Error = store::Error;

    async fn lead(&mut self, pause: &mut Duration) -> store::Result<()> {
        let leader = Leadership::acquire(&self.database).await?;
        log_leadership::<Delivering>();
        let courier = Courier {
            webhooks: self,
            leader: AsyncMutex::new(leader),
            pages: self.database.deliveries(READS_MAX),
            reads: Semaphore::new(READS_MAX),
        };
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

/// The leader at work.
struct Courier<'a> {
    webhooks: &'a Webhooks,
    leader: AsyncMutex<Leadership<Delivering>>,
    pages: Pool,
    /// Who waits for a page waits here, for as long as it takes.
    reads: Semaphore,
}

/// A task that is done.
enum Done {
    Look(Scope, Vec<Waiting>),
    Turn(WebhookKey, Ended),
}

/// What is sent in one request.
struct Batch {
    entries: u16,
    /// The timestamps of the first and the last entry; `None` if there is no entry.
    ends: Option<(Timestamp, Timestamp)>,
    body: Vec<u8>,
    /// The cursor of a webhook that has taken it.
    reached: Timestamp,
    has_caught_up: bool,
}

impl Courier<'_> {
    fn perform(&self, task: Task) -> BoxFuture<'_, store::Result<Done>> {
        match task {
            Task::Look(scope) => self.look(scope).boxed(),
            Task::Turn(key) => self.take_turn(key).boxed(),
        }
    }

    async fn look(&self, scope: Scope) -> store::Result<Done> {
        let applications = match &scope {
            Scope::All => None,
            Scope::Applications(applications) => Some(applications),
        };
        let leader = &mut *self.leader.lock().await;
        let looking = deliveries::waiting(leader, applications);
        let found = store::in_time(LOOK_TIME_MAX, looking).await?;
        Ok(Done::Look(scope, found))
    }

    /// Brings a webhook what it gets next.
    async fn take_turn(&self, key: WebhookKey) -> store::Result<Done> {
        let next = self.write(async |leader| deliveries::next(leader, key).await);
        let ended = match next.await? {
            None => Ended::Gone,
            Some(delivery) if !delivery.retry_in.is_zero() => Ended::Failed(delivery.retry_in),
            Some(delivery) => self.deliver(key, &delivery).await?,
        };
        Ok(Done::Turn(key, ended))
    }

    async fn deliver(&self, key: WebhookKey, delivery: &Delivery) -> store::Result<Ended> {
        let batch = match self.read(key.application, delivery).await {
            Ok(batch) => batch,
            Err(detail) => return self.fail(key, delivery, &detail).await,
        };
        let has_caught_up = batch.has_caught_up;
        let Some(ends) = batch.ends else {
            let is_valid = self.advance(key, delivery, batch.reached).await?;
            return Ok(if is_valid {
                Ended::Nothing { has_caught_up }
            } else {
                Ended::Changed
            });
        };
        let (at, entries) = (delivery.version(key), batch.entries);
        let beginning = self.write(async |leader| deliveries::begin(leader, at, entries).await);
        if !beginning.await? {
            return Ok(Ended::Changed);
        }
        match self.post(delivery, ends, batch.body).await {
            Ok(()) => {
                count("taken");
                let is_valid = self.advance(key, delivery, batch.reached).await?;
                Ok(if is_valid {
                    Ended::Taken { has_caught_up }
                } else {
                    Ended::Changed
                })
            }
            Err(detail) => {
                count("failed");
                self.fail(key, delivery, &detail).await
            }
        }
    }

    /// Reads what is sent next: as many entries as before, unless they have become too long. Fails with what
    /// its application is told.
    async fn read(&self, application: ApplicationId, delivery: &Delivery) -> Result<Batch, String> {
        let kinds = delivery
            .kinds
            .ok_or("a kind is of a newer version of the service")?;
        let _read = self.reads.acquire().await.expect("it is never closed");
        let reading = self
            .pages
            .query(async |connection| self.read_on(connection, application, delivery, kinds).await);
        reading.await.map_err(|error| {
            tracing::warn!(%error, application = application.get(), "a batch for a webhook cannot be read");
            "the service could not read what comes next".to_owned()
        })
    }

    async fn read_on(
        &self,
        connection: &mut store::PgConnection,
        application: ApplicationId,
        delivery: &Delivery,
        kinds: Kinds,
    ) -> store::Result<Batch> {
        let mut size = PageSize {
            entries: delivery.batch.unwrap_or(ENTRIES_MAX),
            bytes: PAGE_BYTES,
        };
        loop {
            let request = FeedRequest {
                application,
                cursor: Cursor::After(delivery.cursor),
                kinds,
                size,
                include: delivery.include,
            };
            let render = self.webhooks.render_message;
            let requests = [&request];
            let reading = feed::read(connection, application, &requests, render);
            let page = reading.await?.pop().expect("a page for the request");
            let body = (self.webhooks.render_batch)(application, &page.entries);
            let entries = u16::try_from(page.entries.len()).expect("a page has a limit");
            if body.len() <= BODY_BYTES_MAX || entries < 2 {
                let ends = page.entries.first().zip(page.entries.last());
                return Ok(Batch {
                    entries,
                    ends: ends.map(|(first, last)| (first.timestamp, last.timestamp)),
                    body,
                    reached: page.reached,
                    has_caught_up: page.reached >= page.timeline_end,
                });
            }
            size.entries = entries / 2;
        }
    }

    async fn post(
        &self,
        delivery: &Delivery,
        (first, last): (Timestamp, Timestamp),
        body: Vec<u8>,
    ) -> Result<(), String> {
        let url = CallbackUrl::parse(&delivery.url).map_err(|invalid| invalid.to_string())?;
        let secrets = delivery.secrets.iter().cloned().map(SigningSecret::from);
        let request = Request {
            url: &url,
            id: format!("{first}-{last}"),
            body,
            secrets: &secrets.collect::<Vec<_>>(),
        };
        let posting = self.webhooks.callbacks.post(request);
        posting.await.map_err(|failure| failure.to_string())
    }

    /// Moves the webhook's cursor; returns whether the webhook is as it was read.
    async fn advance(
        &self,
        key: WebhookKey,
        delivery: &Delivery,
        to: Timestamp,
    ) -> store::Result<bool> {
        let is_clean = delivery.failures == 0 && delivery.batch.is_none();
        if to == delivery.cursor && is_clean {
            return Ok(true);
        }
        let at = delivery.version(key);
        self.write(async |leader| deliveries::advance(leader, at, to).await)
            .await
    }

    /// Remembers a failure, and leaves the webhook alone for a while.
    async fn fail(
        &self,
        key: WebhookKey,
        delivery: &Delivery,
        detail: &str,
    ) -> store::Result<Ended> {
        let (application, webhook) = (key.application.get(), key.id.get());
        // A server may have a part in it: what is not text is left out.
        let detail = detail.chars().filter(|c| !c.is_control());
        let detail: &str = &detail.take(DETAIL_CHARS_MAX).collect::<String>();
        tracing::info!(
            application,
            webhook,
            detail,
            "a webhook has not taken its batch"
        );
        let (at, rest) = (delivery.version(key), back_off(delivery.failures));
        let failing = self.write(async |leader| deliveries::fail(leader, at, detail, rest).await);
        Ok(if failing.await? {
            Ended::Failed(rest)
        } else {
            Ended::Changed
        })
    }

    /// Runs a short statement as the leader, in its turn.
    async fn write<T>(
        &self,
        statement: impl AsyncFnOnce(&mut Leadership<Delivering>) -> store::Result<T>,
    ) -> store::Result<T> {
        let leader = &mut *self.leader.lock().await;
        store::in_time(STEP_TIME_MAX, statement(leader)).await
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("messages_webhook_requests_total", "outcome" => outcome).increment(1);
}

/// How long nothing is sent after a failure, when so many came before it. Webhooks that failed together
/// are not tried together.
fn back_off(failures: u32) -> Duration {
    let longest = BACK_OFF_MIN.saturating_mul(2u32.saturating_pow(failures.saturating_add(1)));
    let longest = longest.min(BACK_OFF_MAX).as_millis();
    let longest = u64::try_from(longest).expect("it is some minutes");
    Duration::from_millis(random::between(longest / 2..longest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_a_second_to_five_minutes() {
        let mut least = Duration::ZERO;
        for failures in (0..40).chain([u32::MAX]) {
            for _ in 0..100 {
                let pause = back_off(failures);
                assert!(
                    pause >= least && pause >= BACK_OFF_MIN,
                    "{failures}: {pause:?}"
                );
                assert!(pause <= BACK_OFF_MAX, "{failures}: {pause:?}");
            }
            least = BACK_OFF_MIN.saturating_mul(2u32.saturating_pow(failures));
            least = least.min(BACK_OFF_MAX / 2);
        }
        assert!(back_off(0) <= 2 * BACK_OFF_MIN);
    }
}
