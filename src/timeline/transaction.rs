//! One transaction: lock, then load, decide and store each application's batch, then commit.

use std::{sync::Arc, time::Duration};

use super::{
    AcceptedCommand, BATCH_ROWS_MAX, CommandClaim,
    batch::BatchChanges,
    kept::{Kept, KeptLane},
    load::load,
    state::Forgotten,
};
use crate::{
    domain::{ApplicationId, DrawnNumbers, Timestamp},
    store::{self, Database, Lane, Purpose, Session, Transaction},
};

/// The longest that the statements before the commit may take, the longest for the commit, and the
/// longest for what waits for no lock: many times what the largest transaction takes. A connection on
/// which nothing arrives any more delays its batches this long.
const STEP_TIME_MAX: Duration = Duration::from_secs(8);

/// Numbers are drawn for so many batches of the same size, to save round trips. Numbers that are not
/// used, because another process writes the timeline too or the connection is lost, leave gaps.
const BATCHES_PER_DRAW: usize = 8;

/// The most numbers that are drawn for later batches: for large ones a round trip is little.
const DRAWN_AHEAD_MAX: usize = 256;

/// Commands of one application that are carried out together.
pub struct Batch {
    pub application: ApplicationId,
    pub commands: Vec<AcceptedCommand>,
}

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
    #[error("the transaction failed before its commit")]
    BeforeCommit(#[from] store::Error),
    /// COMMIT was sent, and its answer was an error or did not come. If it was committed after all,
    /// this is the result of each batch.
    #[error("the outcome of the commit is unknown")]
    AtCommit(Vec<Decided>, #[source] store::Error),
}

impl Batch {
    /// Accepts the first `count` commands of a claim, within the limits of a batch.
    pub fn take(claim: CommandClaim, count: usize) -> Self {
        Self {
            application: claim.key(),
            commands: claim.take_first(count),
        }
    }

    /// Takes the second half out of a batch of more than one command.
    pub fn split_in_half(&mut self) -> Option<Self> {
        let middle = self.commands.len() / 2;
        (middle > 0).then(|| self.split_off(middle))
    }

    /// Takes out all commands but the first `count`.
    pub fn split_off(&mut self, count: usize) -> Self {
        Self {
            application: self.application,
            commands: self.commands.split_off(count),
        }
    }
}

/// A writer's connection, with what all writers of the process keep between transactions.
pub struct Transactions {
    session: Session,
    kept: Arc<Kept>,
    /// How long to wait for the lock of a lane that another replica holds. Commands do not wait
    /// longer than this for a writer. So to wait longer for the lock would help no caller.
    enter_time_max: Duration,
    /// How many connections of all writers had failed when its own was last used.
    failures_seen: u64,
}

impl Transactions {
    pub fn new(database: &Database, kept: &Arc<Kept>, enter_time_max: Duration) -> Self {
        Self {
            session: database.session(Purpose::Writing),
            kept: Arc::clone(kept),
            enter_time_max,
            failures_seen: 0,
        }
    }

    /// No answer came on the connection, so the other writers must not trust theirs.
    pub fn record_failed_connection(&mut self) {
        self.failures_seen = self.kept.record_failed_connection();
    }

    /// Discards the connection if that of another writer has failed since it was last used: most
    /// likely it has failed too. To find that out would take as long as a command may wait.
    pub fn distrust_after_failures(&mut self) {
        let failures = self.kept.failed_connections();
        if self.failures_seen != failures {
            self.session.discard();
            self.failures_seen = failures;
        }
    }

    /// Begins a transaction and waits for the lock of the application's lane. A new connection
    /// begins a generation of what is kept.
    pub async fn enter_lane(&mut self, application: ApplicationId) -> store::Result<Transaction> {
        store::in_time(self.enter_time_max, async {
            if !self.session.is_connected() {
                self.session.connection().await?;
                self.kept.begin_generation();
            }
            self.session.enter_lane(application).await
        })
        .await
    }

    /// Carries out batches whose lanes the transaction holds, one of each application at the most.
    /// Each command keeps its outcome. If the transaction `notifies`, its commit notifies every
    /// replica.
    ///
    /// After a failure, the connection is closed, so the server rolls the transaction back.
    pub async fn carry_out(
        &mut self,
        mut transaction: Transaction,
        batches: &mut [Batch],
        notifies: bool,
    ) -> Result<Vec<Decided>, Failure> {
        let (mut decided, mut notifications, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows_max = BATCH_ROWS_MAX;
        store::in_time(STEP_TIME_MAX, async {
            for batch in batches {
                let mut lane = transaction.lane(batch.application);
                let stored = store_batch(&mut lane, &self.kept, &mut batch.commands, rows_max);
                let stored = stored.await?;
                rows_max = rows_max.saturating_sub(stored.rows);
                decided.push(stored.decided);
                notifications.extend(stored.notifications);
                forgotten.push(stored.forgotten);
            }
            Ok(())
        })
        .await?;
        if !notifies {
            notifications.clear();
        }
        let committed = store::in_time(STEP_TIME_MAX, transaction.commit(&notifications)).await;
        drop(forgotten);
        match committed {
            Ok(connection) => {
                self.session.give_back(connection);
                Ok(decided)
            }
            Err(error) => Err(Failure::AtCommit(decided, error)),
        }
    }

    /// Whether the change at `timestamp` was committed. The answer is final: entering the lane
    /// proves that the transaction that held it before has ended, on whichever connection.
    pub async fn was_committed(
        &mut self,
        application: ApplicationId,
        timestamp: Timestamp,
    ) -> store::Result<bool> {
        let mut transaction = self.enter_lane(application).await?;
        store::in_time(STEP_TIME_MAX, async {
            let mut lane = transaction.lane(application);
            let is_committed = store::changes::is_committed(&mut lane, timestamp).await?;
            self.session.give_back(transaction.commit(&[]).await?);
            Ok(is_committed)
        })
        .await
    }
}

/// Enters those lanes too that nobody holds. Returns for each whether it is entered. After an error
/// the transaction is rolled back.
pub async fn enter_free_lanes(
    transaction: Transaction,
    applications: &[ApplicationId],
) -> store::Result<(Transaction, Vec<bool>)> {
    store::in_time(STEP_TIME_MAX, transaction.enter_free_lanes(applications)).await
}

/// A batch that is stored and not committed yet.
struct StoredBatch {
    decided: Decided,
    /// How many rows it writes at the most.
    rows: usize,
    notifications: Vec<String>,
    /// Dropping it takes some time, which the lock should not wait for.
    forgotten: (Forgotten, Vec<KeptLane>),
}

async fn store_batch(
    lane: &mut Lane<'_>,
    kept: &Kept,
    commands: &mut [AcceptedCommand],
    rows_max: usize,
) -> store::Result<StoredBatch> {
    let (application, end) = (lane.application(), lane.end());
    let mut known = kept.take(application, end);
    let requests: Vec<_> = commands
        .iter()
        .map(|command| (command.request.requester(), command.request.needs()))
        .collect();
    load(lane, &mut known.state, &requests).await?;
    let needed = BatchChanges::numbers_of(commands);
    draw(lane, needed, &mut known.numbers).await?;
    let KeptLane { state, numbers, .. } = &mut known;
    let (changes, decided, rows) =
        BatchChanges::decide(state, commands, numbers, lane.now(), rows_max);
    let mut notifications = Vec::new();
    if changes.last().is_some() {
        let concerned = changes.store(lane).await?;
        notifications = changes.notifications(lane, concerned);
    }
    let decided = Decided {
        commands: decided,
        last: changes.last(),
    };
    Ok(StoredBatch {
        decided,
        rows,
        notifications,
        forgotten: kept.put(application, known, decided.last.unwrap_or(end)),
    })
}

/// Draws numbers if there are fewer than so many.
async fn draw(lane: &mut Lane<'_>, needed: usize, numbers: &mut DrawnNumbers) -> store::Result<()> {
    let (timestamps, ids) = numbers.counts();
    let lacking = |count| {
        if count < needed {
            (needed * BATCHES_PER_DRAW).min(needed.max(DRAWN_AHEAD_MAX))
        } else {
            0
        }
    };
    if timestamps < needed || ids < needed {
        store::draw(lane, lacking(timestamps), lacking(ids), numbers).await?;
    }
    Ok(())
}
