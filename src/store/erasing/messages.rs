//! The messages, and what is stored of chats, that name a user who is being erased.

use super::{Place, RunningErasure};
use crate::{
    domain::{ChatNumber, ConversationId, MessageId, UserId},
    store::{
        Erasing, Lane, Leadership, Result,
        messages::{self, RenamedMessage},
    },
};

/// A message that may have the user's name.
pub struct NamingMessage {
    pub id: MessageId,
    /// It has no data. Then it is enough that its row has the pseudonym, since nobody is shown its users.
    pub is_deleted: bool,
    pub sender: Option<UserId>,
    pub recipient: Option<UserId>,
}

/// Messages of personal conversations after the place. The conversations are those from the place on. Returns the
/// place of the last one, too; `None` if there are no more.
pub async fn personal_messages(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    conversations: &[ConversationId],
    limit: i64,
) -> Result<Option<(Place, Vec<NamingMessage>)>> {
    let conversations: Vec<_> = conversations.iter().map(|id| id.get()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT c.id AS "conversation!", m.id AS "id?", m.number AS "number?", m.sender, m.recipient,
               m.deleted AS "deleted?"
        FROM (
            -- In order, the conversations after the last message that is returned are not looked at.
            SELECT id FROM unnest($2::bigint[]) AS lookup (id) ORDER BY id OFFSET 0
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
        &conversations,
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

/// Chats that name a user who has left them, beside their messages.
#[derive(Debug, Default)]
pub struct NamingChats {
    /// The user owns them. It is no member, so they are being imported.
    pub owned: Vec<ChatNumber>,
    /// The first and the last one of those that [`forget_in_chats`] changes.
    pub others: Option<(ChatNumber, ChatNumber)>,
}

/// The chats after the place, up to a number, that name the user.
pub async fn naming_chats(
    leader: &mut Leadership<Erasing>,
    running: &RunningErasure,
    last: i64,
) -> Result<NamingChats> {
    let rows = sqlx::query!(
        r#"
        SELECT chat_number AS "chat_number!", bool_or(is_owned) AS "is_owned!",
               bool_or(is_other) AS "is_other!"
        FROM (
            SELECT chat_number, owner IS NOT DISTINCT FROM $2 AS is_owned,
                   creator IS NOT DISTINCT FROM $2 AS is_other
            FROM conversations
            WHERE application_id = $1 AND chat_number > $3 AND chat_number <= $4
              AND (owner = $2 OR creator = $2)
            UNION ALL
            SELECT chat_number, FALSE, TRUE FROM chat_members
            WHERE application_id = $1 AND user_id = $2 AND chat_number > $3 AND chat_number <= $4
              AND departed IS NOT NULL
            UNION ALL
            SELECT chat_number, FALSE, TRUE FROM chat_bans
            WHERE application_id = $1 AND chat_number > $3 AND chat_number <= $4 AND user_id = $2
            UNION ALL
            SELECT chat_number, FALSE, TRUE FROM importing_members
            WHERE application_id = $1 AND chat_number > $3 AND chat_number <= $4 AND user_id = $2
            UNION ALL
            SELECT chat_number, FALSE, TRUE FROM pins
            WHERE application_id = $1 AND chat_number > $3 AND chat_number <= $4 AND pinned_by = $2
        ) AS naming
        GROUP BY chat_number
        ORDER BY chat_number
        "#,
        running.application.get(),
        running.erasure.user.as_str(),
        running.at.place,
        last,
    );
    let mut naming = NamingChats::default();
    for row in rows.fetch_all(leader.connection()).await? {
        let chat = ChatNumber::new(row.chat_number);
        naming.owned.extend(row.is_owned.then_some(chat));
        if row.is_other {
            let (first, _) = naming.others.unwrap_or((chat, chat));
            naming.others = Some((first, chat));
        }
    }
    Ok(naming)
}

/// Gives tombstones the pseudonym. Nobody is shown the users of a tombstone, so this is no change of it.
///
/// Returns whether the erasure is still at its place, without which nothing is done.
pub async fn rename_tombstones<'a>(
    lane: &mut Lane<'_>,
    running: &'a RunningErasure,
    tombstones: &'a [NamingMessage],
) -> Result<bool> {
    if !is_at_place(lane, running).await? {
        return Ok(false);
    }
    let name = |user: &'a Option<UserId>| user.as_ref().map(|user| running.erasure.name_of(user));
    let rows = tombstones.iter().map(|message| RenamedMessage {
        id: message.id,
        sender: name(&message.sender),
        recipient: name(&message.recipient),
    });
    messages::rename(lane, &rows.collect::<Vec<_>>()).await?;
    Ok(true)
}

/// Lets the chats from one to another one know the user no more: as their creator, as a member of the past or of what is being imported, as
/// banned, or as who has pinned a message. It must have left them.
///
/// What is kept between batches has nothing of this. Returns whether the erasure is still at its place, without
/// which nothing is done.
pub async fn forget_in_chats(
    lane: &mut Lane<'_>,
    running: &RunningErasure,
    (first, last): (ChatNumber, ChatNumber),
) -> Result<bool> {
    if !is_at_place(lane, running).await? {
        return Ok(false);
    }
    let application = lane.application().get();
    let erasure = &running.erasure;
    let (user, pseudonym) = (erasure.user.as_str(), erasure.pseudonym.as_str());
    let (first, last) = (first.get(), last.get());
    let connection = lane.connection();
    sqlx::query!(
        "UPDATE conversations SET creator = NULL, idempotency_key = NULL, request_digest = NULL
         WHERE application_id = $1 AND chat_number >= $3 AND chat_number <= $4 AND creator = $2",
        application,
        user,
        first,
        last,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM chat_members
         WHERE application_id = $1 AND user_id = $2 AND chat_number >= $3 AND chat_number <= $4
           AND departed IS NOT NULL",
        application,
        user,
        first,
        last,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM chat_bans
         WHERE application_id = $1 AND chat_number >= $3 AND chat_number <= $4 AND user_id = $2",
        application,
        user,
        first,
        last,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM importing_members
         WHERE application_id = $1 AND chat_number >= $3 AND chat_number <= $4 AND user_id = $2",
        application,
        user,
        first,
        last,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE pins SET pinned_by = $5
         WHERE application_id = $1 AND chat_number >= $3 AND chat_number <= $4 AND pinned_by = $2",
        application,
        user,
        first,
        last,
        pseudonym,
    )
    .execute(connection)
    .await?;
    Ok(true)
}

/// Whether the erasure is still at the place that its leader has read. To the end of the transaction, nobody moves
/// it on. A leader that was stopped for long may find that another one has gone on, and that the id has a new user.
async fn is_at_place(lane: &mut Lane<'_>, running: &RunningErasure) -> Result<bool> {
    let found = sqlx::query!(
        "SELECT step, place, place_within FROM erasures
         WHERE application_id = $1 AND user_digest = $2 AND pseudonym = $3 AND user_id IS NOT NULL
         FOR UPDATE",
        lane.application().get(),
        &running.erasure.digest.0[..],
        running.erasure.pseudonym.as_str(),
    );
    let found = found.fetch_optional(lane.connection()).await?;
    let place = found.map(|row| Place::stored(row.step, row.place, row.place_within));
    Ok(place == Some(running.at))
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
