//! One batch, one transaction: lock, load, decide, store, commit.

use std::time::Duration;

use uuid::Uuid;

use super::{Job, batch::BatchChanges, load::load};
use crate::{
    domain::NextNumbers,
    store::{self, Lane, Session},
};

/// The longest that entering the lane may take. Commands do not wait for longer than that to begin, so to
/// go on waiting for a lock that another replica holds would serve nobody.
const ENTER_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest that the way to the commit, or the commit, may take: many times what the largest batch takes.
/// A connection on which nothing arrives any more holds up a batch for this long.
const STEP_TIME_MAX: Duration = Duration::from_secs(8);

/// What a batch has come to. One that turns out to write too many rows decides its first commands alone;
/// nothing was done for the others.
#[derive(Debug, Clone, Copy)]
pub struct Decided {
    /// How many commands have an outcome.
    pub commands: usize,
    pub has_changes: bool,
}

/// A transaction that holds the lane's lock, and the numbers that are next.
pub type LockedTransaction = (Lane, NextNumbers);

/// A transaction that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It failed before COMMIT was sent: nothing was changed.
    #[error("the batch failed before its commit")]
    BeforeCommit(#[from] store::Error),
    /// COMMIT was sent, and its answer was an error or did not come. If it was committed, this was
    /// decided.
    #[error("the outcome of the batch's commit is not known")]
    AtCommit(Decided, #[source] store::Error),
}

/// Begins a transaction and waits for the lane's lock.
pub async fn begin(session: &mut Session) -> store::Result<LockedTransaction> {
    store::in_time(ENTER_TIME_MAX, session.enter_lane()).await
}

/// How a batch is recorded in its own transaction, and whether its commit notifies.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    pub writer: Uuid,
    /// Each attempt of a writer has its own.
    pub number: i64,
    pub notifies: bool,
}

/// Carries out a batch in one transaction. The outcomes are kept with its commands.
pub async fn carry_out(
    session: &mut Session,
    (mut lane, first): LockedTransaction,
    jobs: &mut [Job],
    record: Record,
) -> Result<Decided, Failure> {
    let preparing = async {
        let wanted: Vec<_> = jobs
            .iter()
            .map(|job| (job.request.requester(), job.request.needs()))
            .collect();
        let state = load(&mut lane, &wanted).await?;
        let (changes, commands) = BatchChanges::decide(state, jobs, first);
        if !changes.is_empty() {
            changes.store(&mut lane, record).await?;
        }
        Ok(Decided {
            commands,
            has_changes: !changes.is_empty(),
        })
    };
    let decided = store::in_time(STEP_TIME_MAX, preparing).await?;
    match store::in_time(STEP_TIME_MAX, lane.commit()).await {
        Ok(connection) => {
            session.give_back(connection);
            Ok(decided)
        }
        Err(error) => Err(Failure::AtCommit(decided, error)),
    }
}

/// Whether `writer`'s batch `number` was committed. Taking the lane proves that the transaction
/// that held it before, on whatever connection, has ended; so the answer is final.
pub async fn was_committed(
    session: &mut Session,
    writer: Uuid,
    number: i64,
) -> store::Result<bool> {
    store::in_time(ENTER_TIME_MAX, async {
        let (mut lane, _) = session.enter_lane().await?;
        let has_committed = store::timeline::has_committed(&mut lane, writer, number).await?;
        session.give_back(lane.commit().await?);
        Ok(has_committed)
    })
    .await
}
