//! What is still stored of a user who is being erased, in the order in which it is erased.

mod messages;
mod own;
mod timelines;

use std::sync::Arc;

pub use messages::{
    NamingChats, NamingMessage, chat_messages, forget_in_chats, mentions, naming_chats,
    personal_messages, rename_tombstones,
};
pub use own::{OwnReaction, delete_own, delete_reactions, reactions};
pub use timelines::{
    announcements, delete_updates, end_of_log_window, has_lasted, is_indexed, rename_in_log,
    rename_updates, renamed_conversations,
};

use super::{
    Erasing, Leadership, Result,
    erasures::{self, Erased},
};
use crate::domain::{ApplicationId, ChatNumber, Erasure, Pair, Timestamp, UserDigest, UserId};

/// An erasure that is under way, and the place that it has come to.
#[derive(Debug, Clone)]
pub struct RunningErasure {
    pub application: ApplicationId,
    pub erasure: Arc<Erasure>,
    pub at: Place,
    pub erased: Erased,
}

/// A place in an erasure: everything before it is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub step: Step,
    /// In the order of the step: a conversation, a chat, or a timestamp.
    pub place: i64,
    /// In the order of what the place has: a number, or a timestamp.
    pub within: i64,
}

/// The steps of an erasure. None leaves work for one before it: what the user is no member of names it no
/// more, and so on. Their numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The user leaves its chats.
    Memberships,
    /// Its personal conversations have the pseudonym.
    Conversations,
    /// So do their messages; its own become tombstones.
    PersonalMessages,
    /// Its own messages in chats become tombstones, and the chats know it no more.
    Chats,
    /// Messages of others name it no more.
    Mentions,
    Reactions,
    /// Its settings, its reports, and its own timeline.
    Own,
    /// The timelines of others have the pseudonym.
    Updates,
    /// So has the timeline of the application, after what the user posted with changes of chats has become
    /// tombstones.
    Log,
    /// The index of search has followed.
    Index,
}

impl Step {
    const ALL: [Self; 10] = [
        Self::Memberships,
        Self::Conversations,
        Self::PersonalMessages,
        Self::Chats,
        Self::Mentions,
        Self::Reactions,
        Self::Own,
        Self::Updates,
        Self::Log,
        Self::Index,
    ];

    /// The step after it, if it is not the last one.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step > self)
    }

    /// The step with this number. A later version may have more of them; then its last one is repeated.
    fn numbered(number: i16) -> Self {
        let index = usize::try_from(number).unwrap_or(0);
        Self::ALL.get(index).copied().unwrap_or(Self::Index)
    }
}

impl Place {
    /// A place as it was stored.
    pub(super) fn stored(step: i16, place: i64, within: i64) -> Self {
        Self {
            step: Step::numbered(step),
            place,
            within,
        }
    }

    pub fn start_of(step: Step) -> Self {
        Self {
            step,
            place: 0,
            within: 0,
        }
    }
}

/// An erasure by what names it.
pub type ErasureKey = (ApplicationId, UserDigest);

impl RunningErasure {
    pub fn key(&self) -> ErasureKey {
        (self.application, self.erasure.digest)
    }
}

/// Some of the erasures that are under way, after one of them.
pub async fn running(
    leader: &mut Leadership<Erasing>,
    after: Option<ErasureKey>,
    limit: i64,
) -> Result<Vec<RunningErasure>> {
    let digest = after.map_or(Vec::new(), |(_, digest)| digest.0.to_vec());
    let rows = sqlx::query!(
        r#"SELECT application_id, user_digest, user_id AS "user_id!", pseudonym, deletes_others, step, place,
                  place_within, messages, conversations, memberships, reactions
           FROM erasures WHERE user_id IS NOT NULL AND (application_id, user_digest) > ($1, $2)
           ORDER BY application_id, user_digest LIMIT $3"#,
        after.map_or(0, |(application, _)| application.get()),
        &digest,
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let running = rows.into_iter().map(|row| {
        Ok(RunningErasure {
            application: ApplicationId::new(row.application_id),
            erasure: Arc::new(Erasure {
                user: UserId::trusted(&row.user_id),
                digest: erasures::digest(&row.user_digest)?,
                pseudonym: UserId::trusted(&row.pseudonym),
                others: erasures::others(row.deletes_others),
            }),
            at: Place::stored(row.step, row.place, row.place_within),
            erased: Erased {
                messages: row.messages,
                conversations: row.conversations,
                memberships: row.memberships,
                reactions: row.reactions,
            },
        })
    });
    running.collect()
}

/// Stores how far an erasure has come.
pub async fn save(leader: &mut Leadership<Erasing>, running: &RunningErasure) -> Result<()> {
    let RunningErasure { at, erased, .. } = running;
    sqlx::query!(
        "UPDATE erasures
         SET step = $3, place = $4, place_within = $5, messages = $6, conversations = $7, memberships = $8,
             reactions = $9
         WHERE application_id = $1 AND user_digest = $2 AND pseudonym = $10",
        running.application.get(),
        &running.erasure.digest.0[..],
        at.step as i16,
        at.place,
        at.within,
        erased.messages,
        erased.conversations,
        erased.memberships,
        erased.reactions,
        running.erasure.pseudonym.as_str(),
    )
    .execute(leader.connection())
    .await?;
    Ok(())
}

/// A chat of which the user is a member.
pub struct Membership {
    pub chat: ChatNumber,
    /// The last change of the chat itself.
    pub timestamp: Timestamp,
    pub is_alone: bool,
}

/// Some of the chats of which the user is a member.
pub async fn memberships(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Vec<Membership>> {
    let rows = sqlx::query!(
        r#"
        SELECT m.chat_number, c.timestamp, c.members AS "members!"
        FROM (
            SELECT chat_number FROM chat_members
            WHERE application_id = $1 AND user_id = $2 AND departed IS NULL
            ORDER BY chat_number LIMIT $3
        ) AS m
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT * FROM conversations AS found
            WHERE found.application_id = $1 AND found.chat_number = m.chat_number
            LIMIT 1
        ) AS c
        "#,
        running.application.get(),
        running.erasure.user.as_str(),
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let memberships = rows.into_iter().map(|row| Membership {
        chat: ChatNumber::new(row.chat_number),
        timestamp: Timestamp::new(row.timestamp),
        is_alone: row.members == 1,
    });
    Ok(memberships.collect())
}

/// Some of the personal conversations that have the user's name.
pub async fn conversations(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Vec<Pair>> {
    let rows = sqlx::query!(
        r#"
        (SELECT greatest AS "other!" FROM conversations
        WHERE application_id = $1 AND least BETWEEN $2 AND $2 AND chat_number IS NULL
        LIMIT $3)
        UNION ALL
        (SELECT least FROM conversations
        WHERE application_id = $1 AND greatest BETWEEN $2 AND $2 AND least <> greatest
          AND chat_number IS NULL
        LIMIT $3)
        LIMIT $3
        "#,
        running.application.get(),
        running.erasure.user.as_str(),
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let pairs = rows.into_iter();
    let pairs = pairs.map(|row| Pair::new(&running.erasure.user, &UserId::trusted(&row.other)));
    Ok(pairs.collect())
}
