//! Pages of the timeline: what a sync reads, for many callers in one statement.

use std::{collections::HashMap, sync::Arc};

use sqlx::PgConnection;

use super::{Result, messages::MessageRow};
use crate::domain::{
    ApplicationId, ChatNumber, Cursor, MessageId, Subject, Timestamp, Update, UserId, Version,
};

/// What every entry has beside a message's data counts this much, in bytes of JSON (as in
/// `pages_with_messages.sql`).
pub const ENTRY_BYTES: usize = 200;

/// A page of the timeline, as one caller asks for it.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub application: ApplicationId,
    pub user: UserId,
    pub cursor: Cursor,
    pub size: PageSize,
}

/// Where a page ends at the latest.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    pub entries: u16,
    /// The data of a page that is asked for with data, in bytes of JSON. The entry that passes it
    /// is still part of the page, so a page always goes on.
    pub bytes: i64,
}

/// A page of the timeline, read in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// The newest committed timestamp that concerns the user; zero where there is none.
    pub latest: Timestamp,
    /// Where the sequence stands: no timestamp that anybody has seen is larger.
    pub last_given: Timestamp,
}

/// An entry of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub update: Update,
    /// The message as it is now: at its newest entry of a page that was asked for with data, if the user
    /// may still read it.
    pub message: Option<Arc<Version>>,
}

/// The requests as parallel arrays.
struct Columns<'a> {
    applications: Vec<i64>,
    users: Vec<&'a str>,
    after: Vec<Option<i64>>,
    entries: Vec<i64>,
    bytes: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(requests: &'a [&PageRequest]) -> Self {
        let requests = requests.iter();
        Self {
            applications: requests
                .clone()
                .map(|request| request.application.0)
                .collect(),
            users: requests
                .clone()
                .map(|request| request.user.as_str())
                .collect(),
            after: requests
                .clone()
                .map(|request| Some(request.cursor.timestamp()?.0))
                .collect(),
            entries: requests
                .clone()
                .map(|request| request.size.entries.into())
                .collect(),
            bytes: requests.map(|request| request.size.bytes).collect(),
        }
    }
}

/// Reads a page for each of many callers, in their order, in one statement and one snapshot.
///
/// The newest entry of each user comes first; a user who is up to date costs that one look.
pub async fn read(connection: &mut PgConnection, requests: &[&PageRequest]) -> Result<Vec<Page>> {
    let columns = Columns::of(requests);
    let rows = sqlx::query!(
        r#"
        SELECT request.ordinal        AS "ordinal!",
               newest.timestamp     AS "latest?",
               CASE WHEN timeline.is_called THEN timeline.last_value ELSE 0 END AS "last_given!",
               page.timestamps      AS "timestamps?",
               page.messages        AS "messages?: Vec<Option<i64>>",
               page.chats           AS "chats?: Vec<Option<i64>>"
        FROM timeline
        CROSS JOIN unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
            WITH ORDINALITY AS request (application_id, user_id, after, entries_max, ordinal)
        LEFT JOIN LATERAL (
            SELECT u.timestamp
            FROM updates AS u
            WHERE u.application_id = request.application_id AND u.user_id = request.user_id
            ORDER BY u.timestamp DESC
            LIMIT 1
        ) AS newest ON TRUE
        LEFT JOIN LATERAL (
            -- One row with all entries costs far less than a row for each.
            SELECT array_agg(entry.timestamp) AS timestamps, array_agg(entry.message_id) AS messages,
                   array_agg(entry.chat_number) AS chats
            FROM (
                SELECT u.timestamp, u.message_id, u.chat_number
                FROM updates AS u
                WHERE u.application_id = request.application_id AND u.user_id = request.user_id
                  AND u.timestamp > request.after
                  AND newest.timestamp > request.after
                ORDER BY u.timestamp
                LIMIT request.entries_max
            ) AS entry
        ) AS page ON TRUE
        "#,
        &columns.applications,
        &columns.users as &[&str],
        &columns.after as &[Option<i64>],
        &columns.entries,
    )
    .fetch_all(connection)
    .await?;
    let mut pages = PageBuilder::new(requests.len());
    for row in rows {
        let page = pages.at(row.ordinal, row.latest, row.last_given);
        let messages = row.messages.into_iter().flatten();
        let subjects = messages.zip(row.chats.into_iter().flatten());
        let entries = row.timestamps.into_iter().flatten().zip(subjects);
        page.entries = entries
            .filter_map(|(timestamp, (message, chat))| {
                let update = update(timestamp, message, chat)?;
                Some(Entry {
                    update,
                    message: None,
                })
            })
            .collect();
    }
    Ok(pages.finish())
}

/// As [`read`], with the present data of every message.
///
/// A message that is listed more than once is read and counted once, at its first entry: so it is
/// on the page wherever the page ends. It is handed over with its newest entry of the page.
pub async fn read_with_messages(
    connection: &mut PgConnection,
    requests: &[&PageRequest],
) -> Result<Vec<Page>> {
    let columns = Columns::of(requests);
    let rows = sqlx::query_file!(
        "src/store/pages_with_messages.sql",
        &columns.applications,
        &columns.users as &[&str],
        &columns.after as &[Option<i64>],
        &columns.entries,
        &columns.bytes,
    )
    .fetch_all(connection)
    .await?;
    let mut pages = PageBuilder::new(requests.len());
    for row in rows {
        let page = pages.at(row.ordinal, row.latest, row.last_given);
        let Some(timestamp) = row.update_timestamp else {
            // A page without entries has one row all the same.
            continue;
        };
        let message = row.message.map(MessageRow::into_message).transpose()?;
        let message = message.map(|message| Arc::new(Version::from(message)));
        let entry = update(timestamp, row.message_id, row.chat);
        page.entries
            .extend(entry.map(|update| Entry { update, message }));
    }
    let mut pages = pages.finish();
    pages.iter_mut().for_each(Page::hand_over_with_newest);
    Ok(pages)
}

/// A row of the table `updates`; it names a message or a chat.
fn update(timestamp: i64, message: Option<i64>, chat: Option<i64>) -> Option<Update> {
    let subject = match message {
        Some(id) => Subject::Message(MessageId(id)),
        None => Subject::Chat(ChatNumber(chat?)),
    };
    let timestamp = Timestamp(timestamp);
    Some(Update { timestamp, subject })
}

impl Page {
    /// Whether no change that concerns the user comes after it.
    pub fn reaches_end(&self) -> bool {
        let last = self.entries.last();
        last.is_none_or(|last| last.update.timestamp >= self.latest)
    }

    /// Moves each message from its first entry to its newest.
    fn hand_over_with_newest(&mut self) {
        let mut first: HashMap<Subject, Arc<Version>> = HashMap::new();
        for entry in &mut self.entries {
            let subject = entry.update.subject;
            first.extend(entry.message.take().map(|message| (subject, message)));
        }
        for entry in self.entries.iter_mut().rev() {
            entry.message = first.remove(&entry.update.subject);
        }
    }
}

/// Gathers rows into pages by the ordinal of their request.
struct PageBuilder(Vec<Page>);

impl PageBuilder {
    fn new(count: usize) -> Self {
        let empty = Page {
            entries: Vec::new(),
            latest: Timestamp(0),
            last_given: Timestamp(0),
        };
        Self(vec![empty; count])
    }

    fn at(&mut self, ordinal: i64, latest: Option<i64>, last_given: i64) -> &mut Page {
        let index = usize::try_from(ordinal - 1).expect("ordinals count the requests from 1");
        let page = &mut self.0[index];
        page.latest = Timestamp(latest.unwrap_or(0));
        page.last_given = Timestamp(last_given);
        page
    }

    fn finish(self) -> Vec<Page> {
        self.0
    }
}
