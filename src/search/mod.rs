//! Search: the query language, its translation for the index, and highlighting.
//!
//! # The promise
//! A search finds every message that the caller may read and that fulfils the [`Criteria`] as it is
//! now, from the moment that its change was answered; deleted messages never, and nothing else.
//!
//! # How
//! A follower of the timeline keeps the index of messages (`followers/search_index.rs`). A search reads
//! the index and the changes after the follower's cursor in one statement, so it does not matter how
//! far the follower is behind. A match is decided on the present message ([`Criteria::find_in`]), so
//! an outdated entry costs time and is never shown.
//!
//! # Words
//! | word | meaning |
//! | --- | --- |
//! | unit | a word, or a *part*: one character of a script without blanks, or a symbol |
//! | term of a query | units that must follow each other: a word, a run of parts, or a phrase |
//! | lexeme | a term of the index: a word or a pair of parts of a message, a reader, the sender, a block of time, or that it has files |
//! | whole | a lexeme that must occur as it is |
//! | open | a lexeme that may continue: the last unit of a query may still be typed |
//! | entry | a message in the index |
//! | stage | the range of ids that is searched in one go, the newest first |
//! | by entry | a lookup of the caller's entries of a stage, which checks the open lexemes on each |
//! | candidate | a message that may match by its terms |
//!
//! # The races, and how each was decided
//! - *A message changes while it is indexed.* The follower reads the change before it reads the
//!   message. A change that comes later is after the cursor.
//! - *Two replicas index.* One at a time, under an advisory lock of the connection that also
//!   writes.
//! - *The follower dies, or its last commit is lost in a crash* (it does not wait for the disk): its
//!   cursor is where it was, with the entries.
//! - *A user joins a chat whose last changes are not in the index yet.* They are none of the user's
//!   updates, so the changes of such a chat are read from the timeline.
//! - *The index is rebuilt meanwhile*: see [`rebuild`].
//!
//! # Why this design
//! An index that is updated in the transaction of a send costs a third of the throughput and more
//! (GIN takes 40 to 60 µs a message). So a follower writes it. GIN has no
//! order: "the newest 50 of 40,000 matches" took 600 ms. So the index also has the readers of each
//! block of ids as terms (`terms`), and a search reads the newest stage first (`stage`). Looking up
//! the beginning of a word takes 15 to 50 ms if half of all messages have such a word. So a search
//! reads by entry where the caller has few (`is_read_faster`).
//!
//! A message that comes from elsewhere has a time of its own, so times do not ascend with the ids, and
//! a span of time is no span of ids. The blocks of a time are terms instead (`times`): a search far
//! back passes over what is newer within the index, and reads no message of it.
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
//! (Measured before the index followed the timeline, and before it rested by how many callers wait.)
//! 18,000 messages a second were indexed with no other load. At 4,000 sends a second the index was
//! 2,700 messages behind at the most, and the p99 of the sends was 10 to 14 ms, against 5 to 6 ms
//! without the indexer. While sends come as fast as they are answered, it falls behind.

mod criteria;
mod folding;
mod highlight;
mod lookup;
mod query;
mod running;
mod stage;
mod terms;
mod times;
mod words;

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    domain::{ApplicationId, Message, SearchScope},
    store::{self, PgConnection},
};
use running::RunningSearch;

pub use criteria::{Criteria, Filters};
pub use query::{BadLength, QUERY_CHARS_MAX, Query};
pub use terms::terms_of;

/// How long a search may take.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// A message that matches.
#[derive(Debug, Clone)]
pub struct Match {
    pub message: Arc<Message>,
    /// Its text as HTML: the matches in `<mark>`, everything else escaped. `None` if it has no text.
    pub highlight: Option<String>,
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
    criteria: &Criteria,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Match>, Error> {
    if criteria.match_nothing() {
        return Ok(Vec::new());
    }
    let finding = async {
        let mut search =
            RunningSearch::begin(connection, application, scope, criteria, limit).await?;
        search.run(before).await?;
        Ok(search.matches)
    };
    timeout(SEARCH_TIME_MAX, finding)
        .await
        .unwrap_or(Err(Error::Overdue))
}

/// Drops the index and has its follower begin anew, so that searches still find everything; the
/// running service builds the index again. Returns the number of messages.
pub async fn rebuild(connection: &mut PgConnection) -> store::Result<i64> {
    store::in_transaction(connection, store::search::reset).await
}
