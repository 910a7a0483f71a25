//! The claim of a worker on the next batch of a key.

use std::{collections::VecDeque, sync::Arc};

use super::{AcceptedRequest, Key, QueueLimits, Shared};

/// The right to take the next batch of a key. Dropping it gives the turn to the next key.
pub struct Claim<K: Key, Q, A> {
    shared: Arc<Shared<K, Q, A>>,
    key: K,
    /// Whether the key comes before all others once the claim is dropped, and not behind them.
    keeps_turn: bool,
}

impl<K: Key, Q, A> Claim<K, Q, A> {
    pub(super) fn new(shared: &Arc<Shared<K, Q, A>>, key: K) -> Self {
        Self {
            shared: Arc::clone(shared),
            key,
            keeps_turn: false,
        }
    }

    pub fn key(&self) -> K {
        self.key
    }

    /// How many requests of the key wait.
    pub fn waiting(&self) -> usize {
        let waiting = self.shared.waiting();
        waiting.requests.get(&self.key).map_or(0, VecDeque::len)
    }

    /// Accepts all requests of the key that wait by now, within the limits. The batch is empty if no
    /// caller waits any more.
    pub fn take(self) -> Vec<AcceptedRequest<Q, A>> {
        self.take_first(usize::MAX)
    }

    /// As [`take`](Self::take), but no more than the first `count`.
    pub fn take_first(self, count: usize) -> Vec<AcceptedRequest<Q, A>> {
        let Shared {
            limits, metrics, ..
        } = &*self.shared;
        let limits = QueueLimits {
            batch_max: limits.batch_max.min(count),
            ..*limits
        };
        let taken = self.shared.waiting().take(self.key, &limits);
        let accepted = taken.into_iter().filter_map(|next| next.accept(metrics));
        let batch: Vec<_> = accepted.collect();
        if !batch.is_empty() {
            metrics.batch_size.record(batch.len() as f64);
        }
        batch
    }

    /// Gives the claim up. The key comes before all others that wait for a worker.
    pub fn give_back(mut self) {
        self.keeps_turn = true;
    }

    /// Whether a caller waits. Forgets requests that were withdrawn.
    pub(super) fn has_requests(&self) -> bool {
        let mut waiting = self.shared.waiting();
        while let Some(first) = waiting.requests.get(&self.key).and_then(VecDeque::front) {
            if !first.accept.is_closed() {
                return true;
            }
            waiting.pop(self.key);
        }
        false
    }
}

impl<K: Key, Q, A> Drop for Claim<K, Q, A> {
    fn drop(&mut self) {
        self.shared.waiting().release(self.key, self.keeps_turn);
    }
}
