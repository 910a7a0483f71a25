//! Whether changes are being committed: what health and metrics tell of the write path.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::store;

/// How long commands may wait without a commit before the write path counts as stalled: longer than the
/// database's own limits let another replica hold the lane.
const STALLED_AFTER: Duration = Duration::from_secs(8);

/// How long a failure is told of. A replica that is not ready is sent no more changes, so nothing would
/// ever show that they succeed again.
const FAILURE_TOLD_FOR: Duration = Duration::from_secs(15);

/// How the write path is, as far as the last batches show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteState {
    /// The last batch was committed, or there was none.
    Available,
    /// The database has no more room.
    DiskFull,
    /// The database takes no changes at present.
    ReadOnly,
    /// The last batch failed for another reason.
    Failing,
    /// Commands wait, and for long no batch was committed.
    Stalled,
}

impl WriteState {
    /// The state that a failure shows.
    pub fn of_failure(error: &store::Error) -> Self {
        if error.is_disk_full() {
            Self::DiskFull
        } else if error.is_read_only() {
            Self::ReadOnly
        } else {
            Self::Failing
        }
    }

    /// The name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::DiskFull => "disk_full",
            Self::ReadOnly => "read_only",
            Self::Failing => "failing",
            Self::Stalled => "stalled",
        }
    }
}

/// What the writers of a process tell of their batches.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Batches>);

#[derive(Debug, Default)]
struct Batches {
    under_way: usize,
    /// Since when batches are under way and none was committed.
    since: Option<Instant>,
    failed: Option<(Instant, WriteState)>,
}

impl Progress {
    /// A writer has commands to carry out.
    pub fn begin(&self) {
        let mut batches = self.batches();
        batches.under_way += 1;
        batches.since.get_or_insert_with(Instant::now);
    }

    /// A batch was committed. One that has changed nothing shows that the database answers, and not that
    /// it takes changes.
    pub fn record_commit(&self, has_changes: bool) {
        let mut batches = self.batches();
        if has_changes {
            batches.failed = None;
        }
        batches.since = Some(Instant::now());
    }

    /// A batch failed, which is counted.
    pub fn record_failure(&self, state: WriteState) {
        metrics::counter!("messages_batch_failures_total", "reason" => state.name()).increment(1);
        self.batches().failed = Some((Instant::now(), state));
    }

    /// A writer has answered all its commands.
    pub fn end(&self) {
        let mut batches = self.batches();
        batches.under_way -= 1;
        if batches.under_way == 0 {
            batches.since = None;
        }
    }

    /// For how long commands have waited without any commit.
    pub fn stalled_for(&self) -> Duration {
        self.batches()
            .since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub fn state(&self) -> WriteState {
        if self.stalled_for() > STALLED_AFTER {
            return WriteState::Stalled;
        }
        match self.batches().failed {
            Some((at, state)) if at.elapsed() < FAILURE_TOLD_FOR => state,
            _ => WriteState::Available,
        }
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        // What it guards is whole after every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn commands_that_wait_without_a_commit_are_told_of() {
        let progress = Progress::default();
        progress.begin();
        tokio::time::advance(STALLED_AFTER).await;
        assert_eq!(progress.state(), WriteState::Available);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(progress.state(), WriteState::Stalled);
        progress.begin();
        progress.record_commit(true);
        progress.end();
        assert_eq!(
            progress.state(),
            WriteState::Available,
            "the other one may take its time again"
        );
        tokio::time::advance(STALLED_AFTER * 2).await;
        assert_eq!(progress.state(), WriteState::Stalled);
        progress.end();
        assert_eq!(progress.state(), WriteState::Available, "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_of_until_a_commit_or_for_a_while() {
        let progress = Progress::default();
        progress.begin();
        progress.record_failure(WriteState::DiskFull);
        progress.record_commit(false);
        assert_eq!(progress.state(), WriteState::DiskFull);
        progress.record_commit(true);
        assert_eq!(progress.state(), WriteState::Available);
        progress.record_failure(WriteState::ReadOnly);
        progress.end();
        tokio::time::advance(FAILURE_TOLD_FOR).await;
        assert_eq!(progress.state(), WriteState::Available);
    }
}
