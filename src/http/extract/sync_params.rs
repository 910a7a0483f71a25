//! What a sync asks for: where it begins, how much, and what comes with the entries.

use std::time::Duration;

use axum::http::HeaderMap;
use serde::Deserialize;

use super::{
    caller::Authenticate,
    checks::{Checks, FromHeaders, FromQuery},
    include::Beside,
    media,
    params::{IDS_MAX, LIMIT_DEFAULT, whole_number},
};
use crate::{
    domain::{Cursor, MessageId, Timestamp},
    http::answer::problem::{FieldError, Problem},
};

/// The most entries of a page of the timeline.
pub const LIMIT_MAX: i64 = 1000;

/// The longest wait that a caller may request, in seconds; the answer may come sooner.
pub const WAIT_SECONDS_MAX: i64 = 60;

/// What a sync reads, and what it answers with.
#[derive(Debug, PartialEq, Eq)]
pub struct SyncParams {
    pub span: Span,
    pub include: Include,
    /// Whether a stream has signals, too.
    pub signals: bool,
}

/// What is read of a timeline.
#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    pub cursor: Cursor,
    pub limit: u16,
    /// How long the answer may be held until there is something.
    pub wait: Duration,
}

/// What a sync answers with beside the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Include {
    pub messages: bool,
    pub conversations: bool,
    pub reactions: bool,
}

impl Include {
    /// Whether it asks for more than the messages.
    pub fn has_more(self) -> bool {
        self.conversations || self.reactions
    }

    /// Nothing where nothing is named; `None` if a name is none of these.
    fn of(names: Option<&str>) -> Option<Self> {
        names.map_or(Some(Self::default()), Self::parse)
    }

    fn parse(names: &str) -> Option<Self> {
        let mut include = Self::default();
        for name in names.split(',') {
            match name {
                "message" => include.messages = true,
                "conversation" => include.conversations = true,
                "reactions" => include.reactions = true,
                _ => return None,
            }
        }
        Some(include)
    }
}

/// The query of `GET /messages`: messages by their ids, or a sync.
#[derive(Debug, PartialEq, Eq)]
pub enum MessagesParams {
    Ids(Vec<MessageId>, Beside),
    Sync(SyncParams),
}

impl FromQuery for MessagesParams {
    type Params = SyncQuery;

    fn from_query(mut params: SyncQuery) -> Result<Self, Problem> {
        match params.ids.take() {
            Some(ids) => {
                let include = Include::of(params.include.as_deref());
                let include = include.ok_or_else(|| Problem::invalid_field("include", INCLUDE))?;
                // The messages are there anyway, and no conversation comes with them.
                let beside = Beside {
                    reactions: include.reactions,
                    replies: false,
                };
                parse_ids(&ids).map(|ids| Self::Ids(ids, beside))
            }
            None => SyncParams::from_query(params).map(Self::Sync),
        }
    }
}

const INCLUDE: &str = "must be message, conversation or reactions, or several, separated by commas";

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

/// The query of a sync before it is parsed.
#[derive(Deserialize)]
pub struct SyncQuery {
    after: Option<String>,
    limit: Option<String>,
    include: Option<String>,
    wait: Option<String>,
    ids: Option<String>,
    signals: Option<String>,
}

impl FromQuery for SyncParams {
    type Params = SyncQuery;

    /// Fails with 400 if a parameter cannot be parsed, and then with 422 for values that are not
    /// acceptable.
    fn from_query(params: SyncQuery) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let span = Span::parse(
            params.after.as_deref(),
            params.limit.as_deref(),
            params.wait.as_deref(),
            &mut errors,
        )?;
        let signals = match params.signals.as_deref() {
            None | Some("0") => false,
            Some("1") => true,
            Some(_) => return Err(Problem::malformed("signals must be 0 or 1")),
        };
        let include = Include::of(params.include.as_deref());
        if include.is_none() {
            errors.push(FieldError::new("include", INCLUDE));
        }
        match include.filter(|_| errors.is_empty()) {
            Some(include) => Ok(SyncParams {
                span,
                include,
                signals,
            }),
            None => Err(Problem::invalid(errors)),
        }
    }
}

impl Span {
    /// Fails if a parameter cannot be parsed. What is not acceptable is added to `errors`, and then
    /// the span is of no use.
    pub fn parse(
        after: Option<&str>,
        limit: Option<&str>,
        wait: Option<&str>,
        errors: &mut Vec<FieldError>,
    ) -> Result<Self, Problem> {
        let cursor = match after {
            None => Cursor::After(Timestamp::new(0)),
            Some("latest") => Cursor::Latest,
            Some(after) => Cursor::After(Timestamp::parse(after).ok_or_else(|| {
                Problem::malformed("after must be a timestamp (digits only, 64 bits) or latest")
            })?),
        };
        let limit = whole_number("limit", limit)?.unwrap_or(LIMIT_DEFAULT);
        let wait = whole_number("wait", wait)?.unwrap_or(0);
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
        Ok(Self {
            cursor,
            limit: u16::try_from(limit).unwrap_or_default(),
            wait: Duration::from_secs(wait.unsigned_abs()),
        })
    }
}

/// Where a client resumes a broken stream. `None` if the header is absent or empty: the stream is
/// new.
pub struct LastEventId(pub Option<Timestamp>);

impl LastEventId {
    /// That of a stream; a page begins where its query says.
    pub fn of_stream<C: Authenticate, A>(checks: &mut Checks<C, A>) -> Option<Self> {
        if checks.media_type() == media::EVENT_STREAM {
            checks.header()
        } else {
            Some(Self(None))
        }
    }
}

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
            span: Span {
                cursor,
                limit: 50,
                wait: Duration::ZERO,
            },
            include: Include::default(),
            signals: false,
        };
        assert_eq!(params(""), Ok(expected));
        let wait = Duration::from_secs(60);
        let expected = SyncParams {
            span: Span {
                cursor: Cursor::Latest,
                limit: 1000,
                wait,
            },
            include: Include {
                messages: true,
                conversations: true,
                reactions: true,
            },
            signals: true,
        };
        let query = "after=latest&limit=1000&include=message,conversation,reactions&wait=60&signals=1&other=1";
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
            "signals=",
            "signals=2",
            "signals=true",
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
