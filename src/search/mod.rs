//! Search: the query language, its translation for the index, and highlighting.
//!
//! # The promise
//! A search finds every message that the caller may read and that matches by its present text, from
//! the moment that its change was answered; deleted messages never, and nothing else.
//!
//! # How
//! The transaction that changes a text also inserts a *pending* row. The [`Indexer`], on one
//! replica at a time, moves pending changes into the index. A search reads both in one statement,
//! so it does not matter how far the indexer is behind. A match is decided on the present text
//! ([`Query::find_in`]), so an outdated entry costs time and is never shown.
//!
//! # Words
//! | word | meaning |
//! | --- | --- |
//! | unit | a word, or a *part*: one character of a script without blanks, or a symbol |
//! | term of a query | units that must follow each other: a word, a run of parts, or a phrase |
//! | lexeme | a term of the index: a word or a pair of parts of a message, or a reader |
//! | whole | a lexeme that must occur as it is |
//! | open | a lexeme that may continue: the last unit of a query may still be typed |
//! | entry | a message in the index |
//! | stage | the range of ids that is searched in one go, the newest first |
//! | by entry | a lookup of the caller's entries of a stage, which checks the open lexemes on each |
//! | candidate | a message that may match by its terms |
//!
//! # The races, and how each was decided
//! - *A message changes while it is indexed.* The indexer deletes the pending row before it reads
//!   the message. A change that comes later has a pending row of its own.
//! - *Two replicas index.* One at a time, under an advisory lock of the connection that also
//!   writes.
//! - *The indexer dies, or its last commit is lost in a crash* (it does not wait for the disk): the
//!   pending rows are back, and are moved again.
//! - *The index is rebuilt meanwhile*: see [`rebuild`].
//!
//! # Why this design
//! An index that is updated in the transaction of a send costs a third of the throughput and more
//! (GIN takes 40 to 60 µs a message). So the transaction inserts a small row only. GIN has no
//! order: "the newest 50 of 40,000 matches" took 600 ms. So the index also has the readers of each
//! block of ids as terms (`terms`), and a search reads the newest stage first (`stage`). Looking up
//! the beginning of a word takes 15 to 50 ms if half of all messages have such a word. So a search
//! reads by entry where the caller has few (`is_read_faster`).
//!
//! Measured by `benches/measure` among 1,000,000 messages of `benches/search.sql`, on 2 cores that
//! it shared with PostgreSQL and the load, in ms as p50 and p99. The last word of a query is open:
//!
//! | | 2,000 messages | 100,000 messages | a chat of 50,000 |
//! | --- | --- | --- | --- |
//! | rare word | 0.6, 0.9 | 3.3, 6.8 | 1.5, 2.7 |
//! | common word | 4.0, 19 | 2.7, 16 | 3.5, 17 |
//! | beginning of 4 letters | 1.0, 8.1 | 6.1, 11 | 3.5, 10 |
//! | beginning of 2 letters | 7.6, 19 | 9.5, 17 | 8.9, 16 |
//! | phrase | 1.3, 14 | 3.2, 57 | 2.1, 33 |
//! | 2 characters | 0.5, 2.4 | 1.1, 5.6 | 1.1, 7.2 |
//! | 4 characters | 0.6, 0.9 | 0.8, 2.1 | 1.0, 2.0 |
//!
//! The indexer moved 18,000 messages a second with no other load. At 4,000 sends a second it was
//! 2,700 messages behind at the most, and the p99 of the sends was 10 to 14 ms, against 5 to 6 ms
//! without the indexer. While sends come as fast as they are answered, it falls behind.

mod folding;
mod highlight;
mod indexer;
mod lookup;
mod query;
mod stage;
mod terms;
mod words;

use std::{cmp::Reverse, sync::Arc, time::Duration};

use tokio::{task::yield_now, time::timeout};

use crate::{
    domain::{ApplicationId, ChatNumber, Conversation, Message, MessageId, SearchScope},
    store::{
        self, PgConnection,
        search::{Candidates, REST_MAX, Search},
    },
};
use stage::Stage;

pub use indexer::{Indexer, WaitingWrites};
pub use query::{BadLength, QUERY_CHARS_MAX, Query};

/// How long a search may take.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// The most messages that are read in one go: each may be 80 KB, or three times that if its text is
/// not composed.
const CANDIDATES_MAX: usize = 256;

/// Candidates that are read beyond the requested matches: nearly all candidates match.
const SPARE_CANDIDATES: usize = 8;

/// Reading and checking one of the caller's entries takes about as long as looking up this many
/// entries of all users by the beginning of a word.
const LOOKED_UP_PER_CHECKED: usize = 70;

/// What is assumed before anything was read: of [`PRIOR_ENTRIES`] entries, one in [`PRIOR_SHARE`]
/// matches.
const PRIOR_ENTRIES: usize = 20;
const PRIOR_SHARE: usize = 100;

/// A message that matches.
#[derive(Debug, Clone)]
pub struct Match {
    pub message: Arc<Message>,
    /// Its text as HTML: the matches in `<mark>`, everything else escaped.
    pub highlight: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(store::Error),
    #[error("the search took longer than {} s", SEARCH_TIME_MAX.as_secs())]
    Overdue,
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_overdue() {
            Self::Overdue
        } else {
            Self::Database(error)
        }
    }
}

/// Finds up to `limit` messages with ids below `before`, the newest first, within
/// `SEARCH_TIME_MAX`.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    scope: &SearchScope,
    query: &Query,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Match>, Error> {
    if query.terms().is_empty() {
        return Ok(Vec::new());
    }
    let finding = async {
        let mut search = RunningSearch::begin(connection, application, scope, query, limit).await?;
        search.run(before).await?;
        Ok(search.matches)
    };
    timeout(SEARCH_TIME_MAX, finding)
        .await
        .unwrap_or(Err(Error::Overdue))
}

/// Whether it is faster to read the next stage by entry than to look up everything that begins with
/// the open lexemes. The last stage had `entries` of the caller's, of which `found` matched.
///
/// Both costs are estimated from that. The number of the caller's entries grows with the length of
/// the stage, and all messages are assumed to have the same share of matches. A few entries say
/// little about that share, so [`PRIOR_ENTRIES`] are added, of which one in [`PRIOR_SHARE`]
/// matches.
fn is_read_faster(entries: usize, found: usize, stage: &Stage, next: &Stage) -> bool {
    let read = (entries + 1).saturating_mul(next.length()) / stage.length().max(1);
    let ids = usize::try_from(stage.ids.end).unwrap_or(usize::MAX);
    let looked_up = ids.saturating_mul(PRIOR_SHARE * found + PRIOR_ENTRIES)
        / (PRIOR_SHARE * (entries + PRIOR_ENTRIES));
    read.saturating_mul(LOOKED_UP_PER_CHECKED) <= looked_up
}

/// Drops the index and makes every message pending, so that searches still find it; the indexer of
/// the running service builds the index again. Returns the number of messages.
pub async fn rebuild(connection: &mut PgConnection) -> store::Result<u64> {
    store::in_transaction(connection, store::search::reset).await
}

struct RunningSearch<'a> {
    connection: &'a mut PgConnection,
    application: ApplicationId,
    scope: &'a SearchScope,
    /// The chats of a user who searches in everything.
    chats: Vec<ChatNumber>,
    query: &'a Query,
    limit: usize,
    /// The last id that a message had when the search began.
    last: MessageId,
    matches: Vec<Match>,
}

impl<'a> RunningSearch<'a> {
    async fn begin(
        connection: &'a mut PgConnection,
        application: ApplicationId,
        scope: &'a SearchScope,
        query: &'a Query,
        limit: usize,
    ) -> Result<Self, Error> {
        let user = match scope {
            SearchScope::Everything(user) => Some(user),
            SearchScope::In(_) => None,
        };
        let (last, chats) = store::search::reach(connection, application, user).await?;
        Ok(Self {
            connection,
            application,
            scope,
            chats,
            query,
            limit,
            last,
            matches: Vec::new(),
        })
    }

    /// Whether a message is in the scope. What a caller may read never depends on the index.
    fn is_in_scope(&self, message: &Message) -> bool {
        match self.scope {
            SearchScope::In(conversation) => message.conversation == *conversation,
            SearchScope::Everything(user) => match &message.conversation {
                Conversation::Chat(chat) => self.chats.contains(chat),
                Conversation::Personal(pair) => pair.contains(user),
            },
        }
    }

    /// Searches stage after stage, until there are enough matches or no more messages.
    async fn run(&mut self, before: Option<i64>) -> Result<(), Error> {
        let end = before.map_or(self.last.0 + 1, |before| before.min(self.last.0 + 1));
        let (mut next, mut by_entry) = ((end > 1).then(|| Stage::first(end)), true);
        while let Some(stage) = next {
            let before = self.matches.len();
            let entries = self.search_stage(&stage, by_entry).await?;
            let (found, missing) = (self.matches.len() - before, self.limit - self.matches.len());
            if missing == 0 {
                break;
            }
            next = stage.next(found, missing);
            by_entry = by_entry
                && next
                    .as_ref()
                    .is_some_and(|next| is_read_faster(entries, found, &stage, next));
        }
        Ok(())
    }

    /// Searches a stage. Returns the number of entries that were looked up.
    async fn search_stage(&mut self, stage: &Stage, by_entry: bool) -> Result<usize, Error> {
        let lookup = lookup::lookup(
            self.application,
            self.scope,
            &self.chats,
            self.query,
            stage,
            by_entry,
        );
        let mut ids = stage.ids.clone();
        loop {
            let search = Search {
                application: self.application,
                index: &lookup.index,
                entry: &lookup.entry,
                ids: ids.clone(),
                scope: self.scope,
                chats: &self.chats,
                limit: (self.limit + SPARE_CANDIDATES) as i64,
            };
            let Candidates {
                messages,
                rest,
                looked_up,
            } = store::search::candidates(self.connection, search).await?;
            self.keep(messages).await;
            self.check(&rest).await?;
            match rest.last() {
                Some(last) if rest.len() == REST_MAX && self.matches.len() < self.limit => {
                    ids.end = last.0
                }
                _ => return Ok(looked_up),
            }
        }
    }

    /// Reads candidates and keeps those that match, until there are enough.
    async fn check(&mut self, candidates: &[MessageId]) -> Result<(), Error> {
        for ids in candidates.chunks(CANDIDATES_MAX) {
            if self.matches.len() == self.limit {
                break;
            }
            let ids = ids.iter().map(|id| (self.application, *id));
            let mut found = store::messages::load(self.connection, ids).await?;
            found.sort_unstable_by_key(|(_, message)| Reverse(message.id));
            self.keep(found.into_iter().map(|(_, message)| message).collect())
                .await;
        }
        Ok(())
    }

    /// Keeps the candidates of the scope that match by their present texts.
    async fn keep(&mut self, candidates: Vec<Arc<Message>>) {
        for message in candidates {
            if self.matches.len() == self.limit {
                break;
            }
            let text = message
                .content
                .as_ref()
                .and_then(|content| content.text.as_ref());
            let Some(text) = text.map(|text| text.as_str()) else {
                continue;
            };
            if !self.is_in_scope(&message) {
                continue;
            }
            if let Some(ranges) = self.query.find_in(text) {
                let highlight = highlight::highlight(text, &ranges);
                self.matches.push(Match { message, highlight });
            }
            // The longest text takes milliseconds: other tasks get their turn after each.
            yield_now().await;
        }
    }
}
