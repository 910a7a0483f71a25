//! One batch of an application, one transaction: lock, load, decide, store, commit.

use std::time::Duration;

use super::{
    AcceptedCommand,
    batch::BatchChanges,
    kept::{Kept, KeptLane},
    load::load,
};
use crate::{
    domain::{ApplicationId, DrawnNumbers, Timestamp},
    store::{self, Lane, Session},
};

/// The longest that entering the lane may take. Commands do not wait longer than this for a writer.
/// So to wait longer for a lock that another replica holds would help no caller.
const ENTER_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest that the statements before the commit may take, and the longest for the commit: many
/// times what the largest batch takes. A connection on which nothing arrives any more delays a
/// batch this long.
const STEP_TIME_MAX: Duration = Duration::from_secs(8);

/// Numbers are drawn for so many batches of the same size, to save round trips.
const BATCHES_PER_DRAW: usize = 2;

/// How far a batch was decided. If a batch would write too many rows, only its first commands are
/// decided.
#[derive(Debug, Clone, Copy)]
pub struct Decided {
    /// How many commands have an outcome.
    pub commands: usize,
    /// The timestamp of the last change; `None` if nothing is changed.
    pub last: Option<Timestamp>,
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

/// Begins a transaction and waits for the lock of the application's lane. A new connection begins a
/// generation of what is kept.
pub async fn enter_lane(
    session: &mut Session,
    kept: &Kept,
    application: ApplicationId,
) -> store::Result<Lane> {
    store::in_time(ENTER_TIME_MAX, async {
        if !session.is_connected() {
            session.connection().await?;
            kept.begin_generation();
        }
        session.enter_lane(application).await
    })
    .await
}

/// Carries out a batch in the transaction of `lane`. Each command keeps its outcome. If the batch
/// `notifies`, its commit notifies every replica.
///
/// After a failure, the connection is closed, so the server rolls the transaction back.
pub async fn carry_out(
    session: &mut Session,
    kept: &Kept,
    mut lane: Lane,
    commands: &mut [AcceptedCommand],
    notifies: bool,
) -> Result<Decided, Failure> {
    let preparing = async {
        let application = lane.application();
        let mut known = kept.take(application, lane.end());
        let requests: Vec<_> = commands
            .iter()
            .map(|command| (command.request.requester(), command.request.needs()))
            .collect();
        load(&mut lane, &mut known.state, &requests).await?;
        draw(&mut lane, commands.len(), &mut known.numbers).await?;
        let KeptLane { state, numbers, .. } = &mut known;
        let (changes, decided) = BatchChanges::decide(state, commands, numbers, lane.now());
        let mut notifications = Vec::new();
        if changes.last().is_some() {
            let concerned = changes.store(&mut lane).await?;
            if notifies {
                notifications = changes.notifications(&lane, concerned);
            }
        }
        let decided = Decided {
            commands: decided,
            last: changes.last(),
        };
        let forgotten = kept.put(application, known, decided.last.unwrap_or(lane.end()));
        Ok((lane, notifications, decided, forgotten))
    };
    let prepared = store::in_time(STEP_TIME_MAX, preparing).await?;
    let (lane, notifications, decided, forgotten) = prepared;
    let committed = store::in_time(STEP_TIME_MAX, lane.commit(&notifications)).await;
    drop(forgotten);
    match committed {
        Ok(connection) => {
            session.give_back(connection);
            Ok(decided)
        }
        Err(error) => Err(Failure::AtCommit(decided, error)),
    }
}

/// Draws numbers if there are not enough for a batch of so many commands.
async fn draw(lane: &mut Lane, commands: usize, numbers: &mut DrawnNumbers) -> store::Result<()> {
    let (timestamps, ids) = numbers.counts();
    let lacking = |count| {
        if count < commands {
            commands * BATCHES_PER_DRAW
        } else {
            0
        }
    };
    if timestamps < commands || ids < commands {
        store::draw(lane, lacking(timestamps), lacking(ids), numbers).await?;
    }
    Ok(())
}

/// Whether the change at `timestamp` was committed. The answer is final: entering the lane proves
/// that the transaction that held it before has ended, on whichever connection.
pub async fn was_committed(
    session: &mut Session,
    kept: &Kept,
    application: ApplicationId,
    timestamp: Timestamp,
) -> store::Result<bool> {
    let mut lane = enter_lane(session, kept, application).await?;
    store::in_time(ENTER_TIME_MAX, async {
        let is_committed = store::changes::is_committed(&mut lane, timestamp).await?;
        session.give_back(lane.commit(&[]).await?);
        Ok(is_committed)
    })
    .await
}
