//! The one place where errors become problems.

use axum::http::header;

use super::{Problem, kinds};
use crate::{
    auth, batching::QueueError, domain::Refusal, live, live::SignalError, search, store, sync,
    timeline,
};

/// After how many seconds a caller who was refused under load should try again: a queue drains
/// within one.
const RETRY_SHED_SECONDS: u32 = 1;

/// After how many seconds a caller should try again if the database is away.
const RETRY_AWAY_SECONDS: u32 = 2;

/// After how many seconds a caller should try again if there are too many live connections.
const RETRY_LIVE_SECONDS: u32 = 5;

/// After how many seconds a user may signal again.
const RETRY_SIGNAL_SECONDS: u32 = 1;

/// After how many seconds a caller should try again whose import has had no turn.
const RETRY_IMPORT_SECONDS: u32 = 5;

const DATABASE_AWAY: &str = "the database is not available; nothing was changed";

impl From<auth::Error> for Problem {
    fn from(error: auth::Error) -> Self {
        // RFC 6750, section 3.1: no error code for a request that does not try to authenticate.
        let challenge = match error {
            auth::Error::Missing => "Bearer".to_owned(),
            auth::Error::DatabaseUnavailable => return database_unavailable(),
            auth::Error::IssuerUnavailable => {
                return Self::new(&kinds::ISSUER_UNAVAILABLE, error.to_string())
                    .retry_after(RETRY_AWAY_SECONDS);
            }
            auth::Error::TooManyStrangers => {
                return Self::new(&kinds::OVERLOADED, error.to_string())
                    .retry_after(RETRY_SHED_SECONDS);
            }
            auth::Error::NotBearer => "Bearer error=\"invalid_request\"".to_owned(),
            _ => format!("Bearer error=\"invalid_token\", error_description=\"{error}\""),
        };
        Self::new(&kinds::UNAUTHORIZED, error.to_string())
            .with_header(header::WWW_AUTHENTICATE, &challenge)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UnknownApplication => auth::Error::UnknownApplication.into(),
            Refusal::NotFound => Self::not_found(),
            Refusal::Forbidden(_) | Refusal::Erased(_) => Self::new(&kinds::FORBIDDEN, detail),
            Refusal::Suspended { .. } => Self::new(&kinds::SUSPENDED, detail),
            Refusal::MayNotPost(_) => Self::new(&kinds::MAY_NOT_POST, detail),
            Refusal::Banned(_) => Self::new(&kinds::BANNED, detail),
            Refusal::SlowMode { seconds } => {
                Self::new(&kinds::SLOW_MODE, detail).retry_after(seconds)
            }
            Refusal::Gone => Self::new(&kinds::DELETED, detail),
            Refusal::Expired => Self::new(&kinds::EXPIRED, detail),
            Refusal::Stale { current } => Self::new(&kinds::STALE, detail)
                .with_current(current)
                .with_header(header::ETAG, &format!("\"{current}\"")),
            Refusal::NothingLeft => {
                Self::invalid_field("text", "must not be empty without files or attributes")
            }
            Refusal::ReplyElsewhere(_) => Self::invalid_field(
                "replyTo",
                "must be the id of a message in this conversation",
            ),
            Refusal::MentionElsewhere(_) => {
                Self::invalid_field("mentions", "must be members of this conversation")
            }
            Refusal::BeyondLast { .. } => Self::invalid_field("number", detail),
            Refusal::NotAccepted => Self::new(&kinds::NOT_ACCEPTED, detail),
            Refusal::NotBlockable(_) => Self::invalid_field("blocked", detail),
            Refusal::SettingsTooLarge | Refusal::AttributesTooLarge => {
                Self::invalid_field("attributes", detail)
            }
            Refusal::NoMember { field } => Self::invalid_field(field, detail),
            Refusal::OwnersRole => Self::invalid_field("role", detail),
            Refusal::ChatFull => Self::invalid_field("members", "must have at most 1,000 entries"),
            Refusal::TooManyPins => Self::invalid_field("id", detail),
            Refusal::TooManyReactions(_) => Self::invalid_field("key", detail),
            Refusal::ChatTooLarge => Self::new(&kinds::CHAT_TOO_LARGE, detail),
            Refusal::DraftElsewhere => Self::invalid_field("data", detail),
            Refusal::Importing => Self::new(&kinds::IMPORTING, detail),
            Refusal::NotImporting | Refusal::HasMessages => {
                Self::new(&kinds::NOT_IMPORTING, detail)
            }
            Refusal::Incomplete => Self::new(&kinds::INCOMPLETE, detail),
            Refusal::OutOfOrder => QueueError::Overdue.into(),
            Refusal::InFuture => Self::invalid_field("message.created", detail),
            Refusal::UnknownReply(_) => Self::invalid_field(
                "message.replyTo",
                "must be the key of an earlier message of this conversation",
            ),
            Refusal::KeyReused => {
                Self::invalid_field("Idempotency-Key", "was used for another request")
            }
        }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        let detail = format!("{error}; nothing was changed");
        let kind = match error {
            QueueError::Full | QueueError::Overdue => &kinds::OVERLOADED,
            QueueError::Closed => &kinds::SHUTTING_DOWN,
            QueueError::Abandoned => return Self::internal(),
        };
        Self::new(kind, detail).retry_after(RETRY_SHED_SECONDS)
    }
}

impl From<timeline::Error> for Problem {
    fn from(error: timeline::Error) -> Self {
        match error {
            timeline::Error::Refused(refusal) => refusal.into(),
            timeline::Error::QueueError(error) => error.into(),
            timeline::Error::Unavailable(cause) => database_unavailable().caused_by(cause),
            timeline::Error::OutcomeUnknown(cause) => {
                let problem = outcome_unknown(
                    "the change may or may not have been made; repeating the request is safe with the \
                     same Idempotency-Key or If-Match",
                );
                match cause {
                    Some(cause) => problem.caused_by(cause),
                    None => problem,
                }
            }
            timeline::Error::Failed(cause) => Self::internal().caused_by(cause),
        }
    }
}

impl From<sync::Error> for Problem {
    fn from(error: sync::Error) -> Self {
        match error {
            sync::Error::CursorAhead { end } => {
                let detail = format!("the timeline ends at {end}: sync again from 0");
                Self::new(&kinds::CURSOR_AHEAD, detail).with_last(end)
            }
            sync::Error::CursorBehind { trimmed } => {
                let detail = format!(
                    "changes up to {trimmed} are not kept: a user starts from GET /conversations and goes on after \
                     its latest; with the feed, go on after {trimmed}"
                );
                Self::new(&kinds::CURSOR_BEHIND, detail).with_trimmed(trimmed)
            }
            sync::Error::QueueError(error) => error.into(),
            sync::Error::Unavailable(cause) => database_unavailable().caused_by(cause),
            sync::Error::Failed(cause) => Self::internal().caused_by(cause),
        }
    }
}

impl From<search::Error> for Problem {
    fn from(error: search::Error) -> Self {
        match error {
            search::Error::Overdue => {
                let detail =
                    format!("{error}; a longer word or a single conversation narrows it down");
                Self::new(&kinds::SEARCH_OVERDUE, detail).retry_after(RETRY_AWAY_SECONDS)
            }
            search::Error::Database(error) => error.into(),
        }
    }
}

impl From<live::Full> for Problem {
    fn from(full: live::Full) -> Self {
        let kind = match full {
            live::Full::Service => &kinds::OVERLOADED,
            live::Full::User => &kinds::TOO_MANY_CONNECTIONS,
        };
        Self::new(kind, full.to_string()).retry_after(RETRY_LIVE_SECONDS)
    }
}

impl From<SignalError> for Problem {
    fn from(error: SignalError) -> Self {
        match error {
            SignalError::TooMany => Self::new(&kinds::TOO_MANY_REQUESTS, error.to_string())
                .retry_after(RETRY_SIGNAL_SECONDS),
            SignalError::Refused(refusal) => refusal.into(),
            SignalError::Busy(error) => error.into(),
            SignalError::Database(error) => error.into(),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        let problem = match error {
            store::Error::OutcomeUnknown(_) => {
                outcome_unknown("the change may or may not have been made")
            }
            _ if error.is_unavailable() => database_unavailable(),
            _ => Self::internal(),
        };
        problem.caused_by(error)
    }
}

impl Problem {
    /// An import whose turn has not come in time.
    pub fn other_imports() -> Self {
        let detail = "other imports are under way; nothing was changed";
        Self::new(&kinds::OVERLOADED, detail).retry_after(RETRY_IMPORT_SECONDS)
    }
}

fn outcome_unknown(detail: &'static str) -> Problem {
    Problem::new(&kinds::OUTCOME_UNKNOWN, detail).retry_after(RETRY_AWAY_SECONDS)
}

fn database_unavailable() -> Problem {
    Problem::new(&kinds::DATABASE_UNAVAILABLE, DATABASE_AWAY).retry_after(RETRY_AWAY_SECONDS)
}
