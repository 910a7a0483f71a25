//! The tables of search: `search_entries`, the index, and `search_pending`, the changes of texts that
//! it does not have yet.

use std::{ops::Range, sync::Arc};

use sqlx::{Connection, PgConnection};

use super::{Indexing, Leadership, Result, columns, messages::MessageRow};
use crate::domain::{
    ApplicationId, ChatNumber, Conversation, Message, MessageId, SearchScope, UserId,
};

/// Where counting what is pending ends.
pub const PENDING_COUNT_MAX: i64 = 100_000;

/// One look into the index and at everything pending.
pub struct Search<'a> {
    pub application: ApplicationId,
    /// Literals of `tsquery`: what is looked up, and what each entry must match.
    pub index: &'a str,
    pub entry: &'a str,
    pub ids: Range<i64>,
    pub scope: &'a SearchScope,
    /// The chats of a user who searches in everything.
    pub chats: &'a [ChatNumber],
    pub limit: i64,
}

impl Search<'_> {
    /// Whose pending changes count: those of the user's personal messages, all or those with the other
    /// one, and those of these chats.
    fn readers(&self) -> (Option<&UserId>, Option<&UserId>, Vec<i64>) {
        match self.scope {
            SearchScope::Everything(user) => {
                let chats = self.chats.iter().map(|chat| chat.0);
                (Some(user), None, chats.collect())
            }
            SearchScope::In(Conversation::Personal(pair)) => {
                (Some(pair.least()), Some(pair.greatest()), Vec::new())
            }
            SearchScope::In(Conversation::Chat(chat)) => (None, None, vec![chat.0]),
        }
    }
}

/// The most candidates of one look whose ids are given beyond those that are read at once.
pub const REST_MAX: usize = 10_000;

/// What may match, the newest first.
pub struct Candidates {
    /// The newest of them, as they are now.
    pub messages: Vec<Arc<Message>>,
    /// The ids of the next ones, up to [`REST_MAX`].
    pub rest: Vec<MessageId>,
    /// How many entries of the index were looked up.
    pub looked_up: usize,
}

/// Looks for messages that may match.
///
/// Index and pending changes are read in one snapshot: a change is in one of them at least, from its
/// commit on, since the indexer moves it in one transaction.
pub async fn candidates(connection: &mut PgConnection, search: Search<'_>) -> Result<Candidates> {
    let (user, with, chats) = search.readers();
    let rows = sqlx::query_file!(
        "src/store/search_candidates.sql",
        search.application.0,
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
        // Every row repeats them.
        if index == 0 {
            candidates.looked_up = usize::try_from(row.looked_up).expect("a count is not negative");
            candidates.rest = row.rest.into_iter().map(MessageId).collect();
        }
        if let Some(message) = row.message {
            candidates.messages.push(message.into_message()?);
        }
    }
    Ok(candidates)
}

/// The last id that was given to a message, and the chats of which a user is a member at present.
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
        application.0,
        user.map(UserId::as_str),
    )
    .fetch_one(connection)
    .await?;
    Ok((
        MessageId(reach.last),
        reach.chats.into_iter().map(ChatNumber).collect(),
    ))
}

/// A message and its terms, a literal of `tsvector`; `None` where nothing finds it any more.
pub type NewEntry = (ApplicationId, MessageId, Option<String>);

/// Moves up to `limit` pending changes into the index, in one transaction: `terms_of` says what the
/// present state of a message is to be found by. Gives their number.
///
/// The messages are read after the pending rows were deleted, and so as new as each of these or newer.
/// A change that is committed meanwhile has a row of its own, which stays.
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
    .map(|row| (ApplicationId(row.application_id), MessageId(row.message_id)))
    .fetch_all(connection)
    .await?;
    Ok(taken)
}

async fn write(connection: &mut PgConnection, entries: &[NewEntry]) -> Result<()> {
    let found = entries.iter().filter(|entry| entry.2.is_some());
    let (applications, ids) = columns(found.clone().map(|entry| (entry.0, entry.1)));
    let terms: Vec<_> = found.filter_map(|entry| entry.2.as_deref()).collect();
    sqlx::query!(
        "INSERT INTO search_entries (application_id, message_id, terms, terms_version)
         SELECT application_id, message_id, terms::tsvector, 2
         FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS new (application_id, message_id, terms)
         ON CONFLICT (application_id, message_id) DO UPDATE SET terms = excluded.terms",
        &applications,
        &ids,
        &terms as &[&str],
    )
    .execute(&mut *connection)
    .await?;
    let gone = entries.iter().filter(|entry| entry.2.is_none());
    let (applications, ids) = columns(gone.map(|entry| (entry.0, entry.1)));
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

/// Frees the room of deleted pending rows, which every search would pass over, for new ones.
pub async fn vacuum_pending(leader: &mut Leadership<Indexing>) -> Result<()> {
    sqlx::query!("VACUUM (TRUNCATE FALSE) search_pending")
        .execute(leader.connection())
        .await?;
    Ok(())
}

/// Merges the entries that were added last into the order of the index, where they are found faster.
pub async fn merge(leader: &mut Leadership<Indexing>) -> Result<()> {
    let merging =
        sqlx::query_scalar!(r#"SELECT gin_clean_pending_list('search_terms') AS "pages!""#);
    merging.fetch_one(leader.connection()).await?;
    Ok(())
}

/// Counts what is pending, up to [`PENDING_COUNT_MAX`].
pub async fn count_pending(connection: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT FROM search_pending LIMIT $1) AS counted"#,
        PENDING_COUNT_MAX,
    );
    Ok(count.fetch_one(connection).await?)
}

/// Drops the whole index and makes every message pending. Gives their number.
///
/// The lock keeps the indexer out, which has either moved a change before it or moves it after the
/// commit; searches are kept out only while the index is emptied, at the end.
pub async fn reset(connection: &mut PgConnection) -> Result<u64> {
    let mut transaction = connection.begin().await?;
    sqlx::query!("LOCK TABLE search_entries IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    let pending = sqlx::query!(
        "INSERT INTO search_pending (application_id, message_id, sender, recipient, chat_number)
         SELECT application_id, id, sender, recipient, chat_number FROM messages WHERE text IS NOT NULL"
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("TRUNCATE search_entries")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(pending.rows_affected())
}
