//! The writers: tasks that carry out batch after batch, and never guess an outcome.
//!
//! A process has several, which serve several applications side by side. Two of them take turns at
//! a busy application: while one carries out its batch, the other waits for the lock. The writer
//! that gets the lock takes all commands that wait by then. So the lock is never idle while commands
//! wait, and batches are as large as possible. Only one writer at a time waits for an application's
//! lock: another would hold it for nothing.
//!
//! If more applications have commands than there are writers, a writer with a small batch carries
//! out the small batches of others in the same transaction. Most of a small batch's cost is that of
//! its transaction.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    CommandBatches, CommandClaim, Error,
    kept::Kept,
    progress::{Progress, WriteState},
    transaction::{Batch, Decided, Failure, Transactions, enter_free_lanes},
};
use crate::{
    batching::Claim,
    domain::ApplicationId,
    store::{self, Database, Transaction},
};

/// Writers of a process. Each has a connection, from when it is first needed. With eight of them on
/// 2 cores, 8 applications with 32 connections each make 0.8 times as many sends.
const WRITERS: usize = 4;

/// The most commands of a transaction that carries out batches of several applications. A batch that
/// is larger has a transaction of its own, so that its application does not delay others.
const SHARED_COMMANDS_MAX: usize = 128;

/// The most applications whose batches share a transaction.
const SHARED_BATCHES_MAX: usize = 32;

/// How often a batch is tried if the failure is not its own fault. The second attempt has a new
/// connection. If it fails as well, the database is not available.
const ATTEMPTS_MAX: u32 = 2;

/// How long the writer tries to learn the outcome of a COMMIT: long enough for a restart of the
/// database, short enough for a caller to wait.
const OUTCOME_TIME_MAX: Duration = Duration::from_secs(15);

/// The pause between two attempts to learn the outcome.
const OUTCOME_PAUSE: Duration = Duration::from_millis(100);

/// How long a writer commits without notifications after PostgreSQL has refused them. Meanwhile
/// streams find changes by reading every few seconds. If every batch tried to notify, every batch
/// would be run twice.
const SILENCE: Duration = Duration::from_secs(3);

/// Carries out commands, one batch at a time.
pub struct Writer {
    transactions: Transactions,
    progress: Arc<Progress>,
    /// Until when its commits notify nobody.
    silent_until: Option<Instant>,
}

/// Why a batch was not carried out, or why its outcome is unknown.
#[derive(Clone)]
enum BatchError {
    /// The database refused it: some command in it cannot be stored.
    Refused(Arc<store::Error>),
    /// The batch exceeds a limit of the server, perhaps because of one command in it.
    LimitExceeded(Arc<store::Error>),
    Unavailable(Arc<store::Error>),
    OutcomeUnknown(Arc<store::Error>),
}

impl Writer {
    /// The writers of a process. They wait for the lock of a lane as long as a command may wait.
    pub fn all(
        database: &Database,
        kept: &Arc<Kept>,
        progress: &Arc<Progress>,
        wait_max: Duration,
    ) -> [Self; WRITERS] {
        [(); WRITERS].map(|()| Self {
            transactions: Transactions::new(database, kept, wait_max),
            progress: Arc::clone(progress),
            silent_until: None,
        })
    }

    /// Carries out batches until the queue is closed and empty.
    pub async fn run(mut self, queue: CommandBatches) {
        while let Some(claim) = queue.claim().await {
            self.progress.begin();
            match self.enter_lane(claim.key()).await {
                Ok(transaction) => {
                    let (transaction, batches) = self.take(transaction, claim, &queue).await;
                    self.run_batches(batches, transaction).await;
                }
                Err(error) => fail(Batch::take(claim, usize::MAX), &error),
            }
            self.progress.end();
        }
    }

    /// Begins a transaction that holds the lane's lock, at the second attempt if need be.
    async fn enter_lane(&mut self, application: ApplicationId) -> Result<Transaction, BatchError> {
        self.transactions.distrust_after_failures();
        let mut attempt = 1;
        loop {
            let error = match self.transactions.enter_lane(application).await {
                Ok(transaction) => return Ok(transaction),
                Err(error) => error,
            };
            self.progress.record_failure(WriteState::of_failure(&error));
            self.record_failed_connection(&error);
            if attempt == ATTEMPTS_MAX {
                return Err(BatchError::Unavailable(error.into()));
            }
            tracing::warn!(%error, attempt, "the lane could not be entered");
            attempt += 1;
        }
    }

    /// Takes the batch of the application whose lane is entered, and small batches of other
    /// applications whose lanes are free: the transaction enters these too. If that fails, the
    /// first batch needs another transaction.
    async fn take(
        &mut self,
        transaction: Transaction,
        first: CommandClaim,
        queue: &CommandBatches,
    ) -> (Option<Transaction>, Vec<Batch>) {
        // The first claim is still held, so its application is not among the others.
        let commands_max = SHARED_COMMANDS_MAX.saturating_sub(first.waiting());
        let others = queue.claim_more(SHARED_BATCHES_MAX - 1, commands_max);
        if others.is_empty() {
            return (Some(transaction), vec![Batch::take(first, usize::MAX)]);
        }
        let applications: Vec<_> = others.iter().map(Claim::key).collect();
        let entering = enter_free_lanes(transaction, &applications);
        let (transaction, are_entered) = match entering.await {
            Ok(entered) => entered,
            Err(error) => {
                self.record_failure(&error);
                tracing::warn!(%error, "the lanes of other applications could not be entered");
                return (None, vec![Batch::take(first, usize::MAX)]);
            }
        };
        let entered = others.into_iter().zip(are_entered);
        let (entered, held): (Vec<_>, Vec<_>) = entered.partition(|(_, is_entered)| *is_entered);
        for (claim, _) in held.into_iter().rev() {
            claim.give_back();
        }
        let mut batches = vec![Batch::take(first, usize::MAX)];
        let mut rest = SHARED_COMMANDS_MAX.saturating_sub(batches[0].commands.len());
        for (claim, _) in entered {
            let batch = Batch::take(claim, rest);
            rest -= batch.commands.len();
            batches.extend((!batch.commands.is_empty()).then_some(batch));
        }
        (Some(transaction), batches)
    }

    /// Carries out batches and answers their callers. Batches that share a transaction which fails
    /// are carried out one by one. A single batch is split if one command makes it fail, and if it
    /// would write too many rows. A batch whose callers have all gone is empty: then only the
    /// transaction is ended.
    async fn run_batches(&mut self, batches: Vec<Batch>, mut transaction: Option<Transaction>) {
        let mut todo = vec![batches];
        while let Some(mut batches) = todo.pop() {
            let start = Instant::now();
            match self.commit(&mut batches, transaction.take()).await {
                Ok(decided) => {
                    metrics::histogram!("messages_batch_seconds")
                        .record(start.elapsed().as_secs_f64());
                    let has_changes = decided.iter().any(|decided| decided.last.is_some());
                    self.progress.record_commit(has_changes);
                    for (mut batch, decided) in batches.into_iter().zip(decided) {
                        let rest = batch.split_off(decided.commands);
                        answer(batch, || Ok(()));
                        todo.extend((!rest.commands.is_empty()).then(|| vec![rest]));
                    }
                }
                Err(error @ BatchError::OutcomeUnknown(_)) => {
                    fail_all(batches, todo.drain(..), &error);
                }
                Err(error) if batches.len() > 1 => {
                    let (error, count) = (error.cause(), batches.len());
                    tracing::warn!(%error, batches = count, "batches are run one by one");
                    todo.extend(batches.into_iter().rev().map(|batch| vec![batch]));
                }
                Err(error @ BatchError::Unavailable(_)) => {
                    fail_all(batches, todo.drain(..), &error);
                }
                Err(error @ (BatchError::Refused(_) | BatchError::LimitExceeded(_))) => {
                    match batches[0].split_in_half() {
                        Some(second_half) => todo.extend([vec![second_half], batches]),
                        None => batches.into_iter().for_each(|batch| fail(batch, &error)),
                    }
                }
            }
        }
    }

    /// Commits batches. The first attempt is made in `transaction`, if there is one. A single batch
    /// has a second attempt, in a transaction of its own.
    async fn commit(
        &mut self,
        batches: &mut [Batch],
        mut transaction: Option<Transaction>,
    ) -> Result<Vec<Decided>, BatchError> {
        let attempts_max = if batches.len() > 1 { 1 } else { ATTEMPTS_MAX };
        let mut attempt = 1;
        loop {
            let error = match self.attempt(batches, transaction.take()).await {
                Ok(decided) => return Ok(decided),
                Err(Failure::BeforeCommit(
                    error @ (store::Error::Refused(_) | store::Error::Inconsistent { .. }),
                )) => return Err(BatchError::Refused(error.into())),
                Err(Failure::BeforeCommit(error)) => {
                    self.record_failure(&error);
                    if error.is_limit_exceeded() && attempt == attempts_max {
                        return Err(BatchError::LimitExceeded(error.into()));
                    }
                    error
                }
                Err(Failure::AtCommit(decided, error)) => {
                    self.record_failure(&error);
                    if self.was_committed(batches, &decided).await? {
                        return Ok(decided);
                    }
                    error
                }
            };
            if attempt == attempts_max {
                return Err(BatchError::Unavailable(error.into()));
            }
            tracing::warn!(%error, attempt, batch.size = batches[0].commands.len(), "a batch is run again");
            attempt += 1;
        }
    }

    /// Carries out batches in `transaction`. Without one, there is one batch.
    async fn attempt(
        &mut self,
        batches: &mut [Batch],
        transaction: Option<Transaction>,
    ) -> Result<Vec<Decided>, Failure> {
        let notifies = !self.is_silent();
        let transactions = &mut self.transactions;
        let transaction = match transaction {
            Some(transaction) => transaction,
            None => transactions.enter_lane(batches[0].application).await?,
        };
        transactions.carry_out(transaction, batches, notifies).await
    }

    fn record_failure(&mut self, error: &store::Error) {
        self.progress.record_failure(WriteState::of_failure(error));
        self.record_failed_connection(error);
        self.fall_silent_after(error);
    }

    /// If no answer came on the connection, the other writers must not trust theirs.
    fn record_failed_connection(&mut self, error: &store::Error) {
        if error.is_unanswered() {
            self.transactions.record_failed_connection();
        }
    }

    /// Stops notifying for a while, if the server's limit for notifications may be the cause. It is
    /// the limit that most likely stops a commit: any session of the server can keep that queue
    /// full.
    fn fall_silent_after(&mut self, error: &store::Error) {
        if error.is_limit_exceeded() {
            tracing::error!(%error, "commits notify nobody for a while: streams are late by some seconds");
            self.silent_until = Some(Instant::now() + SILENCE);
        }
    }

    fn is_silent(&self) -> bool {
        self.silent_until
            .is_some_and(|until| Instant::now() < until)
    }

    /// Whether the transaction of the batches was committed: whether the log has a change of it.
    /// Repeats the query until the database answers.
    async fn was_committed(
        &mut self,
        batches: &[Batch],
        decided: &[Decided],
    ) -> Result<bool, BatchError> {
        let mut changes = batches.iter().zip(decided);
        let change = changes.find_map(|(batch, decided)| Some((batch.application, decided.last?)));
        let Some((application, timestamp)) = change else {
            return Ok(false);
        };
        let deadline = Instant::now() + OUTCOME_TIME_MAX;
        loop {
            let looking = self.transactions.was_committed(application, timestamp);
            let error = match looking.await {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(BatchError::OutcomeUnknown(error.into()));
            }
            tracing::warn!(%error, "the outcome of a commit is still unknown");
            sleep(OUTCOME_PAUSE).await;
        }
    }
}

impl BatchError {
    fn cause(&self) -> Arc<store::Error> {
        let (Self::Refused(cause)
        | Self::LimitExceeded(cause)
        | Self::Unavailable(cause)
        | Self::OutcomeUnknown(cause)) = self;
        Arc::clone(cause)
    }
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Refused(cause) => Self::Failed(cause),
            BatchError::LimitExceeded(cause) | BatchError::Unavailable(cause) => {
                Self::Unavailable(cause)
            }
            BatchError::OutcomeUnknown(cause) => Self::OutcomeUnknown(Some(cause)),
        }
    }
}

fn fail(batch: Batch, error: &BatchError) {
    answer(batch, || Err(error.clone().into()));
}

/// Fails the batches, and the `others` that would fail as well: their callers have waited as long.
fn fail_all(batches: Vec<Batch>, others: impl Iterator<Item = Vec<Batch>>, error: &BatchError) {
    let unavailable = BatchError::Unavailable(error.cause());
    batches.into_iter().for_each(|batch| fail(batch, error));
    others.flatten().for_each(|batch| fail(batch, &unavailable));
}

fn answer(batch: Batch, committed: impl Fn() -> Result<(), Error>) {
    for command in batch.commands {
        command.finish(|command| command.answer(committed()));
    }
}
