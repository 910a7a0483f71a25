//! Parameters of the path and of the query.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    domain::{
        ApplicationId, ChatNumber, Cursor, Invalid, MessageId, MessageNumber, Timestamp, UserId,
    },
    http::answer::problem::{FieldError, Problem},
    store::history::Span,
};

/// The most items of a page of a list.
pub const LIST_LIMIT_MAX: i64 = 100;

/// The most entries of a page of the timeline.
pub const LIMIT_MAX: i64 = 1000;

/// The entries of a page where the caller does not say.
pub const LIMIT_DEFAULT: i64 = 50;

/// The longest wait that a caller may ask for, in seconds; the answer may come sooner.
pub const WAIT_SECONDS_MAX: i64 = 60;

/// The message that a path names. A path that can name none is as good as one that names none.
pub struct MessagePath(Option<MessageId>);

impl MessagePath {
    /// To be asked after everything that needs no state.
    pub fn known(self) -> Result<MessageId, Problem> {
        self.0.ok_or_else(Problem::not_found)
    }
}

impl<S: Sync> FromRequestParts<S> for MessagePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(
            segment(parts, "id")
                .await
                .and_then(|id| MessageId::parse(&id)),
        ))
    }
}

/// A positive number of digits alone.
fn positive(value: &str) -> Option<i64> {
    Timestamp::parse(value)
        .map(|number| number.0)
        .filter(|number| *number > 0)
}

/// The chat that a path names. A path that can name none is as good as one that names none.
pub struct ChatPath(Option<ChatNumber>);

impl ChatPath {
    /// A chat that is named elsewhere than in a path.
    pub fn of(number: i64) -> Self {
        Self(Some(ChatNumber(number)))
    }

    /// To be asked after everything that needs no state.
    pub fn known(&self) -> Result<ChatNumber, Problem> {
        self.0.ok_or_else(Problem::not_found)
    }
}

impl<S: Sync> FromRequestParts<S> for ChatPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let number = segment(parts, "number").await;
        Ok(Self(
            number.and_then(|number| positive(&number)).map(ChatNumber),
        ))
    }
}

/// The application that a path names. A path that can name none is as good as one that names none.
pub struct ApplicationPath(Option<ApplicationId>);

impl ApplicationPath {
    /// To be asked after everything that needs no state.
    pub fn known(&self) -> Result<ApplicationId, Problem> {
        self.0.ok_or_else(Problem::not_found)
    }
}

impl<S: Sync> FromRequestParts<S> for ApplicationPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let id = segment(parts, "id").await;
        Ok(Self(id.and_then(|id| positive(&id)).map(ApplicationId)))
    }
}

/// The message of a chat that a path names by its number.
pub struct ChatMessagePath(Option<(ChatNumber, MessageNumber)>);

impl ChatMessagePath {
    /// To be asked after everything that needs no state.
    pub fn known(&self) -> Result<(ChatNumber, MessageNumber), Problem> {
        self.0.ok_or_else(Problem::not_found)
    }
}

impl<S: Sync> FromRequestParts<S> for ChatMessagePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ChatPath(chat) = ChatPath::from_request_parts(parts, state).await?;
        let message = segment(parts, "n")
            .await
            .and_then(|number| positive(&number));
        Ok(Self(chat.zip(message.map(MessageNumber))))
    }
}

/// The user whom a path names.
pub struct UserPath(Result<UserId, Invalid>);

impl UserPath {
    pub fn checked(&self) -> Result<UserId, Problem> {
        self.0
            .clone()
            .map_err(|invalid| Problem::invalid_field("user", invalid.to_string()))
    }
}

impl<S: Sync> FromRequestParts<S> for UserPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let user = segment(parts, "user").await.unwrap_or_default();
        Ok(Self(UserId::parse(&user)))
    }
}

/// A segment of the path; `None` where the path is not UTF-8.
async fn segment(parts: &mut Parts, name: &str) -> Option<String> {
    let Path(mut segments) = parts
        .extract::<Path<HashMap<String, String>>>()
        .await
        .ok()?;
    segments.remove(name)
}

/// The query of a list as it came.
#[derive(Deserialize)]
struct ListQuery {
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
        Timestamp::parse(&value).map(|number| number.0)
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

impl<P: Position, S: Sync> FromRequestParts<S> for ListParams<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query: ListQuery = query(parts).await?;
        let after = query
            .after
            .map(|after| P::parse(after).ok_or_else(malformed_after));
        Ok(Self {
            after: after.transpose()?,
            limit: list_limit(query.limit.as_deref())?,
        })
    }
}

/// Which page of a conversation.
pub struct HistoryParams {
    pub span: Span,
    pub limit: i64,
}

impl<S: Sync> FromRequestParts<S> for HistoryParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let ListQuery {
            before,
            after,
            limit,
        } = query(parts).await?;
        let (before, after) = (number("before", before)?, number("after", after)?);
        let limit = list_limit(limit.as_deref())?;
        let span = match (before, after) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid_field(
                    "after",
                    "must not be given together with before",
                ));
            }
            (Some(before), None) => Span::Before(before),
            (None, Some(after)) => Span::After(after),
            (None, None) => Span::NEWEST,
        };
        Ok(Self { span, limit })
    }
}

fn malformed_after() -> Problem {
    Problem::malformed("after must be the next of the page before")
}

/// A number of digits alone, where there is one.
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

/// The query of a request.
pub async fn query<Q: DeserializeOwned + 'static>(parts: &mut Parts) -> Result<Q, Problem> {
    let query = parts.extract::<Query<Q>>().await;
    query
        .map(|Query(query)| query)
        .map_err(|rejection| Problem::malformed(rejection.body_text()))
}

/// Where and how a sync reads on.
#[derive(Debug, PartialEq, Eq)]
pub struct SyncParams {
    pub cursor: Cursor,
    pub limit: u16,
    pub with_messages: bool,
    /// How long the answer may be held until there is something.
    pub wait: Duration,
}

/// The query as it came; parameters that are not known are ignored.
#[derive(Deserialize)]
struct SyncQuery {
    after: Option<String>,
    limit: Option<String>,
    include: Option<String>,
    wait: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for SyncParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        query::<SyncQuery>(parts).await?.parse()
    }
}

impl SyncQuery {
    /// 400 for what cannot be read, then 422 for what can be but is not acceptable.
    fn parse(self) -> Result<SyncParams, Problem> {
        let cursor = match self.after.as_deref() {
            None => Cursor::After(Timestamp(0)),
            Some("latest") => Cursor::Latest,
            Some(after) => Cursor::After(Timestamp::parse(after).ok_or_else(|| {
                Problem::malformed("after must be a timestamp (digits only, 64 bits) or latest")
            })?),
        };
        let limit = whole_number("limit", self.limit.as_deref())?.unwrap_or(LIMIT_DEFAULT);
        let wait = whole_number("wait", self.wait.as_deref())?.unwrap_or(0);
        let mut errors = Vec::new();
        let mut require = |holds: bool, field: &str, detail: &str| {
            if !holds {
                errors.push(FieldError {
                    field: field.to_owned(),
                    detail: detail.to_owned(),
                });
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
        let with_messages = self.include.is_some();
        let is_known = self.include.is_none_or(|include| include == "message");
        require(is_known, "include", "must be message");
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(SyncParams {
            cursor,
            limit: u16::try_from(limit).expect("the limit was checked"),
            with_messages,
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

/// Where a client that opens a broken stream again goes on; absent or empty for a new stream. It is
/// read for every page and looked at for streams alone.
pub struct LastEventId(Result<Option<Timestamp>, ()>);

impl LastEventId {
    pub fn checked(self) -> Result<Option<Timestamp>, Problem> {
        self.0.map_err(|()| {
            Problem::malformed("Last-Event-ID must be the id of an event of a stream")
        })
    }
}

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut lines = parts.headers.get_all("last-event-id").iter();
        Ok(Self(match (lines.next(), lines.next()) {
            (None, _) => Ok(None),
            (Some(id), None) if id.is_empty() => Ok(None),
            (Some(id), None) => id
                .to_str()
                .ok()
                .and_then(Timestamp::parse)
                .map(Some)
                .ok_or(()),
            (Some(_), Some(_)) => Err(()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};

    use super::*;

    async fn params(query: &str) -> Result<SyncParams, StatusCode> {
        let request = Request::builder()
            .uri(format!("/messages?{query}"))
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        SyncParams::from_request_parts(&mut parts, &())
            .await
            .map_err(|problem| problem.status())
    }

    #[tokio::test]
    async fn a_sync_begins_at_zero_with_pages_of_fifty() {
        let cursor = Cursor::After(Timestamp(0));
        let expected = SyncParams {
            cursor,
            limit: 50,
            with_messages: false,
            wait: Duration::ZERO,
        };
        assert_eq!(params("").await, Ok(expected));
        let wait = Duration::from_secs(60);
        let expected = SyncParams {
            cursor: Cursor::Latest,
            limit: 1000,
            with_messages: true,
            wait,
        };
        let query = "after=latest&limit=1000&include=message&wait=60&other=1";
        assert_eq!(params(query).await, Ok(expected));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_malformed() {
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
            assert_eq!(params(query).await, Err(StatusCode::BAD_REQUEST), "{query}");
        }
    }

    #[tokio::test]
    async fn what_can_be_read_may_still_be_unacceptable() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "include=text",
            "include=",
            "wait=61",
            "wait=-1",
        ] {
            assert_eq!(
                params(query).await,
                Err(StatusCode::UNPROCESSABLE_ENTITY),
                "{query}"
            );
        }
    }
}
