//! The writers: tasks that carry out batch after batch, and never guess an outcome.
//!
//! A process has two, which take turns: while one carries out its batch, the other waits for the lock.
//! Whoever gets it takes all commands that wait by then: so the lock is handed over without a break, and
//! batches are as large as they can be. Only one waits for its next batch at a time, or the other would
//! find nothing left to do.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    Error, Job,
    pending::Pending,
    progress::{Progress, WriteState},
    transaction::{self, Decided, Failure, LockedTransaction, Record},
};
use crate::{
    batching::Batches,
    random,
    store::{self, Database, Purpose, Session},
};

/// How often a batch is tried that fails for no reason of its own. The second attempt has a new
/// connection; if that fails as well, the database is away, and the callers are told so.
const ATTEMPTS_MAX: u32 = 2;

/// How long the writer tries to learn what became of a COMMIT. Long enough for a restart of the
/// database, short enough for a caller to wait.
const OUTCOME_TIME_MAX: Duration = Duration::from_secs(15);

/// The pause between two attempts to reach a database that is away.
const OUTCOME_PAUSE: Duration = Duration::from_millis(100);

/// How long a writer goes on without notifications after PostgreSQL has refused them. What waits is found
/// by looking meanwhile; to try with every batch would make each of them twice.
const SILENCE: Duration = Duration::from_secs(3);

/// Carries out commands, one batch at a time.
pub struct Writer {
    session: Session,
    turns: Arc<Mutex<()>>,
    progress: Arc<Progress>,
    /// Until when its commits notify nobody.
    silent_until: Option<Instant>,
    /// Names this writer among those of all processes.
    id: Uuid,
    /// The number of the last attempt; each attempt has its own.
    number: i64,
}

/// Why a batch was not carried out, or is not known to have been.
#[derive(Clone, Copy)]
enum BatchError {
    /// The database refused it: some command in it cannot be stored.
    Refused,
    /// A limit of the server stood against it, perhaps because of one command in it.
    LimitExceeded,
    Unavailable,
    OutcomeUnknown,
}

impl Writer {
    /// The writers of a process.
    pub fn pair(database: &Database, progress: &Arc<Progress>) -> [Self; 2] {
        let turns = Arc::new(Mutex::new(()));
        [(); 2].map(|()| Self {
            session: database.session(Purpose::Writing),
            turns: Arc::clone(&turns),
            progress: Arc::clone(progress),
            silent_until: None,
            id: random::writer_id(),
            number: 0,
        })
    }

    /// Carries out batches until the queue is closed and empty.
    pub async fn run(mut self, batches: Batches<Box<dyn Pending>, ()>) {
        loop {
            let turns = Arc::clone(&self.turns);
            let turn = turns.lock().await;
            if !batches.wait().await {
                return;
            }
            self.progress.begin();
            let locked = self.lock().await;
            let batch = batches.take().await;
            drop(turn);
            match locked {
                Some(locked) => self.run_batch(batch, locked).await,
                None => fail(batch, BatchError::Unavailable),
            }
            self.progress.end();
        }
    }

    /// Begins a transaction that holds the lane's lock; `None` where the database is away.
    async fn lock(&mut self) -> Option<LockedTransaction> {
        for attempt in 1..=ATTEMPTS_MAX {
            match transaction::begin(&mut self.session).await {
                Ok(locked) => return Some(locked),
                Err(error) => {
                    tracing::warn!(%error, attempt, "the lane cannot be entered");
                    self.progress.record_failure(WriteState::of_failure(&error));
                }
            }
            self.session.discard();
        }
        None
    }

    /// Carries out a batch and answers its callers. It is split where one command makes it fail, and
    /// where it is more than one transaction should write. Where its callers have all gone, the batch is
    /// empty, and only the transaction is ended.
    async fn run_batch(&mut self, batch: Vec<Job>, locked: LockedTransaction) {
        let (mut todo, mut locked) = (vec![batch], Some(locked));
        while let Some(mut batch) = todo.pop() {
            let began = Instant::now();
            match self.commit(&mut batch, locked.take()).await {
                Ok(decided) => {
                    metrics::histogram!("messages_batch_seconds")
                        .record(began.elapsed().as_secs_f64());
                    self.progress.record_commit(decided.has_changes);
                    let rest = batch.split_off(decided.commands);
                    answer(batch, || Ok(()));
                    todo.extend((!rest.is_empty()).then_some(rest));
                }
                Err(BatchError::Refused | BatchError::LimitExceeded) if batch.len() > 1 => {
                    let second_half = batch.split_off(batch.len() / 2);
                    todo.push(second_half);
                    todo.push(batch);
                }
                Err(error @ (BatchError::Refused | BatchError::LimitExceeded)) => {
                    fail(batch, error);
                }
                Err(error) => {
                    // The other parts would fare no better, and their callers have waited as long.
                    fail(batch, error);
                    fail(todo.drain(..).flatten().collect(), BatchError::Unavailable);
                }
            }
        }
    }

    /// Decides and commits a batch, in the transaction that is `locked` or in one of its own.
    async fn commit(
        &mut self,
        batch: &mut [Job],
        mut locked: Option<LockedTransaction>,
    ) -> Result<Decided, BatchError> {
        for attempt in 1..=ATTEMPTS_MAX {
            match self.attempt(batch, locked.take()).await {
                Ok(decided) => return Ok(decided),
                Err(Failure::BeforeCommit(
                    error @ (store::Error::Refused(_) | store::Error::Inconsistent { .. }),
                )) => {
                    tracing::error!(%error, batch.size = batch.len(), "the database refused a batch");
                    return Err(BatchError::Refused);
                }
                Err(Failure::BeforeCommit(error)) => {
                    tracing::warn!(%error, attempt, batch.size = batch.len(), "a batch failed");
                    self.record_failure(&error);
                    if error.is_limit_exceeded() && attempt == ATTEMPTS_MAX {
                        return Err(BatchError::LimitExceeded);
                    }
                }
                Err(Failure::AtCommit(decided, error)) => {
                    tracing::warn!(%error, attempt, batch.size = batch.len(), "a commit failed");
                    self.record_failure(&error);
                    if self.was_committed().await? {
                        return Ok(decided);
                    }
                }
            }
        }
        Err(BatchError::Unavailable)
    }

    fn record_failure(&mut self, error: &store::Error) {
        self.progress.record_failure(WriteState::of_failure(error));
        self.fall_silent_after(error);
    }

    /// A limit of the server that stops a commit is most likely that of its queue of notifications, which
    /// sessions of others fill. Commits do without, for a while.
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

    /// One attempt in one transaction. After a failure its connection is gone, and with it whatever the
    /// transaction held.
    async fn attempt(
        &mut self,
        batch: &mut [Job],
        locked: Option<LockedTransaction>,
    ) -> Result<Decided, Failure> {
        self.number += 1;
        let record = Record {
            writer: self.id,
            number: self.number,
            notifies: !self.is_silent(),
        };
        let session = &mut self.session;
        let carrying_out = async {
            let locked = match locked {
                Some(locked) => locked,
                None => transaction::begin(session).await?,
            };
            transaction::carry_out(session, locked, batch, record).await
        };
        let result = carrying_out.await;
        if result.is_err() {
            self.session.discard();
        }
        result
    }

    /// Whether the last attempt was committed, asked until the database answers.
    async fn was_committed(&mut self) -> Result<bool, BatchError> {
        let deadline = Instant::now() + OUTCOME_TIME_MAX;
        while Instant::now() < deadline {
            match transaction::was_committed(&mut self.session, self.id, self.number).await {
                Ok(committed) => return Ok(committed),
                Err(error) => tracing::warn!(%error, "the outcome of a commit is not known yet"),
            }
            self.session.discard();
            sleep(OUTCOME_PAUSE).await;
        }
        Err(BatchError::OutcomeUnknown)
    }
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Refused => Self::Failed,
            BatchError::LimitExceeded | BatchError::Unavailable => Self::Unavailable,
            BatchError::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}

fn fail(batch: Vec<Job>, error: BatchError) {
    answer(batch, || Err(error.into()));
}

fn answer(batch: Vec<Job>, committed: impl Fn() -> Result<(), Error>) {
    for job in batch {
        job.finish(|pending| pending.answer(committed()));
    }
}
