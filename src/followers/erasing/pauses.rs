//! When erasures that cannot go on at once have their next turns.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::store::erasing::ErasureKey;

/// How long an erasure pauses that waits for somebody else, and after its first failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The pauses double with each failure in a row, up to this: a piece that fails takes its time from all
/// other erasures, and what keeps it from being done may last for hours.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The erasures that pause, or have failed in their last turn. The others go on meanwhile.
#[derive(Debug, Default)]
pub(super) struct Pauses(HashMap<ErasureKey, Pause>);

#[derive(Debug)]
struct Pause {
    until: Instant,
    /// The pause after the next failure.
    next: Duration,
}

impl Pauses {
    /// Whether the erasure has a turn.
    pub(super) fn are_over(&self, key: &ErasureKey, now: Instant) -> bool {
        self.0.get(key).is_none_or(|pause| pause.until <= now)
    }

    /// Notes that the erasure has gone on.
    pub(super) fn end(&mut self, key: &ErasureKey) {
        self.0.remove(key);
    }

    /// Lets the erasure wait for what somebody else does.
    pub(super) fn wait(&mut self, key: ErasureKey, now: Instant) {
        let pause = Pause {
            until: now + PAUSE_MIN,
            next: PAUSE_MIN,
        };
        self.0.insert(key, pause);
    }

    /// Lets the erasure pause, as a piece of it has failed.
    pub(super) fn fail(&mut self, key: ErasureKey, now: Instant) {
        let pause = self.0.entry(key).or_insert(Pause {
            until: now,
            next: PAUSE_MIN,
        });
        pause.until = now + pause.next;
        pause.next = (pause.next * 2).min(PAUSE_MAX);
    }

    /// Forgets all erasures but those that are under way.
    pub(super) fn keep(&mut self, running: &HashSet<ErasureKey>) {
        self.0.retain(|key, _| running.contains(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApplicationId, UserDigest};

    fn key(application: i64) -> ErasureKey {
        (ApplicationId::new(application), UserDigest([0; 32]))
    }

    /// The times of the turns of an erasure that always fails, in seconds.
    fn turns(pauses: &mut Pauses, key: ErasureKey, seconds: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut turns = Vec::new();
        for second in 0..seconds {
            let now = start + Duration::from_secs(second);
            if pauses.are_over(&key, now) {
                pauses.fail(key, now);
                turns.push(second);
            }
        }
        turns
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_are_of_one_erasure() {
        let mut pauses = Pauses::default();
        let failing = turns(&mut pauses, key(1), 250);
        assert_eq!(failing, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
        assert!(pauses.are_over(&key(2), Instant::now()));
        pauses.end(&key(1));
        assert_eq!(turns(&mut pauses, key(1), 4), [0, 1, 3]);
    }

    #[test]
    fn who_waits_has_a_turn_every_second_and_what_has_ended_is_forgotten() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        for _ in 0..3 {
            pauses.wait(key(1), now);
            assert!(!pauses.are_over(&key(1), now));
            assert!(pauses.are_over(&key(1), now + PAUSE_MIN));
        }
        pauses.keep(&HashSet::from([key(1)]));
        assert!(!pauses.are_over(&key(1), now));
        pauses.keep(&HashSet::from([key(2)]));
        assert!(pauses.are_over(&key(1), now));
    }
}
