//! Many callers, few round trips: one piece of work answers all callers who wait.
//!
//! A caller puts its request into a bounded [`Queue`] and waits. A worker takes all waiting
//! requests, up to a limit, works on them as one batch and answers each caller. Meanwhile the
//! next batch fills. There is no timer: an idle service answers at once, and a busy one pays
//! once for hundreds of callers. Several workers may share a queue. No request joins a batch that
//! a worker has already taken.
//!
//! # What a caller can rely on
//! A request is either *accepted* by a worker or withdrawn by its caller, and both sides agree on
//! which. The worker accepts it by sending on a channel that the caller may close, and only one of
//! the two comes first. So the request of a caller that has gone, or has waited too long, is never
//! worked on, and a caller can trust an error that says that nothing was done.

use std::{sync::Arc, time::Duration};

use metrics::{Gauge, Histogram};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, timeout},
};

/// The limits of a queue and of the batches that are taken from it.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Names the queue in metrics.
    pub name: &'static str,
    /// Requests that may wait behind the first; one more is refused at once.
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

/// The callers' side. Clones feed the same workers. Dropping the last one closes the queue.
pub struct Queue<Q, A> {
    sender: mpsc::Sender<QueuedRequest<Q, A>>,
    limits: QueueLimits,
    metrics: QueueMetrics,
}

/// The metrics of a queue. They are looked up once and not for each request, which costs too much.
#[derive(Clone)]
struct QueueMetrics {
    waiting: Gauge,
    wait_seconds: Histogram,
    batch_size: Histogram,
}

impl QueueMetrics {
    fn new(queue: &'static str) -> Self {
        Self {
            waiting: metrics::gauge!("messages_queue_waiting", "queue" => queue),
            wait_seconds: metrics::histogram!("messages_queue_wait_seconds", "queue" => queue),
            batch_size: metrics::histogram!("messages_batch_size", "queue" => queue),
        }
    }
}

/// The workers' side. Clones share the queue.
pub struct Batches<Q, A> {
    intake: Arc<Mutex<BatchIntake<Q, A>>>,
}

/// A request that a worker has accepted. Its caller waits for the answer.
#[derive(Debug)]
pub struct AcceptedRequest<Q, A> {
    pub request: Q,
    answer: oneshot::Sender<A>,
}

struct QueuedRequest<Q, A> {
    request: Q,
    weight: usize,
    since: Instant,
    /// Closed once the caller has withdrawn the request.
    accept: oneshot::Sender<()>,
    answer: oneshot::Sender<A>,
}

struct BatchIntake<Q, A> {
    receiver: mpsc::Receiver<QueuedRequest<Q, A>>,
    /// The first request of the next batch, if it is here already: because a worker has waited for
    /// it, or because it would have made the last batch too heavy.
    held: Option<QueuedRequest<Q, A>>,
    limits: QueueLimits,
    metrics: QueueMetrics,
}

/// Makes a queue and the side from which its batches are taken.
pub fn queue<Q, A>(limits: QueueLimits) -> (Queue<Q, A>, Batches<Q, A>) {
    let (sender, receiver) = mpsc::channel(limits.waiting_max);
    let metrics = QueueMetrics::new(limits.name);
    let intake = BatchIntake {
        receiver,
        held: None,
        limits,
        metrics: metrics.clone(),
    };
    let intake = Arc::new(Mutex::new(intake));
    (
        Queue {
            sender,
            limits,
            metrics,
        },
        Batches { intake },
    )
}

impl<Q, A> Queue<Q, A> {
    /// Waits for the answer to `request`.
    ///
    /// Dropping the future withdraws the request, unless it is accepted. An accepted request is
    /// worked on to its end.
    pub async fn ask(&self, request: Q, weight: usize) -> Result<A, QueueError> {
        let (accept, accepted) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let queued = QueuedRequest {
            request,
            weight,
            since: Instant::now(),
            accept,
            answer,
        };
        self.sender.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => QueueError::Full,
            mpsc::error::TrySendError::Closed(_) => QueueError::Closed,
        })?;
        self.metrics.waiting.increment(1.0);
        self.until_accepted(accepted).await?;
        answered.await.map_err(|_| QueueError::Abandoned)
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    async fn until_accepted(&self, mut accepted: oneshot::Receiver<()>) -> Result<(), QueueError> {
        match timeout(self.limits.wait_max, &mut accepted).await {
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

impl<Q, A> Clone for Queue<Q, A> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            limits: self.limits,
            metrics: self.metrics.clone(),
        }
    }
}

impl<Q, A> Batches<Q, A> {
    /// Waits for a request, and accepts it with all that wait behind it, within the limits.
    ///
    /// `None` once the queue is closed and empty. A batch is never empty.
    pub async fn next(&self) -> Option<Vec<AcceptedRequest<Q, A>>> {
        let mut intake = self.intake.lock().await;
        loop {
            intake.hold_first().await?;
            let batch = intake.take();
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    /// Waits until there is a request, and accepts none. `false` once the queue is closed and
    /// empty.
    pub async fn wait(&self) -> bool {
        self.intake.lock().await.hold_first().await.is_some()
    }

    /// Accepts all that wait, within the limits. The batch is empty if no caller waits any more.
    pub async fn take(&self) -> Vec<AcceptedRequest<Q, A>> {
        self.intake.lock().await.take()
    }
}

impl<Q, A> Clone for Batches<Q, A> {
    fn clone(&self) -> Self {
        Self {
            intake: Arc::clone(&self.intake),
        }
    }
}

impl<Q, A> BatchIntake<Q, A> {
    /// Waits for the next request whose caller is still there, and holds it for the next batch.
    async fn hold_first(&mut self) -> Option<()> {
        loop {
            match &self.held {
                None => self.held = Some(self.receiver.recv().await?),
                Some(held) if held.accept.is_closed() => {
                    self.held = None;
                    self.metrics.waiting.decrement(1.0);
                }
                Some(_) => return Some(()),
            }
        }
    }

    fn take(&mut self) -> Vec<AcceptedRequest<Q, A>> {
        let (mut weight, mut batch) = (0, Vec::new());
        while batch.len() < self.limits.batch_max {
            let Some(next) = self.held.take().or_else(|| self.receiver.try_recv().ok()) else {
                break;
            };
            if weight + next.weight > self.limits.weight_max && !batch.is_empty() {
                self.held = Some(next);
                break;
            }
            let next_weight = next.weight;
            if let Some(accepted) = next.accept(&self.metrics) {
                weight += next_weight;
                batch.push(accepted);
            }
        }
        if !batch.is_empty() {
            self.metrics.batch_size.record(batch.len() as f64);
        }
        batch
    }
}

impl<Q, A> QueuedRequest<Q, A> {
    /// Accepts the request, unless its caller has withdrawn it.
    fn accept(self, metrics: &QueueMetrics) -> Option<AcceptedRequest<Q, A>> {
        metrics.waiting.decrement(1.0);
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
mod tests {
    use std::future::Future;

    use tokio::task::JoinHandle;

    use super::*;

    const LIMITS: QueueLimits = QueueLimits {
        name: "test",
        waiting_max: 4,
        batch_max: 3,
        weight_max: 10,
        wait_max: Duration::from_secs(5),
    };

    /// Returns once the request is in the queue.
    async fn ask(
        queue: &Queue<u32, u32>,
        request: u32,
        weight: usize,
    ) -> JoinHandle<Result<u32, QueueError>> {
        let before = queue.sender.capacity();
        let asking = tokio::spawn({
            let queue = queue.clone();
            async move { queue.ask(request, weight).await }
        });
        while queue.sender.capacity() == before {
            tokio::task::yield_now().await;
        }
        asking
    }

    fn requests(batch: &[AcceptedRequest<u32, u32>]) -> Vec<u32> {
        batch.iter().map(|accepted| accepted.request).collect()
    }

    fn is_pending(future: impl Future) -> bool {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.as_mut().poll(&mut context).is_pending()
    }

    #[tokio::test]
    async fn a_batch_is_everything_that_waits_up_to_the_limit_in_order() {
        let (queue, batches) = queue(LIMITS);
        let mut asking = Vec::new();
        for request in 1..=4 {
            asking.push(ask(&queue, request, 1).await);
        }
        let first = batches.next().await.unwrap();
        assert_eq!(requests(&first), [1, 2, 3]);
        let second = batches.next().await.unwrap();
        assert_eq!(requests(&second), [4]);
        for accepted in first.into_iter().chain(second) {
            let answer = accepted.request * 10;
            accepted.answer(answer);
        }
        for (request, asking) in (1..).zip(asking) {
            assert_eq!(asking.await.unwrap(), Ok(request * 10));
        }
    }

    #[tokio::test]
    async fn a_request_that_arrives_before_the_batch_is_taken_is_part_of_it() {
        let (queue, batches) = queue(LIMITS);
        let first = ask(&queue, 1, 1).await;
        assert!(batches.wait().await);
        let _second = ask(&queue, 2, 1).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(
            requests(&batches.take().await),
            [2],
            "the first one was withdrawn"
        );
        assert!(batches.take().await.is_empty());
        drop(queue);
        assert!(!batches.wait().await);
    }

    #[tokio::test]
    async fn a_heavy_request_waits_for_the_next_batch_and_goes_alone() {
        let (queue, batches) = queue(LIMITS);
        let _asking = [
            ask(&queue, 1, 6).await,
            ask(&queue, 2, 50).await,
            ask(&queue, 3, 1).await,
        ];
        assert_eq!(requests(&batches.next().await.unwrap()), [1]);
        assert_eq!(requests(&batches.next().await.unwrap()), [2]);
        assert_eq!(requests(&batches.next().await.unwrap()), [3]);
    }

    #[tokio::test]
    async fn one_request_too_many_is_refused_at_once() {
        let (queue, _batches) = queue::<u32, u32>(LIMITS);
        for request in 1..=4 {
            ask(&queue, request, 1).await;
        }
        assert_eq!(queue.ask(5, 1).await, Err(QueueError::Full));
    }

    #[tokio::test]
    async fn a_caller_that_has_gone_is_dropped_before_its_batch() {
        let (queue, batches) = queue(LIMITS);
        let gone = ask(&queue, 1, 1).await;
        let _stays = ask(&queue, 2, 1).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        assert_eq!(requests(&batches.next().await.unwrap()), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_too_long_is_withdrawn_for_good() {
        let (queue, batches) = queue(LIMITS);
        let overdue = ask(&queue, 1, 1).await;
        assert_eq!(overdue.await.unwrap(), Err(QueueError::Overdue));
        assert!(
            is_pending(batches.next()),
            "the withdrawn request was accepted"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_an_accepted_request_may_take_any_time() {
        let (queue, batches) = queue(LIMITS);
        let asking = ask(&queue, 1, 1).await;
        let batch = batches.next().await.unwrap();
        tokio::time::advance(LIMITS.wait_max * 10).await;
        for accepted in batch {
            accepted.answer(7);
        }
        assert_eq!(asking.await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn what_waits_when_the_queue_closes_is_still_worked_on() {
        let (queue, batches) = queue(LIMITS);
        let _asking = ask(&queue, 1, 1).await;
        drop(queue);
        assert_eq!(requests(&batches.next().await.unwrap()), [1]);
    }

    #[tokio::test]
    async fn a_worker_that_ends_abandons_its_batch_and_closes_the_queue() {
        let (queue, batches) = queue(LIMITS);
        let accepted = ask(&queue, 1, 20).await;
        let waits = ask(&queue, 2, 20).await;
        drop(batches.next().await.unwrap());
        drop(batches);
        assert_eq!(accepted.await.unwrap(), Err(QueueError::Abandoned));
        assert_eq!(waits.await.unwrap(), Err(QueueError::Closed));
    }
}
