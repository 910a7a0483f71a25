//! One batch, one transaction: lock, load, decide, store, commit.

use std::time::Duration;

use uuid::Uuid;

use super::{
    command::{Command, Done},
    ledger::Ledger,
    load::load,
};
use crate::{
    domain::Refusal,
    store::{self, Lane, Session, timeline::Next},
};

/// The longest that entering the lane may take. Commands do not wait for longer than that to begin, so to
/// go on waiting for a lock that another replica holds would serve nobody.
const ENTER_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest that the way to the commit, or the commit, may take: many times what the largest batch takes.
/// A connection on which nothing arrives any more holds up a batch for this long.
const STEP_TIME_MAX: Duration = Duration::from_secs(8);

/// What each command of a batch comes to, in their order. A batch that turns out to write too many
/// rows has results for its first commands alone; nothing was done for the others.
pub type Results = Vec<Result<Done, Refusal>>;

/// A transaction that holds the lane's lock, and the numbers that are next.
pub type Entered = (Lane, Next);

/// A transaction that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It failed before COMMIT was sent: nothing was changed.
    #[error("the batch failed before its commit")]
    BeforeCommit(#[from] store::Error),
    /// COMMIT was sent, and its answer was an error or did not come. If it was committed, these
    /// are its results.
    #[error("the outcome of the batch's commit is not known")]
    AtCommit(Results, #[source] store::Error),
}

/// Begins a transaction and waits for the lane's lock.
pub async fn enter(session: &mut Session) -> store::Result<Entered> {
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

/// Carries out a batch in one transaction.
pub async fn carry_out(
    session: &mut Session,
    entered: Entered,
    commands: &[&Command],
    record: Record,
) -> Result<Results, Failure> {
    let (lane, results) = store::in_time(STEP_TIME_MAX, prepare(entered, commands, record)).await?;
    match store::in_time(STEP_TIME_MAX, lane.commit()).await {
        Ok(connection) => {
            session.give_back(connection);
            Ok(results)
        }
        Err(error) => Err(Failure::AtCommit(results, error)),
    }
}

/// Everything up to the commit.
async fn prepare(
    (mut lane, first): Entered,
    commands: &[&Command],
    record: Record,
) -> store::Result<(Lane, Results)> {
    let state = load(&mut lane, commands).await?;
    let (ledger, results) = Ledger::decide(state, commands, first);
    if !ledger.is_empty() {
        ledger.store(&mut lane, record).await?;
    }
    Ok((lane, results))
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
