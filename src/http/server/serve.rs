//! A worker: serves the connections that it is handed, and ends them in order.
//!
//! Each worker has a thread with a runtime of its own, and a connection stays with its worker. So a
//! request is read, answered from memory and written without a switch between threads, which would
//! cost more than the rest. The price: if one request keeps its thread busy, no other worker takes
//! over the requests behind it. So nothing may hold a thread for more than some milliseconds; a
//! search yields after each text, an encoder after each piece. (A pooled connection to the database
//! is registered with the worker on which it was made.)
//!
//! Only HTTP/1.1 is served: TLS, and HTTP/2 with it, is for the proxy in front.

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
    HttpTimeLimits,
    acceptor::{ConnectionPermit, Connections},
    budget::RequestPermit,
    wire::{Called, Wire},
};
/// What the kernel keeps for a caller that reads its answer slowly, in bytes (it allows twice as
/// much). A stream must not run ahead of its reader by megabytes. And a socket becomes writable
/// only once a third of its buffer is free, so with a large one a slow reader would look like one
/// that reads nothing.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How long a host may acknowledge nothing before its connection is closed.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(180);

/// What a connection reads or writes ahead, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The largest head of a request, in bytes: many times what browsers and proxies send. hyper takes
/// at most 100 fields.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long open requests may take to end at shutdown.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);

/// How long the reader of a stream that has ended may take to read the rest.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);

/// Completes when a connection has to end.
type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a request may do with its connection.
#[derive(Clone)]
pub struct Link(Arc<LinkState>);

struct LinkState {
    deadline: Mutex<Option<oneshot::Sender<Deadline>>>,
    /// The permit of the present request: a connection has one at a time.
    permit: Mutex<Option<RequestPermit>>,
    called: Called,
}

impl Link {
    fn new() -> (Self, oneshot::Receiver<Deadline>) {
        let (sender, receiver) = oneshot::channel();
        let state = LinkState {
            deadline: Mutex::new(Some(sender)),
            permit: Mutex::default(),
            called: Called::default(),
        };
        (Self(Arc::new(state)), receiver)
    }

    /// Closes the connection some seconds after `end`, even if its reader has not read all. Only
    /// the first call counts.
    pub fn close_after(&self, end: impl Future<Output = ()> + Send + 'static) {
        let sender = unpoisoned(&self.0.deadline).take();
        // Without a receiver the connection has ended already.
        let _ = sender.map(|sender| sender.send(Box::pin(end)));
    }

    /// Keeps the permit of the present request, at the longest until the connection ends.
    pub fn keep(&self, permit: RequestPermit) {
        *unpoisoned(&self.0.permit) = Some(permit);
    }

    /// Takes the permit that was kept, if there is one.
    pub fn take_permit(&self) -> Option<RequestPermit> {
        unpoisoned(&self.0.permit).take()
    }
}

/// What the locks guard is consistent after every step, so a panic elsewhere does no harm.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a connection must be closed.
async fn overdue(deadline: oneshot::Receiver<Deadline>) {
    match deadline.await {
        Ok(deadline) => deadline.await,
        Err(_) => std::future::pending().await,
    }
    sleep(FLUSH_TIME_MAX).await;
}

/// Serves connections until the acceptor closes the queue, then lets open requests end.
pub async fn serve(mut connections: Connections, router: Router, times: HttpTimeLimits) {
    let graceful = GracefulShutdown::new();
    let aborted = CancellationToken::new();
    while let Some(accepted) = connections.recv().await {
        match accepted.take() {
            Ok((stream, permit)) => {
                let stream = prepare(stream, times.write);
                open(stream, permit, &router, times.head, &graceful, &aborted);
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
    permit: ConnectionPermit,
    router: &Router,
    head_time_max: Duration,
    graceful: &GracefulShutdown,
    aborted: &CancellationToken,
) {
    let (link, deadline) = Link::new();
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
        .header_read_timeout(head_time_max);
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
        // A broken connection is no failure of the service.
        tokio::select! {
            _ = connection => {}
            () = overdue(deadline) => {}
            () = aborted.cancelled() => {}
        }
        open.decrement(1.0);
        drop(permit);
    });
}

/// A connection that is closed if its caller reads nothing for too long.
type Prepared = Pin<Box<TimeoutStream<TcpStream>>>;

fn prepare(stream: TcpStream, write_time_max: Duration) -> Prepared {
    // Each answer is written at once: waiting to fill a packet would only delay it.
    let _ = stream.set_nodelay(true);
    // The service works without these two as well, so an error does not matter. The second one ends
    // connections to hosts that are gone.
    let socket = SockRef::from(&stream);
    let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
    // A host whose program reads nothing soon acknowledges nothing either.
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
