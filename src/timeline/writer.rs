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
    Answer, Error,
    command::{Command, Done, How},
    commit::{self, Entered, Failure, Record, Results},
    progress::{Progress, WriteState},
};
use crate::{
    batching::{Batches, Begun},
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

/// Why a batch has no results.
enum Setback {
    /// The database refused it: some command in it cannot be stored.
    Refused,
    /// A limit of the server stood against it, perhaps because of one command in it.
    LimitExceeded,
    Unavailable,
    OutcomeUnknown,
}

type Begin = Begun<Command, Answer>;

impl Writer {
    /// The writers of a process.
    pub fn pair(database: &Database, progress: &Arc<Progress>) -> [Self; 2] {
        let turns = Arc::new(Mutex::new(()));
        [(); 2].map(|()| Self {
            session: database.session(Purpose::Writing),
            turns: Arc::clone(&turns),
            progress: Arc::clone(progress),
            silent_until: None,
            id: Uuid::now_v7(),
            number: 0,
        })
    }

    /// Carries out batches until the queue is closed and empty.
    pub async fn run(mut self, batches: Batches<Command, Answer>) {
        loop {
            let turns = Arc::clone(&self.turns);
            let turn = turns.lock().await;
            if !batches.wait().await {
                return;
            }
            self.progress.begin();
            let entered = self.enter().await;
            let batch = batches.take().await;
            drop(turn);
            match entered {
                Some(entered) => self.settle(batch, entered).await,
                None => refuse(batch, &Setback::Unavailable),
            }
            self.progress.end();
        }
    }

    /// Waits for the lane; `None` where the database is away.
    async fn enter(&mut self) -> Option<Entered> {
        for attempt in 1..=ATTEMPTS_MAX {
            match commit::enter(&mut self.session).await {
                Ok(entered) => return Some(entered),
                Err(error) => {
                    tracing::warn!(%error, attempt, "the lane cannot be entered");
                    self.progress.record_failure(WriteState::of_failure(&error));
                }
            }
            self.session.discard();
        }
        None
    }

    /// Carries out a batch and answers its callers; splits it where one command spoils it, and where
    /// it is more than one transaction should write. (Of an empty one only the transaction is ended.)
    async fn settle(&mut self, batch: Vec<Begin>, entered: Entered) {
        let (mut todo, mut entered) = (vec![batch], Some(entered));
        while let Some(mut batch) = todo.pop() {
            let began = Instant::now();
            let commands: Vec<_> = batch.iter().map(|begun| &begun.request).collect();
            match self.results(&commands, entered.take()).await {
                Ok(results) => {
                    metrics::histogram!("messages_batch_seconds")
                        .record(began.elapsed().as_secs_f64());
                    let is_change = |result: &Result<Done, _>| {
                        result.as_ref().is_ok_and(|done| done.how == How::Changed)
                    };
                    self.progress.record_commit(results.iter().any(is_change));
                    let rest = batch.split_off(results.len());
                    answer(batch, results);
                    todo.extend((!rest.is_empty()).then_some(rest));
                }
                Err(Setback::Refused | Setback::LimitExceeded) if batch.len() > 1 => {
                    let second_half = batch.split_off(batch.len() / 2);
                    todo.push(second_half);
                    todo.push(batch);
                }
                Err(setback @ (Setback::Refused | Setback::LimitExceeded)) => {
                    refuse(batch, &setback)
                }
                Err(setback) => {
                    // The other parts would fare no better, and their callers have waited as long.
                    refuse(batch, &setback);
                    let untouched = todo.drain(..).flatten().collect();
                    refuse(untouched, &Setback::Unavailable);
                }
            }
        }
    }

    /// The results of a batch that is committed.
    async fn results(
        &mut self,
        commands: &[&Command],
        mut entered: Option<Entered>,
    ) -> Result<Results, Setback> {
        for attempt in 1..=ATTEMPTS_MAX {
            match self.attempt(commands, entered.take()).await {
                Ok(results) => return Ok(results),
                Err(Failure::BeforeCommit(error @ store::Error::Refused(_))) => {
                    tracing::error!(%error, batch.size = commands.len(), "the database refused a batch");
                    return Err(Setback::Refused);
                }
                Err(Failure::BeforeCommit(error)) => {
                    tracing::warn!(%error, attempt, batch.size = commands.len(), "a batch failed");
                    self.progress.record_failure(WriteState::of_failure(&error));
                    self.fall_silent_after(&error);
                    if error.is_limit_exceeded() && attempt == ATTEMPTS_MAX {
                        return Err(Setback::LimitExceeded);
                    }
                }
                Err(Failure::AtCommit(results, error)) => {
                    tracing::warn!(%error, attempt, batch.size = commands.len(), "a commit failed");
                    self.progress.record_failure(WriteState::of_failure(&error));
                    self.fall_silent_after(&error);
                    if self.was_committed().await? {
                        return Ok(results);
                    }
                }
            }
        }
        Err(Setback::Unavailable)
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

    /// One attempt in one transaction, which may have entered the lane. After a failure its connection is
    /// gone, and with it whatever the transaction held.
    async fn attempt(
        &mut self,
        commands: &[&Command],
        entered: Option<Entered>,
    ) -> Result<Results, Failure> {
        self.number += 1;
        let record = Record {
            writer: self.id,
            number: self.number,
            notifies: !self.is_silent(),
        };
        let session = &mut self.session;
        let carrying_out = async {
            let entered = match entered {
                Some(entered) => entered,
                None => commit::enter(session).await?,
            };
            commit::carry_out(session, entered, commands, record).await
        };
        let result = carrying_out.await;
        if result.is_err() {
            self.session.discard();
        }
        result
    }

    /// Whether the last attempt was committed, asked until the database answers.
    async fn was_committed(&mut self) -> Result<bool, Setback> {
        let deadline = Instant::now() + OUTCOME_TIME_MAX;
        while Instant::now() < deadline {
            match commit::was_committed(&mut self.session, self.id, self.number).await {
                Ok(committed) => return Ok(committed),
                Err(error) => tracing::warn!(%error, "the outcome of a commit is not known yet"),
            }
            self.session.discard();
            sleep(OUTCOME_PAUSE).await;
        }
        Err(Setback::OutcomeUnknown)
    }
}

impl Setback {
    fn error(&self) -> Error {
        match self {
            Self::Refused => Error::Failed,
            Self::LimitExceeded | Self::Unavailable => Error::Unavailable,
            Self::OutcomeUnknown => Error::OutcomeUnknown,
        }
    }
}

fn refuse(batch: Vec<Begin>, setback: &Setback) {
    for begun in batch {
        begun.answer(Err(setback.error()));
    }
}

fn answer(batch: Vec<Begin>, results: Results) {
    for (begun, result) in batch.into_iter().zip(results) {
        begun.answer(result.map_err(Error::Refused));
    }
}
