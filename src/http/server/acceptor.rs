//! Accepts connections, within a limit, and hands each to the worker that has the fewest.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Open connections; more wait in the listener's backlog. An idle one costs some ten kilobytes; a
/// request adds up to its body (512 KiB) and its answer (a little over 1 MiB).
const CONNECTIONS_MAX: usize = 10_000;

/// The pause after a connection could not be accepted. Mostly the process has no file descriptor
/// left, and other connections have to be closed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for its workers.
pub struct Acceptor {
    workers: Vec<WorkerQueue>,
    permits: Arc<Semaphore>,
}

/// The connections that a worker is handed. The limit of all connections bounds it.
pub type Connections = mpsc::UnboundedReceiver<AcceptedConnection>;

/// A connection that is registered with no runtime yet.
pub struct AcceptedConnection {
    stream: std::net::TcpStream,
    permit: ConnectionPermit,
}

/// The right of a connection to be open. Dropping it lets another one in.
pub struct ConnectionPermit {
    _of_all: OwnedSemaphorePermit,
    _of_worker: Arc<()>,
}

/// The queue through which a worker receives its connections.
struct WorkerQueue {
    sender: mpsc::UnboundedSender<AcceptedConnection>,
    /// Counts the worker's connections: each holds a reference.
    open: Arc<()>,
}

impl Acceptor {
    /// An acceptor, and the connections for each of its workers.
    pub fn new(workers: usize) -> (Self, Vec<Connections>) {
        let queue = |_| {
            let (sender, connections) = mpsc::unbounded_channel();
            (
                WorkerQueue {
                    sender,
                    open: Arc::default(),
                },
                connections,
            )
        };
        let (workers, connections) = (0..workers).map(queue).unzip();
        (
            Self {
                workers,
                permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            },
            connections,
        )
    }

    /// Accepts until `stop`. Then the listener is closed, and so is each worker's queue.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        stop.run_until_cancelled(self.accept(listener)).await;
    }

    async fn accept(&self, listener: TcpListener) {
        while let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await {
            let accepted = listener.accept().await;
            if let Err(error) = accepted.and_then(|(stream, _)| self.hand_over(stream, permit)) {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn hand_over(&self, stream: TcpStream, permit: OwnedSemaphorePermit) -> io::Result<()> {
        let idlest = self
            .workers
            .iter()
            .min_by_key(|worker| Arc::strong_count(&worker.open));
        let worker = idlest.expect("there is a worker");
        let permit = ConnectionPermit {
            _of_all: permit,
            _of_worker: Arc::clone(&worker.open),
        };
        // This fails if the worker has ended. Then the process stops, and so do all connections.
        let _ = worker.sender.send(AcceptedConnection {
            stream: stream.into_std()?,
            permit,
        });
        Ok(())
    }
}

impl AcceptedConnection {
    /// Registers the connection with the runtime that this is called on.
    pub fn take(self) -> io::Result<(TcpStream, ConnectionPermit)> {
        Ok((TcpStream::from_std(self.stream)?, self.permit))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test spawns what it tests")]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A running acceptor, with the connections of its two workers.
    async fn accepting(stop: &CancellationToken) -> (SocketAddr, Connections, Connections) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, connections) = Acceptor::new(2);
        tokio::spawn(acceptor.run(listener, stop.clone()));
        let [one, other] = <[Connections; 2]>::try_from(connections).ok().unwrap();
        (address, one, other)
    }

    #[tokio::test]
    async fn a_connection_goes_to_the_worker_that_has_the_fewest() {
        let stop = CancellationToken::new();
        let (address, mut one, mut other) = accepting(&stop).await;
        let connect = async || TcpStream::connect(address).await.unwrap();
        let _clients = [connect().await, connect().await];
        let (_stays, ends) = (one.recv().await.unwrap(), other.recv().await.unwrap());
        drop(ends);
        let _third = connect().await;
        let (_stream, _place) = other.recv().await.unwrap().take().unwrap();
        assert!(
            one.try_recv().is_err(),
            "the first worker still has a connection"
        );
    }

    #[tokio::test]
    async fn at_the_end_the_queues_and_the_listener_are_closed() {
        let stop = CancellationToken::new();
        let (address, mut one, mut other) = accepting(&stop).await;
        let _client = TcpStream::connect(address).await.unwrap();
        let handed_over = one.recv().await;
        stop.cancel();
        assert!(other.recv().await.is_none());
        assert!(one.recv().await.is_none());
        assert!(
            handed_over.is_some(),
            "an accepted connection is still served"
        );
        assert!(TcpStream::connect(address).await.is_err());
    }
}
