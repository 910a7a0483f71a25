//! Whether changes are being committed, for health checks and metrics.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::store;

/// How long commands may wait without a commit before the write path counts as stalled. It is
/// longer than the database lets another replica hold the lane.
const STALLED_AFTER: Duration = Duration::from_secs(8);

/// How long a failure counts. A replica that is not ready receives no more changes, so without this
/// limit no commit would ever show that changes succeed again.
const FAILURE_TIME_MAX: Duration = Duration::from_secs(15);

/// The state of the write path, according to the last batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteState {
    /// The last batch was committed, or there was none.
    Available,
    /// The database has no more room.
    DiskFull,
    /// The database accepts no changes at present.
    ReadOnly,
    /// The last batch failed for another reason.
    Failing,
    /// Commands wait, and no batch was committed for a while.
    Stalled,
}

impl WriteState {
    /// The state that follows from a failure.
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

/// What the writers of a process record about their batches.
#[derive(Debug, Default)]
pub struct Progress(Mutex<BatchesInProgress>);

#[derive(Debug, Default)]
struct BatchesInProgress {
    count: usize,
    /// Since when there is a batch in progress and no commit.
    since: Option<Instant>,
    last_failure: Option<(Instant, WriteState)>,
}

impl Progress {
    /// A writer has commands to carry out.
    pub fn begin(&self) {
        let mut batches = self.batches();
        batches.count += 1;
        batches.since.get_or_insert_with(Instant::now);
    }

    /// A batch was committed. A batch without changes proves that the database answers. It does not
    /// prove that the database accepts changes.
    pub fn record_commit(&self, has_changes: bool) {
        let mut batches = self.batches();
        if has_changes {
            batches.last_failure = None;
        }
        batches.since = Some(Instant::now());
    }

    /// A batch failed. Counts it in the metrics.
    pub fn record_failure(&self, state: WriteState) {
        metrics::counter!("messages_batch_failures_total", "reason" => state.name()).increment(1);
        self.batches().last_failure = Some((Instant::now(), state));
    }

    /// A writer has answered all its commands.
    pub fn end(&self) {
        let mut batches = self.batches();
        batches.count -= 1;
        if batches.count == 0 {
            batches.since = None;
        }
    }

    /// How long commands have waited without any commit.
    pub fn stalled_for(&self) -> Duration {
        self.batches()
            .since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub fn state(&self) -> WriteState {
        if self.stalled_for() > STALLED_AFTER {
            return WriteState::Stalled;
        }
        match self.batches().last_failure {
            Some((at, state)) if at.elapsed() < FAILURE_TIME_MAX => state,
            _ => WriteState::Available,
        }
    }

    fn batches(&self) -> MutexGuard<'_, BatchesInProgress> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn commands_that_wait_without_a_commit_are_reported() {
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
            "a commit starts the time anew"
        );
        tokio::time::advance(STALLED_AFTER * 2).await;
        assert_eq!(progress.state(), WriteState::Stalled);
        progress.end();
        assert_eq!(progress.state(), WriteState::Available, "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_counts_until_a_commit_or_for_a_while() {
        let progress = Progress::default();
        progress.begin();
        progress.record_failure(WriteState::DiskFull);
        progress.record_commit(false);
        assert_eq!(progress.state(), WriteState::DiskFull);
        progress.record_commit(true);
        assert_eq!(progress.state(), WriteState::Available);
        progress.record_failure(WriteState::ReadOnly);
        progress.end();
        tokio::time::advance(FAILURE_TIME_MAX).await;
        assert_eq!(progress.state(), WriteState::Available);
    }
}
