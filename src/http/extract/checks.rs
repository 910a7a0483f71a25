//! The checks of a request that need no state, and the one place that defines their order.
//!
//! The order is part of the contract, so that a caller who sends several mistakes at once always
//! gets the same answer:
//!
//! 1. 401 or 403: who calls, and as whom,
//! 2. 406: the media type of the answer,
//! 3. 415, 413: the media type and the size of the body,
//! 4. 400: what cannot be read,
//! 5. 422: what can be read and is not acceptable, all fields together,
//! 6. 428: a change without a usable `If-Match`,
//! 7. 404: a path that cannot name anything.
//!
//! Checks that need state come after these, in the code that reads that state.
//!
//! A handler takes [`Checks`] as its last parameter, which makes the first two checks. It then
//! reads the parts of the request in any order, each as an `Option` that is `None` if the part did
//! not pass, and ends with [`Checks::finish`].

use std::{marker::PhantomData, mem, time::Duration};

use axum::{
    RequestExt,
    body::Body,
    extract::{FromRequest, Query, RawPathParams, Request},
    http::{HeaderMap, StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::{
    body::{self, RequestBody},
    caller::{Authenticate, Caller},
    media::{self, Answers},
};
use crate::{
    domain::UserId,
    http::{
        Service,
        answer::problem::{FieldError, Problem},
    },
};

/// The order of the checks whose verdicts wait for [`Checks::finish`].
const ORDER: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::PRECONDITION_REQUIRED,
    StatusCode::NOT_FOUND,
];

/// A request whose caller is authenticated as `C` and accepts an answer of `A`, while its other
/// parts are being checked.
pub struct Checks<C: Authenticate, A> {
    caller: C::Caller,
    media_type: &'static str,
    path: Option<RawPathParams>,
    head: Parts,
    body: Body,
    body_time_max: Duration,
    verdicts: Verdicts,
    answers: PhantomData<A>,
}

/// A request that has passed all checks.
pub struct Passed<C, T> {
    pub caller: C,
    /// The media type of the answer.
    pub media_type: &'static str,
    /// What the handler has read.
    pub input: T,
}

/// A value that is read from the path.
pub trait FromPath: Sized {
    /// Reads the path's segments by their names in the route; a segment is empty if the path is not
    /// UTF-8.
    fn from_path<'a>(segment: impl Fn(&str) -> &'a str) -> Result<Self, Problem>;
}

/// A value that is read from headers.
pub trait FromHeaders: Sized {
    fn from_headers(headers: &HeaderMap) -> Result<Self, Problem>;
}

/// A value that is read from the query. Parameters of other names are ignored.
pub trait FromQuery: Sized {
    /// The parameters before they are parsed.
    type Params: DeserializeOwned + 'static;

    fn from_query(params: Self::Params) -> Result<Self, Problem>;
}

/// What is wrong with a request so far.
#[derive(Default)]
struct Verdicts {
    /// The fields of all problems with 422.
    invalid: Vec<FieldError>,
    others: Vec<Problem>,
}

impl<C: Authenticate, A: Answers> FromRequest<Service> for Checks<C, A> {
    type Rejection = Problem;

    async fn from_request(mut request: Request, service: &Service) -> Result<Self, Problem> {
        let path = request.extract_parts().await.ok();
        let (head, body) = request.into_parts();
        let mut verdicts = Verdicts::default();
        let caller = C::authenticate(&head, service, &mut verdicts.invalid).await?;
        let media_type = media::negotiate::<A>(&head.headers)?;
        Ok(Self {
            caller,
            media_type,
            path,
            head,
            body,
            body_time_max: service.times.body,
            verdicts,
            answers: PhantomData,
        })
    }
}

impl<C: Authenticate, A> Checks<C, A> {
    /// The media type of the answer.
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    pub fn path<T: FromPath>(&mut self) -> Option<T> {
        let segments = self.path.as_ref();
        let segment = |name: &str| {
            let mut segments = segments.into_iter().flatten();
            let found = segments.find(|(of_route, _)| *of_route == name);
            found.map_or("", |(_, segment)| segment)
        };
        self.verdicts.note(T::from_path(segment))
    }

    pub fn header<T: FromHeaders>(&mut self) -> Option<T> {
        self.verdicts.note(T::from_headers(&self.head.headers))
    }

    pub fn query<T: FromQuery>(&mut self) -> Option<T> {
        let params = Query::try_from_uri(&self.head.uri)
            .map_err(|rejection| Problem::malformed(rejection.body_text()));
        let parsed = params.and_then(|Query(params)| T::from_query(params));
        self.verdicts.note(parsed)
    }

    /// Reads the body, which arrives within limits of size and time. Ends the checks at once with
    /// 415, 413 or 408: nothing that comes before them in the order is left to be checked.
    pub async fn body<T: RequestBody>(&mut self) -> Result<Option<T::Valid>, Problem> {
        let media_type = body::media_type::<T>(&self.head)?;
        let json = body::read(mem::take(&mut self.body), T::BYTES_MAX, self.body_time_max).await?;
        let parsed = self.verdicts.note(T::from_json(media_type, &json));
        Ok(parsed.and_then(|body| body.validate(&mut self.verdicts.invalid)))
    }

    /// Ends the checks: the input, or the first problem in the contract's order.
    ///
    /// `input` puts together the parts that were read. It is called only if all have passed.
    pub fn finish<T>(
        self,
        input: impl FnOnce() -> Option<T>,
    ) -> Result<Passed<C::Caller, T>, Problem> {
        self.verdicts.pass()?;
        Ok(Passed {
            caller: self.caller,
            media_type: self.media_type,
            input: input().expect("a part that is None has left its problem"),
        })
    }
}

impl<C: Authenticate<Caller = Caller>, A> Checks<C, A> {
    /// The user, for what an application cannot do for itself.
    pub fn user(&mut self) -> Option<UserId> {
        if self.verdicts.has_field("As-User") {
            // The header was not acceptable: it was noted when the caller was authenticated.
            return None;
        }
        self.verdicts.note(self.caller.require_user())
    }
}

impl Verdicts {
    fn note<T>(&mut self, part: Result<T, Problem>) -> Option<T> {
        match part {
            Ok(part) => return Some(part),
            Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
                self.invalid.extend(problem.into_errors());
            }
            Err(problem) => self.others.push(problem),
        }
        None
    }

    fn has_field(&self, field: &str) -> bool {
        self.invalid.iter().any(|error| error.field == field)
    }

    fn pass(mut self) -> Result<(), Problem> {
        if !self.invalid.is_empty() {
            self.others.push(Problem::invalid(self.invalid));
        }
        let rank = |problem: &Problem| {
            let rank = ORDER.iter().position(|status| *status == problem.status());
            rank.unwrap_or(0)
        };
        self.others.into_iter().min_by_key(rank).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(problems: impl IntoIterator<Item = Problem>) -> (StatusCode, Vec<String>) {
        let mut verdicts = Verdicts::default();
        for problem in problems {
            assert!(verdicts.note::<()>(Err(problem)).is_none());
        }
        let problem = verdicts.pass().unwrap_err();
        (problem.status(), problem.fields())
    }

    #[test]
    fn the_first_problem_of_the_order_is_answered_whichever_was_found_first() {
        let problem = [
            || Problem::not_found(),
            || Problem::precondition_required(),
            || Problem::invalid_field("text", "must be text"),
            || Problem::malformed("no JSON"),
        ];
        for mistakes in 1..problem.len() {
            let found = || problem[..=mistakes].iter().map(|problem| problem());
            let expected = ORDER[ORDER.len() - 1 - mistakes];
            assert_eq!(first(found()).0, expected);
            let reversed = found().collect::<Vec<_>>().into_iter().rev();
            assert_eq!(first(reversed).0, expected);
        }
    }

    #[test]
    fn all_fields_that_are_not_acceptable_are_in_one_answer() {
        let fields = ["As-User", "text", "limit"];
        let problems = fields.map(|field| Problem::invalid_field(field, "is wrong"));
        let (status, found) = first(problems);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(found, fields);
    }

    #[test]
    fn what_is_in_order_passes() {
        let mut verdicts = Verdicts::default();
        assert_eq!(verdicts.note(Ok(7)), Some(7));
        assert!(verdicts.pass().is_ok());
    }
}
