//! What a read of the feed asks for.

use serde::Deserialize;

use super::{checks::FromQuery, sync_params::Span};
use crate::{
    domain::ChangeKind,
    http::answer::problem::{FieldError, Problem},
    store::feed::{FeedInclude, Kinds},
};

/// What is read of the feed, and what it answers with.
#[derive(Debug, PartialEq, Eq)]
pub struct FeedParams {
    pub span: Span,
    pub kinds: Kinds,
    pub include: FeedInclude,
}

/// The query before it is parsed.
#[derive(Deserialize)]
pub struct FeedQuery {
    after: Option<String>,
    limit: Option<String>,
    wait: Option<String>,
    kinds: Option<String>,
    include: Option<String>,
}

impl FromQuery for FeedParams {
    type Params = FeedQuery;

    /// Fails with 400 if a parameter cannot be parsed, and then with 422 for values that are not
    /// acceptable.
    fn from_query(params: FeedQuery) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let span = Span::parse(
            params.after.as_deref(),
            params.limit.as_deref(),
            params.wait.as_deref(),
            &mut errors,
        )?;
        let kinds = params.kinds.as_deref();
        let kinds = kinds.map_or(Some(Kinds::all()), |names| parse_kinds(names.split(',')));
        if kinds.is_none() {
            let detail = format!("must be of {}, separated by commas", names().join(", "));
            errors.push(FieldError::new("kinds", detail));
        }
        let none = Some(FeedInclude::default());
        let include = params.include.as_deref();
        let include = include.map_or(none, |names| parse_include(names.split(',')));
        if include.is_none() {
            let detail = "must be message or recipients, or both, separated by a comma";
            errors.push(FieldError::new("include", detail));
        }
        match kinds.zip(include).filter(|_| errors.is_empty()) {
            Some((kinds, include)) => Ok(Self {
                span,
                kinds,
                include,
            }),
            None => Err(Problem::invalid(errors)),
        }
    }
}

/// The names of the kinds that the feed tells of.
fn names() -> Vec<&'static str> {
    let kinds = ChangeKind::ALL.into_iter();
    kinds.filter_map(ChangeKind::feed_name).collect()
}

/// The kinds of these names; `None` if there is none, or if one names no kind that the feed tells of.
pub(super) fn parse_kinds<'a>(names: impl Iterator<Item = &'a str>) -> Option<Kinds> {
    let kind = |name| {
        let mut kinds = ChangeKind::ALL.into_iter();
        kinds.find(|kind| kind.feed_name() == Some(name))
    };
    let mut names = names.peekable();
    names.peek()?;
    names.map(kind).collect()
}

/// What these names include; `None` if one of them names nothing.
pub(super) fn parse_include<'a>(names: impl Iterator<Item = &'a str>) -> Option<FeedInclude> {
    let mut include = FeedInclude::default();
    for name in names {
        match name {
            "message" => include.messages = true,
            "recipients" => include.recipients = true,
            _ => return None,
        }
    }
    Some(include)
}

#[cfg(test)]
mod tests {
    use axum::{extract::Query, http::StatusCode};

    use super::*;

    fn params(query: &str) -> Result<FeedParams, StatusCode> {
        let uri = format!("/feed?{query}").parse().unwrap();
        let Query(params) = Query::try_from_uri(&uri).map_err(|_| StatusCode::BAD_REQUEST)?;
        FeedParams::from_query(params).map_err(|problem| problem.status())
    }

    #[test]
    fn everything_is_read_unless_kinds_are_named() {
        let all = params("").unwrap();
        assert_eq!(
            (all.kinds, all.include),
            (Kinds::all(), FeedInclude::default())
        );
        assert!(!all.kinds.contains(ChangeKind::SettingsChanged));
        let some = params("kinds=message.created,member.added&include=recipients,message").unwrap();
        let expected = [ChangeKind::MessageCreated, ChangeKind::MemberAdded];
        assert_eq!(some.kinds, expected.into_iter().collect());
        assert!(some.include.messages && some.include.recipients);
    }

    #[test]
    fn what_can_be_read_may_still_be_unacceptable() {
        for query in [
            "kinds=",
            "kinds=message.created,",
            "kinds=settings.changed",
            "kinds=message-created",
            "include=",
            "include=conversation",
            "limit=0",
            "wait=61",
        ] {
            assert_eq!(
                params(query),
                Err(StatusCode::UNPROCESSABLE_ENTITY),
                "{query}"
            );
        }
        assert_eq!(params("after=now"), Err(StatusCode::BAD_REQUEST));
    }
}
