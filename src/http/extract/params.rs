//! Parameters of the path and of the query.

use std::time::Duration;

use axum::http::HeaderMap;
use serde::Deserialize;

use super::checks::{FromHeaders, FromPath, FromQuery};
use crate::{
    domain::{ApplicationId, ChatNumber, Cursor, MessageId, MessageNumber, Timestamp, UserId},
    http::answer::problem::{FieldError, Problem},
    store::history::Span,
};

/// The most items of a page of a list.
pub const LIST_LIMIT_MAX: i64 = 100;

/// The most entries of a page of the timeline.
pub const LIMIT_MAX: i64 = 1000;

/// The entries of a page if the caller sets no `limit`.
pub const LIMIT_DEFAULT: i64 = 50;

/// The most things that a query may name one by one.
const IDS_MAX: usize = 100;

/// The longest wait that a caller may request, in seconds; the answer may come sooner.
pub const WAIT_SECONDS_MAX: i64 = 60;

// A path that cannot name anything is 404, like one whose object does not exist.

impl FromPath for MessageId {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        Self::parse(segment("id")).ok_or_else(Problem::not_found)
    }
}

impl FromPath for ChatNumber {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        positive(segment("number")).map(Self::new)
    }
}

impl FromPath for MessageNumber {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        positive(segment("n")).map(Self::new)
    }
}

impl FromPath for ApplicationId {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        positive(segment("id")).map(Self::new)
    }
}

impl FromPath for UserId {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        Self::parse(segment("user"))
            .map_err(|invalid| Problem::invalid_field("user", invalid.to_string()))
    }
}

/// A positive number of digits alone.
fn positive(segment: &str) -> Result<i64, Problem> {
    let number = Timestamp::parse(segment).map(|number| number.get());
    number
        .filter(|number| *number > 0)
        .ok_or_else(Problem::not_found)
}

/// The query of a list before it is parsed.
#[derive(Deserialize)]
pub struct ListQuery {
    before: Option<String>,
    after: Option<String>,
    limit: Option<String>,
}

/// What `after` of a list can be.
pub trait Position: Sized {
    fn parse(value: String) -> Option<Self>;
}

impl Position for i64 {
    fn parse(value: String) -> Option<Self> {
        Timestamp::parse(&value).map(|number| number.get())
    }
}

impl Position for UserId {
    fn parse(value: String) -> Option<Self> {
        Self::parse(&value).ok()
    }
}

/// Which page of a list.
pub struct ListParams<P> {
    pub after: Option<P>,
    pub limit: i64,
}

impl<P: Position> FromQuery for ListParams<P> {
    type Params = ListQuery;

    fn from_query(params: ListQuery) -> Result<Self, Problem> {
        let after = params
            .after
            .map(|after| P::parse(after).ok_or_else(malformed_after));
        Ok(Self {
            after: after.transpose()?,
            limit: list_limit(params.limit.as_deref())?,
        })
    }
}

/// Which page of a conversation.
pub struct HistoryParams {
    pub span: Span,
    pub limit: i64,
}

impl FromQuery for HistoryParams {
    type Params = ListQuery;

    fn from_query(params: ListQuery) -> Result<Self, Problem> {
        let ListQuery {
            before,
            after,
            limit,
        } = params;
        let (before, after) = (number("before", before)?, number("after", after)?);
        let limit = list_limit(limit.as_deref())?;
        let span = match (before, after) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid_field(
                    "after",
                    "must not be given together with before",
                ));
            }
            (Some(before), None) => Span::Before(MessageNumber::new(before)),
            (None, Some(after)) => Span::After(MessageNumber::new(after)),
            (None, None) => Span::NEWEST,
        };
        Ok(Self { span, limit })
    }
}

fn malformed_after() -> Problem {
    Problem::malformed("after must be the `next` of the previous page")
}

/// A number, written in digits alone, if the parameter is present.
pub fn number(name: &str, value: Option<String>) -> Result<Option<i64>, Problem> {
    value
        .map(|value| i64::parse(value).ok_or_else(|| malformed_number(name)))
        .transpose()
}

/// The limit of a page of a list.
pub fn list_limit(value: Option<&str>) -> Result<i64, Problem> {
    let limit = whole_number("limit", value)?.unwrap_or(LIMIT_DEFAULT);
    let fits = (1..=LIST_LIMIT_MAX).contains(&limit);
    fits.then_some(limit)
        .ok_or_else(|| Problem::invalid_field("limit", "must be 1 to 100"))
}

/// Where a sync begins, and what it answers with.
#[derive(Debug, PartialEq, Eq)]
pub struct SyncParams {
    pub cursor: Cursor,
    pub limit: u16,
    pub include: Include,
    /// How long the answer may be held until there is something.
    pub wait: Duration,
}

/// What a sync answers with beside the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Include {
    pub messages: bool,
    pub conversations: bool,
}

impl Include {
    /// `None` if a name is none of these.
    fn parse(names: &str) -> Option<Self> {
        let mut include = Self::default();
        for name in names.split(',') {
            match name {
                "message" => include.messages = true,
                "conversation" => include.conversations = true,
                _ => return None,
            }
        }
        Some(include)
    }
}

/// The query of `GET /messages`: messages by their ids, or a sync.
#[derive(Debug, PartialEq, Eq)]
pub enum MessagesParams {
    Ids(Vec<MessageId>),
    Sync(SyncParams),
}

impl FromQuery for MessagesParams {
    type Params = SyncQuery;

    fn from_query(mut params: SyncQuery) -> Result<Self, Problem> {
        match params.ids.take() {
            Some(ids) => parse_ids(&ids).map(Self::Ids),
            None => SyncParams::from_query(params).map(Self::Sync),
        }
    }
}

fn parse_ids(ids: &str) -> Result<Vec<MessageId>, Problem> {
    let ids = ids.split(',').map(|id| {
        MessageId::parse(id)
            .ok_or_else(|| Problem::malformed("ids must be ids of messages, separated by commas"))
    });
    let ids: Vec<_> = ids.collect::<Result<_, _>>()?;
    if ids.len() > IDS_MAX {
        return Err(Problem::invalid_field("ids", "must be at most 100"));
    }
    Ok(ids)
}

/// Which page of the conversations.
#[derive(Debug, PartialEq, Eq)]
pub struct ConversationsParams {
    pub before: Timestamp,
    pub limit: i64,
    pub archived: bool,
}

/// The query of the list of conversations before it is parsed.
#[derive(Deserialize)]
pub struct ConversationsQuery {
    before: Option<String>,
    limit: Option<String>,
    archived: Option<String>,
}

impl FromQuery for ConversationsParams {
    type Params = ConversationsQuery;

    fn from_query(params: ConversationsQuery) -> Result<Self, Problem> {
        let before = number("before", params.before)?.unwrap_or(i64::MAX);
        let archived = match params.archived.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::malformed("archived must be true or false")),
        };
        Ok(Self {
            before: Timestamp::new(before),
            limit: list_limit(params.limit.as_deref())?,
            archived,
        })
    }
}

/// The users whose unread messages are counted, in the order in which they are named.
pub struct UnreadParams(pub Vec<UserId>);

/// The query of the counts before it is parsed.
#[derive(Deserialize)]
pub struct UnreadQuery {
    users: Option<String>,
}

impl FromQuery for UnreadParams {
    type Params = UnreadQuery;

    fn from_query(params: UnreadQuery) -> Result<Self, Problem> {
        let invalid = |detail: &str| Problem::invalid_field("users", detail.to_owned());
        let users = params.users.ok_or_else(|| invalid("is required"))?;
        let users = users.split(',').map(UserId::parse);
        let users: Vec<_> = users
            .collect::<Result<_, _>>()
            .map_err(|error| invalid(error.0))?;
        if users.len() > IDS_MAX {
            return Err(invalid("must be at most 100"));
        }
        Ok(Self(users))
    }
}

/// The query of a sync before it is parsed.
#[derive(Deserialize)]
pub struct SyncQuery {
    after: Option<String>,
    limit: Option<String>,
    include: Option<String>,
    wait: Option<String>,
    ids: Option<String>,
}

impl FromQuery for SyncParams {
    type Params = SyncQuery;

    /// Fails with 400 if a parameter cannot be parsed, and then with 422 for values that are not
    /// acceptable.
    fn from_query(params: SyncQuery) -> Result<Self, Problem> {
        let cursor = match params.after.as_deref() {
            None => Cursor::After(Timestamp::new(0)),
            Some("latest") => Cursor::Latest,
            Some(after) => Cursor::After(Timestamp::parse(after).ok_or_else(|| {
                Problem::malformed("after must be a timestamp (digits only, 64 bits) or latest")
            })?),
        };
        let limit = whole_number("limit", params.limit.as_deref())?.unwrap_or(LIMIT_DEFAULT);
        let wait = whole_number("wait", params.wait.as_deref())?.unwrap_or(0);
        let mut errors = Vec::new();
        let mut require = |holds: bool, field: &str, detail: &str| {
            if !holds {
                errors.push(FieldError::new(field, detail));
            }
        };
        require(
            (1..=LIMIT_MAX).contains(&limit),
            "limit",
            "must be 1 to 1000",
        );
        require(
            (0..=WAIT_SECONDS_MAX).contains(&wait),
            "wait",
            "must be 0 to 60",
        );
        let include = match params.include.as_deref() {
            None => Some(Include::default()),
            Some(names) => Include::parse(names),
        };
        require(
            include.is_some(),
            "include",
            "must be message or conversation, or both, separated by a comma",
        );
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(SyncParams {
            cursor,
            limit: u16::try_from(limit).expect("the limit was checked"),
            include: include.unwrap_or_default(),
            wait: Duration::from_secs(wait.unsigned_abs()),
        })
    }
}

fn whole_number(name: &str, value: Option<&str>) -> Result<Option<i64>, Problem> {
    let parse = |value: &str| value.parse().ok().filter(|_| !value.starts_with('+'));
    value
        .map(|value| parse(value).ok_or_else(|| malformed_number(name)))
        .transpose()
}

fn malformed_number(name: &str) -> Problem {
    Problem::malformed(format!("{name} must be a whole number"))
}

/// Where a client resumes a broken stream. `None` if the header is absent or empty: the stream is
/// new.
pub struct LastEventId(pub Option<Timestamp>);

impl FromHeaders for LastEventId {
    fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut lines = headers.get_all("last-event-id").iter();
        let id = match (lines.next(), lines.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(id), None) if id.is_empty() => return Ok(Self(None)),
            (Some(id), None) => id.to_str().ok().and_then(Timestamp::parse),
            (Some(_), Some(_)) => None,
        };
        id.map(|id| Self(Some(id))).ok_or_else(|| {
            Problem::malformed("Last-Event-ID must be the id of an event of a stream")
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::{extract::Query, http::StatusCode};

    use super::*;

    fn params(query: &str) -> Result<SyncParams, StatusCode> {
        let uri = format!("/messages?{query}").parse().unwrap();
        let Query(params) = Query::try_from_uri(&uri).map_err(|_| StatusCode::BAD_REQUEST)?;
        SyncParams::from_query(params).map_err(|problem| problem.status())
    }

    #[test]
    fn a_sync_begins_at_zero_with_pages_of_fifty() {
        let cursor = Cursor::After(Timestamp::new(0));
        let expected = SyncParams {
            cursor,
            limit: 50,
            include: Include::default(),
            wait: Duration::ZERO,
        };
        assert_eq!(params(""), Ok(expected));
        let wait = Duration::from_secs(60);
        let expected = SyncParams {
            cursor: Cursor::Latest,
            limit: 1000,
            include: Include {
                messages: true,
                conversations: true,
            },
            wait,
        };
        let query = "after=latest&limit=1000&include=message,conversation&wait=60&other=1";
        assert_eq!(params(query), Ok(expected));
    }

    #[test]
    fn what_cannot_be_read_is_malformed() {
        for query in [
            "after=-1",
            "after=1.5",
            "after=+1",
            "after=",
            "after=9223372036854775808",
            "after=now",
            "limit=ten",
            "limit=",
            "wait=long",
            "wait=1.5",
            "wait=%2B5",
            "after=1&after=2",
        ] {
            assert_eq!(params(query), Err(StatusCode::BAD_REQUEST), "{query}");
        }
    }

    #[test]
    fn what_can_be_read_may_still_be_unacceptable() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "include=text",
            "include=",
            "include=message,",
            "include=message;conversation",
            "wait=61",
            "wait=-1",
        ] {
            assert_eq!(
                params(query),
                Err(StatusCode::UNPROCESSABLE_ENTITY),
                "{query}"
            );
        }
    }
}
