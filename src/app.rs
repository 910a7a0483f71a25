//! The parts wired together: the only module that knows every other.

use std::{
    error::Error,
    io,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{sync::Notify, time::sleep};

use crate::{
    auth::{self, Authenticator, IntrospectionConfig, JwksConfig, Signer, Tickets},
    config::{
        AdvanceConfig, CallersConfig, CreateApplicationConfig, DatabaseConfig, EventsConfig,
        ServeConfig, TokenConfig,
    },
    http::{
        self, Acceptor, Address, Broker, Budget, BudgetLimits, Digester, HELD_TIME_MAX, Origin, Parts,
        Service, WRITE_TIME_MAX,
    },
    lifecycle::Lifecycle,
    live::{Hub, Limits, Listener, Live},
    outbox::{BrokerConfig, Publisher, Signs},
    search::{self, Indexer},
    store::{self, Database, Pool, Purpose, Session},
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
const MEASURE_PERIOD: Duration = Duration::from_secs(3);

/// After so many measurements what is left of old batches is deleted: about once a minute.
const FORGET_ROUNDS: u64 = 20;

/// Runs the service until it is told to stop. A start that fails ends what has begun.
pub async fn serve(config: ServeConfig) -> Outcome {
    telemetry::log(config.log_format, &config.log_filter);
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
        listen_addr,
        cors_origins,
        write_queue_max,
        read_queue_max,
        live_connections_max,
        live_connections_per_user_max,
        requests_per_user_max,
        pending_answers_mib_max,
        held_answer_ms_max,
        write_ms_max,
        log_format: _,
        log_filter: _,
    } = config;
    let address = Address::take(listen_addr)?;
    let metrics = telemetry::metrics()?;
    let secret = &secret.messages_secret;
    let signer = Signer::new(secret)?;
    let database = database.open()?;
    raise_limit_of_descriptors();
    migrated(&database).await?;

    let timeline = spawn_writers(life, &database, write_queue_max);
    let heard = Arc::new(Heard::default());
    let ways_in = spawn_readers(life, &database, read_queue_max, Arc::clone(&heard));
    let limits = Limits { total_max: live_connections_max, per_user_max: live_connections_per_user_max };
    let (hub, outbox_wake) = spawn_listener(life, &database, limits, heard);
    let reads = database.reads();
    let broker = spawn_publisher(life, &database, events, outbox_wake);
    spawn_indexer(life, &database, timeline.clone());
    let stop = life.stop();
    let measuring = measure(reads.clone(), timeline.clone(), broker.clone(), metrics.clone());
    life.spawn("meter", async move { stop.run_until_cancelled(measuring).await.unwrap_or(()) });

    let callers = known_callers(callers);
    let authenticator = Authenticator::new(callers, signer.clone(), reads.clone(), now)?;
    let parts = Parts {
        timeline,
        authenticator: Arc::new(authenticator),
        live: Live::new(hub, now),
        signer,
        tickets: Arc::new(Tickets::new(secret, now)),
        digester: Arc::new(Digester::new(secret)),
        reads,
        searches: database.searches(),
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
    let write_time_max = write_ms_max.map_or(WRITE_TIME_MAX, Duration::from_millis);
    let acceptor = spawn_workers(life, Arc::new(parts), ways_in, &cors_origins, write_time_max)?;
    let listener = address.listen()?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    life.spawn("acceptor", acceptor.run(listener, life.stop()));
    Ok(())
}

/// Starts what serves HTTP: a thread for each way into the timeline.
fn spawn_workers(
    life: &mut Lifecycle,
    parts: Arc<Parts>,
    ways_in: Vec<WayIn>,
    cors_origins: &[Origin],
    write_time_max: Duration,
) -> io::Result<Acceptor> {
    let (acceptor, intakes) = Acceptor::new(ways_in.len());
    for ((sync, look), intake) in ways_in.into_iter().zip(intakes) {
        let router = http::router(Service::new(Arc::clone(&parts), sync), cors_origins);
        let thread = life.start_thread("http worker")?;
        life.spawn_on(&thread, "http worker", http::serve(intake, router, write_time_max));
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
    auth::Config { administrator: admin_token, jwks, introspection }
}

/// Creates an application, and prints its token, which is shown this once.
pub async fn create_application(config: &CreateApplicationConfig) -> Outcome {
    let mut session = migrated(&config.database.open()?).await?;
    let connection = session.connection().await?;
    let (application, token) = auth::create_application(connection, &config.name).await?;
    println!("application {}\ntoken {}", application.id.0, token.token);
    Ok(())
}

/// Starts what hears the commits of all replicas; gives what it wakes.
fn spawn_listener(
    life: &mut Lifecycle,
    database: &Database,
    limits: Limits,
    heard: Arc<Heard>,
) -> (Arc<Hub>, Arc<Notify>) {
    let (hub, outbox_wake) = (Arc::new(Hub::new(limits)), Arc::new(Notify::new()));
    let waking = (Arc::clone(&hub), Arc::clone(&outbox_wake));
    let listener = Listener::new(database.clone(), heard, waking.0, waking.1);
    life.spawn("listener", listener.run(life.stop()));
    (hub, outbox_wake)
}

/// Starts what carries out changes; `waiting_max` may wait.
fn spawn_writers(life: &mut Lifecycle, database: &Database, waiting_max: usize) -> Timeline {
    let (timeline, commands) = Timeline::new(waiting_max);
    for writer in Writer::pair(database, timeline.progress()) {
        life.spawn("writer", writer.run(commands.clone()));
    }
    timeline
}

/// Starts what answers reads; `waiting_max` of each kind may wait, and of looks at the sequence for each
/// thread. Gives a way in for each thread that serves HTTP.
fn spawn_readers(
    life: &mut Lifecycle,
    database: &Database,
    waiting_max: usize,
    heard: Arc<Heard>,
) -> Vec<WayIn> {
    let readers = Readers::new(waiting_max, heard);
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(HTTP_THREADS_MAX));
    let ways_in = (0..threads).map(|_| readers.way_in(database)).collect();
    for (name, task) in readers.tasks(database) {
        life.spawn(name, task);
    }
    ways_in
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
    wake: Arc<Notify>,
) -> Broker {
    let EventsConfig { amqp_url, amqp_exchange, amqp_routing_key, amqp_queue, amqp_queue_type } = events;
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
    Broker::Configured { connected: signs.connected, blocked: signs.blocked }
}

/// Measures what is not counted as it happens, keeps the queue of notifications moving, and lets the
/// recorder fold what it has collected, which nobody else does where nobody asks for the metrics.
async fn measure(reads: Pool, timeline: Timeline, broker: Broker, metrics: PrometheusHandle) {
    for round in 0_u64.. {
        if let Err(error) = measure_database(&reads).await {
            tracing::warn!(%error, "the database cannot be measured");
        }
        if round % FORGET_ROUNDS == 0 {
            // Whatever fails here fails above as well, and is tried again.
            let _ =
                reads.query(async |connection| store::timeline::forget_batches(connection).await).await;
        }
        let stalled_for = timeline.progress().stalled_for().as_secs_f64();
        metrics::gauge!("messages_writes_stalled_seconds").set(stalled_for);
        metrics::gauge!("messages_broker_connected").set(f64::from(u8::from(broker.is_publishing())));
        metrics::gauge!("messages_broker_blocked").set(f64::from(u8::from(broker.is_blocked())));
        metrics.run_upkeep();
        sleep(MEASURE_PERIOD).await;
    }
}

async fn measure_database(reads: &Pool) -> store::Result<()> {
    let measuring = reads.query(async |connection| {
        let usage = store::wakeups::pulse(connection).await?;
        let backlog = store::outbox::backlog(connection).await?;
        Ok((usage, backlog, store::search::count_pending(connection).await?))
    });
    let (usage, backlog, pending) = measuring.await?;
    let age = backlog.oldest.map_or(0.0, |oldest| (backlog.now - oldest).as_seconds_f64());
    metrics::gauge!("messages_notification_queue_usage").set(usage);
    metrics::gauge!("messages_outbox_events").set(backlog.events as f64);
    metrics::gauge!("messages_outbox_oldest_seconds").set(age);
    metrics::gauge!("messages_search_pending").set(pending as f64);
    Ok(())
}

/// Brings the schema up to date.
pub async fn migrate(config: &DatabaseConfig) -> Outcome {
    migrated(&config.open()?).await?;
    println!("the schema is up to date");
    Ok(())
}

/// Waits for the database, checks it, and runs the migrations under their own lock.
async fn migrated(database: &Database) -> Result<Session, Box<dyn Error>> {
    let mut session = database.session(Purpose::Migrating);
    connect(&mut session).await?;
    database.require_own_sessions().await?;
    let connection = session.connection().await?;
    let encoding = store::encoding(connection).await?;
    if encoding != "UTF8" {
        return Err(format!("the database's encoding is {encoding}; it must be UTF8").into());
    }
    store::MIGRATIONS.run(&mut *connection).await?;
    // The first connection on the present schema finds out whether the database has another history.
    database.session(Purpose::Announcing).connection().await?;
    Ok(session)
}

/// Waits for a database that may just have been started; what waiting does not mend is told at once.
async fn connect(session: &mut Session) -> store::Result<()> {
    for _ in 1..CONNECT_ATTEMPTS_MAX {
        match session.connection().await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_lasting() => return Err(error),
            Err(error) => tracing::warn!(%error, "waiting for the database"),
        }
        sleep(CONNECT_PAUSE).await;
    }
    session.connection().await.map(|_| ())
}

/// Prints a user's token, alone or in a link: in the fragment, which browsers never send.
pub fn print_token(config: &TokenConfig) -> Outcome {
    let signer = Signer::new(&config.secret.messages_secret)?;
    let token = signer.sign(config.application, &config.user, now() + config.expires_in);
    match &config.link {
        Some(base) => println!("{}/#token={token}", base.trim_end_matches('/')),
        None => println!("{token}"),
    }
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
    let mut session = migrated(&config.database.open()?).await?;
    let (mut lane, _) = session.enter_lane().await?;
    let (before, after) = store::timeline::advance(&mut lane, config.by).await?;
    lane.commit().await?;
    println!("the timeline has advanced from {before} to {after}");
    Ok(())
}

/// Drops the index of search, which is built anew by the running service.
pub async fn rebuild_search(config: &DatabaseConfig) -> Outcome {
    let mut session = migrated(&config.open()?).await?;
    let messages = search::rebuild(session.connection().await?).await?;
    println!("{messages} messages are being indexed anew");
    Ok(())
}

/// Prints the OpenAPI document.
pub fn print_openapi() -> Outcome {
    println!("{}", http::openapi().to_pretty_json()?);
    Ok(())
}
