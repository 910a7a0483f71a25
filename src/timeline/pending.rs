//! A command in the queue, with its requester and the channel for its typed output.

use std::error::Error as _;

use tokio::sync::oneshot;

use super::{
    BatchState, Error,
    commands::{Announcement, Command, Context, Decision, Needs},
};
use crate::domain::{ApplicationId, Change, NextNumbers, Refusal, UserId};

/// The rows that every command may write: a conversation, a message, and two updates.
const ROWS_OF_COMMAND: usize = 4;

/// What a command has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<T> {
    /// What the command has changed, as it is now.
    pub output: T,
    pub effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Changed,
    /// Everything was already as the command makes it.
    Unchanged,
    /// The request was a repetition under its idempotency key: nothing was done again.
    Replayed,
}

/// Whose command it is.
#[derive(Debug, Clone)]
pub struct Requester {
    pub application: ApplicationId,
    /// `None`: the application itself.
    pub user: Option<UserId>,
}

/// A command of whatever type, as the writers see it.
pub trait AnyCommand: Send + Sync {
    fn requester(&self) -> &Requester;

    fn needs(&self) -> Needs<'_>;

    /// The most rows that it may write in a chat of so many members, see [`Command::rows`].
    fn rows(&self, members: usize) -> usize;

    /// See [`Command::is_part_of_earlier`].
    fn is_part_of_earlier(&self, state: &BatchState) -> bool;

    /// The message that its chat gets with the change, see [`Command::announcement`].
    fn announcement(&self) -> Option<&Announcement>;

    /// Decides the command and keeps the outcome. Returns the change, if there is one. A command is
    /// decided again if its batch is run again: the last outcome counts.
    fn decide(&mut self, state: &BatchState, next: NextNumbers) -> Option<Change>;

    /// Answers the caller: with the outcome if the batch is `committed`, or else with the error.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// A command whose caller waits.
pub struct PendingCommand<C: Command> {
    pub requester: Requester,
    pub command: C,
    pub outcome: Option<Result<Outcome<C::Output>, Refusal>>,
    pub answer: oneshot::Sender<Result<Outcome<C::Output>, Error>>,
}

impl<C: Command> AnyCommand for PendingCommand<C> {
    fn requester(&self) -> &Requester {
        &self.requester
    }

    fn needs(&self) -> Needs<'_> {
        self.command.needs()
    }

    fn rows(&self, members: usize) -> usize {
        let announced = self
            .command
            .announcement()
            .map_or(0, |_| ROWS_OF_COMMAND + members);
        ROWS_OF_COMMAND + self.command.rows(members) + announced
    }

    fn is_part_of_earlier(&self, state: &BatchState) -> bool {
        self.command.is_part_of_earlier(state)
    }

    fn announcement(&self) -> Option<&Announcement> {
        self.command.announcement()
    }

    fn decide(&mut self, state: &BatchState, next: NextNumbers) -> Option<Change> {
        let context = Context {
            caller: self.requester.user.as_ref(),
            state,
            next,
        };
        let (outcome, change) = match context.decide(&self.command) {
            Ok(Decision::Change(change, output)) => {
                (Ok(outcome(output, Effect::Changed)), Some(change))
            }
            Ok(Decision::Keep(output)) => (Ok(outcome(output, Effect::Unchanged)), None),
            Ok(Decision::Replay(output)) => (Ok(outcome(output, Effect::Replayed)), None),
            Err(refusal) => (Err(refusal), None),
        };
        self.outcome = Some(outcome);
        change
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self {
            outcome, answer, ..
        } = *self;
        let outcome = match (committed, outcome) {
            (Ok(()), Some(outcome)) => outcome.map_err(Error::Refused),
            (Ok(()), None) => Err(Error::OutcomeUnknown(None)),
            (Err(error), _) => Err(error),
        };
        // A caller that has gone needs no answer, and so nobody else would log a failure.
        if let Err(Err(error)) = answer.send(outcome)
            && let Some(cause) = error.source()
        {
            tracing::warn!(%error, cause, "a command failed whose caller has gone");
        }
    }
}

fn outcome<T>(output: T, effect: Effect) -> Outcome<T> {
    Outcome { output, effect }
}
