//! The tables of search: `search_entries` is the index, and `search_pending` has the changes of
//! texts that are not in the index yet.

use std::{ops::Range, sync::Arc};

use sqlx::{Connection, PgConnection};

use super::{Indexing, Leadership, Result, columns, messages::MessageRow};
use crate::domain::{
    ApplicationId, ChatNumber, Conversation, Message, MessageId, SearchScope, UserId,
};

/// Where counting pending changes ends.
pub const PENDING_COUNT_MAX: i64 = 100_000;

/// The version of the form of the index's terms. The table accepts no other, so an indexer of an
/// older version of the service cannot write terms that searches of this one do not find.
const TERMS_VERSION: i16 = 2;

/// One query of the index and of all pending changes.
pub struct Search<'a> {
    pub application: ApplicationId,
    /// A literal of `tsquery`: what is looked up in the index.
    pub index: &'a str,
    /// A literal of `tsquery`: what each entry must match.
    pub entry: &'a str,
    pub ids: Range<i64>,
    pub scope: &'a SearchScope,
    /// The chats of a user who searches in everything.
    pub chats: &'a [ChatNumber],
    pub limit: i64,
}

impl Search<'_> {
    /// Which pending changes are searched: a user's personal messages, all of them or only those
    /// with another user, and the messages of these chats.
    fn readers(&self) -> (Option<&UserId>, Option<&UserId>, Vec<i64>) {
        match self.scope {
            SearchScope::Everything(user) => {
                let chats = self.chats.iter().map(|chat| chat.get());
                (Some(user), None, chats.collect())
            }
            SearchScope::In(Conversation::Personal(pair)) => {
                (Some(pair.least()), Some(pair.greatest()), Vec::new())
            }
            SearchScope::In(Conversation::Chat(chat)) => (None, None, vec![chat.get()]),
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
/// The index and the pending changes are read in one snapshot. The indexer moves a change in one
/// transaction, so from its commit on, every change is in one of them at least.
pub async fn candidates(connection: &mut PgConnection, search: Search<'_>) -> Result<Candidates> {
    let (user, with, chats) = search.readers();
    let rows = sqlx::query_file!(
        "src/store/search_candidates.sql",
        search.application.get(),
        search.index,
        search.entry,
        search.ids.start,
        search.ids.end,
        &chats,
        user.map(UserId::as_str),
        with.map(UserId::as_str),
        search.limit,
        REST_MAX as i64,
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

/// The id of the newest message of the service, and the chats of which a user is a member now.
pub async fn reach(
    connection: &mut PgConnection,
    application: ApplicationId,
    user: Option<&UserId>,
) -> Result<(MessageId, Vec<ChatNumber>)> {
    let reach = sqlx::query!(
        r#"
        SELECT (SELECT last_value FROM message_ids) AS "last!",
               ARRAY(
                   SELECT chat_number FROM chat_members
                   WHERE application_id = $1 AND user_id = $2 AND departed IS NULL
               ) AS "chats!"
        "#,
        application.get(),
        user.map(UserId::as_str),
    )
    .fetch_one(connection)
    .await?;
    Ok((
        MessageId::new(reach.last),
        reach.chats.into_iter().map(ChatNumber::new).collect(),
    ))
}

/// A message and its terms, a literal of `tsvector`. `None` if no search finds the message any
/// more.
pub type NewEntry = (ApplicationId, MessageId, Option<String>);

/// Moves up to `limit` pending changes into the index, in one transaction; returns how many.
/// `terms_of` returns the terms of a message's present state.
///
/// The messages are read after their pending rows are deleted, so no message is older than its row.
/// A change that is committed meanwhile has a pending row of its own, which stays.
pub async fn move_pending(
    leader: &mut Leadership<Indexing>,
    limit: i64,
    terms_of: impl Fn(ApplicationId, &Message) -> Option<String>,
) -> Result<usize> {
    let mut transaction = leader.connection().begin().await?;
    let mut pending = take_pending(&mut transaction, limit).await?;
    let count = pending.len();
    pending.sort_unstable();
    pending.dedup();
    let messages = super::messages::load(&mut transaction, pending.into_iter()).await?;
    let entry = |(application, message): &(ApplicationId, Arc<Message>)| {
        (*application, message.id, terms_of(*application, message))
    };
    let entries: Vec<NewEntry> = messages.iter().map(entry).collect();
    write(&mut transaction, &entries).await?;
    transaction.commit().await?;
    Ok(count)
}

async fn take_pending(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(ApplicationId, MessageId)>> {
    let taken = sqlx::query!(
        "DELETE FROM search_pending
         WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM search_pending ORDER BY application_id, message_id LIMIT $1
         ))
         RETURNING application_id, message_id",
        limit,
    )
    .map(|row| {
        (
            ApplicationId::new(row.application_id),
            MessageId::new(row.message_id),
        )
    })
    .fetch_all(connection)
    .await?;
    Ok(taken)
}

async fn write(connection: &mut PgConnection, entries: &[NewEntry]) -> Result<()> {
    let present = entries
        .iter()
        .filter_map(|(application, id, terms)| Some((application, id, terms.as_deref()?)));
    columns!(for (application, id, terms) in present => {
        applications: application.get(),
        ids: id.get(),
        vectors: terms,
    });
    sqlx::query!(
        "INSERT INTO search_entries (application_id, message_id, terms, terms_version)
         SELECT application_id, message_id, terms::tsvector, $4
         FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS new (application_id, message_id, terms)
         ON CONFLICT (application_id, message_id) DO UPDATE SET terms = excluded.terms",
        &applications,
        &ids,
        &vectors as &[&str],
        TERMS_VERSION,
    )
    .execute(&mut *connection)
    .await?;
    let gone = entries.iter().filter(|(_, _, terms)| terms.is_none());
    columns!(for (application, id, _) in gone => {
        applications: application.get(),
        ids: id.get(),
    });
    if !ids.is_empty() {
        sqlx::query!(
            "DELETE FROM search_entries AS e
             USING unnest($1::bigint[], $2::bigint[]) AS gone (application_id, message_id)
             WHERE e.application_id = gone.application_id AND e.message_id = gone.message_id",
            &applications,
            &ids,
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Frees the space of deleted pending rows. Without this, every search would skip them one by one.
pub async fn vacuum_pending(leader: &mut Leadership<Indexing>) -> Result<()> {
    sqlx::query!("VACUUM (TRUNCATE FALSE) search_pending")
        .execute(leader.connection())
        .await?;
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

/// Counts the pending changes, up to [`PENDING_COUNT_MAX`].
pub async fn count_pending(connection: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT FROM search_pending LIMIT $1) AS counted"#,
        PENDING_COUNT_MAX,
    );
    Ok(count.fetch_one(connection).await?)
}

/// Empties the index and makes every message pending; returns how many. The caller owns the
/// transaction, which must hold all of it.
///
/// The lock stops the indexer: it has moved a change before the lock, or moves it after the commit.
/// Searches wait only while the index is emptied, at the end.
pub async fn reset(connection: &mut PgConnection) -> Result<u64> {
    sqlx::query!("LOCK TABLE search_entries IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *connection)
        .await?;
    let pending = sqlx::query!(
        "INSERT INTO search_pending (application_id, message_id, sender, recipient, chat_number)
         SELECT application_id, id, sender, recipient, chat_number FROM messages WHERE text IS NOT NULL"
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("TRUNCATE search_entries")
        .execute(&mut *connection)
        .await?;
    Ok(pending.rows_affected())
}
