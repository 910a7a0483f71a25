//! Webhooks: the feed of an application, brought to its servers.
//!
//! # The promise
//! Every entry of the kinds that a webhook asks for is sent to it until it has taken it, in the order of
//! the timeline: one request at a time, each with a batch of entries, and none before the one before is
//! taken. A request that comes again has the same `webhook-id`, which names the first and the last of its
//! entries.
//!
//! # How
//! The leader brings the feed to all webhooks at once, each in a future of its own: it reads a page after
//! the webhook's cursor, remembers how many entries it has, posts them, and moves the cursor when the answer
//! is 2xx. Only the posts wait for others. What is read and written is quick, and is done one at a time on
//! the connection that is the proof of leadership.
//!
//! A webhook that has caught up is left alone until its application's timeline is noted, and for a fraction
//! of a second at least: what happens in the meantime comes in one request.
//!
//! # The races, and how each was decided
//! - *The leader dies between a request and its answer.* The next one sends it again: the number of its
//!   entries was committed before. If its messages have grown meanwhile, so that it would be too large, it
//!   has fewer entries and another id.
//! - *The application changes the webhook while a request is under way.* The cursor is moved only from
//!   where it was read, and not if other entries are asked for. What is asked for counts with the next
//!   request.
//! - *A notification is lost.* Every few seconds all webhooks are looked at.

mod turns;

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Behind, Leader, Look, lead_until, log_leadership};
use crate::{
    callbacks::{CallbackUrl, Callbacks, Request, SigningSecret},
    domain::{ApplicationId, Cursor},
    notifications::{Notification, Subscriber},
    random,
    store::{
        self, Database, Delivering, Leadership, Render,
        feed::{self, FeedEntry, FeedPage, FeedRequest},
        pages::PageSize,
        webhooks::deliveries::{self, Delivery, WebhookKey},
    },
};
use turns::{Ended, Turns};

/// The most entries of a request.
const ENTRIES_MAX: u16 = 100;

/// The most bytes of a request with more than one entry.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// About as many bytes of messages are read for a request: the last one may exceed it.
const PAGE_BYTES: usize = BODY_BYTES_MAX / 2;

/// Requests that are under way at the same time.
const UNDER_WAY_MAX: usize = 512;

/// The pauses after failures double from the first to the last of these.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(300);

/// How long the database may take for one step.
const STEP_TIME_MAX: Duration = Duration::from_secs(15);

/// Writes the entries of one request as JSON.
pub type RenderBatch = fn(ApplicationId, &[FeedEntry]) -> Vec<u8>;

/// Notes what concerns webhooks.
pub struct WebhookNotes(Behind);

impl WebhookNotes {
    pub fn new(behind: Behind) -> Self {
        Self(behind)
    }
}

impl Subscriber for WebhookNotes {
    fn reconnected(&self) {
        self.0.reconnected();
    }

    fn notified(&self, notification: &Notification) {
        self.0.notified(notification);
    }

    fn webhooks_changed(&self) {
        self.0.note_all();
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

type UnderWay<'a> = Pin<Box<dyn Future<Output = store::Result<(WebhookKey, Ended)>> + Send + 'a>>;

impl Leader for Webhooks {
    type Role = Delivering;
    type Error = store::Error;

    async fn lead(&mut self, pause: &mut Duration) -> store::Result<()> {
        let leader = Leadership::acquire(&self.database).await?;
        log_leadership::<Delivering>();
        let courier = Courier {
            webhooks: self,
            leader: Mutex::new(leader),
        };
        let notes = &self.notes.0;
        let mut turns = Turns::default();
        let mut look = Look::default();
        let mut under_way: FuturesUnordered<UnderWay<'_>> = FuturesUnordered::new();
        loop {
            let noted = notes.take();
            if noted.all || Instant::now() >= look.next {
                turns.look(look.at_all(courier.look()).await?);
                *pause = super::PAUSE_MIN;
            }
            turns.note(&noted.applications);
            while under_way.len() < UNDER_WAY_MAX
                && let Some(key) = turns.begin_next()
            {
                under_way.push(Box::pin(courier.bring(key)));
            }
            let is_full = under_way.len() == UNDER_WAY_MAX;
            let next_time = turns.next_time().filter(|_| !is_full);
            let wake = next_time.map_or(look.next, |time| time.min(look.next));
            tokio::select! {
                Some(ended) = under_way.next() => {
                    let (key, ended) = ended?;
                    turns.end(key, ended);
                }
                () = notes.wait_until(wake) => {}
            }
        }
    }
}

/// The leader at work.
struct Courier<'a> {
    webhooks: &'a Webhooks,
    leader: Mutex<Leadership<Delivering>>,
}

/// The entries of a request, and the JSON in which they are sent.
struct Batch {
    page: FeedPage,
    body: Vec<u8>,
}

impl Courier<'_> {
    async fn look(&self) -> store::Result<Vec<deliveries::Waiting>> {
        deliveries::all(&mut *self.leader.lock().await).await
    }

    /// Brings the feed to a webhook until it has caught up, does not take a batch, or is gone.
    async fn bring(&self, key: WebhookKey) -> store::Result<(WebhookKey, Ended)> {
        loop {
            let (delivery, batch) = match self.prepare(key).await? {
                Ok(prepared) => prepared,
                Err(ended) => return Ok((key, ended)),
            };
            if let Some(ended) = self.deliver(key, delivery, batch).await? {
                return Ok((key, ended));
            }
        }
    }

    async fn prepare(&self, key: WebhookKey) -> store::Result<Result<(Delivery, Batch), Ended>> {
        let leader = &mut *self.leader.lock().await;
        store::in_time(STEP_TIME_MAX, self.find_next(leader, key)).await
    }

    /// Reads what a webhook gets next, and remembers it; or why its turn ends.
    async fn find_next(
        &self,
        leader: &mut Leadership<Delivering>,
        key: WebhookKey,
    ) -> store::Result<Result<(Delivery, Batch), Ended>> {
        let Some(delivery) = deliveries::next(leader, key).await? else {
            return Ok(Err(Ended::Gone));
        };
        if !delivery.pause.is_zero() {
            return Ok(Err(Ended::Refused(delivery.pause)));
        }
        let batch = self.read(leader, key, &delivery).await?;
        let entries = u16::try_from(batch.page.entries.len()).expect("a page has a limit");
        if entries == 0 {
            let (from, to) = (delivery.cursor, batch.page.reached);
            if from < to {
                deliveries::advance(leader, key, from, delivery.batch, to).await?;
            }
            let has_caught_up = to >= batch.page.timeline_end;
            return Ok(Err(Ended::Nothing { has_caught_up }));
        }
        if delivery.batch != Some(entries)
            && !deliveries::begin(leader, key, delivery.cursor, entries).await?
        {
            return Ok(Err(Ended::Nothing {
                has_caught_up: false,
            }));
        }
        Ok(Ok((delivery, batch)))
    }

    /// Reads a batch. It has as many entries as it was sent with before, unless they have become too long.
    async fn read(
        &self,
        leader: &mut Leadership<Delivering>,
        key: WebhookKey,
        delivery: &Delivery,
    ) -> store::Result<Batch> {
        let (
            Webhooks {
                render_message,
                render_batch,
                ..
            },
            application,
        ) = (self.webhooks, key.application);
        let mut size = PageSize {
            entries: delivery.batch.unwrap_or(ENTRIES_MAX),
            bytes: PAGE_BYTES,
        };
        loop {
            let request = FeedRequest {
                application,
                cursor: Cursor::After(delivery.cursor),
                kinds: delivery.kinds,
                size,
                include: delivery.include,
            };
            let requests = [&request];
            let reading = feed::read(leader.connection(), application, &requests, *render_message);
            let page = reading.await?.pop().expect("a page for the request");
            let body = render_batch(application, &page.entries);
            if body.len() <= BODY_BYTES_MAX || page.entries.len() < 2 {
                return Ok(Batch { page, body });
            }
            size.entries = u16::try_from(page.entries.len() / 2).expect("a page has a limit");
        }
    }

    /// Sends a batch, and remembers the outcome. Returns how the turn has ended, unless it goes on.
    async fn deliver(
        &self,
        key: WebhookKey,
        delivery: Delivery,
        batch: Batch,
    ) -> store::Result<Option<Ended>> {
        let (from, failures) = (delivery.cursor, delivery.failures);
        let Batch { page, body } = batch;
        let outcome = self.post(delivery, &page, body).await;
        let leader = &mut *self.leader.lock().await;
        match outcome {
            Ok(()) => {
                let entries = u16::try_from(page.entries.len()).ok();
                let advancing = deliveries::advance(leader, key, from, entries, page.reached);
                store::in_time(STEP_TIME_MAX, advancing).await?;
                metrics::counter!("messages_webhook_requests_total", "outcome" => "taken")
                    .increment(1);
                let has_caught_up = page.reached >= page.timeline_end;
                Ok(has_caught_up.then_some(Ended::Nothing { has_caught_up }))
            }
            Err(detail) => {
                let pause = back_off(failures);
                let refusing = deliveries::refuse(leader, key, from, &detail, pause);
                store::in_time(STEP_TIME_MAX, refusing).await?;
                metrics::counter!("messages_webhook_requests_total", "outcome" => "failed")
                    .increment(1);
                let (application, webhook) = (key.application.get(), key.id.get());
                tracing::info!(
                    application,
                    webhook,
                    detail,
                    "a webhook has not taken its batch"
                );
                Ok(Some(Ended::Refused(pause)))
            }
        }
    }

    async fn post(&self, delivery: Delivery, page: &FeedPage, body: Vec<u8>) -> Result<(), String> {
        let url = CallbackUrl::parse(&delivery.url).map_err(|invalid| invalid.to_string())?;
        let ends = page.entries.first().zip(page.entries.last());
        let (first, last) = ends.expect("there is an entry");
        let secrets = delivery.secrets.into_iter().map(SigningSecret::from);
        let request = Request {
            url: &url,
            id: format!("{}-{}", first.timestamp, last.timestamp),
            body,
            secrets: &secrets.collect::<Vec<_>>(),
        };
        let posting = self.webhooks.callbacks.post(request);
        posting.await.map_err(|failure| failure.to_string())
    }
}

/// How long nothing is sent after a failure, when so many came before it. Webhooks that failed together
/// are not tried together.
fn back_off(failures: u32) -> Duration {
    let longest = BACK_OFF_MIN.saturating_mul(2u32.saturating_pow(failures + 1));
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
        for failures in (0..40).chain([u32::MAX - 1]) {
            for _ in 0..100 {
                let pause = back_off(failures);
                assert!(
                    pause >= least && pause >= BACK_OFF_MIN,
                    "{failures}: {pause:?}"
                );
                assert!(pause <= BACK_OFF_MAX, "{failures}: {pause:?}");
            }
            least = (BACK_OFF_MIN * 2u32.saturating_pow(failures)).min(BACK_OFF_MAX / 2);
        }
        assert!(back_off(0) <= 2 * BACK_OFF_MIN);
    }
}
