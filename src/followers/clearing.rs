//! Clears the messages of chats that are deleted, and the reactions to messages that are.
//!
//! # The promise
//! Every message of a deleted chat becomes a tombstone by a change of its own, which ends the use of its
//! files. It happens once, whichever replica dies meanwhile.
//!
//! # How
//! The leader has the messages deleted through the timeline, some at a time, so that it delays others by
//! little. Deleted chats take turns, a window of messages each. The only state is that a chat is not cleared
//! yet: a new leader reads such a chat from its first message on, and passes over what is cleared. Reactions
//! to a deleted message are shown to nobody from its deletion on; their rows are deleted some at a time.
//!
//! # The races, and how each was decided
//! - *A message cannot be deleted now* (its application has too many changes waiting). The other chats have
//!   their turns, and this one is tried again.
//! - *Two replicas clear at the same time*, since one has lost its lock. A message that is deleted already
//!   stays as it is.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Behind, LOOK_PERIOD_MIN, Leader, PAUSE_MIN, lead_until, log_leadership};
use crate::{
    domain::{MessageId, MessageNumber},
    store::{
        self, Clearing, Database, Leadership,
        clearing::{self, DeletedChat},
    },
    timeline::{self, BackgroundTimeline, Requester, commands::ClearMessage},
};

/// The messages of a turn.
const WINDOW: i64 = 1000;

/// How many messages are deleted at the same time: a quarter of a batch.
const CLEARED_AT_ONCE: usize = 64;

/// How many reactions are deleted at once.
const REACTIONS_AT_ONCE: i64 = 1000;

/// How many deleted chats are looked up at once.
const CHATS_AT_ONCE: i64 = 100;

/// The least time from one look for deleted chats to the next, if there is nothing to clear, or if something
/// cannot be cleared now.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Clears deleted chats.
pub struct ClearedChats {
    pub database: Database,
    pub timeline: BackgroundTimeline,
    pub behind: Arc<Behind>,
}

/// How far this leader has come in each chat.
type Reached = HashMap<DeletedChat, MessageNumber>;

/// The outcome of a turn.
enum Turn {
    Cleared,
    /// A message cannot be deleted now.
    Failed(timeline::Error),
}

impl ClearedChats {
    /// Works while this replica leads, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        lead_until(stop, self).await;
    }

    /// Clears the next window of a chat.
    async fn clear(
        &self,
        leader: &mut Leadership<Clearing>,
        chat: DeletedChat,
        reached: &mut Reached,
    ) -> store::Result<Turn> {
        let after = reached.get(&chat).copied().unwrap_or(MessageNumber::ZERO);
        let Some(window) = clearing::window(leader, chat, after, WINDOW).await? else {
            clearing::finish(leader, chat).await?;
            reached.remove(&chat);
            return Ok(Turn::Cleared);
        };
        for ids in window.uncleared.chunks(CLEARED_AT_ONCE) {
            let piece = self.timeline.begin();
            if let Err(error) = self.delete(chat, ids).await {
                return Ok(Turn::Failed(error));
            }
            piece.rest().await;
        }
        reached.insert(chat, window.last);
        Ok(Turn::Cleared)
    }

    async fn delete(&self, chat: DeletedChat, ids: &[MessageId]) -> Result<(), timeline::Error> {
        let deletions = ids.iter().map(|id| {
            let requester = Requester {
                application: chat.application,
                user: None,
            };
            self.timeline.submit(requester, ClearMessage { id: *id })
        });
        try_join_all(deletions).await?;
        Ok(())
    }
}

impl Leader for ClearedChats {
    type Duty = Clearing;
    type Error = store::Error;

    async fn lead(&mut self, pause: &mut Duration) -> store::Result<()> {
        let mut leader = Leadership::acquire(&self.database).await?;
        log_leadership::<Clearing>();
        let (mut reached, mut after) = (Reached::new(), None);
        loop {
            self.behind.take();
            let deleted = clearing::deleted_chats(&mut leader, after, CHATS_AT_ONCE).await?;
            let mut failed = None;
            for chat in &deleted {
                let turn = self.clear(&mut leader, *chat, &mut reached).await?;
                if let Turn::Failed(error) = turn {
                    failed = Some((*chat, error));
                }
            }
            let had_reactions = clearing::clear_reactions(&mut leader, REACTIONS_AT_ONCE).await?;
            *pause = PAUSE_MIN;
            let is_done = deleted.is_empty() && after.is_none() && !had_reactions;
            if let Some((chat, error)) = &failed {
                // One line for all of them.
                let (application, conversation) = (chat.application.get(), chat.conversation.get());
                tracing::warn!(%error, application, conversation, "deleted chats are not cleared now");
            }
            if is_done || failed.is_some() {
                sleep(LOOK_PAUSE).await;
            }
            if is_done {
                let look = Instant::now() + LOOK_PERIOD_MIN;
                self.behind.wait_until(look).await;
            }
            // After the last one come the first ones again.
            after = deleted.last().copied();
        }
    }
}
