//! The index of search: the table `search_entries`. It may be behind the timeline, which has the
//! changes of messages that are not in it yet.

use std::{collections::HashSet, ops::Range, sync::Arc};

use sqlx::{Connection, PgConnection};

use super::{
    Indexing, Leadership, Result, columns, followers,
    leadership::Duty,
    messages::MessageRow,
    notify::{self, UPDATES_CHANNEL},
};
use crate::domain::{
    ApplicationId, ChatNumber, Conversation, Message, MessageId, MessageNumber, SearchScope,
    Timestamp, UserId,
};

/// The version of the form of the index's terms. The table accepts no other, so an indexer of an
/// older version of the service cannot write terms that searches of this one do not find.
const TERMS_VERSION: i16 = 3;

/// One query of the index, and of the changes that are not in it yet.
pub struct Search<'a> {
    pub application: ApplicationId,
    /// A literal of `tsquery`: what is looked up in the index.
    pub index: &'a str,
    /// A literal of `tsquery`: what each entry must match.
    pub entry: &'a str,
    pub ids: Range<i64>,
    pub scope: &'a SearchScope,
    pub limit: i64,
}

impl Search<'_> {
    /// The user who searches in everything.
    fn user(&self) -> Option<&UserId> {
        match self.scope {
            SearchScope::Everything(user) => Some(user),
            SearchScope::In(..) => None,
        }
    }

    /// The conversation in which it searches.
    fn conversation(&self) -> Option<&Conversation> {
        match self.scope {
            SearchScope::Everything(_) => None,
            SearchScope::In(conversation, _) => Some(conversation),
        }
    }
}

/// The most ids of candidates that one query returns, besides the candidates whose messages it
/// returns.
pub const REST_MAX: usize = 10_000;

/// Messages that may match, the newest first.
pub struct Candidates {
    /// The newest candidates, as they are now.
    pub messages: Vec<Arc<Message>>,
    /// The ids of the next candidates, up to [`REST_MAX`].
    pub rest: Vec<MessageId>,
    /// How many entries of the index were looked up.
    pub looked_up: usize,
}

/// Finds messages that may match.
///
/// The index, the cursor of its follower and the changes after it are read in one snapshot. The
/// follower writes entries and moves its cursor in one transaction. So from its commit on, every
/// change is in the index or after the cursor.
pub async fn candidates(connection: &mut PgConnection, search: Search<'_>) -> Result<Candidates> {
    let (chat, pair) = (
        search.conversation().and_then(Conversation::chat),
        search.conversation().and_then(Conversation::pair),
    );
    let rows = sqlx::query_file!(
        "src/store/search_candidates.sql",
        search.application.get(),
        search.index,
        search.entry,
        search.ids.start,
        search.ids.end,
        search.user().map(UserId::as_str),
        chat.map(ChatNumber::get),
        pair.map(|pair| pair.least().as_str()),
        pair.map(|pair| pair.greatest().as_str()),
        search.limit,
        REST_MAX as i64,
        Indexing::NAME,
    )
    .fetch_all(connection)
    .await?;
    let mut candidates = Candidates {
        messages: Vec::with_capacity(rows.len()),
        rest: Vec::new(),
        looked_up: 0,
    };
    for (index, row) in rows.into_iter().enumerate() {
        // Every row repeats these values.
        if index == 0 {
            candidates.looked_up = usize::try_from(row.looked_up).expect("a count is not negative");
            candidates.rest = row.rest.into_iter().map(MessageId::new).collect();
        }
        if let Some(message) = row.message {
            candidates.messages.push(message.into_message()?);
        }
    }
    Ok(candidates)
}

/// The id of the application's newest message, and the chats of which a user is a member now, each with
/// the number after which the user reads its messages.
pub async fn reach(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: Option<&UserId>,
) -> Result<(MessageId, Vec<(ChatNumber, MessageNumber)>)> {
    let reach = sqlx::query!(
        r#"
        SELECT coalesce((
                   SELECT id FROM messages WHERE application_id = $1 ORDER BY id DESC LIMIT 1
               ), 0) AS "last!",
               chats.numbers AS "chats!", chats.reads_after AS "reads_after!"
        FROM (
            SELECT coalesce(array_agg(chat_number), '{}') AS numbers,
                   coalesce(array_agg(reads_after), '{}') AS reads_after
            FROM chat_members
            WHERE application_id = $1 AND user_id = $2 AND departed IS NULL
        ) AS chats
        "#,
        application.get(),
        user.map(UserId::as_str),
    )
    .fetch_one(connection)
    .await?;
    let chats = reach.chats.into_iter().map(ChatNumber::new);
    let chats = chats.zip(reach.reads_after.into_iter().map(MessageNumber::new));
    Ok((MessageId::new(reach.last), chats.collect()))
}

/// A message and its terms, a literal of `tsvector`. `None` if no search finds the message any
/// more.
type NewEntry = (MessageId, Option<String>);

/// Indexes the messages of up to `limit` changes after the follower's cursor, and moves the cursor,
/// in one transaction; returns how many changes there were. `terms_of` returns the terms of a
/// message's present state. Messages that have expired have no entries.
///
/// The messages are read after the changes, so none is older than its change. A change that is
/// committed meanwhile is after the cursor.
pub async fn index(
    leader: &mut Leadership<Indexing>,
    application: ApplicationId,
    limit: i64,
    terms_of: impl Fn(ApplicationId, &Message) -> Option<String>,
) -> Result<usize> {
    let mut transaction = leader.connection().begin().await?;
    let from = followers::read_cursor(&mut transaction, application, Indexing::NAME).await?;
    let changes = changes_after(&mut transaction, application, from, limit).await?;
    let Some((last, _)) = changes.last() else {
        transaction.rollback().await?;
        return Ok(0);
    };
    let mut ids: Vec<_> = changes.iter().filter_map(|(_, message)| *message).collect();
    ids.sort_unstable();
    ids.dedup();
    let messages = super::messages::load_kept(&mut transaction, application, &ids).await?;
    let entry = |message: &Arc<Message>| (message.id, terms_of(application, message));
    let mut entries: Vec<NewEntry> = messages.iter().map(entry).collect();
    let kept: HashSet<_> = messages.iter().map(|message| message.id).collect();
    let expired = ids.iter().filter(|id| !kept.contains(id));
    entries.extend(expired.map(|id| (*id, None)));
    write(&mut transaction, application, &entries).await?;
    let name = Indexing::NAME;
    if followers::write_cursor(&mut transaction, application, name, from, *last).await? {
        transaction.commit().await?;
        Ok(changes.len())
    } else {
        // The index is being built anew.
        transaction.rollback().await?;
        Ok(0)
    }
}

/// The changes of an application after one timestamp, each with its message if it has one.
async fn changes_after(
    connection: &mut PgConnection,
    application: ApplicationId,
    after: Timestamp,
    limit: i64,
) -> Result<Vec<(Timestamp, Option<MessageId>)>> {
    let changes = sqlx::query!(
        "SELECT timestamp, CASE WHEN kind <> 'reactions-changed' THEN message_id END AS message_id
         FROM changes
         WHERE application_id = $1 AND timestamp > $2
         ORDER BY timestamp
         LIMIT $3",
        application.get(),
        after.get(),
        limit,
    )
    .map(|row| {
        (
            Timestamp::new(row.timestamp),
            row.message_id.map(MessageId::new),
        )
    })
    .fetch_all(connection)
    .await?;
    Ok(changes)
}

async fn write(
    connection: &mut PgConnection,
    application: ApplicationId,
    entries: &[NewEntry],
) -> Result<()> {
    let present = entries
        .iter()
        .filter_map(|(id, terms)| Some((id, terms.as_deref()?)));
    columns!(for (id, terms) in present => {
        ids: id.get(),
        vectors: terms,
    });
    if !ids.is_empty() {
        sqlx::query!(
            "INSERT INTO search_entries (application_id, message_id, terms, terms_version)
             SELECT $1, message_id, terms::tsvector, $4
             FROM unnest($2::bigint[], $3::text[]) AS new (message_id, terms)
             ON CONFLICT (application_id, message_id) WHERE terms_version > 0
             DO UPDATE SET terms = excluded.terms",
            application.get(),
            &ids,
            &vectors as &[&str],
            TERMS_VERSION,
        )
        .execute(&mut *connection)
        .await?;
    }
    let gone = entries.iter().filter(|(_, terms)| terms.is_none());
    let gone: Vec<_> = gone.map(|(id, _)| id.get()).collect();
    if !gone.is_empty() {
        sqlx::query!(
            "DELETE FROM search_entries AS e
             USING unnest($2::bigint[]) AS gone (message_id)
             CROSS JOIN LATERAL (
                 -- The limit makes this a lookup by key, whatever the planner assumes.
                 SELECT ctid AS place FROM search_entries
                 WHERE application_id = $1 AND message_id = gone.message_id AND terms_version > 0
                 LIMIT 1
             ) AS found
             WHERE e.application_id = $1 AND e.ctid = found.place",
            application.get(),
            &gone,
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Merges the entries that were added last into the main part of the index, where lookups are
/// faster.
pub async fn merge(leader: &mut Leadership<Indexing>) -> Result<()> {
    let merging =
        sqlx::query_scalar!(r#"SELECT gin_clean_pending_list('search_terms') AS "pages!""#);
    merging.fetch_one(leader.connection()).await?;
    Ok(())
}

/// Empties the index, and has its follower begin anew; returns the number of messages to index.
/// The caller owns the transaction, which must hold all of it.
///
/// The lock stops the follower: it has written entries before the lock, or finds its cursor moved.
/// Searches wait only while the index is emptied, at the end.
pub async fn reset(connection: &mut PgConnection) -> Result<i64> {
    sqlx::query!("LOCK TABLE search_entries IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *connection)
        .await?;
    let messages =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM messages WHERE NOT deleted"#)
            .fetch_one(&mut *connection)
            .await?;
    followers::begin_anew(connection, Indexing::NAME).await?;
    sqlx::query!("TRUNCATE search_entries")
        .execute(&mut *connection)
        .await?;
    // The follower looks at all applications.
    notify::send(connection, UPDATES_CHANNEL, "").await?;
    Ok(messages)
}
