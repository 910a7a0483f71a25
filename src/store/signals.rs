//! What decides whether a user may signal in a conversation, and who else is in it.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, chats::RulesColumns};
use crate::domain::{
    ApplicationId, ChatNumber, ChatRules, MessageId, Pair, Rank, Role, SIGNAL_MEMBERS_MAX, UserId,
};

/// A chat as a member who signals finds it.
pub struct SignalChat {
    /// Who the member is there.
    pub rank: Rank,
    pub rules: ChatRules,
    /// Until when the member does not post.
    pub muted_until: Option<OffsetDateTime>,
    /// The count of its present members.
    pub members: usize,
    /// The other members; none in a chat that is too large for signals.
    pub others: Vec<UserId>,
    /// Whether the member has posted the message in question, and it is not deleted.
    pub has_sent: bool,
}

/// A personal conversation as a user who signals finds it.
#[derive(Default)]
pub struct SignalPair {
    /// Whether the application has opened it.
    pub is_opened: bool,
    /// Whether one of its users wants no messages from the other one.
    pub is_blocked: bool,
    /// Whether the user has sent the message in question, and it is not deleted.
    pub has_sent: bool,
}

/// A chat, if the user is a member of it. `message` is that of a draft.
pub async fn find_chat(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    chat: ChatNumber,
    message: Option<MessageId>,
) -> Result<Option<SignalChat>> {
    let row = sqlx::query!(
        r#"
        SELECT c.owner, c.members AS "members!", c.moderators_post, c.frozen, c.since_joining, c.slow_mode,
               c.reactions_off, m.role::text AS "role!", m.muted_until,
               -- A condition on the user would let the planner take the index of a user's chats.
               ARRAY(
                   SELECT present.user_id FROM chat_members AS present
                   WHERE present.application_id = $1 AND present.chat_number = $2
                     AND present.departed IS NULL AND c.members <= $5
                     -- Who does not read the message does not see its draft.
                     AND present.reads_after < coalesce((
                         SELECT sent.number FROM messages AS sent
                         WHERE sent.application_id = $1 AND sent.id = $4 AND sent.conversation_id = c.id
                         LIMIT 1
                     ), 9223372036854775807)
               ) AS "present!",
               EXISTS (
                   SELECT FROM messages AS sent
                   WHERE sent.application_id = $1 AND sent.id = $4 AND sent.conversation_id = c.id
                     AND sent.sender = $3 AND NOT sent.deleted AND sent.number >= c.first
               ) AS "has_sent!"
        FROM conversations AS c
        CROSS JOIN LATERAL (
            SELECT found.role, found.muted_until FROM chat_members AS found
            WHERE found.application_id = $1 AND found.chat_number = $2 AND found.user_id = $3
              AND found.departed IS NULL
            LIMIT 1
        ) AS m
        WHERE c.application_id = $1 AND c.chat_number = $2 AND c.deleted IS NULL
        "#,
        application.get(),
        chat.get(),
        user.as_str(),
        message.map(MessageId::get),
        SIGNAL_MEMBERS_MAX as i32,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| SignalChat {
        rank: if row.owner.as_deref() == Some(user.as_str()) {
            Rank::Owner
        } else {
            Role::named(&row.role).unwrap_or_default().into()
        },
        rules: RulesColumns {
            moderators_post: row.moderators_post,
            frozen: row.frozen,
            since_joining: row.since_joining,
            slow_mode: row.slow_mode,
            reactions_off: row.reactions_off,
            retention_days: None,
        }
        .into_rules(),
        muted_until: row.muted_until,
        members: usize::try_from(row.members).unwrap_or_default(),
        others: others(&row.present, user),
        has_sent: row.has_sent,
    }))
}

/// The present members other than the user.
fn others(present: &[String], user: &UserId) -> Vec<UserId> {
    let others = present.iter().filter(|id| *id != user.as_str());
    others.map(|id| UserId::trusted(id)).collect()
}

/// The conversation of two users, one of whom is `user`. One that does not exist is neither opened nor
/// blocked. `message` is that of a draft.
pub async fn find_pair(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: &UserId,
    pair: &Pair,
    message: Option<MessageId>,
) -> Result<SignalPair> {
    let row = sqlx::query!(
        r#"
        SELECT c.opened, coalesce(c.least_blocks OR c.greatest_blocks OR c.importing, FALSE) AS "is_blocked!",
               EXISTS (
                   SELECT FROM messages AS sent
                   WHERE sent.application_id = $1 AND sent.id = $5 AND sent.conversation_id = c.id
                     AND sent.sender = $4 AND NOT sent.deleted AND sent.number >= c.first
               ) AS "has_sent!"
        FROM conversations AS c
        WHERE c.application_id = $1 AND c.least = $2 AND c.greatest = $3 AND c.chat_number IS NULL
        "#,
        application.get(),
        pair.least().as_str(),
        pair.greatest().as_str(),
        user.as_str(),
        message.map(MessageId::get),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map_or_else(SignalPair::default, |row| SignalPair {
        is_opened: row.opened,
        is_blocked: row.is_blocked,
        has_sent: row.has_sent,
    }))
}
