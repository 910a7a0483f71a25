//! Followers: whatever happens after a change reads it from the timeline.
//!
//! # The promise
//! A follower does its work for every change of every application, at least once and in the order of
//! the application's timeline. It is never finished with a change before it has done the work.
//!
//! # How
//! Each follower has a cursor in each application's timeline. It reads the changes after the cursor,
//! a window at a time, does its work, and moves the cursor when the work is done. Commits come in
//! the order of timestamps, so nothing can appear before a cursor. One replica at a time leads a
//! follower, under an advisory lock whose proof is the connection that works
//! ([`Leadership`]).
//!
//! Applications take turns, a window each, so that one with many changes delays the others little. A
//! follower that is behind delays nobody who writes. How far it is behind is a metric.
//!
//! # The races, and how each was decided
//! - *A notification is lost.* Every few seconds, and with every new leader, all applications are
//!   looked at, whatever was notified meanwhile.
//! - *The leader loses its lock* with its connection, so it cannot move a cursor any more. The next
//!   leader begins where the cursor is, and may repeat the work of one window.
//! - *The cursor is set back* (the index of search is rebuilt). A cursor is moved only from where it
//!   was read.
//! - *An old snapshot is open*, such as that of a long backup. Each move leaves a version of the
//!   cursor's row until it ends. So a follower that has caught up pauses, and moves a cursor a few
//!   times a second at most.

mod behind;
mod broker;
pub mod clearing;
pub mod erasing;
pub mod feed_exchange;
pub mod file_events;
pub mod retention;
mod search_index;
pub mod webhooks;

use std::{collections::BTreeSet, fmt::Display, ops::Bound, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

pub use behind::Behind;
pub use search_index::SearchIndex;

use crate::{
    domain::ApplicationId,
    store::{self, Database, Duty, Leadership},
};

/// How often all applications are looked at: a lost notification costs no more than that, or a
/// hundred times as long as a look takes.
const LOOK_PERIOD_MIN: Duration = Duration::from_secs(5);

/// A look at all applications takes this share of the time at the most, however many there are.
const LOOK_SHARE: u32 = 100;

/// How long the database may take for a look at all applications.
const LOOK_TIME_MAX: Duration = Duration::from_secs(600);

/// The least time from one pass over the applications to the next.
const PASS_PERIOD: Duration = Duration::from_millis(250);

/// How long a pass may take before applications that were noted meanwhile have their turn.
const PASS_TIME_MAX: Duration = Duration::from_secs(2);

/// The pauses after failures double from the first to the last of these.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What a publisher of this replica is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublisherState {
    /// No broker is configured, so there is no publisher.
    NotConfigured,
    /// Another replica leads, or the broker is away.
    NotPublishing,
    /// This replica leads and has a channel.
    Publishing,
    /// As above, and an alarm keeps the broker from taking events.
    Blocked,
}

/// The present state, for health and metrics.
pub type PublisherStatus = watch::Receiver<PublisherState>;

/// The status where no broker is configured.
pub fn not_configured() -> PublisherStatus {
    watch::channel(PublisherState::NotConfigured).1
}

/// How far a follower has come in an application's timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// To its end.
    ToTheEnd,
    /// By a full window. There may be more.
    AWindow,
}

/// The work of a follower.
pub trait Follower: Send + 'static {
    /// Its name and its lock.
    type Duty: Duty + 'static;
    /// What it holds while it leads.
    type Work: Send;
    type Error: Display + From<store::Error> + Send;

    /// Begins to lead.
    fn begin(&mut self) -> impl Future<Output = Result<Self::Work, Self::Error>> + Send;

    /// Follows an application by a window at the most.
    fn follow(
        &mut self,
        work: &mut Self::Work,
        leader: &mut Leadership<Self::Duty>,
        application: ApplicationId,
    ) -> impl Future<Output = Result<Followed, Self::Error>> + Send;

    /// Has followed all applications to the end.
    fn caught_up(
        &mut self,
        work: &mut Self::Work,
        leader: &mut Leadership<Self::Duty>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Stops to lead. Only after this may another replica lead.
    fn end(&mut self, work: Self::Work) -> impl Future<Output = ()> + Send;
}

/// Follows while this replica leads, until `stop`.
pub async fn run<F: Follower>(
    follower: F,
    database: Database,
    behind: Arc<Behind>,
    stop: CancellationToken,
) {
    let engine = Engine {
        follower,
        database,
        behind,
    };
    lead_until(stop, engine).await;
}

/// What one replica at a time does.
trait Leader: Send {
    type Duty: Duty;
    type Error: Display + Send;

    /// Becomes the leader, and works until something fails. Resets `pause` when it has done something.
    fn lead(
        &mut self,
        pause: &mut Duration,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Leads, until `stop`; after any failure on a new connection.
async fn lead_until<L: Leader>(stop: CancellationToken, mut leader: L) {
    let mut pause = PAUSE_MIN;
    while !stop.is_cancelled() {
        let leading = leader.lead(&mut pause);
        if let Some(Err(error)) = stop.run_until_cancelled(leading).await {
            let (follower, pause_ms) = (L::Duty::NAME, pause.as_millis());
            tracing::warn!(%error, follower, pause_ms, "a follower pauses");
        }
        stop.run_until_cancelled(sleep(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A follower in whose work applications take turns.
struct Engine<F> {
    follower: F,
    database: Database,
    behind: Arc<Behind>,
}

impl<F: Follower> Leader for Engine<F> {
    type Duty = F::Duty;
    type Error = F::Error;

    async fn lead(&mut self, pause: &mut Duration) -> Result<(), F::Error> {
        let (follower, behind) = (&mut self.follower, &self.behind);
        let mut leader = Leadership::acquire(&self.database).await?;
        let mut work = follower.begin().await?;
        log_leadership::<F::Duty>();
        let mut passes = Passes::default();
        let outcome = loop {
            let started = Instant::now();
            let passing = pass(follower, &mut work, &mut leader, behind, &mut passes);
            if let Err(error) = passing.await {
                break Err(error);
            }
            *pause = PAUSE_MIN;
            sleep(PASS_PERIOD.saturating_sub(started.elapsed())).await;
            behind.wait_until(passes.look).await;
        };
        follower.end(work).await;
        outcome
    }
}

fn log_leadership<R: Duty>() {
    tracing::info!(follower = R::NAME, "this replica follows the timelines");
}

/// What a leader keeps from one pass to the next.
struct Passes {
    /// When all applications are looked at next; first at once.
    look: Instant,
    /// The application whose turn was the last one.
    last: Option<ApplicationId>,
}

impl Default for Passes {
    fn default() -> Self {
        Self {
            look: Instant::now(),
            last: None,
        }
    }
}

impl Passes {
    /// The applications in which there is something to follow. Sets the time of the next look.
    async fn look_at_all<R: Duty>(
        &mut self,
        leader: &mut Leadership<R>,
    ) -> store::Result<Vec<ApplicationId>> {
        let started = Instant::now();
        let looking = store::followers::behind(leader);
        let behind = store::in_time(LOOK_TIME_MAX, looking).await?;
        let pause = LOOK_PERIOD_MIN.max(started.elapsed() * LOOK_SHARE);
        self.look = Instant::now() + pause;
        Ok(behind)
    }
}

/// Follows the applications that were noted, or all if their time has come, in turns: each to its
/// end, once. What is noted of it meanwhile waits for the next pass. A pass ends after some time, so
/// that one application that is far behind does not keep the others waiting; the next one goes on where it ended.
async fn pass<F: Follower>(
    follower: &mut F,
    work: &mut F::Work,
    leader: &mut Leadership<F::Duty>,
    behind: &Behind,
    passes: &mut Passes,
) -> Result<(), F::Error> {
    let started = Instant::now();
    let noted = behind.take();
    let mut turns = noted.applications;
    if noted.all || started >= passes.look {
        turns.extend(passes.look_at_all(leader).await?);
    }
    while let Some(application) = next_after(passes.last, &turns) {
        if started.elapsed() > PASS_TIME_MAX {
            turns.into_iter().for_each(|rest| behind.note(rest));
            return Ok(());
        }
        if follower.follow(work, leader, application).await? == Followed::ToTheEnd {
            turns.remove(&application);
        }
        passes.last = Some(application);
    }
    follower.caught_up(work, leader).await
}

/// The application whose turn comes after the last one's.
fn next_after(
    last: Option<ApplicationId>,
    turns: &BTreeSet<ApplicationId>,
) -> Option<ApplicationId> {
    let later = last.and_then(|last| {
        turns
            .range((Bound::Excluded(last), Bound::Unbounded))
            .next()
    });
    later.or(turns.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_take_turns() {
        let turns = BTreeSet::from([2, 5, 7].map(ApplicationId::new));
        let next = |last: Option<i64>| {
            let next = next_after(last.map(ApplicationId::new), &turns);
            next.map(ApplicationId::get)
        };
        assert_eq!(
            [None, Some(2), Some(3), Some(5), Some(7)].map(next),
            [Some(2), Some(5), Some(5), Some(7), Some(2)]
        );
        assert_eq!(next_after(None, &BTreeSet::new()), None);
    }
}
