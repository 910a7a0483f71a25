//! The parts wired together: the only module that knows every other.

use std::{
    error::Error,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpListener, sync::Notify, time::sleep};

use crate::{
    auth::{self, Authenticator, IntrospectionConfig, JwksConfig, SECRET_BYTES_MIN, Signer, Tickets},
    config::{
        AdvanceConfig, CallersConfig, CreateApplicationConfig, DatabaseConfig, EventsConfig,
        ServeConfig, TokenConfig,
    },
    domain::ApplicationId,
    http::{self, Acceptor, Broker, Budget, BudgetLimits, Digester, HELD_TIME_MAX, Parts, Service},
    lifecycle::Lifecycle,
    live::{Hub, Limits, Listener, Live},
    outbox::{BrokerConfig, Publisher, Signs},
    search::{self, Indexer},
    store::{self, PgConnection, Purpose, Session},
    sync::{Heard, Readers, WayIn},
    telemetry,
    timeline::{Timeline, Writer},
};

type Outcome = Result<(), Box<dyn Error>>;

/// How often a database that is away at start is tried again, and how many times: for about as
/// long as a PostgreSQL that is started at the same moment may take.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);
const CONNECT_ATTEMPTS_MAX: u32 = 30;

/// Threads that serve HTTP, one a core. Each answers tens of thousands of requests a second, and has a
/// connection to the database: more of them would wait for it.
const HTTP_THREADS_MAX: usize = 8;

/// How often what is not counted as it happens is measured.
const MEASURE_PERIOD: Duration = Duration::from_secs(5);

/// Runs the service until it is told to stop.
pub async fn serve(config: ServeConfig) -> Outcome {
    let ServeConfig {
        database,
        secret,
        events,
        callers,
        listen_addr,
        cors_origins,
        write_queue_max,
        read_queue_max,
        live_connections_max,
        live_connections_per_user_max,
        requests_per_user_max,
        pending_answers_mib_max,
        held_answer_ms_max,
        log_format,
        log_filter,
    } = config;
    telemetry::log(log_format, &log_filter);
    let metrics = telemetry::metrics()?;
    let secret = &secret.messages_secret;
    let signer = Signer::new(secret)?;
    let database_url = database.database_url.expose_secret();
    raise_limit_of_descriptors();
    migrated(database_url).await?;

    let mut life = Lifecycle::default();
    let timeline = spawn_writers(&mut life, database_url, write_queue_max)?;
    let heard = Arc::new(Heard::default());
    let ways_in = spawn_readers(&mut life, database_url, read_queue_max, Arc::clone(&heard))?;
    let limits = Limits { total_max: live_connections_max, per_user_max: live_connections_per_user_max };
    let (hub, outbox_wake) = spawn_listener(&mut life, database_url, limits, heard)?;
    let pool = store::pool(database_url)?;
    let broker = spawn_publisher(&mut life, database_url, events, outbox_wake)?;
    spawn_indexer(&mut life, database_url, timeline.clone())?;
    let stop = life.stop();
    let measuring = measure(pool.clone(), broker.clone(), metrics.clone());
    life.spawn("meter", async move { stop.run_until_cancelled(measuring).await.unwrap_or(()) });

    let callers = known_callers(callers)?;
    let authenticator = Authenticator::new(callers, signer.clone(), pool.clone(), now)?;
    let parts = Parts {
        timeline,
        authenticator: Arc::new(authenticator),
        live: Live::new(hub, now),
        signer,
        tickets: Arc::new(Tickets::new(secret, now)),
        digester: Arc::new(Digester::new(secret)),
        pool,
        search_pool: store::search_pool(database_url)?,
        broker,
        budget: Budget::new(BudgetLimits {
            requests_per_user_max,
            pending_bytes_max: pending_answers_mib_max * 1024 * 1024,
        }),
        metrics,
        clock: now,
        held_time_max: held_answer_ms_max.map_or(HELD_TIME_MAX, Duration::from_millis),
        stop: life.stop(),
    };
    let acceptor = spawn_workers(&mut life, Arc::new(parts), ways_in, &cors_origins)?;
    let listener = TcpListener::bind(listen_addr).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    life.spawn("acceptor", acceptor.run(listener, life.stop()));
    Ok(life.run().await?)
}

/// Starts what serves HTTP: a thread for each way into the timeline.
fn spawn_workers(
    life: &mut Lifecycle,
    parts: Arc<Parts>,
    ways_in: Vec<WayIn>,
    cors_origins: &[String],
) -> Result<Acceptor, Box<dyn Error>> {
    let (acceptor, intakes) = Acceptor::new(ways_in.len());
    for ((sync, look), intake) in ways_in.into_iter().zip(intakes) {
        let router = http::router(Service::new(Arc::clone(&parts), sync), cors_origins)?;
        let thread = life.start_thread("http worker")?;
        life.spawn_on(&thread, "http worker", http::serve(intake, router));
        life.spawn_on(&thread, "sequence reader", look);
    }
    Ok(acceptor)
}

/// By what callers are known, beside the tokens of the service itself.
fn known_callers(config: CallersConfig) -> Result<auth::Config, Box<dyn Error>> {
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
    } = config;
    // A variable that is empty is as good as one that is not set.
    let admin_token = admin_token.filter(|token| !token.expose_secret().is_empty());
    let is_short = |token: &SecretString| token.expose_secret().len() < SECRET_BYTES_MIN;
    if admin_token.as_ref().is_some_and(is_short) {
        return Err(
            format!("the administrator's token must be at least {SECRET_BYTES_MIN} bytes").into()
        );
    }
    let jwks = jwks_url.map(|url| JwksConfig {
        url,
        issuer: jwks_issuer.unwrap_or_default(),
        audience: jwks_audience.unwrap_or_default(),
        applications: jwks_applications.into_iter().map(ApplicationId).collect(),
    });
    let introspection = introspection_url.map(|url| IntrospectionConfig {
        url,
        client_id: introspection_client_id,
        client_secret: introspection_client_secret,
        applications: introspection_applications.into_iter().map(ApplicationId).collect(),
    });
    Ok(auth::Config { administrator: admin_token, jwks, introspection })
}

/// Creates an application, and prints its token, which is shown this once.
pub async fn create_application(config: &CreateApplicationConfig) -> Outcome {
    let mut session = migrated(config.database.database_url.expose_secret()).await?;
    let connection = session.connection().await?;
    let (application, token) = auth::create_application(connection, &config.name).await?;
    println!("application {}\ntoken {}", application.id.0, token.token);
    Ok(())
}

/// Starts what hears the commits of all replicas; gives what it wakes.
fn spawn_listener(
    life: &mut Lifecycle,
    database_url: &str,
    limits: Limits,
    heard: Arc<Heard>,
) -> store::Result<(Arc<Hub>, Arc<Notify>)> {
    let (hub, outbox_wake) = (Arc::new(Hub::new(limits)), Arc::new(Notify::new()));
    let listener = Listener::new(database_url, heard, Arc::clone(&hub), Arc::clone(&outbox_wake))?;
    life.spawn("listener", listener.run(life.stop()));
    Ok((hub, outbox_wake))
}

/// Starts what carries out changes; `waiting_max` may wait.
fn spawn_writers(
    life: &mut Lifecycle,
    database_url: &str,
    waiting_max: usize,
) -> store::Result<Timeline> {
    let (timeline, commands) = Timeline::new(waiting_max);
    for writer in Writer::pair(|| Session::new(database_url, Purpose::Writing))? {
        life.spawn("writer", writer.run(commands.clone()));
    }
    Ok(timeline)
}

/// Starts what answers reads; `waiting_max` of each kind may wait, and of looks at the sequence for each
/// thread. Gives a way in for each thread that serves HTTP.
fn spawn_readers(
    life: &mut Lifecycle,
    database_url: &str,
    waiting_max: usize,
    heard: Arc<Heard>,
) -> store::Result<Vec<WayIn>> {
    let readers = Readers::new(waiting_max, heard);
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(HTTP_THREADS_MAX));
    let ways_in = (0..threads).map(|_| readers.way_in(database_url)).collect::<store::Result<_>>()?;
    for (name, task) in readers.tasks(database_url)? {
        life.spawn(name, task);
    }
    Ok(ways_in)
}

/// Starts what indexes texts; it rests while changes wait.
fn spawn_indexer(life: &mut Lifecycle, database_url: &str, timeline: Timeline) -> store::Result<()> {
    let session = Session::new(database_url, Purpose::Indexing)?;
    let indexer = Indexer::new(session, Arc::new(move || timeline.waiting()));
    life.spawn("indexer", indexer.run(life.stop()));
    Ok(())
}

/// Starts what publishes events, where a broker is configured.
fn spawn_publisher(
    life: &mut Lifecycle,
    database_url: &str,
    events: EventsConfig,
    wake: Arc<Notify>,
) -> store::Result<Broker> {
    let EventsConfig { amqp_url, amqp_exchange, amqp_routing_key, amqp_queue, amqp_queue_type } = events;
    let Some(url) = amqp_url else {
        tracing::warn!("AMQP_URL is not set: events wait in the database");
        return Ok(Broker::NotConfigured);
    };
    let config = BrokerConfig {
        url,
        exchange: amqp_exchange,
        routing_key: amqp_routing_key.unwrap_or_else(|| amqp_queue.clone()),
        queue: amqp_queue,
        queue_type: amqp_queue_type,
    };
    let signs = Signs::default();
    let session = Session::new(database_url, Purpose::Publishing)?;
    let publisher = Publisher::new(session, config, wake, signs.clone());
    life.spawn("publisher", publisher.run(life.stop()));
    Ok(Broker::Configured { connected: signs.connected, blocked: signs.blocked })
}

/// Measures what is not counted as it happens, and lets the recorder fold what it has collected,
/// which nobody else does where nobody asks for the metrics.
async fn measure(pool: store::PgPool, broker: Broker, metrics: PrometheusHandle) {
    loop {
        if let Ok(mut connection) = pool.acquire().await {
            if let Ok(backlog) = store::outbox::backlog(&mut connection).await {
                let age = backlog.oldest.map_or(0.0, |oldest| (backlog.now - oldest).as_seconds_f64());
                metrics::gauge!("messages_outbox_events").set(backlog.events as f64);
                metrics::gauge!("messages_outbox_oldest_seconds").set(age);
            }
            if let Ok(pending) = store::search::count_pending(&mut connection).await {
                metrics::gauge!("messages_search_pending").set(pending as f64);
            }
        }
        metrics::gauge!("messages_broker_connected").set(f64::from(u8::from(broker.is_publishing())));
        metrics::gauge!("messages_broker_blocked").set(f64::from(u8::from(broker.is_blocked())));
        metrics.run_upkeep();
        sleep(MEASURE_PERIOD).await;
    }
}

/// Brings the schema up to date.
pub async fn migrate(config: &DatabaseConfig) -> Outcome {
    migrated(config.database_url.expose_secret()).await?;
    println!("the schema is up to date");
    Ok(())
}

/// Waits for the database, checks it, and runs the migrations under their own lock.
async fn migrated(database_url: &str) -> Result<Session, Box<dyn Error>> {
    let mut session = Session::new(database_url, Purpose::Migrating)?;
    let connection = connected(&mut session).await?;
    let encoding = store::encoding(connection).await?;
    if encoding != "UTF8" {
        return Err(format!("the database's encoding is {encoding}; it must be UTF8").into());
    }
    store::MIGRATIONS.run(&mut *connection).await?;
    store::timeline::forget_writers(connection).await?;
    Ok(session)
}

async fn connected(session: &mut Session) -> store::Result<&mut PgConnection> {
    for _ in 1..CONNECT_ATTEMPTS_MAX {
        match session.connection().await {
            Ok(_) => break,
            Err(error) if error.is_unavailable() => tracing::warn!(%error, "waiting for the database"),
            Err(error) => return Err(error),
        }
        sleep(CONNECT_PAUSE).await;
    }
    session.connection().await
}

/// Prints a user's token.
pub fn print_token(config: &TokenConfig) -> Outcome {
    let signer = Signer::new(&config.secret.messages_secret)?;
    let application = ApplicationId(config.application);
    println!("{}", signer.sign(application, &config.user, now() + config.expires_in));
    Ok(())
}

/// The service's one look at the wall clock.
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Each connection takes a file descriptor, and the usual limit (1,024) is a heritage: it may be
/// raised to the hard one.
fn raise_limit_of_descriptors() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of file descriptors stays as it is"),
    }
}

/// Lifts the sequences above what was given out before a restore.
pub async fn advance_timeline(config: &AdvanceConfig) -> Outcome {
    let mut session = migrated(config.database.database_url.expose_secret()).await?;
    let (mut lane, _) = session.enter_lane().await?;
    let (before, after) = store::timeline::advance(&mut lane, config.by).await?;
    lane.commit().await?;
    println!("the timeline has advanced from {before} to {after}");
    Ok(())
}

/// Drops the index of search, which is built anew by the running service.
pub async fn rebuild_search(config: &DatabaseConfig) -> Outcome {
    let mut session = migrated(config.database_url.expose_secret()).await?;
    let messages = search::rebuild(session.connection().await?).await?;
    println!("{messages} messages are being indexed anew");
    Ok(())
}

/// Prints the OpenAPI document.
pub fn print_openapi() -> Outcome {
    println!("{}", http::openapi().to_pretty_json()?);
    Ok(())
}
