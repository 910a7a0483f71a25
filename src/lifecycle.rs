//! The life of the process: every task is known, watches for the end, and is waited for.
//!
//! A task that ends by itself has failed, whatever it says: the process stops with an error and
//! leaves the restart to whoever runs it, rather than go on without a part of itself.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long everything may take to come to an end after the signal: open requests first, then the
/// last batch.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the {0} ended by itself")]
    EndedByItself(&'static str),
    #[error("a task panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("not everything came to an end within 30 s")]
    Overdue,
    #[error("signals cannot be received: {0}")]
    Signals(#[from] std::io::Error),
}

/// The tasks of the process and the token that tells them to end.
#[derive(Default)]
pub struct Lifecycle {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl Lifecycle {
    /// Is cancelled when the process is told to stop.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The one place where tasks are spawned. `name` is what the logs call the task.
    #[expect(clippy::disallowed_methods, reason = "this is the one home of spawn")]
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits for SIGTERM or SIGINT, then for all tasks to end.
    pub async fn run(mut self) -> Result<(), Error> {
        let outcome = self.until_told_to_stop().await;
        self.stop.cancel();
        timeout(SHUTDOWN_TIME_MAX, self.until_all_end()).await.map_err(|_| Error::Overdue)??;
        outcome
    }

    async fn until_told_to_stop(&mut self) -> Result<(), Error> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            Some(ended) = self.tasks.join_next() => return Err(Error::EndedByItself(ended?)),
        }
        tracing::info!("stopping");
        Ok(())
    }

    async fn until_all_end(&mut self) -> Result<(), Error> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(task) => tracing::debug!(task, "ended"),
                Err(panic) => outcome = outcome.and(Err(panic.into())),
            }
        }
        outcome
    }
}
