//! The tables `reactions` and `reaction_counts`: who has reacted to which message with what.

use std::{borrow::Cow, collections::BTreeSet};

use sqlx::PgConnection;

use super::{
    Lane, Result,
    columns::{columns, text_array_literal},
};
use crate::domain::{
    ApplicationId, KeySummary, LISTED_USERS_MAX, MessageId, ReactionKey, ReactionNumber,
    ReactionSummary, Reactions, Timestamp, UserId,
};

/// A reaction by what names it: the message, the user, and the key.
pub type Reaction<'a> = (MessageId, &'a UserId, &'a ReactionKey);

/// A reaction, as it is listed.
pub struct ListedReaction {
    pub number: ReactionNumber,
    pub user: UserId,
    pub key: ReactionKey,
}

/// The counts of the reactions to messages; nothing where there never was one.
pub async fn load_counts(
    lane: &mut Lane<'_>,
    messages: &BTreeSet<MessageId>,
) -> Result<Vec<(MessageId, Reactions)>> {
    let messages: Vec<_> = messages.iter().map(|id| id.get()).collect();
    let rows = sqlx::query!(
        "SELECT counted.message_id, counted.last, counted.keys, counted.counts
         FROM unnest($2::bigint[]) AS lookup (message_id)
         CROSS JOIN LATERAL (
             -- The limit makes this a lookup by key, whatever the planner assumes about the table.
             SELECT * FROM reaction_counts AS found
             WHERE found.application_id = $1 AND found.message_id = lookup.message_id
             LIMIT 1
         ) AS counted",
        lane.application().get(),
        &messages,
    )
    .fetch_all(lane.connection())
    .await?;
    let counted = rows.into_iter().map(|row| {
        let keys = row.keys.iter().map(|key| ReactionKey::trusted(key));
        let reactions = Reactions {
            counts: keys.zip(row.counts).collect(),
            last: ReactionNumber::new(row.last),
        };
        (MessageId::new(row.message_id), reactions)
    });
    Ok(counted.collect())
}

/// The keys with which these users have reacted to these messages.
pub async fn load(
    lane: &mut Lane<'_>,
    lookup: &BTreeSet<(MessageId, &UserId)>,
) -> Result<Vec<(MessageId, UserId, ReactionKey)>> {
    columns!(for (message, user) in lookup => {
        messages: message.get(),
        users: user.as_str(),
    });
    let rows = sqlx::query!(
        "SELECT own.message_id, own.user_id, own.key
         FROM unnest($2::bigint[], $3::text[]) AS lookup (message_id, user_id)
         CROSS JOIN LATERAL (
             -- Not flattened, this is a lookup by key, whatever the planner assumes.
             SELECT * FROM reactions AS found
             WHERE found.application_id = $1 AND found.message_id = lookup.message_id
               AND found.user_id = lookup.user_id
             OFFSET 0
         ) AS own",
        lane.application().get(),
        &messages,
        &users as &[&str],
    )
    .fetch_all(lane.connection())
    .await?;
    let own = rows.into_iter().map(|row| {
        let (user, key) = (
            UserId::trusted(&row.user_id),
            ReactionKey::trusted(&row.key),
        );
        (MessageId::new(row.message_id), user, key)
    });
    Ok(own.collect())
}

pub async fn insert(lane: &mut Lane<'_>, added: &[(ReactionNumber, Reaction<'_>)]) -> Result<()> {
    columns!(for (number, (message, user, key)) in added => {
        messages: message.get(),
        numbers: number.get(),
        users: user.as_str(),
        keys: key.as_str(),
    });
    sqlx::query!(
        "INSERT INTO reactions (application_id, message_id, number, user_id, key)
         SELECT $1, new.* FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[]) AS new",
        lane.application().get(),
        &messages,
        &numbers,
        &users as &[&str],
        &keys as &[&str],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

pub async fn remove(lane: &mut Lane<'_>, removed: &[Reaction<'_>]) -> Result<()> {
    columns!(for (message, user, key) in removed => {
        messages: message.get(),
        users: user.as_str(),
        keys: key.as_str(),
    });
    sqlx::query!(
        "DELETE FROM reactions AS r
         USING unnest($2::bigint[], $3::text[], $4::text[]) AS removed (message_id, user_id, key)
         CROSS JOIN LATERAL (
             -- The limit makes this a lookup by key, whatever the planner assumes about the table.
             SELECT ctid AS place FROM reactions
             WHERE application_id = $1 AND message_id = removed.message_id
               AND user_id = removed.user_id AND key = removed.key
             LIMIT 1
         ) AS found
         WHERE r.application_id = $1 AND r.ctid = found.place",
        lane.application().get(),
        &messages,
        &users as &[&str],
        &keys as &[&str],
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// The reactions to a message, and when they have changed.
pub struct CountsRow<'a> {
    pub message: MessageId,
    pub timestamp: Timestamp,
    pub reactions: Cow<'a, Reactions>,
}

/// Stores how many reactions each of these messages has.
pub async fn set_counts(lane: &mut Lane<'_>, changed: &[CountsRow<'_>]) -> Result<()> {
    columns!(for row in changed => {
        messages: row.message.get(),
        timestamps: row.timestamp.get(),
        last: row.reactions.last.get(),
        keys: text_array_literal(row.reactions.counts.iter().map(|(key, _)| key.as_str())),
        counts: counts_literal(&row.reactions),
    });
    sqlx::query!(
        "INSERT INTO reaction_counts AS c (application_id, message_id, timestamp, last, keys, counts)
         SELECT $1, message_id, timestamp, last, keys::text[], counts::integer[]
         FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
             AS new (message_id, timestamp, last, keys, counts)
         ON CONFLICT (application_id, message_id) DO UPDATE
         SET timestamp = excluded.timestamp, last = excluded.last, keys = excluded.keys,
             counts = excluded.counts",
        lane.application().get(),
        &messages,
        &timestamps,
        &last,
        &keys,
        &counts,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

fn counts_literal(reactions: &Reactions) -> String {
    let counts = reactions.counts.iter().map(|(_, count)| count.to_string());
    format!("{{{}}}", counts.collect::<Vec<_>>().join(","))
}

/// Removes the reactions to deleted messages. Their rows are deleted later: there may be thousands.
pub async fn clear(lane: &mut Lane<'_>, deleted: &[MessageId]) -> Result<()> {
    let deleted: Vec<_> = deleted.iter().map(|id| id.get()).collect();
    sqlx::query!(
        "UPDATE reaction_counts AS c
         SET keys = '{}', counts = '{}', to_clear = TRUE
         FROM unnest($2::bigint[]) AS deleted (message_id)
         CROSS JOIN LATERAL (
             -- The limit makes this a lookup by key, whatever the planner assumes about the table.
             SELECT ctid AS place FROM reaction_counts
             WHERE application_id = $1 AND message_id = deleted.message_id
             LIMIT 1
         ) AS found
         WHERE c.application_id = $1 AND c.ctid = found.place",
        lane.application().get(),
        &deleted,
    )
    .execute(lane.connection())
    .await?;
    Ok(())
}

/// The reactions to those of the messages that the reader may read; nothing where there never was one.
/// `None` as a reader is the application itself, which reads all messages in chats.
pub async fn summaries(
    connection: &mut PgConnection,
    application: ApplicationId,
    reader: Option<&UserId>,
    messages: &[MessageId],
) -> Result<Vec<ReactionSummary>> {
    let messages: Vec<_> = messages.iter().map(|id| id.get()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT counted.message_id, counted.timestamp, counted.keys, counted.counts,
               ARRAY(
                   SELECT array_to_string(ARRAY(
                       SELECT user_id FROM reactions
                       WHERE application_id = $1 AND message_id = counted.message_id
                         AND key = listed.key
                       ORDER BY number LIMIT $4
                   ), ' ')
                   FROM unnest(counted.keys) WITH ORDINALITY AS listed (key, place)
                   ORDER BY place
               ) AS "users!: Vec<String>",
               ARRAY(
                   SELECT key FROM reactions
                   WHERE application_id = $1 AND message_id = counted.message_id AND user_id = $2
               ) AS "own!: Vec<String>"
        FROM unnest($3::bigint[]) AS lookup (message_id)
        CROSS JOIN LATERAL (
            -- The limits make these lookups by key, whatever the planner assumes about the tables.
            SELECT * FROM reaction_counts AS found
            WHERE found.application_id = $1 AND found.message_id = lookup.message_id
              AND NOT found.to_clear
            LIMIT 1
        ) AS counted
        CROSS JOIN LATERAL (
            SELECT sender, recipient, chat_number, number FROM messages AS found
            WHERE found.application_id = $1 AND found.id = lookup.message_id
              AND (found.import_key IS NULL OR (
                  SELECT c.importing IS NOT TRUE FROM conversations AS c
                  WHERE c.application_id = $1 AND c.id = found.conversation_id
                  LIMIT 1
              ))
              AND (found.id > (SELECT expired FROM applications WHERE id = $1) OR found.number >= (
                  SELECT c.first FROM conversations AS c
                  WHERE c.application_id = $1 AND c.id = found.conversation_id
                  LIMIT 1
              ))
            LIMIT 1
        ) AS message
        WHERE CASE
            WHEN message.chat_number IS NULL THEN $2 IN (message.sender, message.recipient)
            WHEN $2::text IS NULL THEN TRUE
            ELSE (
                SELECT m.reads_after < message.number FROM chat_members AS m
                WHERE m.application_id = $1 AND m.chat_number = message.chat_number
                  AND m.user_id = $2 AND m.departed IS NULL
                LIMIT 1
            )
        END
        "#,
        application.get(),
        reader.map(UserId::as_str),
        &messages,
        LISTED_USERS_MAX as i64,
    )
    .fetch_all(connection)
    .await?;
    let summaries = rows.into_iter().map(|row| {
        let counted = row.keys.into_iter().zip(row.counts).zip(row.users);
        let keys = counted.map(|((key, count), users)| KeySummary {
            users: listed_users(&users, reader.filter(|_| row.own.contains(&key))),
            key: ReactionKey::trusted(&key),
            count,
        });
        ReactionSummary {
            message: MessageId::new(row.message_id),
            timestamp: Timestamp::new(row.timestamp),
            keys: keys.collect(),
        }
    });
    Ok(summaries.collect())
}

/// Users out of a text with blanks between them. `own` is one of them, in place of the last one if there
/// is no more room.
fn listed_users(users: &str, own: Option<&UserId>) -> Vec<UserId> {
    let users = users.split(' ').filter(|user| !user.is_empty());
    let mut users: Vec<_> = users.map(UserId::trusted).collect();
    if let Some(own) = own.filter(|own| !users.contains(own)) {
        users.truncate(LISTED_USERS_MAX - 1);
        users.push(own.clone());
    }
    users
}

/// A page of the reactions to a message in the order in which they were added: all, or those with a key.
pub async fn list(
    connection: &mut PgConnection,
    application: ApplicationId,
    message: MessageId,
    key: Option<&ReactionKey>,
    after: ReactionNumber,
    limit: i64,
) -> Result<Vec<ListedReaction>> {
    struct Row {
        number: i64,
        user_id: String,
        key: String,
    }
    let rows = match key {
        None => {
            sqlx::query_as!(
                Row,
                "SELECT number, user_id, key FROM reactions
                 WHERE application_id = $1 AND message_id = $2 AND number > $3 AND number > 0
                 ORDER BY number LIMIT $4",
                application.get(),
                message.get(),
                after.get(),
                limit,
            )
            .fetch_all(connection)
            .await?
        }
        Some(key) => {
            sqlx::query_as!(
                Row,
                "SELECT number, user_id, key FROM reactions
                 WHERE application_id = $1 AND message_id = $2 AND key = $5 AND number > $3
                 ORDER BY number LIMIT $4",
                application.get(),
                message.get(),
                after.get(),
                limit,
                key.as_str(),
            )
            .fetch_all(connection)
            .await?
        }
    };
    let reactions = rows.into_iter().map(|row| ListedReaction {
        number: ReactionNumber::new(row.number),
        user: UserId::trusted(&row.user_id),
        key: ReactionKey::trusted(&row.key),
    });
    Ok(reactions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_is_listed_if_it_is_one_of_those_who_reacted() {
        let user = |id: &str| UserId::trusted(id);
        let listed = |users: &str, own: Option<&str>| {
            let own = own.map(user);
            listed_users(users, own.as_ref())
        };
        assert_eq!(listed("", None), []);
        assert_eq!(listed("b a", Some("a")), [user("b"), user("a")]);
        let many: Vec<_> = (0..LISTED_USERS_MAX).map(|n| format!("u{n}")).collect();
        let many = many.join(" ");
        let with_own = listed(&many, Some("me"));
        assert_eq!(with_own.len(), LISTED_USERS_MAX);
        assert_eq!(with_own.last(), Some(&user("me")));
        assert_eq!(listed(&many, None).last(), Some(&user("u19")));
    }
}
