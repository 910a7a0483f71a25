//! Carries out the lines of imports, for requests and for files.

mod lines;

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{
    answer::{
        problem::Problem,
        representation::{ImportResultJson, Stored},
    },
    extract::request_bodies::{ChatName, ImportedPlace},
};
use crate::{
    domain::{ApplicationId, Chat, Conversation, IdempotencyKey, Refusal},
    store::{self, Pool},
    timeline::{
        self, BackgroundTimeline, Effect, Outcome, Requester,
        commands::{BeginImport, Command, CreateChat, FinishImport, ImportMessage},
    },
};

use lines::{Numbers, Task};

pub use lines::SortedLines;

/// Carries out lines.
pub struct Importer<'a> {
    timeline: &'a BackgroundTimeline,
    lines_at_once: usize,
    reads: &'a Pool,
    application: ApplicationId,
    /// The conversations of which messages were refused: they are not done.
    pub incomplete: BTreeSet<Conversation>,
    /// How long to rest before the next lines.
    rest: Duration,
}

/// What has become of a line.
pub struct LineResult {
    /// The place of the line in the request, or in the file.
    pub number: usize,
    pub key: IdempotencyKey,
    pub outcome: Result<(Effect, Stored), Problem>,
}

/// The results of lines so far.
#[derive(Default)]
struct Results {
    lines: Vec<LineResult>,
    /// Why the service carries out no more.
    failure: Option<Problem>,
}

impl<'a> Importer<'a> {
    /// `lines_at_once` lines wait for a writer at the same time, at the most.
    pub fn new(
        timeline: &'a BackgroundTimeline,
        lines_at_once: usize,
        reads: &'a Pool,
        application: ApplicationId,
    ) -> Self {
        Self {
            timeline,
            lines_at_once,
            reads,
            application,
            incomplete: BTreeSet::new(),
            rest: Duration::ZERO,
        }
    }
}

impl Importer<'_> {
    /// Carries out lines; the results are in their order. If the service fails meanwhile, lines that are not
    /// stored have that as their result.
    ///
    /// # Errors
    /// If the service has failed and nothing is stored.
    pub async fn import(&mut self, sorted: SortedLines) -> Result<Vec<LineResult>, Problem> {
        let mut results = Results::default();
        let of_chat = |chat: Arc<Chat>| Stored::Chat(chat.number);
        self.run(sorted.chats, &mut results, of_chat).await;
        let of_pair = |()| Stored::Conversation;
        self.run(sorted.pairs, &mut results, of_pair).await;
        let places = sorted.messages.iter().map(|task| &task.command.1.place);
        let places = places.chain(sorted.done.iter().map(|task| &task.command.0));
        let numbers = match self.numbers(places).await {
            Ok(numbers) => numbers,
            Err(problem) => {
                results.failure.get_or_insert(problem);
                Numbers::default()
            }
        };
        let messages = results.placed(sorted.messages, |(line, message)| {
            numbers.message(message, line)
        });
        self.run_messages(messages, &mut results).await;
        let done = results.placed(sorted.done, |(place, read)| {
            let conversation = numbers.conversation(place)?;
            let is_complete = !self.incomplete.contains(&conversation);
            let done = FinishImport { conversation, read };
            is_complete.then_some(done).ok_or(Refusal::Incomplete)
        });
        self.run(done, &mut results, of_pair).await;
        results.into_lines()
    }

    /// Has messages stored in their order. A message that a writer decides before the one that comes before it
    /// in its conversation, since that has to be tried again, is tried again, too.
    async fn run_messages(&mut self, messages: Vec<Task<ImportMessage>>, results: &mut Results) {
        for part in messages.chunks(self.lines_at_once) {
            let mut rest = part.to_vec();
            while !rest.is_empty() {
                put_in_order(&mut rest);
                rest = self.run(rest, results, Stored::Message).await;
            }
        }
    }

    /// Carries out commands, some at a time. Returns those that were decided too early.
    async fn run<C: Command + Clone + Conversing>(
        &mut self,
        tasks: Vec<Task<C>>,
        results: &mut Results,
        stored: impl Fn(C::Output) -> Stored,
    ) -> Vec<Task<C>> {
        let mut too_early = Vec::new();
        for part in tasks.chunks(self.lines_at_once) {
            if let Some(problem) = results.failure.clone() {
                for task in part {
                    results.push(task, Err(problem.clone()));
                }
                continue;
            }
            // After the last part, nobody waits for a rest.
            sleep(mem::take(&mut self.rest)).await;
            let piece = self.timeline.begin();
            let running = part.iter().map(|task| {
                let requester = Requester {
                    application: self.application,
                    user: None,
                };
                self.timeline.submit(requester, task.command.clone())
            });
            for (task, outcome) in part.iter().zip(join_all(running).await) {
                match outcome {
                    Ok(Outcome { output, effect }) => {
                        results.push(task, Ok((effect, stored(output))));
                    }
                    Err(timeline::Error::Refused(Refusal::OutOfOrder)) => {
                        too_early.push(task.clone());
                    }
                    Err(timeline::Error::Refused(refusal)) => {
                        self.incomplete.extend(task.command.conversation().cloned());
                        results.push(task, Err(refused(refusal)));
                    }
                    Err(error) => {
                        let problem = Problem::from(error);
                        results.failure.get_or_insert_with(|| problem.clone());
                        results.push(task, Err(problem));
                    }
                }
            }
            self.rest = piece.rest_time();
        }
        too_early
    }

    /// The numbers of chats that are named by their keys.
    async fn numbers<'a>(
        &self,
        places: impl Iterator<Item = &'a ImportedPlace>,
    ) -> Result<Numbers, Problem> {
        let keys = places.filter_map(|place| match place {
            ImportedPlace::Chat(ChatName::Key(key)) => Some(key),
            _ => None,
        });
        let keys: BTreeSet<_> = keys.collect();
        if keys.is_empty() {
            return Ok(Numbers::default());
        }
        let reading = self.reads.query(async |connection| {
            store::imports::find_chats(connection, self.application, &keys).await
        });
        Ok(Numbers(reading.await?.into_iter().collect()))
    }
}

/// A command by which a message is added to a conversation, or not.
trait Conversing {
    /// The conversation, if it is a message's.
    fn conversation(&self) -> Option<&Conversation> {
        None
    }
}

impl Conversing for CreateChat {}
impl Conversing for BeginImport {}
impl Conversing for FinishImport {}
impl Conversing for ImportMessage {
    fn conversation(&self) -> Option<&Conversation> {
        Some(&self.conversation)
    }
}

/// Has each message come after the one before it in its conversation.
fn put_in_order(messages: &mut [Task<ImportMessage>]) {
    let mut last: HashMap<Conversation, IdempotencyKey> = HashMap::new();
    for Task { key, command, .. } in messages {
        command.after = last.insert(command.conversation.clone(), key.clone());
    }
}

/// What is told of a line that is refused.
fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::KeyReused => Problem::invalid_field("key", "was used for another line"),
        Refusal::BeyondLast { .. } => Problem::invalid_field("read", refusal.to_string()),
        refusal => refusal.into(),
    }
}

impl Results {
    fn push<C>(&mut self, task: &Task<C>, outcome: Result<(Effect, Stored), Problem>) {
        self.lines.push(LineResult {
            number: task.number,
            key: task.key.clone(),
            outcome,
        });
    }

    /// The lines whose conversations there are, with their commands.
    fn placed<T, C>(
        &mut self,
        tasks: Vec<Task<T>>,
        mut place: impl FnMut(T) -> Result<C, Refusal>,
    ) -> Vec<Task<C>> {
        let mut placed = Vec::new();
        for Task {
            number,
            key,
            command,
        } in tasks
        {
            match place(command) {
                Ok(command) => placed.push(Task {
                    number,
                    key,
                    command,
                }),
                Err(refusal) => self.lines.push(LineResult {
                    number,
                    key,
                    outcome: Err(self.failure.clone().unwrap_or_else(|| refusal.into())),
                }),
            }
        }
        placed
    }

    fn into_lines(mut self) -> Result<Vec<LineResult>, Problem> {
        let is_anything_stored = self.lines.iter().any(|line| line.outcome.is_ok());
        match self.failure {
            Some(problem) if !is_anything_stored => Err(problem),
            _ => {
                self.lines.sort_unstable_by_key(|line| line.number);
                Ok(self.lines)
            }
        }
    }
}

impl LineResult {
    /// Why the service has failed on the line, if it has.
    pub fn failure(&self) -> Option<&Problem> {
        let problem = self.outcome.as_ref().err();
        problem.filter(|problem| problem.status().is_server_error())
    }

    pub fn json<'a>(&'a self, request_id: &'a str) -> ImportResultJson<'a> {
        match &self.outcome {
            Ok((effect, stored)) => {
                ImportResultJson::stored(self.number, &self.key, *effect, stored)
            }
            Err(problem) => {
                ImportResultJson::refused(self.number, &self.key, problem.document(request_id))
            }
        }
    }
}
