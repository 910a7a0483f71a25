//! Runs the service: wires the parts, and starts what works.

use std::{io, sync::Arc, thread};

use super::{Outcome, database::make_ready, meter::Meter, now};
use crate::{
    auth::{self, Authenticator, IntrospectionConfig, JwksConfig, Signer, Tickets},
    config::{CallersConfig, EventsConfig, HttpConfig, ServeConfig},
    http::{self, Acceptor, Address, AppState, Broker, Budget, Digester, Service},
    lifecycle::Lifecycle,
    live::{Hub, Live},
    notifications::{Listener, Subscriber},
    outbox::{BrokerConfig, Publisher, Signs, Wake},
    search::Indexer,
    store::{Database, Purpose},
    sync::{Freshness, Readers, ThreadHandle},
    telemetry,
    timeline::{Timeline, Writer},
};

/// Threads that serve HTTP, one a core. Each answers tens of thousands of requests a second, and has a
/// connection to the database: more of them would wait for it.
const HTTP_THREADS_MAX: usize = 8;

/// Runs the service until it is told to stop. A start that fails ends what has begun.
pub async fn serve(config: ServeConfig) -> Outcome {
    telemetry::log(config.log.log_format, &config.log.log_filter);
    let mut life = Lifecycle::default();
    match start(&mut life, config).await {
        Ok(()) => Ok(life.run().await?),
        Err(error) => {
            life.end().await;
            Err(error)
        }
    }
}

async fn start(life: &mut Lifecycle, config: ServeConfig) -> Outcome {
    let ServeConfig {
        database,
        secret,
        events,
        callers,
        http,
        limits,
        log: _,
    } = config;
    let address = Address::take(http.listen_addr)?;
    let metrics = telemetry::metrics()?;
    let secret = &secret.messages_secret;
    let signer = Signer::new(secret)?;
    let database = database.open()?;
    raise_limit_of_descriptors();
    make_ready(&database).await?;

    let timeline = spawn_writers(life, &database, limits.write_queue_max);
    let freshness = Arc::new(Freshness::default());
    let handles = spawn_readers(
        life,
        &database,
        limits.read_queue_max,
        Arc::clone(&freshness),
    );
    let hub = Arc::new(Hub::new(limits.live()));
    let wake = Arc::new(Wake::default());
    spawn_listener(life, &database, freshness, &hub, &wake);
    let broker = spawn_publisher(life, &database, events, wake);
    spawn_indexer(life, &database, timeline.clone());
    let meter = Meter {
        session: database.session(Purpose::Measuring),
        timeline: timeline.clone(),
        broker: broker.clone(),
        metrics: metrics.clone(),
    };
    let stop = life.stop();
    life.spawn("meter", async move {
        stop.run_until_cancelled(meter.run()).await.unwrap_or(())
    });

    let reads = database.reads();
    let authenticator =
        Authenticator::new(known_callers(callers), signer.clone(), reads.clone(), now)?;
    let state = AppState {
        timeline,
        authenticator: Arc::new(authenticator),
        live: Live::new(hub, now),
        signer,
        tickets: Arc::new(Tickets::new(secret, now)),
        digester: Arc::new(Digester::new(secret)),
        reads,
        searches: database.searches(),
        broker,
        budget: Budget::new(limits.budget()),
        metrics,
        clock: now,
        times: http.times.limits(),
        stop: life.stop(),
    };
    let acceptor = spawn_workers(life, Arc::new(state), handles, &http)?;
    let listener = address.listen()?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    life.spawn("acceptor", acceptor.run(listener, life.stop()));
    Ok(())
}

/// Starts what serves HTTP: a thread for each handle.
fn spawn_workers(
    life: &mut Lifecycle,
    state: Arc<AppState>,
    handles: Vec<ThreadHandle>,
    config: &HttpConfig,
) -> io::Result<Acceptor> {
    let (acceptor, intakes) = Acceptor::new(handles.len());
    for ((sync, look), intake) in handles.into_iter().zip(intakes) {
        let router = http::router(Service::new(Arc::clone(&state), sync), &config.cors_origins);
        let thread = life.start_thread("http worker")?;
        life.spawn_on(
            &thread,
            "http worker",
            http::serve(intake, router, config.times.limits()),
        );
        life.spawn_on(&thread, "sequence reader", look);
    }
    Ok(acceptor)
}

/// By what callers are known, beside the tokens of the service itself.
fn known_callers(config: CallersConfig) -> auth::Config {
    let CallersConfig {
        admin_token,
        jwks_url,
        jwks_issuer,
        jwks_audience,
        jwks_applications,
        introspection_url,
        introspection_client_id,
        introspection_client_secret,
        introspection_applications,
        introspection_strangers_max,
    } = config;
    let jwks = jwks_url.map(|url| JwksConfig {
        url,
        issuer: jwks_issuer.unwrap_or_default(),
        audience: jwks_audience.unwrap_or_default(),
        applications: jwks_applications,
    });
    let introspection = introspection_url.map(|url| IntrospectionConfig {
        url,
        client_id: introspection_client_id,
        client_secret: introspection_client_secret,
        applications: introspection_applications,
        strangers_per_second_max: introspection_strangers_max,
    });
    auth::Config {
        administrator: admin_token,
        jwks,
        introspection,
    }
}

/// Starts what receives the notifications of all replicas.
fn spawn_listener(
    life: &mut Lifecycle,
    database: &Database,
    freshness: Arc<Freshness>,
    hub: &Arc<Hub>,
    wake: &Arc<Wake>,
) {
    let announcements = freshness.new_epoch();
    // Whoever is woken finds that what is cached is not current any more.
    let subscribers: Vec<Arc<dyn Subscriber>> = vec![freshness, hub.clone(), wake.clone()];
    let listener = Listener::new(database.clone(), subscribers, announcements);
    life.spawn("listener", listener.run(life.stop()));
}

/// Starts what carries out changes; `waiting_max` may wait.
fn spawn_writers(life: &mut Lifecycle, database: &Database, waiting_max: usize) -> Timeline {
    let (timeline, commands) = Timeline::new(waiting_max);
    for writer in Writer::pair(database, timeline.progress()) {
        life.spawn("writer", writer.run(commands.clone()));
    }
    timeline
}

/// Starts what answers reads, of which `waiting_max` of each kind may wait. Returns a handle for each thread
/// that serves HTTP.
fn spawn_readers(
    life: &mut Lifecycle,
    database: &Database,
    waiting_max: usize,
    freshness: Arc<Freshness>,
) -> Vec<ThreadHandle> {
    let readers = Readers::new(waiting_max, freshness);
    let threads =
        thread::available_parallelism().map_or(1, |cores| cores.get().min(HTTP_THREADS_MAX));
    let handles = (0..threads).map(|_| readers.handle(database)).collect();
    for (name, task) in readers.tasks(database) {
        life.spawn(name, task);
    }
    handles
}

/// Starts what indexes texts; it rests while changes wait.
fn spawn_indexer(life: &mut Lifecycle, database: &Database, timeline: Timeline) {
    let session = database.session(Purpose::Indexing);
    let indexer = Indexer::new(session, Arc::new(move || timeline.waiting()));
    life.spawn("indexer", indexer.run(life.stop()));
}

/// Starts what publishes events, where a broker is configured.
fn spawn_publisher(
    life: &mut Lifecycle,
    database: &Database,
    events: EventsConfig,
    wake: Arc<Wake>,
) -> Broker {
    let EventsConfig {
        amqp_url,
        amqp_exchange,
        amqp_routing_key,
        amqp_queue,
        amqp_queue_type,
    } = events;
    let Some(url) = amqp_url else {
        tracing::warn!("AMQP_URL is not set: events wait in the database");
        return Broker::NotConfigured;
    };
    let config = BrokerConfig {
        url,
        exchange: amqp_exchange,
        routing_key: amqp_routing_key.unwrap_or_else(|| amqp_queue.clone()),
        queue: amqp_queue,
        queue_type: amqp_queue_type,
    };
    let signs = Signs::default();
    let session = database.session(Purpose::Publishing);
    let publisher = Publisher::new(session, config, wake, signs.clone());
    life.spawn("publisher", publisher.run(life.stop()));
    Broker::Configured {
        connected: signs.connected,
        blocked: signs.blocked,
    }
}

/// Each connection takes a file descriptor, and the usual limit (1,024) is a heritage: it may be
/// raised to the hard one.
fn raise_limit_of_descriptors() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of file descriptors stays as it is"),
    }
}
