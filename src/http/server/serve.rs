//! A worker: serves the connections that it is handed, watches them and ends them in order.
//!
//! Each worker has a thread with a runtime of its own, and a connection stays where it is. So a request is
//! read, answered from memory and written without a switch between threads, which costs more than the
//! rest of it. The price: no other worker takes over what waits behind something long. So nothing may hold a
//! thread for more than some milliseconds; a search yields after each text, an encoder after each piece.
//! (What a pooled connection to the database has to say is heard by the worker on which it was made.)
//!
//! HTTP/1.1 alone is spoken: TLS, and HTTP/2 with it, is the business of the proxy in front.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    acceptor::{self, Intake},
    budget::Place,
    wire::{Called, Wire},
};

/// How long a request's head may take to arrive, counted from the connect or from the end of the
/// request before it: so also how long an idle connection is kept.
const HEADER_TIME_MAX: Duration = Duration::from_secs(20);

/// How long a caller may take nothing of its answer. Until then the answer stays in memory; a
/// stream goes on where it was.
pub const WRITE_TIME_MAX: Duration = Duration::from_secs(60);

/// What the kernel keeps for a caller that takes its answer slowly, in bytes (it allows twice as
/// much). A stream must not run ahead of its reader by megabytes; and the socket takes more only
/// once a third of it is free, so a large buffer would make a slow reader look like one that takes
/// nothing.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How long a host may acknowledge nothing before it counts as gone.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(180);

/// What a connection reads or writes ahead, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The largest head of a request, in bytes: many times what browsers and proxies send. The library
/// takes at most 100 fields.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long open requests may take to end at shutdown.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);

/// How long a stream that has to end may take to be taken by its reader.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);

/// When something has to be over.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a request has of its connection.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    end: Mutex<Option<oneshot::Sender<End>>>,
    /// That of the request under way: a connection has one at a time.
    place: Mutex<Option<Place>>,
    called: Called,
}

impl Link {
    fn new() -> (Self, oneshot::Receiver<End>) {
        let (sender, receiver) = oneshot::channel();
        let end = Mutex::new(Some(sender));
        (
            Self(Arc::new(Shared {
                end,
                place: Mutex::default(),
                called: Called::default(),
            })),
            receiver,
        )
    }

    /// Lets an answer say when its connection must end, whether or not its reader takes the rest: it
    /// is cut a few seconds after `end`. Only the first call counts.
    pub fn must_end(&self, end: impl Future<Output = ()> + Send + 'static) {
        let sender = unpoisoned(&self.0.end).take();
        // Without a receiver the connection has ended already.
        let _ = sender.map(|sender| sender.send(Box::pin(end)));
    }

    /// Keeps the place of the request under way, which ends with the connection at the latest.
    pub fn keep(&self, place: Place) {
        *unpoisoned(&self.0.place) = Some(place);
    }

    /// Gives the place back that was kept, if there is one.
    pub fn leave(&self) -> Option<Place> {
        unpoisoned(&self.0.place).take()
    }
}

/// What the locks guard is whole after every step, so a panic elsewhere does not spoil it.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a connection must be cut.
async fn overdue(end: oneshot::Receiver<End>) {
    match end.await {
        Ok(end) => end.await,
        Err(_) => std::future::pending().await,
    }
    sleep(FLUSH_TIME_MAX).await;
}

/// Serves what it is handed until the acceptor has gone, then lets open requests end.
///
/// A caller may take nothing of its answer for `write_time_max`.
pub async fn serve(mut intake: Intake, router: Router, write_time_max: Duration) {
    let graceful = GracefulShutdown::new();
    let aborted = CancellationToken::new();
    while let Some(accepted) = intake.recv().await {
        match accepted.take() {
            Ok((stream, place)) => {
                open(
                    prepare(stream, write_time_max),
                    place,
                    &router,
                    &graceful,
                    &aborted,
                );
            }
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
    }
    drop(router);
    if timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("open requests are cut off");
    }
    aborted.cancel();
}

fn open(
    stream: Prepared,
    place: acceptor::Place,
    router: &Router,
    graceful: &GracefulShutdown,
    aborted: &CancellationToken,
) {
    let (link, end) = Link::new();
    let wire = Wire::new(stream, Arc::clone(&link.0.called));
    let service = router
        .clone()
        .map_request(move |mut request: hyper::Request<Incoming>| {
            link.0.called.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(link.clone());
            request
        });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX);
    builder
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX);
    let connection =
        builder.serve_connection(TokioIo::new(wire), TowerToHyperService::new(service));
    let connection = graceful.watch(connection);
    let aborted = aborted.clone();
    spawn(async move {
        let open = metrics::gauge!("messages_http_connections");
        open.increment(1.0);
        // A connection that breaks is its caller's affair.
        tokio::select! {
            _ = connection => {}
            () = overdue(end) => {}
            () = aborted.cancelled() => {}
        }
        open.decrement(1.0);
        drop(place);
    });
}

/// A connection that is cut where its caller takes nothing for too long.
type Prepared = Pin<Box<TimeoutStream<TcpStream>>>;

fn prepare(stream: TcpStream, write_time_max: Duration) -> Prepared {
    // Answers are written whole: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    // Both are refinements, without which the service works as well: the second one ends
    // connections to hosts that are gone.
    let socket = SockRef::from(&stream);
    let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
    // A host whose reader takes nothing acknowledges nothing more either.
    let _ = socket.set_tcp_user_timeout(Some(SILENCE_TIME_MAX.max(write_time_max)));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_time_max));
    Box::pin(stream)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server waits for its connections itself"
)]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}
