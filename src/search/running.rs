//! A search that is running: stage after stage, from the newest ids back.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use tokio::task::yield_now;

use super::{Criteria, Error, Match, lookup, stage::Stage};
use crate::{
    domain::{
        ApplicationId, ChatNumber, Conversation, Message, MessageId, MessageNumber, SearchScope,
    },
    store::{
        self, PgConnection,
        search::{Candidates, REST_MAX, Search},
    },
};

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

/// Finds the messages that fulfil the criteria, up to a limit.
pub struct RunningSearch<'a> {
    connection: &'a mut PgConnection,
    application: ApplicationId,
    scope: &'a SearchScope,
    /// The chats of a user who searches in everything.
    chats: Vec<ChatNumber>,
    /// The number after which the user reads the messages of each of them.
    reads_after: HashMap<ChatNumber, MessageNumber>,
    criteria: &'a Criteria,
    limit: usize,
    /// The last id that a message had when the search began.
    last: MessageId,
    pub matches: Vec<Match>,
}

impl<'a> RunningSearch<'a> {
    pub async fn begin(
        connection: &'a mut PgConnection,
        application: ApplicationId,
        scope: &'a SearchScope,
        criteria: &'a Criteria,
        limit: usize,
    ) -> Result<Self, Error> {
        let user = match scope {
            SearchScope::Everything(user) => Some(user),
            SearchScope::In(..) => None,
        };
        let (last, reads_after) = store::search::reach(connection, application, user).await?;
        let chats = reads_after.iter().map(|(chat, _)| *chat).collect();
        Ok(Self {
            connection,
            application,
            scope,
            chats,
            reads_after: reads_after.into_iter().collect(),
            criteria,
            limit,
            last,
            matches: Vec::new(),
        })
    }

    /// Whether a message is in the scope. What a caller may read never depends on the index.
    fn is_in_scope(&self, message: &Message) -> bool {
        match self.scope {
            SearchScope::In(conversation, reads_after) => {
                message.conversation == *conversation && message.number > *reads_after
            }
            SearchScope::Everything(user) => match &message.conversation {
                Conversation::Chat(chat) => {
                    let reads_after = self.reads_after.get(chat);
                    reads_after.is_some_and(|reads_after| message.number > *reads_after)
                }
                Conversation::Personal(pair) => pair.contains(user),
            },
        }
    }

    /// Searches stage after stage, until there are enough matches or no more messages.
    pub async fn run(&mut self, before: Option<i64>) -> Result<(), Error> {
        let end = before.map_or(self.last.get() + 1, |before| {
            before.min(self.last.get() + 1)
        });
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
            self.criteria,
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
                    ids.end = last.get()
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
            let mut found =
                store::messages::load_shown(self.connection, self.application, ids).await?;
            found.sort_unstable_by_key(|message| Reverse(message.id));
            self.keep(found).await;
        }
        Ok(())
    }

    /// Keeps the candidates of the scope that match as they are now.
    async fn keep(&mut self, candidates: Vec<Arc<Message>>) {
        for message in candidates {
            if self.matches.len() == self.limit {
                break;
            }
            if !self.is_in_scope(&message) {
                continue;
            }
            self.matches.extend(self.criteria.find_in(&message));
            // The longest text takes milliseconds: other tasks get their turn after each.
            yield_now().await;
        }
    }
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
