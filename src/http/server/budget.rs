//! What callers may hold at a time: requests of one user, and the bytes of answers that were not
//! read yet.
//!
//! A connection costs little. An answer costs up to a megabyte until its caller has read it. So all
//! answers share a budget of bytes, and a user has a number of requests, which includes answers
//! that are still being read. One user alone cannot use up the budget, and all of them together
//! cannot use up the memory.
//!
//! Only large answers are counted: a small one fits into the kernel's buffer. A stream is bounded
//! by its page, and an encoder by the size of its pieces.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;

use super::envelope::Public;
use crate::{
    domain::{ApplicationId, UserId},
    http::answer::problem::Problem,
};

/// An answer of so many bytes is large: the kernel does not take more at once.
const LARGE_BYTES: usize = 64 * 1024;

/// A user may have a quarter of the budget: it takes four users to use it up.
const SHARE_OF_USER: usize = 4;

/// Counters of requests and of bytes. Users whose keyed hashes agree share one: with 64 users at
/// their limit, one user in a thousand would be refused because of another. Nobody can guess the
/// key.
const COUNTERS: usize = 64 * 1024;

/// How much callers may hold on this replica.
#[derive(Debug, Clone, Copy)]
pub struct BudgetLimits {
    /// Requests of one user at a time. Streams and held answers have a limit of their own.
    pub requests_per_user_max: u32,
    /// Bytes of large answers that were produced and not read yet.
    pub pending_bytes_max: usize,
}

/// What callers hold at present.
pub struct Budget {
    limits: BudgetLimits,
    key: RandomState,
    users: Box<[Usage]>,
    pending_bytes: AtomicUsize,
}

/// What one user holds.
#[derive(Default)]
struct Usage {
    requests: AtomicU32,
    pending_bytes: AtomicUsize,
}

/// A user's right to one request. Dropping it lets another request in.
pub struct RequestPermit {
    budget: Arc<Budget>,
    counter: usize,
}

/// A large answer. Its bytes count until the connection has written all of them and drops it.
struct CountedAnswer {
    bytes: Bytes,
    _claim: Claim,
}

/// Bytes of the budget, and of the user's share if the answer is for a user.
struct Claim {
    bytes: usize,
    budget: Arc<Budget>,
    permit: Option<RequestPermit>,
}

impl Budget {
    pub fn new(limits: BudgetLimits) -> Arc<Self> {
        let users = (0..COUNTERS).map(|_| Usage::default()).collect();
        Arc::new(Self {
            limits,
            key: RandomState::new(),
            users,
            pending_bytes: AtomicUsize::new(0),
        })
    }

    /// Admits a request of a user. Fails with 429 if the user has too many.
    pub fn enter(
        self: &Arc<Self>,
        application: ApplicationId,
        user: &UserId,
    ) -> Result<RequestPermit, Problem> {
        let hash = self.key.hash_one((application.get(), user.as_str()));
        let counter = usize::try_from(hash % COUNTERS as u64).expect("it is smaller than a length");
        let before = self.users[counter].requests.fetch_add(1, Ordering::Relaxed);
        // From here on, dropping the permit undoes the count.
        let permit = RequestPermit {
            budget: Arc::clone(self),
            counter,
        };
        if before >= self.limits.requests_per_user_max {
            return Err(Problem::too_many_requests(
                self.limits.requests_per_user_max,
            ));
        }
        Ok(permit)
    }

    /// Counts an answer, if it is large, until its caller has read it.
    ///
    /// A large page that does not fit into the budget is dropped, and the answer is 503: keeping
    /// the page until there is room would cost the memory that is missing, and a read can be
    /// repeated. Answers to changes, and answers to no user (metrics), are small or rare, and never
    /// refused.
    pub async fn hold(
        self: &Arc<Self>,
        response: Response,
        permit: Option<RequestPermit>,
        is_read: bool,
    ) -> Response {
        let length = response
            .body()
            .size_hint()
            .exact()
            .and_then(|length| usize::try_from(length).ok());
        let is_same_for_all = response.extensions().get::<Public>().is_some();
        let Some(length) = length.filter(|length| *length >= LARGE_BYTES && !is_same_for_all)
        else {
            return response;
        };
        let can_be_refused = is_read && permit.is_some();
        let (claim, is_over) = Claim::new(Arc::clone(self), length, permit);
        if is_over && can_be_refused {
            return Problem::too_many_pending_answers().into_response();
        }
        let (head, body) = response.into_parts();
        // The body is in memory: this neither waits nor copies.
        let collected = body.collect().await;
        let bytes = collected.map(|whole| whole.to_bytes()).unwrap_or_default();
        if bytes.len() != length {
            return Problem::internal().into_response();
        }
        let pending = CountedAnswer {
            bytes,
            _claim: claim,
        };
        Response::from_parts(head, Body::from(Bytes::from_owner(pending)))
    }
}

impl Claim {
    /// Claims bytes; returns whether they exceed a limit.
    fn new(budget: Arc<Budget>, bytes: usize, permit: Option<RequestPermit>) -> (Self, bool) {
        metrics::gauge!("messages_http_pending_answer_bytes").increment(bytes as f64);
        let claim = Self {
            bytes,
            budget,
            permit,
        };
        let max = claim.budget.limits.pending_bytes_max;
        let of_all = claim
            .budget
            .pending_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        let of_user = claim
            .of_user()
            .map_or(0, |usage| usage.fetch_add(bytes, Ordering::Relaxed));
        let is_over = of_all + bytes > max || of_user > 0 && of_user + bytes > max / SHARE_OF_USER;
        (claim, is_over)
    }

    fn of_user(&self) -> Option<&AtomicUsize> {
        let permit = self.permit.as_ref()?;
        Some(&self.budget.users[permit.counter].pending_bytes)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        metrics::gauge!("messages_http_pending_answer_bytes").decrement(self.bytes as f64);
        self.budget
            .pending_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
        self.of_user()
            .map(|usage| usage.fetch_sub(self.bytes, Ordering::Relaxed));
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.budget.users[self.counter]
            .requests
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for CountedAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    const LIMITS: BudgetLimits = BudgetLimits {
        requests_per_user_max: 2,
        pending_bytes_max: 5 * LARGE_BYTES,
    };

    fn enter(budget: &Arc<Budget>, user: &str) -> Result<RequestPermit, StatusCode> {
        let user = UserId::parse(user).unwrap();
        budget
            .enter(ApplicationId::new(1), &user)
            .map_err(|problem| problem.status())
    }

    fn answer(bytes: usize) -> Response {
        vec![b'x'; bytes].into_response()
    }

    #[test]
    fn a_user_has_a_number_of_requests_at_a_time() {
        let budget = Budget::new(LIMITS);
        let first = enter(&budget, "jane").unwrap();
        let _second = enter(&budget, "jane").unwrap();
        assert_eq!(
            enter(&budget, "jane").err(),
            Some(StatusCode::TOO_MANY_REQUESTS)
        );
        drop(first);
        assert!(enter(&budget, "jane").is_ok());
    }

    #[tokio::test]
    async fn a_large_answer_counts_until_it_is_read() {
        let budget = Budget::new(LIMITS);
        let page = budget
            .hold(answer(3 * LARGE_BYTES), enter(&budget, "jane").ok(), true)
            .await;
        let bytes = page.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len(), 3 * LARGE_BYTES);
        let refused = budget
            .hold(answer(3 * LARGE_BYTES), enter(&budget, "john").ok(), true)
            .await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let small = budget
            .hold(answer(LARGE_BYTES - 1), enter(&budget, "jane").ok(), true)
            .await;
        assert_eq!(small.status(), StatusCode::OK);
        let _one_more = enter(&budget, "jane").unwrap();
        assert!(enter(&budget, "jane").is_err(), "the page has one permit");
        drop(bytes);
        assert!(enter(&budget, "jane").is_ok());
        assert_eq!(budget.pending_bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_user_has_a_share_of_the_budget() {
        let limits = BudgetLimits {
            requests_per_user_max: 9,
            pending_bytes_max: 12 * LARGE_BYTES,
        };
        let budget = Budget::new(limits);
        let hold = async |user| {
            budget
                .hold(answer(2 * LARGE_BYTES), enter(&budget, user).ok(), true)
                .await
        };
        let [first, second, of_john] = [hold("jane").await, hold("jane").await, hold("john").await];
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(of_john.status(), StatusCode::OK);
        drop(first);
        assert_eq!(hold("jane").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn the_answer_to_a_change_is_never_refused() {
        let budget = Budget::new(LIMITS);
        let answer = budget
            .hold(answer(9 * LARGE_BYTES), enter(&budget, "jane").ok(), false)
            .await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
}
