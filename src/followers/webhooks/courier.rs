//! The leader at work: it looks which webhooks there are, and brings one what it gets next.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use secrecy::SecretSlice;
use tokio::sync::{Mutex, Semaphore};

use super::{
    super::LOOK_TIME_MAX,
    Webhooks,
    looks::Scope,
    schedule::{Ended, Task},
};
use crate::{
    callbacks::{CallbackUrl, Request, SigningSecret},
    domain::{ApplicationId, Cursor, Timestamp},
    random,
    store::{
        self, Delivering, Leadership, Pool,
        feed::{self, FeedRequest, Kinds},
        pages::PageSize,
        webhooks::deliveries::{self, Delivery, Waiting, WebhookKey},
    },
};

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

/// The leader at work.
pub struct Courier<'a> {
    webhooks: &'a Webhooks,
    leader: Mutex<Leadership<Delivering>>,
    pages: Pool,
    /// Who waits for a page waits here, for as long as it takes.
    reads: Semaphore,
}

/// A task that is done.
pub enum Done {
    Look(Scope, Vec<Waiting>),
    Turn(WebhookKey, Ended),
}

/// What is sent in one request.
struct Batch {
    /// How many changes it takes, with those that the feed does not tell of.
    changes: u16,
    /// The timestamps of the first and the last entry; `None` if there is no entry.
    ends: Option<(Timestamp, Timestamp)>,
    body: Vec<u8>,
    /// The cursor of a webhook that has taken it.
    reached: Timestamp,
    has_caught_up: bool,
}

impl<'a> Courier<'a> {
    pub fn new(webhooks: &'a Webhooks, leader: Leadership<Delivering>) -> Self {
        Self {
            webhooks,
            leader: Mutex::new(leader),
            pages: webhooks.database.deliveries(READS_MAX),
            reads: Semaphore::new(READS_MAX),
        }
    }

    pub fn perform(&self, task: Task) -> BoxFuture<'_, store::Result<Done>> {
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
            let ended = Ended::Nothing { has_caught_up };
            return self.advance(key, delivery, batch.reached, ended).await;
        };
        let (at, changes) = (delivery.version(key), batch.changes);
        let beginning = self.write(async |leader| deliveries::begin(leader, at, changes).await);
        // The secrets are those of now: an application that has got a new one sees it at once.
        let Some(secrets) = beginning.await? else {
            return Ok(Ended::Changed);
        };
        match self.post(&delivery.url, secrets, ends, batch.body).await {
            Ok(()) => {
                count("taken");
                let ended = Ended::Taken { has_caught_up };
                self.advance(key, delivery, batch.reached, ended).await
            }
            Err(detail) => {
                count("failed");
                self.fail(key, delivery, &detail).await
            }
        }
    }

    /// Reads what is sent next: as many changes as before, unless they have become too long. Fails with what
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
            let changes = page.entries.last().map_or(0, |entry| entry.place);
            if body.len() <= BODY_BYTES_MAX || page.entries.len() < 2 {
                let ends = page.entries.first().zip(page.entries.last());
                return Ok(Batch {
                    changes,
                    ends: ends.map(|(first, last)| (first.timestamp, last.timestamp)),
                    body,
                    reached: page.reached,
                    has_caught_up: page.reached >= page.timeline_end,
                });
            }
            size.entries = changes / 2;
        }
    }

    async fn post(
        &self,
        url: &str,
        secrets: Vec<SecretSlice<u8>>,
        (first, last): (Timestamp, Timestamp),
        body: Vec<u8>,
    ) -> Result<(), String> {
        let url = CallbackUrl::parse(url).map_err(|invalid| invalid.to_string())?;
        let secrets = secrets.into_iter().map(SigningSecret::from);
        let request = Request {
            url: &url,
            id: format!("{first}-{last}"),
            body,
            secrets: &secrets.collect::<Vec<_>>(),
        };
        let posting = self.webhooks.callbacks.post(request);
        posting.await.map_err(|failure| failure.to_string())
    }

    /// Moves the webhook's cursor. Its turn has `ended` so, if the webhook is as it was read.
    async fn advance(
        &self,
        key: WebhookKey,
        delivery: &Delivery,
        to: Timestamp,
        ended: Ended,
    ) -> store::Result<Ended> {
        let is_clean = delivery.failures == 0 && delivery.batch.is_none();
        if to == delivery.cursor && is_clean {
            return Ok(ended);
        }
        let at = delivery.version(key);
        let advancing = self.write(async |leader| deliveries::advance(leader, at, to).await);
        Ok(ended.unless_changed(advancing.await?))
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
        Ok(Ended::Failed(rest).unless_changed(failing.await?))
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
