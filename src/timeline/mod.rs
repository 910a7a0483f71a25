//! The write path: commands in, committed changes out, on one timeline.
//!
//! # The promise
//! Whoever reads a timestamp has read, or can read, every smaller one that concerns him: changes
//! become visible in the order of their timestamps, across all replicas. An acknowledged change is
//! committed; a refused one has left no trace.
//!
//! # How
//! Commands wait in a bounded queue. A [`Writer`] takes the lane's lock, then all commands that wait by
//! then, and carries them out in one transaction: load → decide → store → commit. The number of round
//! trips does not depend on the number of commands: three, where nothing has to be loaded.
//!
//! # The races, and how each was decided
//! - *A timestamp is given early and committed late.* It is given and committed under the lane's lock
//!   ([`Lane`](crate::store::Lane)), so commits come in the order of timestamps.
//! - *Two commands of one batch meet at one message.* They are decided in the order of the queue,
//!   each against the state that the one before it left; the row is stored once, with the last
//!   state, and each change has its own updates.
//! - *Somebody joins a chat, hears and leaves within one batch.* Memberships go from one point of the
//!   timeline to another, and are stored before it is read from them whom each change concerns.
//! - *Two messages want the next number of a chat.* The number comes from the chat's row, which is
//!   loaded under the lock and carried along in memory, and stored with its last value.
//! - *Two writers, of one replica or of two, meet at one message.* One of them waits for the lock and
//!   then reads what the other has committed. What has not been answered may change places.
//! - *A command comes while its writer waits for the lock.* It is part of the batch; `created` may then be
//!   earlier than its coming, by as much as it takes the database to say that the lock is had.
//! - *The caller goes away.* Before its batch begins: the command is dropped. After that: it is
//!   carried out; the transaction lives in the writer's task, which no caller can drop.
//! - *The answer to a COMMIT is lost.* It is not guessed: see [`transaction`]. Only where the database
//!   stays away is the caller told that the outcome is unknown.
//! - *One command makes its batch fail.* The batch is split until that command is alone.
//! - *PostgreSQL's queue of notifications is full.* It refuses every COMMIT that notifies, so the batch is
//!   committed without. Nobody reads anything wrong: who has not been told looks at the sequence, and who
//!   waits looks every few seconds.
//! - *The process is told to stop.* The queue closes when the last handler is done; what waits is
//!   still carried out and answered.
//!
//! # What made it fast, and what did not
//! Measured by `make bench` on 2 cores, with PostgreSQL and the load on them. What pays is the batch:
//! with 256 connections three times as many sends as pgbench commits beside them with 64 clients and five
//! statements each. One statement for everything but what is rare, numbers that are given from memory
//! instead of drawn row by row, and prepared statements to begin with, serve the small batches. A batch
//! that is taken with the lock in hand, and not before, has a third more commands with 64 connections.
//!
//! Then the processors: the database's own part of a send takes half as long again when many threads of
//! the service share its caches and its cores, so whatever the service saves on a request, the commits
//! gain as well. The second writer pays most where the database is not next door: with a round trip of
//! 3.5 ms it makes 1.3 times as many sends of 64 connections and 1.2 times as many of 256.
//!
//! What made no difference beyond the spread: a thread and a runtime of the writers' own, a lower priority
//! of the threads that serve HTTP, updates sorted by user, larger batches.

mod batch;
pub mod commands;
mod load;
mod pending;
mod progress;
mod state;
mod transaction;
mod writer;

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

pub use pending::{Effect, Outcome, Requester};
pub use progress::{Progress, WriteState};
pub use state::State;
pub use writer::Writer;

use crate::{
    batching::{self, AcceptedRequest, Batches, Queue, QueueError, QueueLimits},
    domain::Refusal,
};
use commands::Command;
use pending::{Pending, Request};

/// Commands in one transaction. Larger batches gained nothing with 256 connections.
const BATCH_MAX: usize = 256;

/// Rows that one transaction writes, so that a few large commands do not hold up everybody.
const BATCH_ROWS_MAX: usize = 20_000;

/// How long a command may wait for its batch to begin; a service that is further behind sheds load.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Why a command was not carried out, or is not known to have been.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The present state does not allow it. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The service is overloaded or shutting down. Nothing was changed, and nothing will be.
    #[error(transparent)]
    QueueError(QueueError),
    /// The database is away. Nothing was changed, and nothing will be.
    #[error("the database is not available")]
    Unavailable,
    /// The database went away while the change was being committed, and stayed away.
    #[error("it is not known whether the change was committed")]
    OutcomeUnknown,
    /// The command cannot be stored. Nothing was changed.
    #[error("the database refused the change")]
    Failed,
}

/// A command whose batch has begun.
type Job = AcceptedRequest<Box<dyn Pending>, ()>;

/// The way in, for any number of callers.
#[derive(Clone)]
pub struct Timeline {
    queue: Queue<Box<dyn Pending>, ()>,
    progress: Arc<Progress>,
}

/// The commands that wait, for the [`Writer`]s.
pub type Commands = Batches<Box<dyn Pending>, ()>;

impl Timeline {
    /// The way in and the batches for its [`Writer`]s. `waiting_max` commands may wait.
    pub fn new(waiting_max: usize) -> (Self, Commands) {
        let (queue, batches) = batching::queue(QueueLimits {
            name: "timeline",
            waiting_max,
            batch_max: BATCH_MAX,
            weight_max: BATCH_ROWS_MAX,
            wait_max: WAIT_MAX,
        });
        let progress = Arc::default();
        (Self { queue, progress }, batches)
    }

    /// How the writers are doing.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// How many commands wait for a batch.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Carries out a command and returns once its change is committed.
    ///
    /// Dropping the future drops only the waiting: a command whose batch has begun is carried out.
    pub async fn submit<C: Command>(
        &self,
        requester: Requester,
        command: C,
    ) -> Result<Outcome<C::Output>, Error> {
        let (answer, outcome) = oneshot::channel();
        let request = Box::new(Request {
            requester,
            command,
            outcome: None,
            answer,
        });
        let rows = request.rows();
        match self.queue.ask(request, rows).await {
            // The outcome was sent before.
            Ok(()) => outcome.await.unwrap_or(Err(Error::OutcomeUnknown)),
            Err(QueueError::Abandoned) => Err(Error::OutcomeUnknown),
            Err(error) => Err(Error::QueueError(error)),
        }
    }
}
