//! The acceptor: takes connections, within a limit, and hands each to the worker that has the fewest.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Open connections; more wait in the listener's backlog. An idle one costs some ten kilobytes, one
/// in the middle of a request up to its body (512 KiB) or its answer (1 MiB and a little).
const CONNECTIONS_MAX: usize = 10_000;

/// The pause after a connection that could not be accepted, which mostly means that the process
/// has no more file descriptors: it needs a moment in which others are closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for its workers.
pub struct Acceptor {
    workers: Vec<Line>,
    places: Arc<Semaphore>,
}

/// What a worker is handed. Nothing waits in it beyond the limit of all connections.
pub type Intake = mpsc::UnboundedReceiver<Accepted>;

/// A connection that belongs to no runtime yet.
pub struct Accepted {
    stream: std::net::TcpStream,
    place: Place,
}

/// A place among the open connections; it ends when it is dropped.
pub struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_worker: Arc<()>,
}

struct Line {
    sender: mpsc::UnboundedSender<Accepted>,
    /// Every connection of the worker holds one.
    open: Arc<()>,
}

impl Acceptor {
    /// An acceptor, and what each of its workers is handed.
    pub fn new(workers: usize) -> (Self, Vec<Intake>) {
        let line = |_| {
            let (sender, intake) = mpsc::unbounded_channel();
            (
                Line {
                    sender,
                    open: Arc::default(),
                },
                intake,
            )
        };
        let (workers, intakes) = (0..workers).map(line).unzip();
        (
            Self {
                workers,
                places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            },
            intakes,
        )
    }

    /// Accepts until `stop`. With the acceptor the listener is closed, and the workers are told that
    /// nothing more will come.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        stop.run_until_cancelled(self.accept(listener)).await;
    }

    async fn accept(&self, listener: TcpListener) {
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            let accepted = listener.accept().await;
            if let Err(error) = accepted.and_then(|(stream, _)| self.hand_over(stream, place)) {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn hand_over(&self, stream: TcpStream, place: OwnedSemaphorePermit) -> io::Result<()> {
        let idlest = self
            .workers
            .iter()
            .min_by_key(|worker| Arc::strong_count(&worker.open));
        let worker = idlest.expect("there is a worker");
        let place = Place {
            _of_all: place,
            _of_worker: Arc::clone(&worker.open),
        };
        // A worker that has ended takes the process with it.
        let _ = worker.sender.send(Accepted {
            stream: stream.into_std()?,
            place,
        });
        Ok(())
    }
}

impl Accepted {
    /// Makes the connection one of the runtime that this is called on.
    pub fn take(self) -> io::Result<(TcpStream, Place)> {
        Ok((TcpStream::from_std(self.stream)?, self.place))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test spawns what it tests")]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// An acceptor at work, with what its two workers are handed.
    async fn accepting(stop: &CancellationToken) -> (SocketAddr, Intake, Intake) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, intakes) = Acceptor::new(2);
        tokio::spawn(acceptor.run(listener, stop.clone()));
        let [one, other] = <[Intake; 2]>::try_from(intakes).ok().unwrap();
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
        assert!(one.try_recv().is_err(), "the first one has one still");
    }

    #[tokio::test]
    async fn at_the_end_workers_are_told_and_the_listener_is_closed() {
        let stop = CancellationToken::new();
        let (address, mut one, mut other) = accepting(&stop).await;
        let _client = TcpStream::connect(address).await.unwrap();
        let handed_over = one.recv().await;
        stop.cancel();
        assert!(other.recv().await.is_none());
        assert!(one.recv().await.is_none());
        assert!(handed_over.is_some(), "what was accepted goes on");
        assert!(TcpStream::connect(address).await.is_err());
    }
}
