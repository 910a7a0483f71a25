//! Search: the query language, its translation for the index, and highlighting.
//!
//! # The promise
//! A search finds every message that the caller may read and that matches by its present text, from
//! the moment that its change was answered; deleted messages never, and nothing else.
//!
//! # How
//! A change of a text is *pending* in the transaction of the change. The [`Indexer`], on one replica at
//! a time, moves pending changes into the index. A search reads both in one statement, so it does not
//! matter how far the indexer is behind; and it decides on the present texts ([`Query::find_in`]), so
//! an entry that is too old costs time and shows nothing.
//!
//! # The races, and how each was decided
//! - *A message changes while it is indexed.* The indexer deletes the pending row before it reads the
//!   message. A change that comes later has a pending row of its own.
//! - *Two replicas index.* One at a time, under an advisory lock of the connection that also writes.
//! - *The indexer dies, or its last commit is lost in a crash* (it does not wait for the disk): the
//!   pending rows are back, and are moved again.
//! - *The index is rebuilt meanwhile*: see [`rebuild`].
//!
//! # Why so
//! An index on the path of the commit costs a third of the sends and more (GIN takes 40 to 60 µs a
//! message), so it is off that path, and its only price there is a small row. GIN has no order: "the
//! newest 50 of 40,000 that match" took it 600 ms. With the readers of blocks of ids as terms of their
//! own ([`index`]) a search reads the newest few hundred, and as far back as its matches so far tell.
//! The beginning of a word is dear to look up where half of all messages have one (15 to 50 ms), so a
//! search checks the caller's own entries instead where these are fewer ([`is_read_faster`]).
//!
//! Measured by `benches/measure` among 1,000,000 messages of `benches/search.sql`, on 2 cores that it shared with PostgreSQL and
//! the load, in ms as p50 and p99; a single word counts as the beginning of one:
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
//! It indexed 18,000 messages a second with nothing else to do. At 4,000 sends a second it was 2,700
//! messages behind at the most, and the p99 of the sends was 10 to 14 ms, of which it was 5 to 6 without it.
//! Where sends come as fast as they are answered it falls behind for as long as they do.

mod highlight;
mod index;
mod indexer;
mod query;
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
use index::Stage;

pub use indexer::{Indexer, WaitingWrites};
pub use query::{BadLength, QUERY_CHARS_MAX, Query};

/// How long a search may go on.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// The most messages that are read in one go: each may be 80 KB, or three times that where its text is
/// not composed.
const CANDIDATES_MAX: usize = 256;

/// Candidates that are read beyond the hits that are wanted: nearly all candidates match.
const SPARE_CANDIDATES: i64 = 8;

/// To read an entry and check it takes about as long as to look up so many entries by the beginning of
/// a word: the former is one of the caller's, the latter are everybody's.
const LOOKED_UP_PER_CHECKED: usize = 70;

/// A message that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    pub message: Arc<Message>,
    /// Its text as HTML, with what was found in `<mark>` and everything else escaped.
    pub highlight: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(store::Error),
    #[error("the search took longer than 5 s")]
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

/// Finds up to `limit` messages with ids below `before`, the newest first, in 5 s at the most.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    scope: &SearchScope,
    query: &Query,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Hit>, Error> {
    if query.terms().is_empty() {
        return Ok(Vec::new());
    }
    let finding = async {
        let mut search = Searching::begin(connection, application, scope, query, limit).await?;
        search.run(before).await?;
        Ok(search.hits)
    };
    timeout(SEARCH_TIME_MAX, finding)
        .await
        .unwrap_or(Err(Error::Overdue))
}

/// Whether reading the caller's entries of the next stage is faster than looking up everything that
/// begins as what is searched for, where a stage had so many of the caller's entries, and of these so
/// many were found. What too few entries tell is weighed with one in a hundred, as words have it.
fn is_read_faster(entries: usize, found: usize, stage: &Stage, next: &Stage) -> bool {
    const PRIOR: usize = 20;
    let read = (entries + 1).saturating_mul(next.length()) / stage.length().max(1);
    let ids = usize::try_from(stage.ids.end).unwrap_or(usize::MAX);
    let looked_up = ids.saturating_mul(100 * found + PRIOR) / (100 * (entries + PRIOR));
    read.saturating_mul(LOOKED_UP_PER_CHECKED) <= looked_up
}

/// Drops the index and makes every message pending, which is as well found; the indexer of the running
/// service builds the index anew. Gives the number of messages.
pub async fn rebuild(connection: &mut PgConnection) -> store::Result<u64> {
    store::search::reset(connection).await
}

/// A search under way.
struct Searching<'a> {
    connection: &'a mut PgConnection,
    application: ApplicationId,
    scope: &'a SearchScope,
    /// Of which chats the user is a member who searches in everything.
    chats: Vec<ChatNumber>,
    query: &'a Query,
    limit: usize,
    /// The last id that was given to a message when the search began.
    last: MessageId,
    hits: Vec<Hit>,
}

impl<'a> Searching<'a> {
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
            hits: Vec::new(),
        })
    }

    /// Whether a message is in the scope: the index alone shows nothing to anybody.
    fn holds(&self, message: &Message) -> bool {
        match self.scope {
            SearchScope::In(conversation) => message.conversation == *conversation,
            SearchScope::Everything(user) => match &message.conversation {
                Conversation::Chat(chat) => self.chats.contains(chat),
                Conversation::Personal(pair) => pair.contains(user),
            },
        }
    }

    /// Searches stage after stage, until there are enough hits or no more messages.
    async fn run(&mut self, before: Option<i64>) -> Result<(), Error> {
        let end = before.map_or(self.last.0 + 1, |before| before.min(self.last.0 + 1));
        let (mut next, mut by_entry) = ((end > 1).then(|| Stage::first(end)), true);
        while let Some(stage) = next {
            let before = self.hits.len();
            let entries = self.stage(&stage, by_entry).await?;
            let (found, wanted) = (self.hits.len() - before, self.limit - self.hits.len());
            if wanted == 0 {
                break;
            }
            next = stage.next(found, wanted);
            by_entry = by_entry
                && next
                    .as_ref()
                    .is_some_and(|next| is_read_faster(entries, found, &stage, next));
        }
        Ok(())
    }

    /// Searches a stage; gives the number of entries that were looked up.
    async fn stage(&mut self, stage: &Stage, by_entry: bool) -> Result<usize, Error> {
        let lookup = index::lookup(
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
                limit: self.limit as i64 + SPARE_CANDIDATES,
            };
            let Candidates {
                messages,
                rest,
                looked_up,
            } = store::search::candidates(self.connection, search).await?;
            self.keep(messages).await;
            self.check(&rest).await?;
            match rest.last() {
                Some(last) if rest.len() == REST_MAX && self.hits.len() < self.limit => {
                    ids.end = last.0
                }
                _ => return Ok(looked_up),
            }
        }
    }

    /// Reads candidates and keeps those that match, until there are enough.
    async fn check(&mut self, candidates: &[MessageId]) -> Result<(), Error> {
        for ids in candidates.chunks(CANDIDATES_MAX) {
            if self.hits.len() == self.limit {
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

    /// Keeps the candidates that match by their present texts, of those that the caller may read.
    async fn keep(&mut self, candidates: Vec<Arc<Message>>) {
        for message in candidates {
            if self.hits.len() == self.limit {
                break;
            }
            let text = message
                .content
                .as_ref()
                .and_then(|content| content.text.as_ref());
            let Some(text) = text.map(|text| text.as_str()) else {
                continue;
            };
            if !self.holds(&message) {
                continue;
            }
            if let Some(ranges) = self.query.find_in(text) {
                let highlight = highlight::highlight(text, &ranges);
                self.hits.push(Hit { message, highlight });
            }
            // A text of the largest size takes milliseconds.
            yield_now().await;
        }
    }
}
