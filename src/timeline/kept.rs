//! What the writers of this process keep of the state between batches, so that a batch loads only
//! what it does not know yet.
//!
//! # The formula
//! What is kept of an application is what the database would return, if this holds:
//!
//! ```text
//! kept is valid  ⇔  as_of = end of the timeline  ∧  generation = generation of the process
//! ```
//!
//! - *end of the timeline*: the newest row of the application's log, read under its lane.
//! - `as_of`: the last timestamp of the batch that has kept it. It is set before COMMIT is sent. If
//!   the batch is not committed, the timeline ends elsewhere; if anybody else commits, it ends later.
//! - *generation*: every new connection of a writer begins one. A failover, or a restore into another
//!   database, ends all connections. (A dump that is restored in place does not; after it the
//!   operator advances the timelines, and so their ends.)
//!
//! A batch takes what is kept, and puts it back when everything is stored. A transaction has one
//! batch of an application at the most: a second one would read, and keep, what is not committed. If it fails before that,
//! nothing is kept. If it has lost its lane meanwhile and another writer is inside, that one has
//! found nothing and has loaded what it needs.
//!
//! After the erasure of a user, what is kept of the application is dropped ([`Cache`]), and so is what any batch has
//! taken by then and puts back. Nothing becomes valid by that: it is loaded again.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    BatchState,
    state::{Forgotten, STATE_BYTES_MAX},
};
use crate::domain::{ApplicationId, Cache, DrawnNumbers, ErasedUsers, Timestamp};

/// The most bytes that are kept, of all applications together. It is more than one may have.
const BYTES_MAX: usize = 2 * STATE_BYTES_MAX;

/// The bytes that an application takes besides its state.
const LANE_BYTES: usize = 1000;

/// What is kept, for all writers of a process.
pub struct Kept {
    lanes: Mutex<Lanes>,
    generation: AtomicU64,
    /// How many connections of writers have failed.
    failures: AtomicU64,
}

/// By application, each with the time of its last use.
#[derive(Default)]
struct Lanes {
    kept: HashMap<ApplicationId, (u64, KeptLane)>,
    bytes: usize,
    /// How many times a lane was put back.
    uses: u64,
    /// How many times something was forgotten: whatever was taken before that is not kept.
    forgets: u64,
}

/// What is kept of one application, in the hands of the batch that holds its lane.
pub struct KeptLane {
    /// Numbers that were drawn, and not used yet.
    pub numbers: DrawnNumbers,
    pub state: BatchState,
    as_of: Timestamp,
    generation: u64,
    /// How many times something had been forgotten when it was taken.
    forgets: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            lanes: Mutex::default(),
            generation: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }
}

impl Cache for Kept {
    fn forget(&self, erased: &ErasedUsers) {
        if erased.is_empty() {
            return;
        }
        let mut lanes = self.lanes();
        lanes.forgets += 1;
        let kept = lanes.kept.keys().copied();
        let concerned: Vec<_> = kept.filter(|of| erased.are_of(*of)).collect();
        let dropped: Vec<_> = concerned.into_iter().map(|of| lanes.take(of)).collect();
        drop(lanes);
        drop(dropped);
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("written", self.lanes().kept.len())]
    }
}

impl KeptLane {
    fn bytes(&self) -> usize {
        self.state.bytes() + LANE_BYTES
    }
}

impl Lanes {
    fn take(&mut self, application: ApplicationId) -> Option<KeptLane> {
        let (_, kept) = self.kept.remove(&application)?;
        self.bytes -= kept.bytes();
        Some(kept)
    }

    /// Returns the lanes that are to be dropped: those that were used least recently, if there is no room, or the
    /// lane itself, if it was taken before users were erased.
    fn put(&mut self, application: ApplicationId, lane: KeptLane) -> Vec<KeptLane> {
        if lane.forgets != self.forgets {
            return vec![lane];
        }
        let mut replaced: Vec<_> = self.take(application).into_iter().collect();
        self.uses += 1;
        self.bytes += lane.bytes();
        self.kept.insert(application, (self.uses, lane));
        if self.bytes > BYTES_MAX {
            let mut by_use: Vec<_> = self.kept.iter().map(|(key, kept)| (kept.0, *key)).collect();
            by_use.sort_unstable();
            for (_, application) in by_use {
                if self.bytes <= BYTES_MAX / 4 * 3 {
                    break;
                }
                replaced.extend(self.take(application));
            }
        }
        replaced
    }
}

impl Kept {
    /// Begins a generation: nothing that is kept is valid any more.
    pub fn begin_generation(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection of a writer has failed: those that were made before are not to be trusted.
    /// Returns how many have failed so far.
    pub fn record_failed_connection(&self) -> u64 {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many connections have failed so far.
    pub fn failed_connections(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Takes what is kept of an application whose timeline ends at `end`: what is valid, or nothing
    /// yet. The caller holds the lane.
    pub fn take(&self, application: ApplicationId, end: Timestamp) -> KeptLane {
        let generation = self.generation.load(Ordering::Relaxed);
        let (kept, forgets) = {
            let mut lanes = self.lanes();
            (lanes.take(application), lanes.forgets)
        };
        let is_valid = |kept: &KeptLane| kept.as_of == end && kept.generation == generation;
        match kept.filter(is_valid) {
            Some(kept) => KeptLane { forgets, ..kept },
            None => KeptLane {
                numbers: DrawnNumbers::default(),
                state: BatchState::default(),
                as_of: end,
                generation,
                forgets,
            },
        }
    }

    /// Keeps what a batch has left, whose last change is at `as_of`. It must be called before the
    /// batch is committed. Dropping what it returns takes some time.
    pub fn put(
        &self,
        application: ApplicationId,
        mut kept: KeptLane,
        as_of: Timestamp,
    ) -> (Forgotten, Vec<KeptLane>) {
        kept.as_of = as_of;
        let forgotten = kept.state.end_batch();
        let others = self.lanes().put(application, kept);
        (forgotten, others)
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // No code panics while it holds the lock.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
