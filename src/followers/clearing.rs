//! Clears the messages of chats that are deleted.
//!
//! # The promise
//! Every message of a deleted chat becomes a tombstone by a change of its own, which ends the use of its
//! files. It happens once, whichever replica dies meanwhile.
//!
//! # How
//! The leader takes one deleted chat after the other, reads which of its messages still have data, and has
//! them deleted through the timeline, some at a time: so it delays others by little, and there is nothing to
//! remember but that the chat is not cleared yet. What a leader has begun the next one goes on with.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Behind, LOOK_PERIOD_MIN, Leader, PAUSE_MIN, lead_until, log_leadership};
use crate::{
    domain::MessageNumber,
    store::{
        self, Clearing, Database, Leadership,
        clearing::{self, DeletedChat},
    },
    timeline::{self, Requester, Timeline, commands::ClearMessage},
};

/// How many messages are deleted at the same time: a quarter of a batch.
const CLEARED_AT_ONCE: i64 = 64;

/// How many deleted chats are looked up at once.
const CHATS_AT_ONCE: i64 = 100;

/// The least time from one look for deleted chats to the next.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Clears deleted chats.
pub struct ClearedChats {
    pub database: Database,
    pub timeline: Timeline,
    pub behind: Arc<Behind>,
}

/// Why clearing has stopped for now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("a message cannot be deleted now: {0}")]
    Timeline(#[from] timeline::Error),
}

impl ClearedChats {
    /// Works while this replica leads, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        lead_until(stop, self).await;
    }

    async fn clear(
        &self,
        leader: &mut Leadership<Clearing>,
        chat: DeletedChat,
    ) -> Result<(), Error> {
        let mut after = MessageNumber::ZERO;
        loop {
            let messages = clearing::messages(leader, chat, after, CLEARED_AT_ONCE).await?;
            let Some((last, _)) = messages.last() else {
                return Ok(clearing::finish(leader, chat).await?);
            };
            after = *last;
            let deletions = messages.into_iter().map(|(_, id)| {
                let requester = Requester {
                    application: chat.application,
                    user: None,
                };
                self.timeline.submit(requester, ClearMessage { id })
            });
            try_join_all(deletions).await?;
        }
    }
}

impl Leader for ClearedChats {
    type Duty = Clearing;
    type Error = Error;

    async fn lead(&mut self, pause: &mut Duration) -> Result<(), Error> {
        let mut leader = Leadership::acquire(&self.database).await?;
        log_leadership::<Clearing>();
        loop {
            self.behind.take();
            let deleted = clearing::deleted_chats(&mut leader, CHATS_AT_ONCE).await?;
            for chat in &deleted {
                self.clear(&mut leader, *chat).await?;
                *pause = PAUSE_MIN;
            }
            if deleted.is_empty() {
                sleep(LOOK_PAUSE).await;
                self.behind
                    .wait_until(Instant::now() + LOOK_PERIOD_MIN)
                    .await;
            }
        }
    }
}
