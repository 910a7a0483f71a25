//! Erases users whom their applications want to be erased.
//!
//! # The promise
//! From the request on nothing new names the user. Once the erasure is finished, nothing that is stored does.
//! What others see change is changed through the timeline, like everything else: their clients and the
//! application learn of it. It happens whichever replica dies meanwhile.
//!
//! # How
//! An erasure has steps ([`Step`]), and its row says to which place in which step it has come. The leader does a
//! small piece of work, notes the place, and goes on; users take turns, a piece each. A piece is done again if
//! the leader dies before it has noted the place: then it finds less to do, or nothing, and what it had done before is
//! missing in the report.
//!
//! # The races, and how each was decided
//! - *Others write meanwhile.* No command stores something new that names the user
//!   ([`Context::decide`](crate::timeline::commands::Context::decide)), so each step leaves nothing behind it.
//! - *A change cannot be made now* (the application has too many changes waiting), or fails each time. The erasure
//!   pauses, for longer with each failure in a row, and those of other users go on meanwhile ([`pauses`]).
//! - *Two replicas erase at the same time*, since one has lost its lock. What is erased stays so; and what comes so
//!   late that the erasure is over does nothing to whoever has the id by then: commands look whether it is under way,
//!   and what is done under the lock without a command looks whether it is still at its place.
//! - *A writer keeps a tombstone in memory that names the user, whose row has the pseudonym.* Nobody is shown
//!   the users of a tombstone.

mod pauses;
mod steps;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use pauses::Pauses;

use super::{Behind, LOOK_PERIOD_MIN, Leader, PAUSE_MIN, lead_until, log_leadership};
use crate::{
    domain::ApplicationId,
    store::{
        self, Database, Erasing, Lane, Leadership, Purpose, Session,
        erasing::{self, Place, RunningErasure, Step},
    },
    timeline::{
        self, BackgroundTimeline, Effect, Requester,
        commands::{Command, FinishErasure},
    },
};

/// How many changes are made at the same time: a quarter of a batch.
const AT_ONCE: i64 = 64;

/// How many rows of timelines are looked at at once: some milliseconds of work.
const ROWS_AT_ONCE: i64 = 2000;

/// How many chats are looked at at once.
const CHATS_AT_ONCE: i64 = 200;

/// How many erasures are looked up at once.
const ERASURES_AT_ONCE: i64 = 100;

/// The least time from one look for erasures to the next, if there is none, or if all of them pause.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// How long the database may take for a piece of work under the lock of an application.
const LANE_TIME_MAX: Duration = Duration::from_secs(15);

/// Erases users.
pub struct ErasedUsers {
    pub database: Database,
    pub timeline: BackgroundTimeline,
    pub behind: Arc<Behind>,
    /// No erasure is over sooner than so many seconds after it was requested. Until then it refuses what the
    /// user had under way: a request whose token was read just before.
    pub seconds_min: u32,
}

/// What the leader has.
struct Leading {
    leader: Leadership<Erasing>,
    /// For what is done under the lock of an application, and is no change.
    session: Session,
}

/// The work of a leader: erasures take turns.
struct Turns {
    users: ErasedUsers,
    pauses: Pauses,
}

/// What came of a turn of each erasure.
enum Round {
    /// One of them goes on at once.
    GoesOn,
    /// All of them pause.
    Pauses,
    /// There is none.
    Nothing,
}

/// The failures of a round.
#[derive(Default)]
struct Failures {
    count: usize,
    last: Option<(ApplicationId, Failure)>,
}

/// Why a piece of work is not done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The leader cannot go on.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is done under the lock of the application cannot be done now.
    #[error(transparent)]
    Lane(store::Error),
    /// Another leader has gone on with it.
    #[error("another replica has gone on with the erasure")]
    Overtaken,
    /// A change cannot be made now.
    #[error(transparent)]
    Timeline(#[from] timeline::Error),
}

/// Commands that were carried out at the same time.
#[derive(Default)]
struct Carried {
    /// How many have changed something.
    changed: i64,
    failure: Option<Failure>,
}

/// The outcome of a piece of work.
enum Done {
    /// The erasure has come to this place.
    At(Place),
    /// There may be more at the same place.
    More,
    /// The step has no more work.
    Step,
    /// It goes on when somebody else has done something.
    Wait,
}

impl ErasedUsers {
    /// Works while this replica leads, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let turns = Turns {
            users: self,
            pauses: Pauses::default(),
        };
        lead_until(stop, turns).await;
    }

    /// Does the next piece of an erasure, and notes it. Returns whether it goes on at once.
    async fn advance(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<bool, Failure> {
        let piece = self.timeline.begin();
        let done = self.piece(leading, running).await;
        if let Err(Failure::Lane(_) | Failure::Timeline(_)) = done {
            // Some of it may have been done, and is counted.
            erasing::save(&mut leading.leader, running).await?;
        }
        match done? {
            Done::At(place) => running.at = place,
            Done::More => {}
            Done::Wait => return Ok(false),
            Done::Step => match running.at.step.next() {
                Some(step) => running.at = Place::start_of(step),
                None => {
                    let erasure = Arc::clone(&running.erasure);
                    self.submit(running, FinishErasure { erasure }).await?;
                    let application = running.application.get();
                    tracing::info!(application, "a user was erased");
                    return Ok(true);
                }
            },
        }
        erasing::save(&mut leading.leader, running).await?;
        piece.rest().await;
        Ok(true)
    }

    async fn piece(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        match running.at.step {
            Step::Memberships => self.leave_chats(leading, running).await,
            Step::Conversations => self.rename_conversations(leading, running).await,
            Step::PersonalMessages => self.erase_personal(leading, running).await,
            Step::Chats => self.erase_in_chats(leading, running).await,
            Step::Mentions => self.erase_mentions(leading, running).await,
            Step::Reactions => self.erase_reactions(leading, running).await,
            Step::Own => steps::delete_own(leading, running).await,
            Step::Updates => self.rename_updates(leading, running).await,
            Step::Log => self.rename_log(leading, running).await,
            Step::Index => self.wait_to_end(leading, running).await,
        }
    }

    /// Carries out commands at the same time.
    async fn submit_all<C: Command>(
        &self,
        running: &RunningErasure,
        commands: impl Iterator<Item = C>,
    ) -> Carried {
        let changes = commands.map(|command| self.submit(running, command));
        let mut submitted = Carried::default();
        for effect in join_all(changes).await {
            match effect {
                Ok(effect) => submitted.changed += i64::from(effect == Effect::Changed),
                Err(failure) => submitted.failure = Some(failure),
            }
        }
        submitted
    }

    async fn submit<C: Command>(
        &self,
        running: &RunningErasure,
        command: C,
    ) -> Result<Effect, Failure> {
        let requester = Requester {
            application: running.application,
            user: None,
        };
        Ok(self.timeline.submit(requester, command).await?.effect)
    }
}

impl Carried {
    /// Adds to a count how many have changed something; fails if one of the others has failed.
    fn count(self, changed: &mut i64) -> Result<(), Failure> {
        *changed += self.changed;
        self.outcome()
    }

    /// Fails if one of them has failed.
    fn outcome(self) -> Result<(), Failure> {
        self.failure.map_or(Ok(()), Err)
    }
}

impl Leading {
    /// Does something under the lock of the application that changes nothing of what writers keep. It returns
    /// whether the erasure is still at its place.
    async fn in_lane(
        &mut self,
        running: &RunningErasure,
        work: impl AsyncFnOnce(&mut Lane<'_>) -> store::Result<bool>,
    ) -> Result<(), Failure> {
        let working = store::in_time(LANE_TIME_MAX, async {
            let mut transaction = self.session.enter_lane(running.application).await?;
            let is_done = work(&mut transaction.lane(running.application)).await?;
            self.session.give_back(transaction.commit(&[]).await?);
            Ok(is_done)
        });
        match working.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::Overtaken),
            Err(error) => Err(Failure::Lane(error)),
        }
    }
}

impl Turns {
    /// Lets all erasures that do not pause have a turn, each once.
    async fn round(&mut self, leading: &mut Leading) -> store::Result<Round> {
        let (mut found, mut goes_on) = (HashSet::new(), false);
        let (mut after, mut failures) = (None, Failures::default());
        loop {
            let running = erasing::running(&mut leading.leader, after, ERASURES_AT_ONCE).await?;
            let is_page = running.len() as i64 == ERASURES_AT_ONCE;
            after = running.last().filter(|_| is_page).map(RunningErasure::key);
            for mut erasure in running {
                found.insert(erasure.key());
                goes_on |= self.turn(leading, &mut erasure, &mut failures).await?;
            }
            if after.is_none() {
                break;
            }
        }
        failures.log();
        self.pauses.keep(&found);
        Ok(match goes_on {
            true => Round::GoesOn,
            false if found.is_empty() => Round::Nothing,
            false => Round::Pauses,
        })
    }

    /// Does a piece of an erasure, unless it pauses. Returns whether it goes on at once.
    async fn turn(
        &mut self,
        leading: &mut Leading,
        erasure: &mut RunningErasure,
        failures: &mut Failures,
    ) -> store::Result<bool> {
        let key = erasure.key();
        if !self.pauses.are_over(&key, Instant::now()) {
            return Ok(false);
        }
        let outcome = self.users.advance(leading, erasure).await;
        let now = Instant::now();
        match outcome {
            Ok(true) => self.pauses.end(&key),
            Ok(false) => self.pauses.wait(key, now),
            Err(_) => self.pauses.fail(key, now),
        }
        match outcome {
            Ok(goes_on) => Ok(goes_on),
            // Also on the next connection, the others have their turns first.
            Err(Failure::Store(error)) => Err(error),
            Err(failure) => {
                failures.add(erasure.application, failure);
                Ok(false)
            }
        }
    }
}

impl Failures {
    fn add(&mut self, application: ApplicationId, failure: Failure) {
        self.count += 1;
        self.last = Some((application, failure));
    }

    /// Logs one line for all of them.
    fn log(self) {
        if let Some((application, error)) = self.last {
            let (application, erasures) = (application.get(), self.count);
            tracing::warn!(%error, application, erasures, "users are not erased now");
        }
    }
}

impl Leader for Turns {
    type Duty = Erasing;
    type Error = store::Error;

    async fn lead(&mut self, pause: &mut Duration) -> store::Result<()> {
        let database = &self.users.database;
        let mut leading = Leading {
            leader: Leadership::acquire(database).await?,
            session: database.session(Purpose::Writing),
        };
        log_leadership::<Erasing>();
        loop {
            self.users.behind.take();
            let round = self.round(&mut leading).await?;
            *pause = PAUSE_MIN;
            match round {
                Round::GoesOn => {}
                Round::Pauses => sleep(LOOK_PAUSE).await,
                Round::Nothing => {
                    sleep(LOOK_PAUSE).await;
                    let look = Instant::now() + LOOK_PERIOD_MIN;
                    self.users.behind.wait_until(look).await;
                }
            }
        }
    }
}
