//! The writers: tasks that carry out batch after batch, and never guess an outcome.
//!
//! A process has several, which serve several applications side by side. Two of them take turns at
//! a busy application: while one carries out its batch, the other waits for the lock. The writer
//! that gets the lock takes all commands that wait by then. So the lock is never idle while commands
//! wait, and batches are as large as possible. Only one writer at a time waits for an application's
//! lock: another would hold it for nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    AcceptedCommand, CommandBatches, Error,
    kept::Kept,
    progress::{Progress, WriteState},
    transaction::{self, Decided, Failure},
};
use crate::{
    domain::{ApplicationId, Timestamp},
    store::{self, Database, Lane, Purpose, Session},
};

/// Writers of a process. Each has a connection, from when it is first needed.
const WRITERS: usize = 8;

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
    session: Session,
    kept: Arc<Kept>,
    progress: Arc<Progress>,
    /// Until when its commits notify nobody.
    silent_until: Option<Instant>,
    /// How many connections of all writers had failed when its own was last used.
    failures_seen: u64,
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
    /// The writers of a process.
    pub fn all(database: &Database, progress: &Arc<Progress>) -> [Self; WRITERS] {
        let kept = Arc::new(Kept::default());
        [(); WRITERS].map(|()| Self {
            session: database.session(Purpose::Writing),
            kept: Arc::clone(&kept),
            progress: Arc::clone(progress),
            silent_until: None,
            failures_seen: 0,
        })
    }

    /// Carries out batches until the queue is closed and empty.
    pub async fn run(mut self, batches: CommandBatches) {
        while let Some(claim) = batches.claim().await {
            self.progress.begin();
            let lane = self.enter_lane(claim.key()).await;
            let batch = claim.take();
            match lane {
                Ok(lane) => self.run_batch(batch, lane).await,
                Err(error) => fail(batch, &error),
            }
            self.progress.end();
        }
    }

    /// Begins a transaction that holds the lane's lock, at the second attempt if need be.
    ///
    /// If the connection of another writer has failed since its own was last used, its own has most
    /// likely failed too. To find that out would take as long as a command may wait.
    async fn enter_lane(&mut self, application: ApplicationId) -> Result<Lane, BatchError> {
        let failures = self.kept.failed_connections();
        if self.failures_seen != failures {
            self.session.discard();
            self.failures_seen = failures;
        }
        let mut attempt = 1;
        loop {
            let entering = transaction::enter_lane(&mut self.session, &self.kept, application);
            let error = match entering.await {
                Ok(lane) => return Ok(lane),
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

    /// Carries out a batch and answers its callers. The batch is split if one command makes it
    /// fail, and if it would write too many rows. A batch whose callers have all gone is empty:
    /// then only the transaction of `lane` is ended.
    async fn run_batch(&mut self, batch: Vec<AcceptedCommand>, lane: Lane) {
        let application = lane.application();
        let (mut todo, mut lane) = (vec![batch], Some(lane));
        while let Some(mut batch) = todo.pop() {
            let start = Instant::now();
            match self.commit(application, &mut batch, lane.take()).await {
                Ok(decided) => {
                    metrics::histogram!("messages_batch_seconds")
                        .record(start.elapsed().as_secs_f64());
                    self.progress.record_commit(decided.last.is_some());
                    let rest = batch.split_off(decided.commands);
                    answer(batch, || Ok(()));
                    todo.extend((!rest.is_empty()).then_some(rest));
                }
                Err(BatchError::Refused(_) | BatchError::LimitExceeded(_)) if batch.len() > 1 => {
                    let second_half = batch.split_off(batch.len() / 2);
                    todo.push(second_half);
                    todo.push(batch);
                }
                Err(error @ (BatchError::Refused(_) | BatchError::LimitExceeded(_))) => {
                    fail(batch, &error);
                }
                Err(error @ (BatchError::Unavailable(_) | BatchError::OutcomeUnknown(_))) => {
                    fail(batch, &error);
                    // The other parts would fail as well, and their callers have waited as long.
                    let rest = todo.drain(..).flatten().collect();
                    fail(rest, &BatchError::Unavailable(error.cause()));
                }
            }
        }
    }

    /// Commits a batch, at the second attempt if need be. The first attempt is made in `lane`, if
    /// there is one. Every other attempt has a transaction of its own.
    async fn commit(
        &mut self,
        application: ApplicationId,
        batch: &mut [AcceptedCommand],
        mut lane: Option<Lane>,
    ) -> Result<Decided, BatchError> {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(application, batch, lane.take()).await {
                Ok(decided) => return Ok(decided),
                Err(Failure::BeforeCommit(
                    error @ (store::Error::Refused(_) | store::Error::Inconsistent { .. }),
                )) => return Err(BatchError::Refused(error.into())),
                Err(Failure::BeforeCommit(error)) => {
                    self.record_failure(&error);
                    if error.is_limit_exceeded() && attempt == ATTEMPTS_MAX {
                        return Err(BatchError::LimitExceeded(error.into()));
                    }
                    error
                }
                Err(Failure::AtCommit(decided, error)) => {
                    self.record_failure(&error);
                    if let Some(last) = decided.last
                        && self.was_committed(application, last).await?
                    {
                        return Ok(decided);
                    }
                    error
                }
            };
            if attempt == ATTEMPTS_MAX {
                return Err(BatchError::Unavailable(error.into()));
            }
            tracing::warn!(%error, attempt, batch.size = batch.len(), "a batch is run again");
            attempt += 1;
        }
    }

    async fn attempt(
        &mut self,
        application: ApplicationId,
        batch: &mut [AcceptedCommand],
        lane: Option<Lane>,
    ) -> Result<Decided, Failure> {
        let notifies = !self.is_silent();
        let Self { session, kept, .. } = self;
        let lane = match lane {
            Some(lane) => lane,
            None => transaction::enter_lane(session, kept, application).await?,
        };
        transaction::carry_out(session, kept, lane, batch, notifies).await
    }

    fn record_failure(&mut self, error: &store::Error) {
        self.progress.record_failure(WriteState::of_failure(error));
        self.record_failed_connection(error);
        self.fall_silent_after(error);
    }

    /// If no answer came on the connection, the other writers must not trust theirs.
    fn record_failed_connection(&mut self, error: &store::Error) {
        if error.is_unanswered() {
            self.failures_seen = self.kept.record_failed_connection();
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

    /// Whether the change at `timestamp` was committed. Repeats the query until the database
    /// answers.
    async fn was_committed(
        &mut self,
        application: ApplicationId,
        timestamp: Timestamp,
    ) -> Result<bool, BatchError> {
        let deadline = Instant::now() + OUTCOME_TIME_MAX;
        loop {
            let Self { session, kept, .. } = self;
            let looking = transaction::was_committed(session, kept, application, timestamp);
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

fn fail(batch: Vec<AcceptedCommand>, error: &BatchError) {
    answer(batch, || Err(error.clone().into()));
}

fn answer(batch: Vec<AcceptedCommand>, committed: impl Fn() -> Result<(), Error>) {
    for command in batch {
        command.finish(|command| command.answer(committed()));
    }
}
