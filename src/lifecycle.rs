//! The life of the process: every task is known, watches for the end, and is waited for.
//!
//! A task that ends by itself has failed, whatever it says: the process stops with an error and
//! leaves the restart to whoever runs it, rather than go on without a part of itself.

use std::{io, thread, time::Duration};

use tokio::{
    runtime::{Builder, Handle},
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
    Signals(#[from] io::Error),
}

/// The tasks of the process and the token that tells them to end.
#[derive(Default)]
pub struct Lifecycle {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
    /// Is cancelled when every task has ended: with the end of this.
    ended: CancellationToken,
}

impl Lifecycle {
    /// Is cancelled when the process is told to stop.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Spawns a task. `name` is what the logs call it.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&Handle::current(), name, task);
    }

    /// Starts a thread with a runtime of its own.
    ///
    /// It goes on until every task of the process has ended: connections to the database that were made on
    /// it may be in others' hands by then.
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
        let outcome = self.until_told_to_stop().await;
        self.stop_all().await?;
        outcome
    }

    /// Ends what a start that has failed had begun. What goes wrong meanwhile is only logged: it is
    /// not why the start has failed.
    pub async fn end(mut self) {
        if let Err(error) = self.stop_all().await {
            tracing::warn!(%error, "the start has failed, and its end was not in order");
        }
    }

    async fn stop_all(&mut self) -> Result<(), Error> {
        self.stop.cancel();
        timeout(SHUTDOWN_TIME_MAX, self.until_all_end())
            .await
            .map_err(|_| Error::Overdue)?
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
        let (tell, told) = oneshot::channel();
        let runtime = life.start_thread("test").unwrap();
        life.spawn("in order", async move {
            stop.cancelled().await;
            let _ = tell.send(());
        });
        life.spawn_on(&runtime, "panics", async { panic!("as it should") });
        assert!(matches!(life.run().await, Err(Error::Panicked(_))));
        assert_eq!(
            told.await,
            Ok(()),
            "the others were told to stop, and waited for"
        );
    }

    #[tokio::test]
    async fn a_start_that_fails_waits_for_what_it_has_begun() {
        let mut life = Lifecycle::default();
        let stop = life.stop();
        let (tell, mut told) = oneshot::channel();
        life.spawn("in order", async move {
            stop.cancelled().await;
            let _ = tell.send(());
        });
        life.end().await;
        assert_eq!(told.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn a_thread_goes_on_until_every_task_has_ended() {
        let mut life = Lifecycle::default();
        let (tell, told) = oneshot::channel();
        let runtime = life.start_thread("test").unwrap();
        life.spawn_on(&runtime, "ends at once", async {});
        // What was spawned there beside the tasks of the process is still driven when they stop.
        runtime.spawn({
            let stop = life.stop();
            async move {
                stop.cancelled().await;
                let _ = tell.send(());
            }
        });
        life.spawn("waits for it", async { assert_eq!(told.await, Ok(())) });
        assert!(matches!(
            life.run().await,
            Err(Error::EndedByItself("ends at once"))
        ));
    }
}
