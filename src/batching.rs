//! Many callers, few round trips: one piece of work answers all callers who wait.
//!
//! A caller puts its request into a bounded [`Queue`] and waits. A worker takes all waiting
//! requests of one key, up to a limit, works on them as one batch and answers each caller. Meanwhile
//! the next batch fills. There is no timer: an idle service answers at once, and a busy one pays
//! once for hundreds of callers. No request joins a batch that a worker has already taken.
//!
//! Keys take turns: a key with requests waits for a worker behind the keys that came before it, and
//! again at the end once its batch is taken. So a key with many requests delays another by a batch,
//! and not by all of them. One worker at a time waits for the batch of a key ([`Claim`]). A worker
//! that can do so claims several keys that wait, and gives back what it cannot work on.
//!
//! # What a caller can rely on
//! A request is either *accepted* by a worker or withdrawn by its caller, and both sides agree on
//! which. The worker accepts it by sending on a channel that the caller may close, and only one of
//! the two comes first. So the request of a caller that has gone, or has waited too long, is never
//! worked on, and a caller can trust an error that says that nothing was done.

mod claim;
mod waiting;

use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::Histogram;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

pub use claim::Claim;
use waiting::Waiting;

/// The limits of a queue and of the batches that are taken from it.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Names the queue in metrics.
    pub name: &'static str,
    /// Requests of one key that may wait; one more is refused at once.
    pub waiting_max: usize,
    /// Requests in one batch.
    pub batch_max: usize,
    /// The sum of the requests' weights in one batch; a single heavier request goes alone.
    pub weight_max: usize,
    /// How long a request may wait to be accepted.
    pub wait_max: Duration,
}

/// Why a request has no answer. In every case but the last, nothing was done and nothing will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    #[error("too many requests are waiting")]
    Full,
    #[error("the request has waited too long")]
    Overdue,
    #[error("the service is shutting down")]
    Closed,
    /// The worker accepted the request, and ended before it had answered.
    #[error("the worker ended before it had answered")]
    Abandoned,
}

/// A key of requests: the requests of one batch have the same.
pub trait Key: Copy + Eq + Hash {}

impl<K: Copy + Eq + Hash> Key for K {}

/// The callers' side. Clones feed the same workers. Dropping the last one closes the queue.
pub struct Queue<K: Key, Q, A> {
    shared: Arc<Shared<K, Q, A>>,
    _open: Arc<ClosedByCallers<K, Q, A>>,
}

/// The workers' side. Clones share the queue. Dropping the last one closes it.
pub struct Batches<K: Key, Q, A> {
    shared: Arc<Shared<K, Q, A>>,
    _open: Arc<ClosedByWorkers<K, Q, A>>,
}

/// A request that a worker has accepted. Its caller waits for the answer.
#[derive(Debug)]
pub struct AcceptedRequest<Q, A> {
    pub request: Q,
    answer: oneshot::Sender<A>,
}

struct Shared<K, Q, A> {
    limits: QueueLimits,
    metrics: QueueMetrics,
    waiting: Mutex<Waiting<K, Q, A>>,
}

/// The metrics of a queue. They are looked up once and not for each request, which costs too much.
struct QueueMetrics {
    wait_seconds: Histogram,
    batch_size: Histogram,
}

struct QueuedRequest<Q, A> {
    request: Q,
    weight: usize,
    since: Instant,
    /// Closed once the caller has withdrawn the request.
    accept: oneshot::Sender<()>,
    answer: oneshot::Sender<A>,
}

/// Closes the queue once no caller can come any more. What waits is still worked on.
struct ClosedByCallers<K: Key, Q, A>(Arc<Shared<K, Q, A>>);

/// Closes the queue once no worker is left. What waits is withdrawn.
struct ClosedByWorkers<K: Key, Q, A>(Arc<Shared<K, Q, A>>);

/// Makes a queue and the side from which its batches are taken.
pub fn queue<K: Key, Q, A>(limits: QueueLimits) -> (Queue<K, Q, A>, Batches<K, Q, A>) {
    let shared = Arc::new(Shared {
        limits,
        metrics: QueueMetrics::new(limits.name),
        waiting: Mutex::new(Waiting::new(metrics::gauge!(
            "messages_queue_waiting", "queue" => limits.name
        ))),
    });
    let queue = Queue {
        _open: Arc::new(ClosedByCallers(Arc::clone(&shared))),
        shared: Arc::clone(&shared),
    };
    let batches = Batches {
        _open: Arc::new(ClosedByWorkers(Arc::clone(&shared))),
        shared,
    };
    (queue, batches)
}

impl QueueMetrics {
    fn new(queue: &'static str) -> Self {
        Self {
            wait_seconds: metrics::histogram!("messages_queue_wait_seconds", "queue" => queue),
            batch_size: metrics::histogram!("messages_batch_size", "queue" => queue),
        }
    }
}

impl<K: Key, Q, A> Queue<K, Q, A> {
    /// Waits for the answer to `request`.
    ///
    /// Dropping the future withdraws the request, unless it is accepted. An accepted request is
    /// worked on to its end.
    pub async fn ask(&self, key: K, request: Q, weight: usize) -> Result<A, QueueError> {
        let (accept, accepted) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let queued = QueuedRequest {
            request,
            weight,
            since: Instant::now(),
            accept,
            answer,
        };
        let waiting_max = self.shared.limits.waiting_max;
        self.shared.waiting().push(key, queued, waiting_max)?;
        self.until_accepted(accepted).await?;
        answered.await.map_err(|_| QueueError::Abandoned)
    }

    async fn until_accepted(&self, mut accepted: oneshot::Receiver<()>) -> Result<(), QueueError> {
        match timeout(self.shared.limits.wait_max, &mut accepted).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(QueueError::Closed),
            Err(_) => {
                // Closing decides: an acceptance that was sent before counts, and a later one
                // fails.
                accepted.close();
                accepted.try_recv().map_err(|_| QueueError::Overdue)
            }
        }
    }
}

impl<K: Key, Q, A> Clone for Queue<K, Q, A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            _open: Arc::clone(&self._open),
        }
    }
}

impl<K: Key, Q, A> Batches<K, Q, A> {
    /// Waits for a key with requests, and claims it. No other worker gets the key before the claim
    /// is dropped. `None` once the queue is closed and empty.
    ///
    /// The future must not be dropped while the queue is in use: a key may be lost with it.
    pub async fn claim(&self) -> Option<Claim<K, Q, A>> {
        loop {
            let (wake, woken) = oneshot::channel();
            let next = self.shared.waiting().next_key(wake)?;
            let key = match next {
                Some(key) => key,
                None => match woken.await {
                    Ok(key) => key,
                    Err(_) => continue,
                },
            };
            let claim = Claim::new(&self.shared, key);
            if claim.has_requests() {
                return Some(claim);
            }
        }
    }

    /// Claims keys that wait for a worker, in the order of their turns: `keys_max` at the most, of
    /// which no more than `requests_max` requests wait together. Does not wait. A key that is claimed
    /// already is never among them.
    pub fn claim_more(&self, keys_max: usize, requests_max: usize) -> Vec<Claim<K, Q, A>> {
        let keys = self.shared.waiting().next_keys(keys_max, requests_max);
        let claims = keys.into_iter().map(|key| Claim::new(&self.shared, key));
        claims.collect()
    }

    /// Waits for a key with requests, and accepts all that wait, within the limits.
    ///
    /// `None` once the queue is closed and empty. A batch is never empty.
    pub async fn next(&self) -> Option<(K, Vec<AcceptedRequest<Q, A>>)> {
        loop {
            let claim = self.claim().await?;
            let key = claim.key();
            let batch = claim.take();
            if !batch.is_empty() {
                return Some((key, batch));
            }
        }
    }
}

impl<K: Key, Q, A> Clone for Batches<K, Q, A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            _open: Arc::clone(&self._open),
        }
    }
}

impl<K: Key, Q, A> Drop for ClosedByCallers<K, Q, A> {
    fn drop(&mut self) {
        self.0.waiting().close();
    }
}

impl<K: Key, Q, A> Drop for ClosedByWorkers<K, Q, A> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.close();
        let count = waiting.count;
        waiting.uncount(count);
        waiting.requests.clear();
    }
}

impl<K, Q, A> Shared<K, Q, A> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<K, Q, A>> {
        // No code panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> QueuedRequest<Q, A> {
    /// Accepts the request, unless its caller has withdrawn it.
    fn accept(self, metrics: &QueueMetrics) -> Option<AcceptedRequest<Q, A>> {
        self.accept.send(()).ok()?;
        metrics
            .wait_seconds
            .record(self.since.elapsed().as_secs_f64());
        Some(AcceptedRequest {
            request: self.request,
            answer: self.answer,
        })
    }
}

impl<Q, A> AcceptedRequest<Q, A> {
    /// Answers the caller with what `answer` makes of its request.
    pub fn finish(self, answer: impl FnOnce(Q) -> A) {
        let _ = self.answer.send(answer(self.request));
    }

    /// Answers the caller, if it is still there.
    pub fn answer(self, answer: A) {
        let _ = self.answer.send(answer);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test spawns its callers")]
mod tests;
