//! Connections: accepted within a limit, watched, and ended in order.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a request's head may take to arrive, from its first byte or the end of the request
/// before it: so also how long an idle connection is kept.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// How long open requests may take to end at shutdown.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);

/// Open connections; more wait in the listener's backlog. Each costs some ten kilobytes.
const CONNECTIONS_MAX: usize = 20_000;

/// The pause after a connection that could not be accepted, which mostly means that the process
/// has no more file descriptors: it needs a moment in which others are closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, then takes no more connections and lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let aborted = CancellationToken::new();
    let serving = accept(listener, router, &graceful, &aborted);
    stop.run_until_cancelled(serving).await;
    // The listener is closed by now.
    if timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("open requests are cut off");
    }
    aborted.cancel();
}

async fn accept(
    listener: TcpListener,
    router: Router,
    graceful: &GracefulShutdown,
    aborted: &CancellationToken,
) {
    let builder = builder();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = graceful.watch(connect(&builder, stream, router.clone()));
        let aborted = aborted.clone();
        spawn(async move {
            // A connection that breaks is its caller's affair.
            let _ = aborted.run_until_cancelled(connection).await;
            drop(place);
        });
    }
}

fn connect(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    router: Router,
) -> hyper_util::server::conn::auto::UpgradeableConnection<
    'static,
    TokioIo<TcpStream>,
    TowerToHyperService<Router>,
    TokioExecutor,
> {
    // Answers are small and written whole: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned()
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME_MAX);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEADER_TIME_MAX);
    builder
}

#[expect(clippy::disallowed_methods, reason = "the server waits for its connections itself")]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}
