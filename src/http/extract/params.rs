//! Parameters of the path and of the query.

use serde::Deserialize;

use super::{
    checks::{FromPath, FromQuery},
    include::Beside,
};
use crate::{
    domain::{
        ApplicationId, ChatNumber, MessageId, MessageNumber, OthersMessages, Pair, ReactionKey,
        ReactionNumber, Timestamp, UserId, WebhookId,
    },
    http::answer::problem::Problem,
    store::history::Span,
};

/// The most items of a page of a list.
pub const LIST_LIMIT_MAX: i64 = 100;

/// The entries of a page if the caller sets no `limit`.
pub const LIMIT_DEFAULT: i64 = 50;

/// The most things that a query may name one by one.
pub(super) const IDS_MAX: usize = 100;

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

impl FromPath for WebhookId {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        positive(segment("id")).map(Self::new)
    }
}

impl FromPath for ReactionKey {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        Self::parse(segment("key"))
            .map_err(|invalid| Problem::invalid_field("key", invalid.to_string()))
    }
}

/// A report, by the timestamp of its change.
pub struct ReportId(pub i64);

impl FromPath for ReportId {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        positive(segment("id")).map(Self)
    }
}

impl FromPath for UserId {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        user(&segment, "user")
    }
}

impl FromPath for Pair {
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        Ok(Self::new(
            &user(&segment, "user")?,
            &user(&segment, "other")?,
        ))
    }
}

/// The user whom a segment of the path names.
fn user<'a>(segment: impl Fn(&str) -> &'a str, name: &'static str) -> Result<UserId, Problem> {
    UserId::parse(segment(name))
        .map_err(|invalid| Problem::invalid_field(name, invalid.to_string()))
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
    include: Option<String>,
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
    pub beside: Beside,
}

impl FromQuery for HistoryParams {
    type Params = ListQuery;

    fn from_query(params: ListQuery) -> Result<Self, Problem> {
        let ListQuery {
            before,
            after,
            limit,
            include,
        } = params;
        let (before, after) = (number("before", before)?, number("after", after)?);
        let limit = list_limit(limit.as_deref())?;
        let beside = Beside::of_list(include.as_deref())?;
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
        Ok(Self {
            span,
            limit,
            beside,
        })
    }
}

/// What becomes of the messages of others in the personal conversations of a user who is erased.
pub struct ErasedConversations(pub OthersMessages);

/// The query of an erasure before it is parsed.
#[derive(Deserialize)]
pub struct ErasureQuery {
    conversations: Option<String>,
}

impl FromQuery for ErasedConversations {
    type Params = ErasureQuery;

    fn from_query(params: ErasureQuery) -> Result<Self, Problem> {
        match params.conversations.as_deref() {
            None | Some("keep") => Ok(Self(OthersMessages::Kept)),
            Some("delete") => Ok(Self(OthersMessages::Deleted)),
            Some(_) => Err(Problem::invalid_field(
                "conversations",
                "must be keep or delete",
            )),
        }
    }
}

/// Which page of the replies to a message.
pub struct RepliesParams {
    pub after: MessageNumber,
    pub limit: i64,
    pub beside: Beside,
}

impl FromQuery for RepliesParams {
    type Params = ListQuery;

    fn from_query(params: ListQuery) -> Result<Self, Problem> {
        let after = number("after", params.after)?.unwrap_or(0);
        Ok(Self {
            after: MessageNumber::new(after),
            limit: list_limit(params.limit.as_deref())?,
            beside: Beside::of_list(params.include.as_deref())?,
        })
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

/// Which page of the reports.
pub struct ReportsParams {
    pub after: Timestamp,
    pub limit: i64,
    /// Only those that are not resolved.
    pub is_open: bool,
}

/// The query of the reports before it is parsed.
#[derive(Deserialize)]
pub struct ReportsQuery {
    after: Option<String>,
    limit: Option<String>,
    resolved: Option<String>,
}

impl FromQuery for ReportsParams {
    type Params = ReportsQuery;

    fn from_query(params: ReportsQuery) -> Result<Self, Problem> {
        let is_open = match params.resolved.as_deref() {
            None => false,
            Some("false") => true,
            Some(_) => return Err(Problem::invalid_field("resolved", "must be false")),
        };
        Ok(Self {
            after: Timestamp::new(number("after", params.after)?.unwrap_or(0)),
            limit: list_limit(params.limit.as_deref())?,
            is_open,
        })
    }
}

/// Which page of what is pinned in a chat.
pub struct PinsParams {
    pub before: Timestamp,
    pub limit: i64,
}

impl FromQuery for PinsParams {
    type Params = ListQuery;

    fn from_query(params: ListQuery) -> Result<Self, Problem> {
        let before = number("before", params.before)?.unwrap_or(i64::MAX);
        Ok(Self {
            before: Timestamp::new(before),
            limit: list_limit(params.limit.as_deref())?,
        })
    }
}

/// Which page of the reactions to a message.
pub struct ReactionsParams {
    pub key: Option<ReactionKey>,
    pub after: ReactionNumber,
    pub limit: i64,
}

/// The query of the reactions before it is parsed.
#[derive(Deserialize)]
pub struct ReactionsQuery {
    key: Option<String>,
    after: Option<String>,
    limit: Option<String>,
}

impl FromQuery for ReactionsParams {
    type Params = ReactionsQuery;

    fn from_query(params: ReactionsQuery) -> Result<Self, Problem> {
        let key = params.key.as_deref().map(ReactionKey::parse).transpose();
        let key = key.map_err(|invalid| Problem::invalid_field("key", invalid.to_string()))?;
        Ok(Self {
            key,
            after: ReactionNumber::new(number("after", params.after)?.unwrap_or(0)),
            limit: list_limit(params.limit.as_deref())?,
        })
    }
}

/// The users in question, in the order in which they are named.
pub struct NamedUsers(pub Vec<UserId>);

/// The query that names users before it is parsed.
#[derive(Deserialize)]
pub struct NamedUsersParams {
    users: Option<String>,
}

impl FromQuery for NamedUsers {
    type Params = NamedUsersParams;

    fn from_query(params: NamedUsersParams) -> Result<Self, Problem> {
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

pub(super) fn whole_number(name: &str, value: Option<&str>) -> Result<Option<i64>, Problem> {
    let parse = |value: &str| value.parse().ok().filter(|_| !value.starts_with('+'));
    value
        .map(|value| parse(value).ok_or_else(|| malformed_number(name)))
        .transpose()
}

fn malformed_number(name: &str) -> Problem {
    Problem::malformed(format!("{name} must be a whole number"))
}
