//! The life of the process: it spawns every task, stops it with a token, and waits for its end.
//!
//! A task that ends by itself has failed, whatever it returns. Then the process stops with an
//! error, and its supervisor restarts it: it never runs on without one of its parts.

use std::{io, thread, time::Duration};

use tokio::{
    runtime::{Builder, Handle},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long all tasks may take to end after the signal: open requests first, then the last batch.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the {0} ended by itself")]
    EndedByItself(&'static str),
    #[error("a task panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("not every task has ended within {} s", SHUTDOWN_TIME_MAX.as_secs())]
    Overdue,
    #[error("signals cannot be received: {0}")]
    Signals(#[from] io::Error),
}

/// The tasks of the process, and the token that stops them.
#[derive(Default)]
pub struct Lifecycle {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
    /// Cancelled when this is dropped, and so after every task has ended.
    ended: CancellationToken,
}

impl Lifecycle {
    /// Cancelled when the process is to stop.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Spawns a task. Log lines name it `name`.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&Handle::current(), name, task);
    }

    /// Starts a thread with a runtime of its own.
    ///
    /// It runs until every task of the process has ended: tasks of other threads may use database
    /// connections that were made on it.
    pub fn start_thread(&self, name: &str) -> io::Result<Handle> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, ended) = (runtime.handle().clone(), self.ended.clone());
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(ended.cancelled()))?;
        Ok(handle)
    }

    /// As [`spawn`](Self::spawn), on the runtime of a thread.
    #[expect(clippy::disallowed_methods, reason = "this is the one home of spawn")]
    pub fn spawn_on(
        &mut self,
        runtime: &Handle,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = async move {
            task.await;
            name
        };
        self.tasks.spawn_on(task, runtime);
    }

    /// Waits for SIGTERM or SIGINT, then for all tasks to end.
    pub async fn run(mut self) -> Result<(), Error> {
        let outcome = self.until_stopped().await;
        self.stop_all().await?;
        outcome
    }

    /// Ends the tasks of a start that has failed. If that fails, the error is only logged, because
    /// it is not why the start has failed.
    pub async fn end(mut self) {
        if let Err(error) = self.stop_all().await {
            tracing::warn!(%error, "the start has failed, and not every task has ended in order");
        }
    }

    async fn stop_all(&mut self) -> Result<(), Error> {
        self.stop.cancel();
        timeout(SHUTDOWN_TIME_MAX, self.until_all_end())
            .await
            .map_err(|_| Error::Overdue)?
    }

    async fn until_stopped(&mut self) -> Result<(), Error> {
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

impl Drop for Lifecycle {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_panic_on_a_thread_of_its_own_stops_the_process_in_order() {
        let mut life = Lifecycle::default();
        let stop = life.stop();
        let (sender, receiver) = oneshot::channel();
        let runtime = life.start_thread("test").unwrap();
        life.spawn("in order", async move {
            stop.cancelled().await;
            let _ = sender.send(());
        });
        life.spawn_on(&runtime, "panics", async { panic!("as it should") });
        assert!(matches!(life.run().await, Err(Error::Panicked(_))));
        assert_eq!(
            receiver.await,
            Ok(()),
            "the others are stopped, and waited for"
        );
    }

    #[tokio::test]
    async fn a_start_that_fails_waits_for_the_tasks_it_has_spawned() {
        let mut life = Lifecycle::default();
        let stop = life.stop();
        let (sender, mut receiver) = oneshot::channel();
        life.spawn("in order", async move {
            stop.cancelled().await;
            let _ = sender.send(());
        });
        life.end().await;
        assert_eq!(receiver.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn a_thread_runs_until_every_task_has_ended() {
        let mut life = Lifecycle::default();
        let (sender, receiver) = oneshot::channel();
        let runtime = life.start_thread("test").unwrap();
        life.spawn_on(&runtime, "ends at once", async {});
        // A future that was spawned on the thread outside the lifecycle still runs when the tasks
        // stop.
        runtime.spawn({
            let stop = life.stop();
            async move {
                stop.cancelled().await;
                let _ = sender.send(());
            }
        });
        life.spawn("waits for it", async { assert_eq!(receiver.await, Ok(())) });
        assert!(matches!(
            life.run().await,
            Err(Error::EndedByItself("ends at once"))
        ));
    }
}
