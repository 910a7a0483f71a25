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
//! An index on the path of the commit costs a third of the sends and more (GIN takes 30 to 50 µs a
//! message), so it is off that path, and its only price there is a small row in a heap without keys.
//! GIN has no order: "the newest 50 of 40,000 that match" took it 600 ms. With blocks of ids as terms
//! of their own ([`index`]) the same search reads the newest few hundred: 1 ms. Beginnings of words
//! cost it 15 to 50 ms where half of all messages have one, so the first stages check them entry by
//! entry. The figures of a search are measured by `make bench ROW=search`.

mod highlight;
mod index;
mod indexer;
mod query;
mod words;

use std::{sync::Arc, time::Duration};

use tokio::{task::yield_now, time::Instant};

use crate::{
    domain::{ApplicationId, ChatNumber, Message, UserId},
    store::{
        self, PgConnection,
        search::{Readers, Search},
    },
};
use index::{Scope, Stage};

pub use indexer::{Indexer, Waiting};
pub use query::{BadLength, QUERY_CHARS_MAX, Query};

/// How long a search may go on; one statement of it has a limit of its own.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// The most messages that are read in one go: each may be 80 KB.
const CANDIDATES_MAX: i64 = 256;

/// Beginnings of words are checked entry by entry in a stage for which about so many entries are
/// expected, and looked up in the index where there are more.
const CHECKED_ENTRIES_MAX: i64 = 2_000;

/// How much larger a stage is than the one before.
const STAGE_GROWTH: i64 = 16;

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
        if error.is_overdue() { Self::Overdue } else { Self::Database(error) }
    }
}

/// Who searches where.
#[derive(Debug, Clone)]
pub enum Place {
    /// A user, in everything that it may read.
    Everything(UserId),
    /// A user, in its conversation with a user.
    With(UserId, UserId),
    /// In a chat, by somebody who may read it.
    Chat(ChatNumber),
}

/// Finds up to `limit` messages with ids below `before`, the newest first.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    place: Place,
    query: &Query,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Hit>, Error> {
    if query.terms().is_empty() {
        return Ok(Vec::new());
    }
    let user = match &place {
        Place::Everything(user) => Some(user),
        Place::With(..) | Place::Chat(_) => None,
    };
    let (last, chats) = store::search::reach(connection, application, user).await?;
    let scope = match place {
        Place::Everything(user) => Scope::User(user, chats),
        Place::With(user, other) => Scope::Conversation(user, other),
        Place::Chat(chat) => Scope::Chat(chat),
    };
    let end = before.map_or(last.0 + 1, |before| before.min(last.0 + 1));
    let mut search = Searching {
        connection,
        application,
        scope,
        query,
        limit,
        hits: Vec::new(),
        until: Instant::now() + SEARCH_TIME_MAX,
    };
    let mut expected = 0;
    for stage in Stage::all_before(end) {
        expected = search.stage(stage, expected <= CHECKED_ENTRIES_MAX).await? * STAGE_GROWTH;
        if search.hits.len() >= limit {
            break;
        }
    }
    Ok(search.hits)
}

/// Drops the index and makes every message pending, which is as well found; the indexer of the running
/// service builds the index anew. Gives the number of messages.
pub async fn rebuild(connection: &mut PgConnection) -> store::Result<u64> {
    store::search::reset(connection).await
}

impl Scope {
    /// Whose pending changes count.
    fn readers(&self) -> Readers<'_> {
        match self {
            Self::User(user, chats) => Readers { user: Some(user), with: None, chats },
            Self::Conversation(user, other) => {
                Readers { user: Some(user), with: Some(other), chats: &[] }
            }
            Self::Chat(chat) => Readers { user: None, with: None, chats: std::slice::from_ref(chat) },
        }
    }
}

/// A search under way.
struct Searching<'a> {
    connection: &'a mut PgConnection,
    application: ApplicationId,
    scope: Scope,
    query: &'a Query,
    limit: usize,
    hits: Vec<Hit>,
    until: Instant,
}

impl Searching<'_> {
    /// Searches a stage; gives the number of entries that were looked up.
    async fn stage(&mut self, mut stage: Stage, by_entry: bool) -> Result<i64, Error> {
        let asked = index::asked(self.application, &self.scope, self.query, &stage, by_entry);
        // One more than the page tells whether there is a next one; nearly all candidates match.
        let mut limit = (self.limit as i64 + 8).min(CANDIDATES_MAX);
        loop {
            let search = Search {
                application: self.application,
                index: &asked.index,
                entry: &asked.entry,
                ids: stage.ids.clone(),
                readers: self.scope.readers(),
                limit,
            };
            let candidates = store::search::candidates(self.connection, search).await?;
            let (found, oldest) = (candidates.messages.len(), candidates.messages.last());
            let oldest = oldest.map(|message| message.id.0);
            self.keep(candidates.messages).await;
            let is_all = (found as i64) < limit;
            match oldest {
                Some(oldest) if !is_all && self.hits.len() < self.limit => stage.ids.end = oldest,
                _ => return Ok(candidates.looked_up),
            }
            if Instant::now() > self.until {
                return Err(Error::Overdue);
            }
            limit = CANDIDATES_MAX;
        }
    }

    /// Keeps the candidates that match by their present texts.
    async fn keep(&mut self, candidates: Vec<Arc<Message>>) {
        for message in candidates {
            if self.hits.len() == self.limit {
                break;
            }
            let text = message.content.as_ref().and_then(|content| content.text.as_ref());
            let Some(text) = text.map(|text| text.as_str()) else { continue };
            if let Some(ranges) = self.query.find_in(text) {
                let highlight = highlight::highlight(text, &ranges);
                self.hits.push(Hit { message, highlight });
            }
            // A text of the largest size takes milliseconds.
            yield_now().await;
        }
    }
}
