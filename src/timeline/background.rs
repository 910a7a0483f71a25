//! Work that no caller waits for, such as an erasure: it leaves most of the database to those who do wait.
//!
//! Such work is done in pieces, and rests after each one for as long as the piece took, times the number of callers
//! who were waiting when it began. Counting them at its end would find few: the batch that carries out the piece
//! answers them, too.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Command, Error, Outcome, Requester, Timeline};

/// For each so many callers who wait, a piece of work rests once as long as it took.
const CALLERS_PER_REST: f64 = 8.0;

/// The longest rest, as a multiple of the work before it.
const REST_MAX: f64 = 20.0;

/// The timeline, for work that no caller waits for.
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
    /// Rests after the work.
    pub async fn rest(self) {
        let worked = self.started.elapsed();
        sleep(rest_after(worked, self.callers)).await;
    }

    /// As [`rest`](Self::rest), for as long as the work took at the least.
    pub async fn rest_in_any_case(self) {
        let worked = self.started.elapsed();
        sleep(rest_after(worked, self.callers).max(worked)).await;
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

fn rest_after(worked: Duration, callers: usize) -> Duration {
    worked.mul_f64((callers as f64 / CALLERS_PER_REST).min(REST_MAX))
}
