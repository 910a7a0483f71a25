//! Lets messages expire, clears them, and trims the timelines.
//!
//! # The promise
//! A message that is older than its conversation keeps messages expires with the next pass: by one change of its
//! conversation, however many messages expire with it. Every file of a message that has expired is reported as
//! out of use once, and then nothing is left of the message but the reports of it. The part of a timeline that is older than
//! everything that is kept is deleted, and who has not read it learns that.
//!
//! # How
//! The leader passes over the conversations of all applications, again and again, and lets messages expire. Then
//! ([`remains`]) applications take turns, a bounded piece of work each: what has expired is cleared, and the
//! timeline is trimmed. The changes go through the timeline like any other. There is no state but the tables: what has expired is the numbers before
//! `conversations.first`, what is to be cleared are rows with such numbers, and what may be trimmed is what is
//! before `applications.trimmed`. So a new leader goes on where another one has stopped.
//!
//! # The races, and how each was decided
//! - *The retention is changed meanwhile.* Whether a message is old enough is decided under the lock of the
//!   timeline, by the retention that counts then.
//! - *The index of search is behind.* What a message can be found by is deleted once the index has followed the
//!   timeline beyond the change by which it has expired. It indexes no message that has expired, so nothing of
//!   it comes back.
//! - *Two replicas clear at the same time*, since one has lost its lock. Which messages are there is decided
//!   under the lock of the timeline, so each file is reported once.
//! - *A message is deleted while it is cleared.* The same.
//! - *A conversation is deleted, or is that of other users now*, since one was erased. A change names it by its id
//!   and is refused, and the leader goes on with the next one.
//! - *A change cannot be made now* (its application has too many waiting). The next pass goes on with this
//!   application. Its timeline is trimmed no further: a message that is kept has its creation on the timeline, so
//!   that the index of search can be built anew from it.
//! - *A statement takes too long*, or is refused. The same.

mod remains;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use remains::{Remains, Trimmed};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Leader, PAUSE_MIN, lead_until, log_leadership};
use crate::{
    domain::{ApplicationId, ConversationId, OverdueMessages, RetentionDays, Timestamp},
    store::{
        self, Database, Expiring, Leadership,
        retention::{self, KeptConversation},
        trimming,
    },
    timeline::{
        self, BackgroundTimeline, Requester,
        commands::{Command, ExpireMessages},
    },
};

/// How many applications, and conversations, are looked up at once.
const APPLICATIONS_AT_ONCE: i64 = 1000;
const CONVERSATIONS_AT_ONCE: i64 = 500;

/// How many messages or changes are looked at, and how many changes or updates are deleted, at once.
const ROWS_AT_ONCE: i64 = 2000;

/// How long to wait for an answer of the database, which ends a statement earlier.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// Lets messages expire.
pub struct Retention {
    pub database: Database,
    pub timeline: BackgroundTimeline,
    /// The time from one pass over all conversations to the next.
    pub period: Duration,
    /// Whether the feeds of applications are published.
    pub publishes_feeds: bool,
}

/// What has become of a change.
enum Submitted<T> {
    Made(T),
    /// It is not to be made.
    Refused,
    /// It cannot be made now.
    Failed,
}

/// A connection that leads.
type Leading = Leadership<Expiring>;

impl Retention {
    /// Works while this replica leads, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        lead_until(stop, self).await;
    }

    /// Passes over all applications, and adds those in which something may be left to `queue`.
    async fn pass(&self, leader: &mut Leading, queue: &mut VecDeque<Remains>) -> store::Result<()> {
        let mut after = ApplicationId::new(0);
        let mut queued: BTreeSet<_> = queue.iter().map(|remains| remains.application).collect();
        loop {
            let reading = retention::applications(leader, after, APPLICATIONS_AT_ONCE);
            let applications = in_time(reading).await?;
            let Some(last) = applications.last() else {
                return Ok(());
            };
            after = last.id;
            for kept in applications {
                let concerns = kept.retention.is_some() || kept.has_expired;
                if !concerns && !in_time(retention::is_of_a_chat(leader, kept.id)).await? {
                    continue;
                }
                let expired = self.expire(leader, kept.id, kept.retention).await;
                log_failure(leader, kept.id, expired).await?;
                if queued.insert(kept.id) {
                    queue.push_back(Remains::of(kept.id));
                }
            }
        }
    }

    /// Clears and trims, until nothing is left or it is time for the next pass.
    async fn clear_until(
        &self,
        end: Instant,
        leader: &mut Leading,
        queue: &mut VecDeque<Remains>,
        trimmed: &mut Trimmed,
    ) -> store::Result<()> {
        while Instant::now() < end {
            let Some(mut remains) = queue.pop_front() else {
                return Ok(());
            };
            if !self.turn(leader, &mut remains, trimmed).await? {
                queue.push_back(remains);
            }
        }
        Ok(())
    }

    /// Lets the messages of an application expire, and raises how far its timeline is trimmed.
    async fn expire(
        &self,
        leader: &mut Leading,
        application: ApplicationId,
        of_application: Option<RetentionDays>,
    ) -> store::Result<()> {
        // Before anything is looked at: what expires meanwhile is left for the next pass.
        let oldest_kept = in_time(retention::oldest_kept(leader, application)).await?;
        let (mut after, mut oldest) = (ConversationId::new(0), None);
        loop {
            let piece = self.timeline.begin();
            let reading = retention::conversations(
                leader,
                application,
                of_application,
                after,
                CONVERSATIONS_AT_ONCE,
            );
            let window = in_time(reading).await?;
            let Some(last) = window.last() else {
                break;
            };
            after = last.id;
            piece.rest_as_long().await;
            for kept in &window {
                if kept.is_overdue {
                    let expired = self.expire_in(leader, application, kept).await;
                    if log_failure(leader, application, expired).await? == Some(false) {
                        return Ok(());
                    }
                }
                // That of a conversation in which something expires is earlier than what is kept of it.
                oldest = kept.oldest.into_iter().chain(oldest).min();
            }
        }
        // If the application has a retention since then, not all of its conversations were looked at.
        match oldest_kept.filter(|_| of_application.is_some()) {
            Some(time) => self.raise(leader, application, time, oldest).await,
            None => Ok(()),
        }
    }

    /// Lets the messages of a conversation expire that are old enough. Returns `false` if they cannot now.
    async fn expire_in(
        &self,
        leader: &mut Leading,
        application: ApplicationId,
        kept: &KeptConversation,
    ) -> store::Result<bool> {
        let mut found: Option<OverdueMessages> = None;
        loop {
            let piece = self.timeline.begin();
            let first = found.map_or(kept.first, |found| found.number.next());
            let reading = retention::overdue(leader, application, kept, first, ROWS_AT_ONCE);
            let Some(more) = in_time(reading).await? else {
                break;
            };
            let youngest = found.map_or(more.youngest, |found| found.youngest.max(more.youngest));
            found = Some(OverdueMessages { youngest, ..more });
            piece.rest_as_long().await;
        }
        let Some(overdue) = found else {
            return Ok(true);
        };
        let command = ExpireMessages {
            conversation: kept.conversation.clone(),
            id: kept.id,
            overdue,
        };
        let submitted = self.submit(application, command).await;
        Ok(!matches!(submitted, Submitted::Failed))
    }

    /// Raises how far the timeline of an application may be trimmed: to the last change that is older than
    /// `time` and than every message that is kept.
    async fn raise(
        &self,
        leader: &mut Leading,
        application: ApplicationId,
        time: time::OffsetDateTime,
        oldest: Option<Timestamp>,
    ) -> store::Result<()> {
        let trimmed = in_time(trimming::trimmed(leader, application)).await?;
        let bound = in_time(trimming::bound(leader, application, self.publishes_feeds)).await?;
        let before_oldest = oldest.map(|oldest| Timestamp::new(oldest.get() - 1));
        let bound = before_oldest.map_or(bound, |before| bound.min(before));
        let mut to = trimmed;
        loop {
            let piece = self.timeline.begin();
            let reading = trimming::last_before(leader, application, to, bound, time, ROWS_AT_ONCE);
            let Some(last) = in_time(reading).await? else {
                break;
            };
            to = last;
            piece.rest_as_long().await;
        }
        if to > trimmed {
            let raising = trimming::raise(leader, application, to, self.publishes_feeds);
            in_time(raising).await?;
        }
        Ok(())
    }

    async fn submit<C: Command>(
        &self,
        application: ApplicationId,
        command: C,
    ) -> Submitted<C::Output>
    where
        C::Output: Copy,
    {
        let requester = Requester {
            application,
            user: None,
        };
        match self.timeline.submit(requester, command).await {
            Ok(outcome) => Submitted::Made(outcome.output),
            Err(timeline::Error::Refused(_)) => Submitted::Refused,
            Err(error) => {
                let application = application.get();
                tracing::warn!(%error, application, "messages do not expire, or are not cleared, now");
                Submitted::Failed
            }
        }
    }
}

async fn in_time<T>(step: impl Future<Output = store::Result<T>>) -> store::Result<T> {
    store::in_time(ANSWER_TIME_MAX, step).await
}

/// What has been found, or `None` where a statement has failed: the leader goes on with something else, and comes
/// back with the next pass. Fails if the leader has lost its connection.
async fn log_failure<T>(
    leader: &mut Leading,
    application: ApplicationId,
    result: store::Result<T>,
) -> store::Result<Option<T>> {
    let error = match result {
        Ok(found) => return Ok(Some(found)),
        Err(error) => error,
    };
    in_time(leader.check()).await?;
    let application = application.get();
    tracing::warn!(%error, application, "messages expire, or are cleared, with the next pass");
    Ok(None)
}

impl Leader for Retention {
    type Duty = Expiring;
    type Error = store::Error;

    async fn lead(&mut self, pause: &mut Duration) -> store::Result<()> {
        let mut leader = Leadership::acquire(&self.database).await?;
        log_leadership::<Expiring>();
        let (mut queue, mut trimmed) = (VecDeque::new(), Trimmed::new());
        loop {
            let started = Instant::now();
            self.pass(&mut leader, &mut queue).await?;
            *pause = PAUSE_MIN;
            // Passes that take longer than the period leave half of the time to clearing.
            let (next, half) = (started + self.period, Instant::now() + started.elapsed());
            self.clear_until(next.max(half), &mut leader, &mut queue, &mut trimmed)
                .await?;
            sleep_until(next).await;
        }
    }
}
