//! The tasks that work for all threads: writers, readers, the listener, the publisher, the indexer,
//! and the meter.

use std::{sync::Arc, thread};

use metrics_exporter_prometheus::PrometheusHandle;

use super::meter::Meter;
use crate::{
    config::{EventsConfig, LimitsConfig},
    lifecycle::Lifecycle,
    live::Hub,
    notifications::{Listener, Subscriber},
    outbox::{self, BrokerConfig, Publisher, PublisherStatus, Wake},
    search::Indexer,
    store::{Database, Purpose},
    sync::{Freshness, Readers, ThreadHandle},
    timeline::{Timeline, Writer},
};

/// Threads that serve HTTP, one a core. Each answers tens of thousands of requests a second, and
/// has a connection to the database: more of them would wait for it.
const HTTP_THREADS_MAX: usize = 8;

/// What the threads that serve HTTP need of these tasks.
pub struct Background {
    pub timeline: Timeline,
    /// One for each thread that serves HTTP.
    pub handles: Vec<ThreadHandle>,
    pub hub: Arc<Hub>,
    pub publisher: PublisherStatus,
}

impl Background {
    pub fn spawn(
        life: &mut Lifecycle,
        database: &Database,
        limits: &LimitsConfig,
        events: EventsConfig,
        metrics: PrometheusHandle,
    ) -> Self {
        let timeline = spawn_writers(life, database, limits.write_queue_max);
        let freshness = Arc::new(Freshness::default());
        let handles = spawn_readers(life, database, limits.read_queue_max, &freshness);
        let hub = Arc::new(Hub::new(limits.live()));
        let wake = Arc::new(Wake::default());
        spawn_listener(life, database, freshness, &hub, &wake);
        let publisher = spawn_publisher(life, database, events, wake);
        spawn_indexer(life, database, timeline.clone());
        let meter = Meter {
            session: database.session(Purpose::Measuring),
            timeline: timeline.clone(),
            publisher: publisher.clone(),
            metrics,
        };
        let stop = life.stop();
        life.spawn("meter", async move {
            stop.run_until_cancelled(meter.run()).await.unwrap_or(())
        });
        Self {
            timeline,
            handles,
            hub,
            publisher,
        }
    }
}

/// `waiting_max` changes may wait.
fn spawn_writers(life: &mut Lifecycle, database: &Database, waiting_max: usize) -> Timeline {
    let (timeline, commands) = Timeline::new(waiting_max);
    for writer in Writer::pair(database, timeline.progress()) {
        life.spawn("writer", writer.run(commands.clone()));
    }
    timeline
}

/// `waiting_max` reads of each kind may wait. Returns a handle for each thread that serves HTTP.
fn spawn_readers(
    life: &mut Lifecycle,
    database: &Database,
    waiting_max: usize,
    freshness: &Arc<Freshness>,
) -> Vec<ThreadHandle> {
    let readers = Readers::new(waiting_max, Arc::clone(freshness));
    let threads =
        thread::available_parallelism().map_or(1, |cores| cores.get().min(HTTP_THREADS_MAX));
    let handles = (0..threads).map(|_| readers.handle(database)).collect();
    for (name, task) in readers.tasks(database) {
        life.spawn(name, task);
    }
    handles
}

fn spawn_listener(
    life: &mut Lifecycle,
    database: &Database,
    freshness: Arc<Freshness>,
    hub: &Arc<Hub>,
    wake: &Arc<Wake>,
) {
    let announcements = freshness.new_epoch();
    // The cache comes first: a caller that the hub wakes must not find an old entry valid.
    let subscribers: Vec<Arc<dyn Subscriber>> = vec![freshness, hub.clone(), wake.clone()];
    let listener = Listener::new(database.clone(), subscribers, announcements);
    life.spawn("listener", listener.run(life.stop()));
}

/// The indexer rests while changes wait to be written.
fn spawn_indexer(life: &mut Lifecycle, database: &Database, timeline: Timeline) {
    let indexer = Indexer::new(database.clone(), Arc::new(move || timeline.waiting()));
    life.spawn("indexer", indexer.run(life.stop()));
}

/// There is no publisher unless a broker is configured.
fn spawn_publisher(
    life: &mut Lifecycle,
    database: &Database,
    events: EventsConfig,
    wake: Arc<Wake>,
) -> PublisherStatus {
    let EventsConfig {
        amqp_url,
        amqp_exchange,
        amqp_routing_key,
        amqp_queue,
        amqp_queue_type,
    } = events;
    let Some(url) = amqp_url else {
        tracing::warn!("AMQP_URL is not set: events wait in the database");
        return outbox::not_configured();
    };
    let config = BrokerConfig {
        url,
        exchange: amqp_exchange,
        routing_key: amqp_routing_key.unwrap_or_else(|| amqp_queue.clone()),
        queue: amqp_queue,
        queue_type: amqp_queue_type,
    };
    let (publisher, status) = Publisher::new(database.clone(), config, wake);
    life.spawn("publisher", publisher.run(life.stop()));
    status
}
