//! A model of a database and of the writers of one process: random commits of these and of other
//! processes, failures, lost lanes and restores. The test compares what is kept with what the
//! database would return.

use std::sync::Arc;

use proptest::prelude::*;
use time::OffsetDateTime;

use super::kept::{Kept, KeptLane};
use crate::domain::{
    ApplicationId, Cache, ErasedUsers, MessageNumber, Pair, PersonalConversation, Timestamp, UserId,
};

const APPLICATION: ApplicationId = ApplicationId::DEFAULT;

/// Conversations, by how many messages each has, and the end of the timeline.
#[derive(Debug, Clone, Default)]
struct Stored {
    end: i64,
    messages: [i64; 3],
}

/// A writer that has taken what is kept, and has not ended its transaction.
struct Batch {
    kept: KeptLane,
    /// What it will store, if it still holds the lane.
    stored: Stored,
    conversation: usize,
    holds_lane: bool,
    /// What it has in its hands is not to be kept.
    is_forgotten: bool,
}

struct Model {
    kept: Kept,
    database: Stored,
    /// The last number that was drawn.
    last: i64,
    earlier: Vec<Stored>,
    batches: [Option<Batch>; 2],
    is_connected: [bool; 2],
}

#[derive(Debug, Clone)]
enum Step {
    /// A writer enters the lane, if nobody holds it, and sends a message.
    Begin { writer: usize, conversation: usize },
    /// It keeps what it leaves, and commits.
    End { writer: usize, fate: Fate },
    /// The server ends its session, which it does not know yet.
    LoseLane(usize),
    /// Another process sends a message.
    Elsewhere(usize),
    /// A user was erased.
    Forget,
    /// The database is what it was some commits before, and gives the same numbers again.
    Restore(usize),
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Committed,
    FailedBeforeCommit,
    FailedAtCommit,
    /// It was committed, and its answer was lost.
    AnswerLost,
}

fn erased_of(application: ApplicationId) -> ErasedUsers {
    let mut erased = ErasedUsers::default();
    erased.add(application, None);
    erased
}

fn pair(conversation: usize) -> Pair {
    let name = format!("user-{conversation}");
    Pair::new(&UserId::trusted("jane"), &UserId::trusted(&name))
}

fn present(conversation: usize, messages: i64) -> Arc<PersonalConversation> {
    let (created, pair) = (OffsetDateTime::UNIX_EPOCH, pair(conversation));
    let mut personal = PersonalConversation::created_at(Timestamp::new(1), created, &pair);
    personal.messages = MessageNumber::new(messages);
    Arc::new(personal)
}

impl Model {
    fn new() -> Self {
        Self {
            kept: Kept::default(),
            database: Stored::default(),
            last: 0,
            earlier: Vec::new(),
            batches: [None, None],
            is_connected: [false; 2],
        }
    }

    /// Fails if what is kept differs from the database.
    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Begin {
                writer,
                conversation,
            } => self.begin(writer, conversation)?,
            Step::End { writer, fate } => self.end(writer, fate),
            Step::LoseLane(writer) => {
                if let Some(batch) = &mut self.batches[writer] {
                    batch.holds_lane = false;
                }
            }
            Step::Elsewhere(conversation) if !self.is_lane_held() => {
                let sent = self.sent_into(conversation);
                self.commit(sent);
            }
            Step::Elsewhere(_) => {}
            Step::Forget => {
                self.kept.forget(&erased_of(APPLICATION));
                for batch in self.batches.iter_mut().flatten() {
                    batch.is_forgotten = true;
                }
            }
            Step::Restore(back) => self.restore(back),
        }
        Ok(())
    }

    fn is_lane_held(&self) -> bool {
        let batches = self.batches.iter().flatten();
        batches.into_iter().any(|batch| batch.holds_lane)
    }

    /// The database with one more message.
    fn sent_into(&mut self, conversation: usize) -> Stored {
        self.last += 1;
        let mut stored = self.database.clone();
        stored.end = self.last;
        stored.messages[conversation] += 1;
        stored
    }

    fn commit(&mut self, stored: Stored) {
        self.earlier
            .push(std::mem::replace(&mut self.database, stored));
    }

    fn begin(&mut self, writer: usize, conversation: usize) -> Result<(), TestCaseError> {
        if self.batches[writer].is_some() || self.is_lane_held() {
            return Ok(());
        }
        if !self.is_connected[writer] {
            self.kept.begin_generation();
            self.is_connected[writer] = true;
        }
        let mut kept = self
            .kept
            .take(APPLICATION, Timestamp::new(self.database.end));
        for (conversation, messages) in self.database.messages.into_iter().enumerate() {
            let expected = present(conversation, messages);
            let pair = pair(conversation);
            if kept.state.recall_personal(&pair) {
                prop_assert_eq!(kept.state.personal(&pair), Some(&expected));
            } else {
                kept.state.add_personal(expected);
            }
        }
        let stored = self.sent_into(conversation);
        self.batches[writer] = Some(Batch {
            kept,
            stored,
            conversation,
            holds_lane: true,
            is_forgotten: false,
        });
        Ok(())
    }

    fn end(&mut self, writer: usize, fate: Fate) {
        let Some(mut batch) = self.batches[writer].take() else {
            return;
        };
        if !matches!(fate, Fate::FailedBeforeCommit) {
            let messages = batch.stored.messages[batch.conversation];
            let state = &mut batch.kept.state;
            state.add_personal(present(batch.conversation, messages));
            let as_of = Timestamp::new(batch.stored.end);
            let (_, dropped) = self.kept.put(APPLICATION, batch.kept, as_of);
            assert!(!batch.is_forgotten || !dropped.is_empty());
        }
        if matches!(fate, Fate::Committed | Fate::AnswerLost) && batch.holds_lane {
            self.commit(batch.stored);
        }
        if !matches!(fate, Fate::Committed) || !batch.holds_lane {
            self.is_connected[writer] = false;
        }
    }

    fn restore(&mut self, back: usize) {
        for _ in 0..back {
            if let Some(earlier) = self.earlier.pop() {
                self.database = earlier;
            }
        }
        self.last = self.database.end;
        self.is_connected = [false; 2];
        for batch in self.batches.iter_mut().flatten() {
            batch.holds_lane = false;
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        6 => Just(Fate::Committed),
        1 => Just(Fate::FailedBeforeCommit),
        1 => Just(Fate::FailedAtCommit),
        1 => Just(Fate::AnswerLost),
    ];
    let begin = (0..2usize, 0..3usize);
    let step = prop_oneof![
        6 => begin.prop_map(|(writer, conversation)| Step::Begin { writer, conversation }),
        6 => (0..2usize, fate).prop_map(|(writer, fate)| Step::End { writer, fate }),
        1 => (0..2usize).prop_map(Step::LoseLane),
        1 => (0..3usize).prop_map(Step::Elsewhere),
        1 => (0..3usize).prop_map(Step::Restore),
        1 => Just(Step::Forget),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn what_is_kept_is_what_the_database_would_return(steps in steps()) {
        let mut model = Model::new();
        for step in steps {
            model.take(step)?;
        }
    }
}

#[test]
fn a_process_that_writes_alone_loads_nothing_twice() {
    let kept = Kept::default();
    let mut lane = kept.take(APPLICATION, Timestamp::new(0));
    lane.state.add_personal(present(0, 1));
    kept.put(APPLICATION, lane, Timestamp::new(1));
    let mut lane = kept.take(APPLICATION, Timestamp::new(1));
    assert!(lane.state.recall_personal(&pair(0)));
    kept.put(APPLICATION, lane, Timestamp::new(2));
    let mut lane = kept.take(APPLICATION, Timestamp::new(3));
    assert!(!lane.state.recall_personal(&pair(0)));
}

#[test]
fn what_is_forgotten_is_kept_no_more_though_a_batch_has_it_in_its_hands() {
    let other = ApplicationId::new(2);
    let kept = Kept::default();
    for application in [APPLICATION, other] {
        let mut lane = kept.take(application, Timestamp::new(0));
        lane.state.add_personal(present(0, 1));
        kept.put(application, lane, Timestamp::new(1));
    }
    let recalls = |application| {
        let mut lane = kept.take(application, Timestamp::new(1));
        let recalls = lane.state.recall_personal(&pair(0));
        kept.put(application, lane, Timestamp::new(1));
        recalls
    };
    assert!(recalls(APPLICATION) && recalls(other));
    kept.forget(&erased_of(APPLICATION));
    assert!(!recalls(APPLICATION));
    assert!(recalls(other) && recalls(other));

    let lane = kept.take(other, Timestamp::new(1));
    kept.forget(&erased_of(other));
    kept.put(other, lane, Timestamp::new(1));
    assert!(!recalls(other));
}
