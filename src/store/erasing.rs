//! What is still stored of a user who is being erased, in the order in which it is erased.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{
    Duty, Erasing, Indexing, Lane, Leadership, Result,
    erasures::{self, Erased},
    messages::RenamedMessage,
};
use crate::domain::{
    ApplicationId, ChatNumber, Erasure, MessageId, Pair, ReactionKey, Timestamp, UserDigest, UserId,
};

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
    /// So has the timeline of the application.
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
         WHERE application_id = $1 AND user_digest = $2",
        running.application.get(),
        &running.erasure.digest.0[..],
        at.step as i16,
        at.place,
        at.within,
        erased.messages,
        erased.conversations,
        erased.memberships,
        erased.reactions,
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

/// A message that may have the user's name.
pub struct NamingMessage {
    pub id: MessageId,
    /// It has no data. Then it is enough that its row has the pseudonym, since nobody is shown its users.
    pub is_deleted: bool,
    pub sender: Option<UserId>,
    pub recipient: Option<UserId>,
}

/// Messages of the personal conversations that have the pseudonym, after the place. Returns the place of the
/// last one, too; `None` if there are no more.
pub async fn personal_messages(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Option<(Place, Vec<NamingMessage>)>> {
    let rows = sqlx::query!(
        r#"
        SELECT c.id AS "conversation!", m.id AS "id?", m.number AS "number?", m.sender, m.recipient,
               m.deleted AS "deleted?"
        FROM (
            SELECT id FROM (
                SELECT id FROM conversations
                WHERE application_id = $1 AND least BETWEEN $2 AND $2 AND chat_number IS NULL
                UNION ALL
                SELECT id FROM conversations
                WHERE application_id = $1 AND greatest BETWEEN $2 AND $2 AND least <> greatest
                  AND chat_number IS NULL
            ) AS all_of_them
            WHERE id >= $3
            ORDER BY id LIMIT $5
        ) AS c
        LEFT JOIN LATERAL (
            SELECT * FROM messages AS found
            WHERE found.application_id = $1 AND found.conversation_id = c.id
              AND found.number > CASE WHEN c.id = $3 THEN $4::bigint ELSE 0 END
            ORDER BY found.number LIMIT $5
        ) AS m ON TRUE
        ORDER BY c.id, m.number
        LIMIT $5
        "#,
        running.application.get(),
        running.erasure.pseudonym.as_str(),
        running.at.place,
        running.at.within,
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let Some(last) = rows.last() else {
        return Ok(None);
    };
    let place = Place {
        place: last.conversation,
        // A conversation without more messages has none after the last one.
        within: last.number.unwrap_or(i64::MAX),
        ..running.at
    };
    let is_end = place == running.at;
    let messages = rows.into_iter().filter_map(|row| {
        Some(NamingMessage {
            id: MessageId::new(row.id?),
            is_deleted: row.deleted?,
            sender: row.sender.as_deref().map(UserId::trusted),
            recipient: row.recipient.as_deref().map(UserId::trusted),
        })
    });
    Ok((!is_end).then(|| (place, messages.collect())))
}

/// Messages in a window of chats after the place: of the user, and of others who name everybody and the user.
/// Returns the last chat of the window, too; `None` if there is no chat after the place.
pub async fn chat_messages(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    (chats, limit): (i64, i64),
) -> Result<Option<(i64, Vec<NamingMessage>)>> {
    let (application, user) = (running.application.get(), running.erasure.user.as_str());
    let last = sqlx::query_scalar!(
        r#"
        SELECT max(chat_number) AS "last" FROM (
            SELECT chat_number FROM conversations
            WHERE application_id = $1 AND chat_number > $2
            ORDER BY chat_number LIMIT $3
        ) AS chats
        "#,
        application,
        running.at.place,
        chats,
    );
    let Some(last) = last.fetch_one(leader.connection()).await? else {
        return Ok(None);
    };
    let rows = sqlx::query!(
        r#"
        SELECT m.id AS "id!", m.sender, m.deleted AS "deleted!"
        FROM (
            SELECT id, chat_number FROM conversations
            WHERE application_id = $1 AND chat_number > $3 AND chat_number <= $4
            ORDER BY chat_number
        ) AS c
        CROSS JOIN LATERAL (
            (
                SELECT found.id, found.sender, found.deleted FROM messages AS found
                WHERE found.application_id = $1 AND found.chat_number = c.chat_number
                  AND found.sender = $2
                ORDER BY found.number LIMIT $5
            )
            UNION ALL
            (
                SELECT found.id, found.sender, found.deleted FROM messages AS found
                WHERE found.application_id = $1 AND found.conversation_id = c.id AND found.mentions_all
                  AND $2 = ANY (found.mentions) AND found.sender IS DISTINCT FROM $2
                ORDER BY found.number LIMIT $5
            )
        ) AS m
        LIMIT $5
        "#,
        application,
        user,
        running.at.place,
        last,
        limit,
    )
    .fetch_all(leader.connection())
    .await?;
    let messages = rows.into_iter().map(|row| NamingMessage {
        id: MessageId::new(row.id),
        is_deleted: row.deleted,
        sender: row.sender.as_deref().map(UserId::trusted),
        recipient: None,
    });
    Ok(Some((last, messages.collect())))
}

/// Gives tombstones the pseudonym. Nobody is shown the users of a tombstone, so this is no change of it.
pub async fn rename_tombstones(
    lane: &mut Lane<'_>,
    erasure: &Erasure,
    tombstones: &[NamingMessage],
) -> Result<()> {
    let renamed = |user: &UserId| match *user == erasure.user {
        true => erasure.pseudonym.clone(),
        false => user.clone(),
    };
    let names = tombstones.iter().map(|message| {
        let [sender, recipient] = [&message.sender, &message.recipient];
        (
            message.id,
            sender.as_ref().map(renamed),
            recipient.as_ref().map(renamed),
        )
    });
    let names: Vec<_> = names.collect();
    let rows = names.iter().map(|(id, sender, recipient)| RenamedMessage {
        id: *id,
        sender: sender.as_ref(),
        recipient: recipient.as_ref(),
    });
    super::messages::rename(lane, &rows.collect::<Vec<_>>()).await
}

/// Lets the chats after one number, up to another, know the user no more: as their creator, as a member of
/// the past, as banned, or as who has pinned a message. It must have left them.
///
/// What is kept between batches has nothing of this.
pub async fn forget_in_chats(
    lane: &mut Lane<'_>,
    erasure: &Erasure,
    (after, last): (i64, i64),
) -> Result<()> {
    let application = lane.application().get();
    let (user, pseudonym) = (erasure.user.as_str(), erasure.pseudonym.as_str());
    let connection = lane.connection();
    sqlx::query!(
        "UPDATE conversations SET creator = NULL, idempotency_key = NULL, request_digest = NULL
         WHERE application_id = $1 AND chat_number > $3 AND chat_number <= $4 AND creator = $2",
        application,
        user,
        after,
        last,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM chat_members
         WHERE application_id = $1 AND user_id = $2 AND chat_number > $3 AND chat_number <= $4
           AND departed IS NOT NULL",
        application,
        user,
        after,
        last,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM chat_bans
         WHERE application_id = $1 AND chat_number > $3 AND chat_number <= $4 AND user_id = $2",
        application,
        user,
        after,
        last,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE pins SET pinned_by = $5
         WHERE application_id = $1 AND chat_number > $3 AND chat_number <= $4 AND pinned_by = $2",
        application,
        user,
        after,
        last,
        pseudonym,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Some of the messages of others that name the user.
pub async fn mentions(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Vec<MessageId>> {
    let rows = sqlx::query_scalar!(
        r#"
        SELECT m.id AS "id!"
        FROM (
            SELECT conversation_id, number FROM mentions
            WHERE application_id = $1 AND user_id = $2
            ORDER BY conversation_id, number LIMIT $3
        ) AS mention
        CROSS JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT id FROM messages
            WHERE application_id = $1 AND conversation_id = mention.conversation_id
              AND number = mention.number
            LIMIT 1
        ) AS m
        "#,
        running.application.get(),
        running.erasure.user.as_str(),
        limit,
    );
    let rows = rows.fetch_all(leader.connection()).await?;
    Ok(rows.into_iter().map(MessageId::new).collect())
}

/// A reaction of the user.
pub struct OwnReaction {
    pub message: MessageId,
    pub key: ReactionKey,
    /// The message is deleted, so its reactions are shown to nobody and count nowhere.
    pub is_gone: bool,
}

/// Some of the user's reactions.
pub async fn reactions(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Vec<OwnReaction>> {
    let rows = sqlx::query!(
        r#"
        SELECT r.message_id, r.key, coalesce(m.deleted, TRUE) AS "is_gone!"
        FROM (
            SELECT message_id, key FROM reactions
            WHERE application_id = $1 AND user_id = $2
            ORDER BY message_id LIMIT $3
        ) AS r
        LEFT JOIN LATERAL (
            -- The limit makes this a lookup by key, whatever the planner assumes about the table.
            SELECT deleted FROM messages
            WHERE application_id = $1 AND id = r.message_id
            LIMIT 1
        ) AS m ON TRUE
        "#,
        running.application.get(),
        running.erasure.user.as_str(),
        limit,
    );
    let rows = rows.fetch_all(leader.connection()).await?;
    let reactions = rows.into_iter().map(|row| OwnReaction {
        message: MessageId::new(row.message_id),
        key: ReactionKey::trusted(&row.key),
        is_gone: row.is_gone,
    });
    Ok(reactions.collect())
}

/// Deletes the user's reactions to messages that are deleted.
pub async fn delete_reactions(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    messages: &[MessageId],
) -> Result<()> {
    let messages: Vec<_> = messages.iter().map(|id| id.get()).collect();
    sqlx::query!(
        "DELETE FROM reactions
         WHERE application_id = $1 AND user_id = $2 AND message_id = ANY ($3)",
        running.application.get(),
        running.erasure.user.as_str(),
        &messages,
    )
    .execute(leader.connection())
    .await?;
    Ok(())
}

/// Deletes what the user has set and reported, up to `limit` of each, and on which replicas it had streams.
/// Returns whether there may be more.
pub async fn delete_own(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<bool> {
    let (application, user) = (running.application.get(), running.erasure.user.as_str());
    let connection = leader.connection();
    let settings = sqlx::query!(
        "DELETE FROM conversation_settings AS s
         USING (
             SELECT ctid AS place FROM conversation_settings
             WHERE application_id = $1 AND user_id = $2
             ORDER BY conversation_id LIMIT $3
         ) AS found
         WHERE s.application_id = $1 AND s.ctid = found.place",
        application,
        user,
        limit,
    );
    let settings = settings.execute(&mut *connection).await?;
    let reports = sqlx::query!(
        "DELETE FROM reports AS r
         USING (
             SELECT ctid AS place FROM reports
             WHERE application_id = $1 AND reporter = $2
             ORDER BY timestamp LIMIT $3
         ) AS found
         WHERE r.application_id = $1 AND r.ctid = found.place",
        application,
        user,
        limit,
    );
    let reports = reports.execute(&mut *connection).await?;
    sqlx::query!(
        "DELETE FROM presence WHERE application_id = $1 AND user_id = $2",
        application,
        user,
    )
    .execute(connection)
    .await?;
    let most = settings.rows_affected().max(reports.rows_affected());
    Ok(i64::try_from(most).is_ok_and(|most| most >= limit))
}

/// Deletes the user's own timeline after the place, up to `limit` entries of it. Returns where it has come to;
/// `None` at its end.
pub async fn delete_updates(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    limit: i64,
) -> Result<Option<Place>> {
    let (application, user) = (running.application.get(), running.erasure.user.as_str());
    let connection = leader.connection();
    let last = last_update(connection, application, user, running.at.place, limit).await?;
    sqlx::query!(
        "DELETE FROM updates
         WHERE application_id = $1 AND user_id = $2 AND timestamp > $3 AND timestamp <= $4",
        application,
        user,
        running.at.place,
        last.unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await?;
    Ok(last.map(|place| Place {
        place,
        ..running.at
    }))
}

/// The entry of a user's timeline that ends a window after a timestamp; `None` if fewer are left.
async fn last_update(
    connection: &mut PgConnection,
    application: i64,
    user: &str,
    after: i64,
    window: i64,
) -> Result<Option<i64>> {
    let last = sqlx::query_scalar!(
        "SELECT timestamp FROM updates
         WHERE application_id = $1 AND user_id = $2 AND timestamp > $3
         ORDER BY timestamp OFFSET $4 LIMIT 1",
        application,
        user,
        after,
        window - 1,
    );
    Ok(last.fetch_optional(connection).await?)
}

/// The next personal conversation that has the pseudonym, from the place on: its id, and its users.
pub async fn renamed_conversation(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
) -> Result<Option<(i64, Pair)>> {
    let row = sqlx::query!(
        r#"
        SELECT id AS "id!", other AS "other!" FROM (
            SELECT id, greatest AS other FROM conversations
            WHERE application_id = $1 AND least BETWEEN $2 AND $2 AND chat_number IS NULL
            UNION ALL
            SELECT id, least FROM conversations
            WHERE application_id = $1 AND greatest BETWEEN $2 AND $2 AND least <> greatest
              AND chat_number IS NULL
        ) AS all_of_them
        WHERE id >= $3
        ORDER BY id LIMIT 1
        "#,
        running.application.get(),
        running.erasure.pseudonym.as_str(),
        running.at.place,
    );
    let row = row.fetch_optional(leader.connection()).await?;
    Ok(row.map(|row| {
        let pseudonym = &running.erasure.pseudonym;
        (row.id, Pair::new(pseudonym, &UserId::trusted(&row.other)))
    }))
}

/// Puts the pseudonym into a window of the timeline of the other user of a conversation. Returns the end of
/// the window; `None` at the end of the timeline. That user is told of nothing by this.
pub async fn rename_updates(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    (other, after): (&UserId, i64),
    window: i64,
) -> Result<Option<i64>> {
    let application = running.application.get();
    let connection = leader.connection();
    let last = last_update(connection, application, other.as_str(), after, window).await?;
    sqlx::query!(
        "UPDATE updates SET with_user = $5
         WHERE application_id = $1 AND user_id = $2 AND timestamp > $3 AND timestamp <= $4
           AND with_user = $6",
        application,
        other.as_str(),
        after,
        last.unwrap_or(i64::MAX),
        running.erasure.pseudonym.as_str(),
        running.erasure.user.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(last)
}

/// Puts the pseudonym into a window of the application's timeline after the place. Returns where that has come
/// to; `None` at its end.
pub async fn rename_in_log(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    window: i64,
) -> Result<Option<Place>> {
    let application = running.application.get();
    let after = running.at.place;
    let last = sqlx::query_scalar!(
        "SELECT timestamp FROM changes WHERE application_id = $1 AND timestamp > $2
         ORDER BY timestamp OFFSET $3 LIMIT 1",
        application,
        after,
        window - 1,
    );
    let last = last.fetch_optional(leader.connection()).await?;
    sqlx::query!(
        "UPDATE changes
         SET actor     = CASE WHEN actor = $4 THEN $5 ELSE actor END,
             with_user = CASE WHEN with_user = $4 THEN $5 ELSE with_user END,
             members   = array_replace(members, $4, $5)
         WHERE application_id = $1 AND timestamp > $2 AND timestamp <= $3
           AND (actor = $4 OR with_user = $4 OR $4 = ANY (members))",
        application,
        after,
        last.unwrap_or(i64::MAX),
        running.erasure.user.as_str(),
        running.erasure.pseudonym.as_str(),
    )
    .execute(leader.connection())
    .await?;
    Ok(last.map(|place| Place {
        place,
        ..running.at
    }))
}

/// Whether the index of search has followed the application's timeline up to a change.
pub async fn is_indexed(
    leader: &mut Leadership<Erasing>,
    application: ApplicationId,
    up_to: Timestamp,
) -> Result<bool> {
    let is_indexed = sqlx::query_scalar!(
        r#"SELECT coalesce(
               (SELECT cursor FROM followers WHERE application_id = $1 AND name = $2) >= $3, TRUE
           ) AS "is_indexed!""#,
        application.get(),
        Indexing::NAME,
        up_to.get(),
    );
    Ok(is_indexed.fetch_one(leader.connection()).await?)
}
