//! One batch, one transaction: lock, load, decide, store, commit.

use std::time::Duration;

use uuid::Uuid;

use super::{AcceptedCommand, batch::BatchChanges, load::load};
use crate::store::{self, Lane, Session};

/// The longest that entering the lane may take. Commands do not wait longer than this for a writer.
/// So to wait longer for a lock that another replica holds would help no caller.
const ENTER_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest that the statements before the commit may take, and the longest for the commit: many
/// times what the largest batch takes. A connection on which nothing arrives any more delays a
/// batch this long.
const STEP_TIME_MAX: Duration = Duration::from_secs(8);

/// How far a batch was decided. If a batch would write too many rows, only its first commands are
/// decided.
#[derive(Debug, Clone, Copy)]
pub struct Decided {
    /// How many commands have an outcome.
    pub commands: usize,
    pub has_changes: bool,
}

/// Why a transaction has failed, or may have failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It failed before COMMIT was sent: nothing was changed.
    #[error("the batch failed before its commit")]
    BeforeCommit(#[from] store::Error),
    /// COMMIT was sent, and its answer was an error or did not come. If it was committed after all,
    /// this is its result.
    #[error("the outcome of the batch's commit is unknown")]
    AtCommit(Decided, #[source] store::Error),
}

/// How a batch is recorded in its own transaction, and whether its commit notifies.
#[derive(Debug, Clone, Copy)]
pub struct BatchRecord {
    pub writer: Uuid,
    /// Each attempt of a writer has its own.
    pub number: i64,
    pub notifies: bool,
}

/// Begins a transaction and waits for the lane's lock.
pub async fn enter_lane(session: &mut Session) -> store::Result<Lane> {
    store::in_time(ENTER_TIME_MAX, session.enter_lane()).await
}

/// Carries out a batch in one transaction: in `lane`, or in a new one. Each command keeps its
/// outcome.
///
/// After a failure, the connection is closed, so the server rolls the transaction back.
pub async fn carry_out(
    session: &mut Session,
    lane: Option<Lane>,
    commands: &mut [AcceptedCommand],
    record: BatchRecord,
) -> Result<Decided, Failure> {
    let mut lane = match lane {
        Some(lane) => lane,
        None => enter_lane(session).await?,
    };
    let preparing = async {
        let requests: Vec<_> = commands
            .iter()
            .map(|command| (command.request.requester(), command.request.needs()))
            .collect();
        let state = load(&mut lane, &requests).await?;
        let (changes, decided) = BatchChanges::decide(state, commands, lane.next_numbers());
        if !changes.is_empty() {
            changes.store(&mut lane, record).await?;
        }
        Ok(Decided {
            commands: decided,
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

/// Whether `writer`'s batch `number` was committed. The answer is final: entering the lane proves
/// that the transaction that held it before has ended, on whichever connection.
pub async fn was_committed(
    session: &mut Session,
    writer: Uuid,
    number: i64,
) -> store::Result<bool> {
    store::in_time(ENTER_TIME_MAX, async {
        let mut lane = session.enter_lane().await?;
        let has_committed = store::timeline::has_committed(&mut lane, writer, number).await?;
        session.give_back(lane.commit().await?);
        Ok(has_committed)
    })
    .await
}
