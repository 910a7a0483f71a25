//! What a search looks for, where, and which page of it.

use serde::Deserialize;

use super::{
    checks::FromQuery,
    params::{LIMIT_DEFAULT, LIST_LIMIT_MAX, number, whole_number},
    request_bodies::{collect, parse_time},
};
use crate::{
    domain::{ChatNumber, Invalid, UserId},
    http::answer::problem::{FieldError, Problem},
    search::{Criteria, Filters, Query},
};

/// What is searched for, where, and which page of it.
#[derive(Debug, PartialEq, Eq)]
pub struct SearchParams {
    pub criteria: Criteria,
    pub narrowed: Option<Narrowed>,
    pub before: Option<i64>,
    pub limit: i64,
}

/// A search in one conversation.
#[derive(Debug, PartialEq, Eq)]
pub enum Narrowed {
    With(UserId),
    Chat(ChatNumber),
}

/// The parameters of a search before they are parsed.
#[derive(Deserialize)]
pub struct SearchQuery {
    q: Option<String>,
    from: Option<String>,
    has: Option<String>,
    since: Option<String>,
    until: Option<String>,
    with: Option<String>,
    chat: Option<String>,
    before: Option<String>,
    limit: Option<String>,
}

impl FromQuery for SearchParams {
    type Params = SearchQuery;

    /// Fails with 400 if a number cannot be parsed, and then with 422 for values that are not
    /// acceptable.
    fn from_query(params: SearchQuery) -> Result<Self, Problem> {
        let before = number("before", params.before.clone())?;
        let chat = number("chat", params.chat.clone())?.map(ChatNumber::new);
        let limit = whole_number("limit", params.limit.as_deref())?.unwrap_or(LIMIT_DEFAULT);
        let mut errors = Vec::new();
        let criteria = params.criteria(&mut errors);
        let narrowed = params.narrowed(chat, &mut errors);
        if !(1..=LIST_LIMIT_MAX).contains(&limit) {
            errors.push(FieldError::new("limit", "must be 1 to 100"));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(Self {
            criteria,
            narrowed,
            before,
            limit,
        })
    }
}

// What is not acceptable is added to `errors`, and then the value is of no use.
impl SearchQuery {
    fn criteria(&self, errors: &mut Vec<FieldError>) -> Criteria {
        let query = self.query(errors);
        let from = self.from.as_deref().map(UserId::parse);
        let has_file = self.has.as_deref().map(parse_has);
        let since = self.since.as_deref().map(parse_time);
        let until = self.until.as_deref().map(parse_time);
        let filters = Filters {
            from: from.and_then(|from| collect(errors, "from", from)),
            has_file: has_file
                .and_then(|has| collect(errors, "has", has))
                .is_some(),
            since: since.and_then(|since| collect(errors, "since", since)),
            until: until.and_then(|until| collect(errors, "until", until)),
        };
        if let (Some(since), Some(until)) = (filters.since, filters.until)
            && since >= until
        {
            errors.push(FieldError::new("until", "must be later than since"));
        }
        Criteria { query, filters }
    }

    /// The words, which may be absent where there is a filter.
    fn query(&self, errors: &mut Vec<FieldError>) -> Option<Query> {
        let filters = [&self.from, &self.has, &self.since, &self.until];
        let has_filter = filters.iter().any(|filter| filter.is_some());
        let query = match self.q.as_deref() {
            None if has_filter => return None,
            None => Err("is required where there is no from, has, since or until".to_owned()),
            Some(q) => Query::parse(q).map_err(|error| error.to_string()),
        };
        query
            .map_err(|detail| errors.push(FieldError::new("q", detail)))
            .ok()
    }

    fn narrowed(&self, chat: Option<ChatNumber>, errors: &mut Vec<FieldError>) -> Option<Narrowed> {
        match (self.with.as_deref(), chat) {
            (Some(_), Some(_)) => {
                let detail = "must not be given together with `with`";
                errors.push(FieldError::new("chat", detail));
                None
            }
            (Some(with), None) => collect(errors, "with", UserId::parse(with)).map(Narrowed::With),
            (None, chat) => chat.map(Narrowed::Chat),
        }
    }
}

fn parse_has(thing: &str) -> Result<(), Invalid> {
    if thing == "file" {
        Ok(())
    } else {
        Err(Invalid("must be file"))
    }
}

#[cfg(test)]
mod tests {
    use axum::{extract::Query, http::StatusCode};
    use time::macros::datetime;

    use super::*;

    fn params(query: &str) -> Result<SearchParams, Problem> {
        let uri = format!("/messages/search?{query}").parse().unwrap();
        let Query(params) = Query::try_from_uri(&uri).unwrap();
        SearchParams::from_query(params)
    }

    fn wrong_fields(query: &str) -> Vec<String> {
        let problem = params(query).unwrap_err();
        assert_eq!(
            problem.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{query}"
        );
        problem.fields()
    }

    #[test]
    fn words_and_filters_are_read_together_and_apart() {
        let found = params("from=jane&has=file&since=2026-11-01T00:00:00%2B01:00&chat=3").unwrap();
        let filters = Filters {
            from: Some(UserId::trusted("jane")),
            has_file: true,
            since: Some(datetime!(2026-10-31 23:00 UTC)),
            until: None,
        };
        let query = None;
        let expected = SearchParams {
            criteria: Criteria { query, filters },
            narrowed: Some(Narrowed::Chat(ChatNumber::new(3))),
            before: None,
            limit: 50,
        };
        assert_eq!(found, expected);
        let words = params("q=hello&with=john").unwrap();
        assert!(words.criteria.query.is_some() && words.criteria.filters.is_empty());
    }

    #[test]
    fn without_words_there_must_be_a_filter() {
        for query in [
            "",
            "with=john",
            "chat=1",
            "limit=7&before=3",
            "q=&from=jane",
        ] {
            assert_eq!(wrong_fields(query), ["q"], "{query}");
        }
    }

    #[test]
    fn all_that_is_not_acceptable_is_in_one_answer() {
        let query = "q=&from=a%20b&has=link&since=yesterday&until=2026-11-01&with=a&chat=1&limit=0";
        let expected = ["q", "from", "has", "since", "until", "chat", "limit"];
        assert_eq!(wrong_fields(query), expected);
        let time = "2026-11-01T00:00:00Z";
        assert_eq!(
            wrong_fields(&format!("since={time}&until={time}")),
            ["until"]
        );
        assert_eq!(
            wrong_fields("since=2026-11-01T00:00:00"),
            ["since"],
            "no offset"
        );
    }
}
