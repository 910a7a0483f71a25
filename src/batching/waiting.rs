//! What waits in a queue: the requests of each key, and whose turn it is.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use metrics::Gauge;
use tokio::sync::oneshot;

use super::{Key, QueueError, QueueLimits, QueuedRequest};

/// The requests that wait, by key.
pub struct Waiting<K, Q, A> {
    /// The requests of each key that is ready or claimed.
    pub requests: HashMap<K, VecDeque<QueuedRequest<Q, A>>>,
    /// The keys that wait for a worker, in the order of their turns.
    ready: VecDeque<K>,
    /// The workers that wait for a key. The one that came last goes first: few workers do the work
    /// of a quiet service, and their connections stay warm.
    idle: Vec<oneshot::Sender<K>>,
    pub count: usize,
    gauge: Gauge,
    is_closed: bool,
}

impl<K: Key, Q, A> Waiting<K, Q, A> {
    /// `gauge` counts the requests.
    pub fn new(gauge: Gauge) -> Self {
        Self {
            requests: HashMap::new(),
            ready: VecDeque::new(),
            idle: Vec::new(),
            count: 0,
            gauge,
            is_closed: false,
        }
    }

    pub fn push(
        &mut self,
        key: K,
        request: QueuedRequest<Q, A>,
        waiting_max: usize,
    ) -> Result<(), QueueError> {
        if self.is_closed {
            return Err(QueueError::Closed);
        }
        match self.requests.entry(key) {
            Entry::Occupied(mut entry) => {
                let waiting = entry.get_mut();
                if waiting.len() >= waiting_max {
                    let before = waiting.len();
                    waiting.retain(|request| !request.accept.is_closed());
                    let withdrawn = before - waiting.len();
                    self.uncount(withdrawn);
                }
                let waiting = self.requests.entry(key).or_default();
                if waiting.len() >= waiting_max {
                    return Err(QueueError::Full);
                }
                waiting.push_back(request);
            }
            Entry::Vacant(entry) => {
                entry.insert(VecDeque::from([request]));
                self.make_ready(key, false);
            }
        }
        self.count += 1;
        self.gauge.increment(1.0);
        Ok(())
    }

    pub fn uncount(&mut self, requests: usize) {
        self.count -= requests;
        self.gauge.decrement(requests as f64);
    }

    /// Gives the key to a worker that waits, or to the next one that comes: behind all others, or, if
    /// it `goes_first`, before them.
    fn make_ready(&mut self, mut key: K, goes_first: bool) {
        while let Some(worker) = self.idle.pop() {
            match worker.send(key) {
                Ok(()) => return,
                Err(returned) => key = returned,
            }
        }
        if goes_first {
            self.ready.push_front(key);
        } else {
            self.ready.push_back(key);
        }
    }

    /// The key whose turn it is. If there is none, `wake` receives the next one. `None` once the
    /// queue is closed and no key is ready.
    pub fn next_key(&mut self, wake: oneshot::Sender<K>) -> Option<Option<K>> {
        let next = self.ready.pop_front();
        if next.is_none() {
            if self.is_closed {
                return None;
            }
            self.idle.push(wake);
        }
        Some(next)
    }

    /// The next keys, `keys_max` at the most, of which no more than `requests_max` requests wait
    /// together. A key with too many is the last that is looked at: none overtakes it.
    pub fn next_keys(&mut self, keys_max: usize, mut requests_max: usize) -> Vec<K> {
        let mut next = Vec::new();
        while next.len() < keys_max
            && let Some(key) = self.ready.front()
            && let requests = self.requests.get(key).map_or(0, VecDeque::len)
            && let Some(rest) = requests_max.checked_sub(requests)
        {
            requests_max = rest;
            next.extend(self.ready.pop_front());
        }
        next
    }

    /// Ends a claim: the key is ready again if requests of it wait. It is behind all others, or, if
    /// it `keeps_turn`, before them.
    pub fn release(&mut self, key: K, keeps_turn: bool) {
        if self.requests.get(&key).is_some_and(VecDeque::is_empty) {
            self.requests.remove(&key);
        } else if self.requests.contains_key(&key) {
            self.make_ready(key, keeps_turn);
        }
    }

    /// The first requests of the key, within the limits of a batch.
    pub fn take(&mut self, key: K, limits: &QueueLimits) -> Vec<QueuedRequest<Q, A>> {
        let (mut weight, mut taken) = (0, Vec::new());
        let requests = self.requests.entry(key).or_default();
        while taken.len() < limits.batch_max
            && let Some(next) = requests.front()
        {
            weight += next.weight;
            if weight > limits.weight_max && !taken.is_empty() {
                break;
            }
            taken.extend(requests.pop_front());
        }
        self.uncount(taken.len());
        taken
    }

    pub fn pop(&mut self, key: K) -> Option<QueuedRequest<Q, A>> {
        let request = self.requests.get_mut(&key)?.pop_front()?;
        self.uncount(1);
        Some(request)
    }

    pub fn close(&mut self) {
        self.is_closed = true;
        self.idle.clear();
    }
}
