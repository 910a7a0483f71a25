//! Lets messages expire, clears them, and trims the timelines.
//!
//! # The promise
//! A message that is older than its conversation keeps messages expires with the next pass: by one change of its
//! conversation, however many messages expire with it. Every file of a message that has expired is reported as
//! out of use once, and then nothing is left of the message but the reports of it. The part of a timeline that is older than
//! everything that is kept is deleted, and who has not read it is told so.
//!
//! # How
//! The leader passes over the conversations of all applications, again and again. The changes go through the
//! timeline like any other. There is no state but the tables: what has expired is the numbers before
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
//! - *A change cannot be made now* (its application has too many waiting). Nothing of this application is
//!   trimmed in this pass: a message that is kept has its creation on the timeline, so that the index of search
//!   can be built anew from it.

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Leader, PAUSE_MIN, WaitingWrites, lead_until, log_leadership};
use crate::{
    domain::{
        ApplicationId, ConversationId, MessageId, OverdueMessages, RetentionDays, Timestamp, UserId,
    },
    notifications::everything_has_changed,
    store::{
        self, Database, Expiring, Leadership, changes,
        retention::{self, KeptConversation},
        trimming,
    },
    timeline::{
        self, Requester, Timeline,
        commands::{ClearExpired, Command, ExpireMessages},
    },
};

/// How many applications, and conversations, are looked up at once.
const APPLICATIONS_AT_ONCE: i64 = 1000;
const CONVERSATIONS_AT_ONCE: i64 = 500;

/// How many messages one change clears.
const MESSAGES_AT_ONCE: i64 = 200;

/// How many messages or changes are looked at, and how many changes or updates are deleted, at once.
const ROWS_AT_ONCE: i64 = 5000;

/// Of how many users updates are deleted at once.
const USERS_AT_ONCE: i64 = 500;

/// How long the database may take for one of these.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(60);

/// While so many writes wait to be committed, the leader rests for as long as it has worked; for twice as many,
/// twice as long.
const WAITING_WRITES_PER_REST: f64 = 4.0;

/// The shortest and the longest rest, as multiples of the work before it.
const REST_MIN: f64 = 1.0;
const REST_MAX: f64 = 20.0;

/// How long the index of search has to come so far that messages can be cleared, and how often that is checked.
const INDEX_TIME_MAX: Duration = Duration::from_secs(10);
const INDEX_CHECK_PERIOD: Duration = Duration::from_millis(100);

/// Lets messages expire.
pub struct Retention {
    pub database: Database,
    pub timeline: Timeline,
    pub waiting_writes: WaitingWrites,
    /// The time from one pass over all conversations to the next.
    pub period: Duration,
    /// Whether the feeds of applications are published.
    pub publishes_feeds: bool,
}

/// What a pass over the conversations of an application has found.
struct Passed {
    /// Whether all that is to expire has expired.
    is_complete: bool,
    /// The change that has created the oldest message that is kept.
    oldest: Option<Timestamp>,
}

/// Up to where the updates of applications are deleted by this leader.
type Trimmed = HashMap<ApplicationId, Timestamp>;

impl Retention {
    /// Works while this replica leads, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        lead_until(stop, self).await;
    }

    /// Passes over all applications.
    async fn pass(
        &self,
        leader: &mut Leadership<Expiring>,
        trimmed: &mut Trimmed,
    ) -> store::Result<()> {
        let mut after = ApplicationId::new(0);
        loop {
            let reading = retention::applications(leader, after, APPLICATIONS_AT_ONCE);
            let applications = store::in_time(STATEMENT_TIME_MAX, reading).await?;
            let Some((last, _)) = applications.last() else {
                return Ok(());
            };
            after = *last;
            for (application, retention) in applications {
                // Before anything is looked at: what expires meanwhile is left for the next pass.
                let oldest_kept = retention::oldest_kept(leader, application).await?;
                let passed = self.expire(leader, application, retention).await?;
                if let Some(time) =
                    oldest_kept.filter(|_| passed.is_complete && retention.is_some())
                {
                    self.raise(leader, application, time, passed.oldest).await?;
                }
                self.trim(leader, application, trimmed).await?;
            }
        }
    }

    /// Lets the messages of an application expire, and clears those that have.
    async fn expire(
        &self,
        leader: &mut Leadership<Expiring>,
        application: ApplicationId,
        of_application: Option<RetentionDays>,
    ) -> store::Result<Passed> {
        let mut passed = Passed {
            is_complete: true,
            oldest: None,
        };
        let mut after = ConversationId::new(0);
        loop {
            let started = Instant::now();
            let reading = retention::conversations(
                leader,
                application,
                of_application,
                after,
                CONVERSATIONS_AT_ONCE,
            );
            let window = store::in_time(STATEMENT_TIME_MAX, reading).await?;
            let Some(last) = window.last() else {
                return Ok(passed);
            };
            after = last.id;
            self.rest(started).await;
            let mut to_clear = Vec::new();
            for kept in &window {
                if kept.is_overdue && !self.expire_in(leader, application, kept).await? {
                    passed.is_complete = false;
                }
                // That of a conversation in which something expires is earlier than what is kept of it.
                let oldest = kept.oldest.into_iter().chain(passed.oldest).min();
                passed.oldest = oldest;
                to_clear.extend((kept.is_overdue || kept.has_remains).then_some(kept));
            }
            if !to_clear.is_empty() && !self.clear(leader, application, &to_clear).await? {
                passed.is_complete = false;
            }
        }
    }

    /// Lets the messages of a conversation expire that are old enough. Returns whether they have.
    async fn expire_in(
        &self,
        leader: &mut Leadership<Expiring>,
        application: ApplicationId,
        kept: &KeptConversation,
    ) -> store::Result<bool> {
        let mut found: Option<OverdueMessages> = None;
        loop {
            let started = Instant::now();
            let first = found.map_or(kept.first, |found| found.number.next());
            let reading = retention::overdue(leader, application, kept, first, ROWS_AT_ONCE);
            let Some(more) = store::in_time(STATEMENT_TIME_MAX, reading).await? else {
                break;
            };
            let youngest = found.map_or(more.youngest, |found| found.youngest.max(more.youngest));
            found = Some(OverdueMessages { youngest, ..more });
            self.rest(started).await;
        }
        let Some(overdue) = found else {
            return Ok(false);
        };
        let command = ExpireMessages {
            conversation: kept.conversation.clone(),
            overdue,
        };
        let expired = self.submit(application, command).await;
        Ok(log_failure(application, "messages do not expire now", expired).is_some())
    }

    /// Clears the messages of some conversations that have expired. Returns whether it has.
    async fn clear(
        &self,
        leader: &mut Leadership<Expiring>,
        application: ApplicationId,
        conversations: &[&KeptConversation],
    ) -> store::Result<bool> {
        if !self.until_indexed(leader, application).await? {
            return Ok(false);
        }
        for kept in conversations {
            loop {
                let started = Instant::now();
                let ids =
                    retention::remains(leader, application, kept.id, MESSAGES_AT_ONCE).await?;
                retention::delete_entries(leader, application, &ids).await?;
                let Some(cleared) = self.clear_messages(application, kept, &ids).await else {
                    return Ok(false);
                };
                metrics::counter!("messages_expired_cleared_total").increment(cleared as u64);
                self.rest(started).await;
                if cleared == 0 || (cleared == ids.len() && ids.len() < MESSAGES_AT_ONCE as usize) {
                    break;
                }
            }
        }
        Ok(true)
    }

    /// Clears messages, as many as one change does. Returns how many; `None` if they cannot be cleared now.
    async fn clear_messages(
        &self,
        application: ApplicationId,
        kept: &KeptConversation,
        ids: &[MessageId],
    ) -> Option<usize> {
        if ids.is_empty() {
            return Some(0);
        }
        let command = ClearExpired {
            conversation: kept.conversation.clone(),
            messages: ids.to_vec(),
        };
        let cleared = self.submit(application, command).await;
        log_failure(application, "messages are not cleared now", cleared)
    }

    /// Waits until the index of search has come to where the timeline ends now. Returns `false` if it does not
    /// within some time.
    async fn until_indexed(
        &self,
        leader: &mut Leadership<Expiring>,
        application: ApplicationId,
    ) -> store::Result<bool> {
        let end = changes::end(leader.connection(), application).await?;
        let started = Instant::now();
        while retention::indexed_up_to(leader, application).await? < end {
            if started.elapsed() > INDEX_TIME_MAX {
                let application = application.get();
                tracing::warn!(
                    application,
                    "the index of search is behind: messages are not cleared now"
                );
                return Ok(false);
            }
            sleep(INDEX_CHECK_PERIOD).await;
        }
        Ok(true)
    }

    /// Raises how far the timeline of an application may be trimmed: to the last change that is older than
    /// `time` and than every message that is kept.
    async fn raise(
        &self,
        leader: &mut Leadership<Expiring>,
        application: ApplicationId,
        time: time::OffsetDateTime,
        oldest: Option<Timestamp>,
    ) -> store::Result<()> {
        let trimmed = trimming::trimmed(leader, application).await?;
        let mut to = trimmed;
        loop {
            let started = Instant::now();
            let reading = trimming::last_before(leader, application, to, time, ROWS_AT_ONCE);
            let Some(last) = store::in_time(STATEMENT_TIME_MAX, reading).await? else {
                break;
            };
            to = last;
            self.rest(started).await;
        }
        let before_oldest = oldest.map(|oldest| Timestamp::new(oldest.get() - 1));
        let to = before_oldest.map_or(to, |before| to.min(before));
        if to > trimmed {
            let notice = |end, now| everything_has_changed(application, end, now);
            let raising = trimming::raise(leader, application, to, self.publishes_feeds, notice);
            store::in_time(STATEMENT_TIME_MAX, raising).await?;
        }
        Ok(())
    }

    /// Deletes what may be trimmed of an application's timeline.
    async fn trim(
        &self,
        leader: &mut Leadership<Expiring>,
        application: ApplicationId,
        done: &mut Trimmed,
    ) -> store::Result<()> {
        let trimmed = trimming::trimmed(leader, application).await?;
        if trimmed == Timestamp::new(0) {
            return Ok(());
        }
        loop {
            let started = Instant::now();
            let deleting = trimming::delete_changes(leader, application, ROWS_AT_ONCE);
            let deleted = store::in_time(STATEMENT_TIME_MAX, deleting).await?;
            self.count_trimmed("changes", deleted, started).await;
            if deleted == 0 {
                break;
            }
        }
        // To walk over all users takes longer: once for each time that there is more to be trimmed.
        if done.get(&application) >= Some(&trimmed) {
            return Ok(());
        }
        let mut last: Option<UserId> = None;
        loop {
            let users = trimming::users(leader, application, last.as_ref(), USERS_AT_ONCE);
            let users = store::in_time(STATEMENT_TIME_MAX, users).await?;
            if users.is_empty() {
                break;
            }
            loop {
                let started = Instant::now();
                let deleting = trimming::delete_updates(leader, application, &users, ROWS_AT_ONCE);
                let deleted = store::in_time(STATEMENT_TIME_MAX, deleting).await?;
                self.count_trimmed("updates", deleted, started).await;
                if deleted == 0 {
                    break;
                }
            }
            last = users.last().cloned();
        }
        done.insert(application, trimmed);
        Ok(())
    }

    async fn count_trimmed(&self, table: &'static str, deleted: u64, started: Instant) {
        metrics::counter!("messages_trimmed_total", "table" => table).increment(deleted);
        self.rest(started).await;
    }

    async fn submit<C: Command>(
        &self,
        application: ApplicationId,
        command: C,
    ) -> Result<C::Output, timeline::Error>
    where
        C::Output: Copy,
    {
        let requester = Requester {
            application,
            user: None,
        };
        let outcome = self.timeline.submit(requester, command).await?;
        Ok(outcome.output)
    }

    /// Leaves the database to others for as long as it has worked for this, and longer while writes wait.
    async fn rest(&self, started: Instant) {
        let waiting = (self.waiting_writes)() as f64;
        let times = (waiting / WAITING_WRITES_PER_REST).clamp(REST_MIN, REST_MAX);
        sleep(started.elapsed().mul_f64(times)).await;
    }
}

/// The output of a command. What cannot be done now is tried again with the next pass.
fn log_failure<T>(
    application: ApplicationId,
    what: &'static str,
    result: Result<T, timeline::Error>,
) -> Option<T> {
    let application = application.get();
    result
        .inspect_err(|error| tracing::warn!(%error, application, "{what}"))
        .ok()
}

impl Leader for Retention {
    type Duty = Expiring;
    type Error = store::Error;

    async fn lead(&mut self, pause: &mut Duration) -> store::Result<()> {
        let mut leader = Leadership::acquire(&self.database).await?;
        log_leadership::<Expiring>();
        let mut trimmed = Trimmed::new();
        loop {
            let started = Instant::now();
            self.pass(&mut leader, &mut trimmed).await?;
            *pause = PAUSE_MIN;
            sleep(self.period.saturating_sub(started.elapsed())).await;
        }
    }
}
