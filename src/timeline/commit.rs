//! One batch, one transaction: lock, load, decide, store, commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    command::{Command, Done, Idempotency},
    decide::{Change, Creation, Decision, State, decide},
};
use crate::{
    domain::{ApplicationId, Message, MessageId, Refusal},
    store::{
        self, Lane, Session, messages::NewMessage, outbox::NewEvents, timeline::Draw, updates::NewUpdate,
    },
};

/// The longest that the way to the commit, or the commit, may take. The server's own limits are
/// shorter; this one is for a connection on which nothing arrives any more.
const STEP_TIME_MAX: Duration = Duration::from_secs(20);

/// What each command of a batch comes to, in their order.
pub type Results = Vec<Result<Done, Refusal>>;

/// A transaction that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It failed before COMMIT was sent: nothing was changed.
    #[error("the batch failed before its commit")]
    BeforeCommit(#[from] store::Error),
    /// COMMIT was sent, and its answer was an error or did not come. If it was committed, these
    /// are its results.
    #[error("the outcome of the batch's commit is not known")]
    AtCommit(Results, #[source] store::Error),
}

/// Carries out a batch in one transaction, which records itself as `writer`'s batch `number`.
pub async fn carry_out(
    session: &mut Session,
    commands: &[&Command],
    writer: Uuid,
    number: i64,
) -> Result<Results, Failure> {
    let (lane, results) =
        store::in_time(STEP_TIME_MAX, prepare(session, commands, writer, number)).await?;
    match store::in_time(STEP_TIME_MAX, lane.commit()).await {
        Ok(()) => Ok(results),
        Err(error) => Err(Failure::AtCommit(results, error)),
    }
}

/// Everything up to the commit.
async fn prepare<'s>(
    session: &'s mut Session,
    commands: &[&Command],
    writer: Uuid,
    number: i64,
) -> store::Result<(Lane<'s>, Results)> {
    let mut lane = Lane::enter(session.connection().await?).await?;
    let state = load(&mut lane, commands).await?;
    let draws = store::timeline::draw(&mut lane, commands.len()).await?;
    let (ledger, results) = Ledger::decide(state, commands, &draws);
    if !ledger.changes.is_empty() {
        ledger.store(&mut lane).await?;
        store::timeline::record_batch(&mut lane, writer, number).await?;
    }
    Ok((lane, results))
}

/// Whether `writer`'s batch `number` was committed. Taking the lane proves that the transaction
/// that held it before, on whatever connection, has ended; so the answer is final.
pub async fn was_committed(session: &mut Session, writer: Uuid, number: i64) -> store::Result<bool> {
    store::in_time(STEP_TIME_MAX, async {
        let mut lane = Lane::enter(session.connection().await?).await?;
        let last = store::timeline::last_batch(&mut lane, writer).await?;
        lane.commit().await?;
        Ok(last == Some(number))
    })
    .await
}

/// Loads the present state of all that the batch names.
async fn load(lane: &mut Lane<'_>, commands: &[&Command]) -> store::Result<State> {
    let mut state = State::default();
    let ids: BTreeSet<_> =
        commands.iter().filter_map(|command| Some((command.application, command.touches()?))).collect();
    if !ids.is_empty() {
        for (application, message) in store::messages::load(lane.connection(), ids.into_iter()).await? {
            state.add_message(application, message);
        }
    }
    let keys: Vec<_> = commands
        .iter()
        .filter_map(|command| Some((command.application, &command.caller, command.key()?)))
        .collect();
    if !keys.is_empty() {
        for sent in store::messages::load_sent(lane, keys.into_iter()).await? {
            let known = Idempotency { key: sent.key, digest: sent.digest };
            let sender = sent.message.from.clone();
            state.add_key(sent.application, sender, known, sent.message.id);
            state.add_message(sent.application, sent.message);
        }
    }
    Ok(state)
}

/// What a batch has decided and has yet to store.
#[derive(Debug, Default)]
struct Ledger {
    /// Every change, in the order of the timeline.
    changes: Vec<Entry>,
    /// Each message that the batch touched, as it is after all of it.
    messages: BTreeMap<(ApplicationId, MessageId), Arc<Message>>,
    /// Those of them that the batch created.
    created: BTreeMap<(ApplicationId, MessageId), Creation>,
}

#[derive(Debug)]
struct Entry {
    application: ApplicationId,
    change: Change,
    now: OffsetDateTime,
}

impl Ledger {
    /// Decides the commands in order; each sees what the ones before it did.
    fn decide(mut state: State, commands: &[&Command], draws: &[Draw]) -> (Self, Results) {
        let mut ledger = Self::default();
        let mut results = Vec::with_capacity(commands.len());
        for (command, draw) in commands.iter().zip(draws) {
            let decision = decide(&state, command, draw);
            results.push(decision.map(|decision| match decision {
                Decision::Change(change) => {
                    state.apply(command.application, &change);
                    let message = Arc::clone(&change.message);
                    ledger.add(command.application, change, draw.now);
                    Done { message, replayed: false }
                }
                Decision::Keep(message) => Done { message, replayed: false },
                Decision::Replay(message) => Done { message, replayed: true },
            }));
        }
        (ledger, results)
    }

    fn add(&mut self, application: ApplicationId, mut change: Change, now: OffsetDateTime) {
        let key = (application, change.message.id);
        self.messages.insert(key, Arc::clone(&change.message));
        if let Some(creation) = change.created.take() {
            self.created.insert(key, creation);
        }
        self.changes.push(Entry { application, change, now });
    }

    /// Writes one statement per table, whatever the number of changes.
    async fn store(&self, lane: &mut Lane<'_>) -> store::Result<()> {
        let new: Vec<_> = self.new_messages().collect();
        if !new.is_empty() {
            store::messages::insert(lane, &new).await?;
        }
        if self.messages.len() > new.len() {
            store::messages::update(lane, self.changed_messages()).await?;
        }
        store::updates::insert(lane, &self.updates()).await?;
        if self.changes.iter().any(|entry| !entry.change.files.is_empty()) {
            store::outbox::insert(lane, self.events()).await?;
        }
        Ok(())
    }

    fn new_messages(&self) -> impl Iterator<Item = NewMessage<'_>> {
        self.created.iter().map(|(key, creation)| NewMessage {
            application: key.0,
            message: &self.messages[key],
            key: creation.idempotency.as_ref().map(|known| (&known.key, known.digest)),
        })
    }

    fn changed_messages(&self) -> impl Iterator<Item = (ApplicationId, &Message)> {
        self.messages
            .iter()
            .filter(|(key, _)| !self.created.contains_key(key))
            .map(|(key, message)| (key.0, message.as_ref()))
    }

    fn updates(&self) -> Vec<NewUpdate<'_>> {
        let changes = self.changes.iter();
        changes
            .flat_map(|Entry { application, change, .. }| {
                change.message.participants().map(|user| NewUpdate {
                    application: *application,
                    user,
                    timestamp: change.message.timestamp,
                    message: change.message.id,
                })
            })
            .collect()
    }

    fn events(&self) -> impl Iterator<Item = NewEvents<'_>> {
        self.changes.iter().map(|entry| NewEvents {
            application: entry.application,
            timestamp: entry.change.message.timestamp,
            created: entry.now,
            files: &entry.change.files,
        })
    }
}
