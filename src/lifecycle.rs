//! The life of the process: every task is known, watches for the end, and is waited for.
//!
//! A task that ends by itself has failed, whatever it says: the process stops with an error and
//! leaves the restart to whoever runs it, rather than go on without a part of itself.

use std::{io, thread, time::Duration};

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
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
    Signals(#[from] io::Error),
}

/// The tasks of the process and the token that tells them to end.
#[derive(Default)]
pub struct Lifecycle {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
    /// Is cancelled when every task has ended.
    ended: CancellationToken,
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

    /// Spawns a task on a thread with a runtime of its own, on which it spawns what it needs.
    ///
    /// The runtime goes on until every task of the process has ended: connections to the database that
    /// were made on it may be in others' hands by then.
    pub fn spawn_thread(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (done, is_done) = oneshot::channel();
        let all_ended = self.ended.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                task.await;
                let _ = done.send(());
                all_ended.cancelled().await;
            });
        })?;
        self.spawn(name, async move { is_done.await.expect("the thread has not panicked") });
        Ok(())
    }

    /// Waits for SIGTERM or SIGINT, then for all tasks to end.
    pub async fn run(mut self) -> Result<(), Error> {
        let outcome = self.until_told_to_stop().await;
        self.stop.cancel();
        timeout(SHUTDOWN_TIME_MAX, self.until_all_end()).await.map_err(|_| Error::Overdue)??;
        self.ended.cancel();
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
