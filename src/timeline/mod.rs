//! The write path: commands in, committed changes out, on the timeline of their application.
//!
//! # The promise
//! Changes of an application become visible in the order of their timestamps, on every replica. So a
//! user who reads a timestamp has read, or can read, every smaller one that concerns the user. An
//! acknowledged change is committed; a refused one has left no trace.
//!
//! # How
//! Commands wait in the bounded queue of their application. Applications take turns at the
//! [`Writer`]s. A writer takes the lock of the application's lane, then all commands that wait by
//! then, and carries them out in one transaction: load → decide → store → commit. The number of
//! round trips does not depend on the number of commands. It is three for sends into personal
//! conversations that exist, if nothing has to be loaded and numbers are left. What a batch has
//! loaded or left is kept for the next one ([`kept`]). Where many applications wait for a writer,
//! small batches of several share a transaction ([`writer`]).
//!
//! # The races, and how each is decided
//! - *A timestamp is taken early and committed late.* It is taken and committed under the lane's
//!   lock ([`Lane`](crate::store::Lane)), so commits come in the order of timestamps.
//! - *Two commands of one batch change one message.* They are decided in the order of the queue.
//!   Each sees the state that the one before it left. The row is stored once, with the last state,
//!   and each change has its own updates.
//! - *A user joins a chat, is concerned by a change and leaves, all in one batch.* A membership has
//!   a first and a last timestamp. Memberships are stored before the database derives from them
//!   whom each change concerns.
//! - *Two messages need the next number of a chat.* The last number is known under the lock,
//!   counted up in memory and stored with the messages.
//! - *Another replica commits between two batches.* The end of the timeline shows it: then nothing
//!   that was kept counts, see [`kept`].
//! - *A tenant floods the service.* Its own queue is full, and the others have their turns. A
//!   large batch shares its transaction with no other application.
//! - *A lane is held for long.* A writer that waits for it holds no other one. (A replica that
//!   freezes within a transaction holds all its lanes, 128 at the most, until the database ends its
//!   session after five seconds.)
//! - *One of several batches makes their transaction fail.* Each is run again in one of its own.
//! - *Two writers, of one replica or of two, change one message.* One of them waits for the lock
//!   and then reads what the other has committed. Callers who have no answer yet cannot rely on an
//!   order.
//! - *A command arrives while its writer waits for the lock.* It is part of the batch. Its
//!   `created` is the time at which the database took the lock, so it may be earlier than the
//!   arrival, by the time that the database's answer is on its way.
//! - *The caller goes away.* A command that no writer has accepted is dropped. An accepted one is
//!   carried out: the transaction lives in the writer's task, which no caller can drop.
//! - *The answer to a COMMIT is lost.* The writer finds out whether it was committed: see
//!   [`transaction`]. The caller learns that the outcome is unknown only if the database stays
//!   away.
//! - *One command makes its batch fail.* The batch is split until that command is alone.
//! - *PostgreSQL's queue of notifications is full.* It refuses every COMMIT that notifies, so the
//!   batch is committed without notifications. No read is wrong: every read compares the cache with
//!   the end of the timeline, and every stream reads again after some seconds.
//! - *The process stops.* The queue closes when the last handler has ended. Commands that wait are
//!   still carried out and answered.
//!
//! # What makes it fast, and what does not
//! Measured by `make bench` on 2 cores, which PostgreSQL and the load share. Batches help most:
//! with 256 connections the service makes three times as many sends as pgbench makes commits of
//! five statements with 64 clients. Small batches profit from one statement for all that sends
//! append, from numbers that are counted in memory instead of drawn row by row, and from prepared
//! statements. Taking the commands after the lock, and not before, makes batches a third larger
//! with 64 connections. Sharing transactions makes 2.3 times as many sends where each of 256
//! applications has one connection: of the millisecond that a lone message takes the database, most
//! goes to the transaction.
//!
//! Processor time comes next. The database's part of a send takes half as long again when many
//! threads of the service share its caches and cores, so time that the service saves makes commits
//! faster too. The second writer of an application helps most if the database is on another machine:
//! with a round trip of 3.5 ms there are 1.3 times as many sends with 64 connections, and 1.2 times
//! as many with 256.
//!
//! No measurable difference: a thread and a runtime for the writers alone, a lower priority for the
//! threads that serve HTTP, updates sorted by user, larger batches.

mod background;
mod batch;
pub mod commands;
mod kept;
#[cfg(test)]
mod kept_model;
mod load;
mod pending;
mod progress;
mod recent;
mod state;
mod transaction;
mod writer;

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tokio::sync::oneshot;

pub use background::{BackgroundTimeline, Piece};
pub use kept::Kept;
pub use pending::{Effect, Outcome, Requester};
pub use progress::{Progress, WriteState};
pub use state::BatchState;
pub use writer::Writer;

use crate::{
    batching::{self, AcceptedRequest, Batches, Claim, Queue, QueueError, QueueLimits},
    domain::{ApplicationId, Refusal},
    store,
};
use background::WaitingCaller;
use commands::Command;
use pending::{AnyCommand, PendingCommand};

/// Commands in one transaction. Larger batches are no faster with 256 connections.
pub const BATCH_MAX: usize = 256;

/// The most rows that one transaction writes, so that a few large commands do not delay all others.
/// A single command may write more, and the first one of each batch is written in any case.
const BATCH_ROWS_MAX: usize = 20_000;

/// Why a command was not carried out, or why its outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The present state does not allow it. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The service is overloaded or shutting down. Nothing was changed, and nothing will be.
    #[error(transparent)]
    QueueError(QueueError),
    /// The database is not available. Nothing was changed, and nothing will be.
    #[error("the database is not available")]
    Unavailable(#[source] Arc<store::Error>),
    /// The database became unavailable during the commit, and stayed so.
    #[error("it is unknown whether the change was committed")]
    OutcomeUnknown(#[source] Option<Arc<store::Error>>),
    /// The command cannot be stored. Nothing was changed.
    #[error("the database refused the change")]
    Failed(#[source] Arc<store::Error>),
}

/// A command that a writer has accepted.
type AcceptedCommand = AcceptedRequest<Box<dyn AnyCommand>, ()>;

/// Takes commands from any number of callers.
#[derive(Clone)]
pub struct Timeline {
    queue: Queue<ApplicationId, Box<dyn AnyCommand>, ()>,
    progress: Arc<Progress>,
    /// How many callers wait for a change.
    callers: Arc<AtomicUsize>,
}

/// The batches of commands, for the [`Writer`]s.
pub type CommandBatches = Batches<ApplicationId, Box<dyn AnyCommand>, ()>;

/// The right to take the next batch of an application.
type CommandClaim = Claim<ApplicationId, Box<dyn AnyCommand>, ()>;

impl Timeline {
    /// The callers' side, and the batches for the [`Writer`]s, of `batch_max` commands at the most.
    /// `waiting_max` commands of each application may wait, each for `wait_max`: a service that is
    /// further behind refuses them.
    pub fn new(waiting_max: usize, batch_max: usize, wait_max: Duration) -> (Self, CommandBatches) {
        let (queue, batches) = batching::queue(QueueLimits {
            name: "timeline",
            waiting_max,
            batch_max,
            weight_max: BATCH_ROWS_MAX,
            wait_max,
        });
        let timeline = Self {
            queue,
            progress: Arc::default(),
            callers: Arc::default(),
        };
        (timeline, batches)
    }

    /// Whether the writers commit.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The same timeline, for work that no caller waits for.
    pub fn in_background(&self) -> BackgroundTimeline {
        BackgroundTimeline::new(self.clone())
    }

    /// Carries out a command and returns once its change is committed.
    ///
    /// Dropping the future withdraws the command, unless a writer has accepted it.
    pub async fn submit<C: Command>(
        &self,
        requester: Requester,
        command: C,
    ) -> Result<Outcome<C::Output>, Error> {
        let _waiting = WaitingCaller::new(&self.callers);
        self.carry_out(requester, command).await
    }

    async fn carry_out<C: Command>(
        &self,
        requester: Requester,
        command: C,
    ) -> Result<Outcome<C::Output>, Error> {
        let (answer, outcome) = oneshot::channel();
        let application = requester.application;
        let pending = Box::new(PendingCommand {
            requester,
            command,
            outcome: None,
            answer,
        });
        let rows = pending.rows(0);
        match self.queue.ask(application, pending, rows).await {
            // The outcome was sent before this answer.
            Ok(()) => outcome.await.unwrap_or(Err(Error::OutcomeUnknown(None))),
            Err(QueueError::Abandoned) => Err(Error::OutcomeUnknown(None)),
            Err(error) => Err(Error::QueueError(error)),
        }
    }
}
