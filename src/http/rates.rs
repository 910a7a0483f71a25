//! Limits of rate, as callers see them: [RateLimit fields for HTTP], draft 10.
//!
//! [RateLimit fields for HTTP]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10

use std::fmt::{self, Write};

use axum::http::{HeaderName, HeaderValue};

use super::{Answer, Service, answer::problem::Problem, extract::caller::Caller};
use crate::{
    auth::{Allowance, Limited},
    timeline::commands::Announcement,
};

/// What is let through, and over how long a time: one item for each bucket.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is left in each of them, and in how many seconds it is full again; of an empty one, when there is
/// something in it.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// About how long an item is.
const ITEM_BYTES: usize = 32;

/// The fields of an answer to a call that is limited.
#[derive(Default)]
pub struct RateFields(Vec<(HeaderName, HeaderValue)>);

impl Service {
    /// Counts a message that the caller sends or edits. Fails with 429 if there are too many of them.
    pub async fn limit_sends(&self, caller: &Caller) -> Result<RateFields, Problem> {
        let access = self.authenticator.access(caller.application).await?;
        let (user, policy) = (caller.user.as_ref(), access.sends_per_minute);
        match self.rates.take(caller.application, user, policy) {
            Ok(allowances) => Ok(RateFields::of(&allowances)),
            Err(too_many) => {
                let fields = RateFields::of(&too_many.allowances);
                // Whoever waits as long as that finds something in the bucket.
                let seconds = too_many.wait.as_secs_f64().ceil().max(1.0) as u32;
                Err(fields.tell_problem(Problem::too_many_sends(seconds)))
            }
        }
    }
}

impl Service {
    /// The same for a change of a chat, if it carries a message.
    pub async fn limit_announcement(
        &self,
        caller: &Caller,
        announcement: Option<&Announcement>,
    ) -> Result<RateFields, Problem> {
        match announcement {
            Some(_) => self.limit_sends(caller).await,
            None => Ok(RateFields::default()),
        }
    }
}

impl RateFields {
    fn of(allowances: &[Allowance]) -> Self {
        if allowances.is_empty() {
            return Self::default();
        }
        let fields = [
            (RATE_LIMIT_POLICY, list(allowances, write_policy)),
            (RATE_LIMIT, list(allowances, write_remaining)),
        ];
        let fields = fields.map(|(name, value)| {
            let value = HeaderValue::try_from(value).expect("names and digits are visible ASCII");
            (name, value)
        });
        Self(fields.to_vec())
    }

    /// Adds the fields to the answer, whatever it is.
    pub fn tell(self, answer: Answer) -> Answer {
        match answer {
            Ok(mut response) => {
                response.headers_mut().extend(self.0);
                Ok(response)
            }
            Err(problem) => Err(self.tell_problem(problem)),
        }
    }

    fn tell_problem(self, problem: Problem) -> Problem {
        problem.with_headers(self.0)
    }
}

fn name(allowance: &Allowance) -> &'static str {
    match allowance.limited {
        Limited::User => "user",
        Limited::Application => "application",
    }
}

/// An item for each bucket. Every answer to a send has them, so they are written without a text in between.
fn list(allowances: &[Allowance], write: fn(&mut String, &Allowance) -> fmt::Result) -> String {
    let mut list = String::with_capacity(ITEM_BYTES * allowances.len());
    for allowance in allowances {
        if !list.is_empty() {
            list.push_str(", ");
        }
        write(&mut list, allowance).expect("a text takes whatever is written");
    }
    list
}

fn write_policy(list: &mut String, allowance: &Allowance) -> fmt::Result {
    write!(list, "\"{}\";q={};w=60", name(allowance), allowance.quota)
}

fn write_remaining(list: &mut String, allowance: &Allowance) -> fmt::Result {
    let (name, remaining) = (name(allowance), allowance.remaining);
    let seconds = allowance.more_in.as_secs_f64().ceil() as u64;
    write!(list, "\"{name}\";r={remaining};t={seconds}")
}
