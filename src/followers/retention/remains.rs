//! What is left of messages that have expired, and of timelines that may be trimmed. Applications take turns.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    CONVERSATIONS_AT_ONCE, Leading, ROWS_AT_ONCE, Retention, Submitted, in_time, log_failure,
};
use crate::{
    domain::{ApplicationId, Conversation, ConversationId, MessageNumber, Timestamp, UserId},
    store::{self, changes, retention, trimming},
    timeline::commands::ClearExpired,
};

/// How many messages one change clears.
const MESSAGES_AT_ONCE: i64 = 100;

/// Of how many users updates are deleted at once.
const USERS_AT_ONCE: i64 = 500;

/// After so much time an application leaves its turn to the next one.
const TURN_TIME: Duration = Duration::from_secs(2);

/// How long the index of search has to come so far that messages can be cleared, and how often that is checked.
const INDEX_TIME_MAX: Duration = Duration::from_secs(10);
const INDEX_CHECK_PERIOD: Duration = Duration::from_millis(100);

/// Up to where the updates of applications are deleted by this leader.
pub type Trimmed = HashMap<ApplicationId, Timestamp>;

/// What is left of an application.
pub struct Remains {
    pub application: ApplicationId,
    step: Step,
}

/// How far the leader has come with an application in a pass.
enum Step {
    /// The index of search has to follow. `None`: its place was not looked at yet.
    Index(Option<Waiting>),
    Messages(Cleared),
    Changes,
    /// Updates up to a timestamp are deleted, of the users after one of them.
    Updates(Timestamp, Option<UserId>),
    Done,
}

/// For what to wait, and until when.
struct Waiting {
    end: Timestamp,
    until: Instant,
}

/// How far messages are cleared.
struct Cleared {
    /// Conversations in which there is something to be cleared.
    window: VecDeque<(ConversationId, Conversation)>,
    /// Up to which message that is done in the first of them.
    number: MessageNumber,
    /// The last conversation that was looked at.
    after: ConversationId,
}

impl Remains {
    pub fn of(application: ApplicationId) -> Self {
        Self {
            application,
            step: Step::Index(None),
        }
    }
}

impl Retention {
    /// Clears and trims something of an application. Returns whether nothing is left of it.
    pub(super) async fn turn(
        &self,
        leader: &mut Leading,
        remains: &mut Remains,
        trimmed: &mut Trimmed,
    ) -> store::Result<bool> {
        let application = remains.application;
        let end = Instant::now() + TURN_TIME;
        while Instant::now() < end {
            let piece = self.timeline.begin();
            let step = std::mem::replace(&mut remains.step, Step::Done);
            let is_waiting = matches!(step, Step::Index(_));
            // What has failed is left for the next pass, and trimming does not wait for it.
            let otherwise = match step {
                Step::Index(_) | Step::Messages(_) => Step::Changes,
                Step::Changes | Step::Updates(..) => Step::Done,
                Step::Done => return Ok(true),
            };
            let next = self.step(leader, application, step, trimmed).await;
            let next = log_failure(leader, application, next).await?;
            remains.step = next.unwrap_or(otherwise);
            if matches!(remains.step, Step::Index(Some(_))) {
                // The others have their turns meanwhile.
                return Ok(false);
            }
            if !is_waiting {
                piece.rest_as_long().await;
            }
        }
        Ok(false)
    }

    async fn step(
        &self,
        leader: &mut Leading,
        application: ApplicationId,
        step: Step,
        trimmed: &mut Trimmed,
    ) -> store::Result<Step> {
        match step {
            Step::Index(waiting) => self.follow_index(leader, application, waiting).await,
            Step::Messages(cleared) => self.clear(leader, application, cleared).await,
            Step::Changes => self.trim_changes(leader, application, trimmed).await,
            Step::Updates(up_to, after) => {
                let after = self.trim_updates(leader, application, after).await?;
                if after.is_none() {
                    trimmed.insert(application, up_to);
                }
                Ok(after.map_or(Step::Done, |after| Step::Updates(up_to, after)))
            }
            Step::Done => Ok(Step::Done),
        }
    }

    /// Looks whether the index of search has come to where the timeline ended when that was looked at first. If it
    /// does not within some time, no message is cleared until the next pass.
    async fn follow_index(
        &self,
        leader: &mut Leading,
        application: ApplicationId,
        waiting: Option<Waiting>,
    ) -> store::Result<Step> {
        let waiting = match waiting {
            Some(waiting) => {
                sleep(INDEX_CHECK_PERIOD).await;
                waiting
            }
            None => {
                let reading = async { changes::end(leader.connection(), application).await };
                Waiting {
                    end: in_time(reading).await?,
                    until: Instant::now() + INDEX_TIME_MAX,
                }
            }
        };
        let reached = in_time(retention::indexed_up_to(leader, application)).await?;
        Ok(if reached >= waiting.end {
            Step::Messages(Cleared {
                window: VecDeque::new(),
                number: MessageNumber::ZERO,
                after: ConversationId::new(0),
            })
        } else if Instant::now() > waiting.until {
            let application = application.get();
            tracing::warn!(
                application,
                "the index of search is behind: messages are not cleared now"
            );
            Step::Changes
        } else {
            Step::Index(Some(waiting))
        })
    }

    /// Clears some messages of a conversation.
    async fn clear(
        &self,
        leader: &mut Leading,
        application: ApplicationId,
        mut cleared: Cleared,
    ) -> store::Result<Step> {
        let Some((id, conversation)) = cleared.window.front().cloned() else {
            let (after, limit) = (cleared.after, CONVERSATIONS_AT_ONCE);
            let reading = retention::with_remains(leader, application, after, limit);
            let Some((window, after)) = in_time(reading).await? else {
                return Ok(Step::Changes);
            };
            cleared.window = window.into();
            cleared.after = after;
            return Ok(Step::Messages(cleared));
        };
        let number = cleared.number;
        let reading = retention::remains(leader, application, id, number, MESSAGES_AT_ONCE);
        let found = in_time(reading).await?;
        let Some((_, last)) = found.last().copied() else {
            cleared.next();
            return Ok(Step::Messages(cleared));
        };
        let messages: Vec<_> = found.iter().map(|(message, _)| *message).collect();
        in_time(retention::delete_entries(leader, application, &messages)).await?;
        let command = ClearExpired {
            conversation,
            id,
            messages,
        };
        match self.submit(application, command).await {
            Submitted::Made(count) => {
                metrics::counter!("messages_expired_cleared_total").increment(count as u64);
                // Some may be left, if their files were too many for one change.
                if count == 0 || count == found.len() {
                    cleared.number = last;
                }
            }
            Submitted::Refused => cleared.next(),
            Submitted::Failed => return Ok(Step::Changes),
        }
        Ok(Step::Messages(cleared))
    }

    async fn trim_changes(
        &self,
        leader: &mut Leading,
        application: ApplicationId,
        trimmed: &Trimmed,
    ) -> store::Result<Step> {
        let deleting = trimming::delete_changes(leader, application, ROWS_AT_ONCE);
        let deleted = in_time(deleting).await?;
        count_trimmed("changes", deleted);
        if deleted > 0 {
            return Ok(Step::Changes);
        }
        // To walk over all users takes longer: once for each time that there is more to be trimmed.
        let up_to = in_time(trimming::trimmed(leader, application)).await?;
        let before = trimmed.get(&application).copied();
        Ok(match before.unwrap_or(Timestamp::new(0)) < up_to {
            true => Step::Updates(up_to, None),
            false => Step::Done,
        })
    }

    /// Deletes updates of some users after one of them. Returns after which user there may be more; `None` if
    /// that was all.
    async fn trim_updates(
        &self,
        leader: &mut Leading,
        application: ApplicationId,
        after: Option<UserId>,
    ) -> store::Result<Option<Option<UserId>>> {
        let users = trimming::users(leader, application, after.as_ref(), USERS_AT_ONCE);
        let users = in_time(users).await?;
        let Some(last) = users.last() else {
            return Ok(None);
        };
        let deleting = trimming::delete_updates(leader, application, &users, ROWS_AT_ONCE);
        let deleted = in_time(deleting).await?;
        count_trimmed("updates", deleted);
        Ok(Some(match deleted {
            0 => Some(last.clone()),
            _ => after,
        }))
    }
}

impl Cleared {
    /// Goes on with the next conversation.
    fn next(&mut self) {
        self.window.pop_front();
        self.number = MessageNumber::ZERO;
    }
}

fn count_trimmed(table: &'static str, deleted: u64) {
    metrics::counter!("messages_trimmed_total", "table" => table).increment(deleted);
}
