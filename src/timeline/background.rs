//! Work that may take its time, such as an erasure: it leaves most of the writers' time, and of the database, to
//! callers who wait for their changes at this replica.
//!
//! Such work is done in pieces. After each one it rests: as long as the piece took for every [`CALLERS_PER_REST`]
//! callers who were waiting when it began, [`REST_FACTOR_MAX`] times at the most, and no longer than
//! [`REST_TIME_MAX`]. Counting them when it ends would find few: the batch that carries out the piece answers them,
//! too.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Command, Error, Outcome, Requester, Timeline};

const CALLERS_PER_REST: f64 = 8.0;
const REST_FACTOR_MAX: f64 = 20.0;

/// So that work which was slow for another reason, such as a database that was away, goes on soon.
const REST_TIME_MAX: Duration = Duration::from_secs(1);

/// The timeline, for work that may take its time.
#[derive(Clone)]
pub struct BackgroundTimeline(Timeline);

/// A piece of such work that has begun.
#[derive(Debug)]
pub struct Piece {
    started: Instant,
    callers: usize,
}

/// A caller who waits for a change. Dropped, it waits no more.
pub(super) struct WaitingCaller<'a>(&'a AtomicUsize);

impl BackgroundTimeline {
    pub(super) fn new(timeline: Timeline) -> Self {
        Self(timeline)
    }

    /// Begins a piece of work.
    pub fn begin(&self) -> Piece {
        Piece {
            started: Instant::now(),
            callers: self.0.callers.load(Ordering::Relaxed),
        }
    }

    /// Carries out a command, like [`Timeline::submit`]. It does not count as one that a caller waits for.
    pub async fn submit<C: Command>(
        &self,
        requester: Requester,
        command: C,
    ) -> Result<Outcome<C::Output>, Error> {
        self.0.carry_out(requester, command).await
    }
}

impl Piece {
    /// How long to rest after the work.
    pub fn rest_time(&self) -> Duration {
        let factor = (self.callers as f64 / CALLERS_PER_REST).min(REST_FACTOR_MAX);
        self.started.elapsed().mul_f64(factor).min(REST_TIME_MAX)
    }

    /// Rests after the work.
    pub async fn rest(self) {
        sleep(self.rest_time()).await;
    }

    /// As [`rest`](Self::rest), and as long as the work took at the least.
    pub async fn rest_as_long(self) {
        let worked = self.started.elapsed().min(REST_TIME_MAX);
        sleep(self.rest_time().max(worked)).await;
    }
}

impl<'a> WaitingCaller<'a> {
    pub(super) fn new(callers: &'a AtomicUsize) -> Self {
        callers.fetch_add(1, Ordering::Relaxed);
        Self(callers)
    }
}

impl Drop for WaitingCaller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::BATCH_MAX;

    fn piece(callers: usize) -> Piece {
        Piece {
            started: Instant::now(),
            callers,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_rests_by_how_many_callers_waited_when_it_began() {
        let milliseconds = Duration::from_millis;
        for (callers, worked, rest) in [
            (0, 10, 0),
            (4, 10, 5),
            (8, 10, 10),
            (160, 10, 200),
            (1000, 10, 200),
            (160, 1000, 1000),
        ] {
            let piece = piece(callers);
            tokio::time::advance(milliseconds(worked)).await;
            assert_eq!(piece.rest_time(), milliseconds(rest), "{callers}, {worked}");
        }
        let (piece, began) = (piece(0), Instant::now());
        tokio::time::advance(milliseconds(10)).await;
        piece.rest_as_long().await;
        assert_eq!(began.elapsed(), milliseconds(20));
    }

    #[test]
    fn a_caller_counts_until_it_is_answered_or_has_gone() {
        let (timeline, _batches) = Timeline::new(10, BATCH_MAX, Duration::from_secs(5));
        let background = timeline.in_background();
        let callers = [(); 2].map(|()| WaitingCaller::new(&timeline.callers));
        assert_eq!(background.begin().callers, 2);
        drop(callers);
        assert_eq!(background.begin().callers, 0);
    }
}
