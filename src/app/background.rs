//! The tasks that work for all threads: writers, readers, the listener, the followers, and the meter.

use std::{sync::Arc, thread, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;

use super::{meter::Meter, now};
use crate::{
    callbacks::Callbacks,
    config::{EventsConfig, LimitsConfig},
    domain::Cache,
    followers::{
        self, Behind, PublisherStatus, SearchIndex,
        clearing::ClearedChats,
        erasing::ErasedUsers,
        feed_exchange::{FeedExchange, FeedExchangeConfig},
        file_events::{BrokerConfig, FileEvents},
        retention::Retention,
        webhooks::{WebhookNotes, Webhooks},
    },
    http::{render_batch, render_entry, render_message},
    lifecycle::Lifecycle,
    live::{Hub, Presence, Signals},
    notifications::{Announcements, Commit, Listener, Subscriber},
    store::{Database, Pool, Purpose},
    sync::{Freshness, Readers, ThreadHandle},
    timeline::{BATCH_MAX, BackgroundTimeline, Kept, Timeline, Writer},
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
    pub signals: Arc<Signals>,
    pub publisher: PublisherStatus,
    /// What these tasks hold in memory.
    pub caches: Vec<Arc<dyn Cache>>,
}

impl Background {
    pub fn spawn(
        life: &mut Lifecycle,
        database: &Database,
        reads: &Pool,
        limits: &LimitsConfig,
        events: EventsConfig,
        callbacks: Arc<Callbacks>,
        metrics: PrometheusHandle,
    ) -> Self {
        let kept = Arc::new(Kept::default());
        let timeline = spawn_writers(life, database, &kept, limits);
        let announcements = Arc::new(Announcements::default());
        let freshness = Arc::new(Freshness::new(Arc::clone(&announcements)));
        let (handles, reads_cache) =
            spawn_readers(life, database, limits.read_queue_max, &freshness);
        let hub = Arc::new(Hub::new(limits.live()));
        let signals = spawn_signals(life, reads);
        let with_files = Arc::new(Behind::new(|commit| commit.uses_files));
        let with_changes = Arc::new(Behind::new(has_changes));
        let feeds = Arc::new(Behind::new(has_changes));
        let deletions = Arc::new(Behind::new(has_changes));
        let erasures = Arc::new(Behind::new(has_changes));
        let hooked = Arc::new(WebhookNotes::new(Behind::new(has_changes)));
        // The cache comes first: a caller that the hub wakes must not find an old entry valid.
        let subscribers: Vec<Arc<dyn Subscriber>> = vec![
            freshness,
            hub.clone(),
            signals.clone(),
            with_files.clone(),
            with_changes.clone(),
            feeds.clone(),
            deletions.clone(),
            erasures.clone(),
            hooked.clone(),
        ];
        let listener = Listener::new(database.clone(), subscribers, announcements);
        life.spawn("listener", listener.run(life.stop()));
        spawn_presence(life, database, &hub);
        let publishes_feeds = spawn_feed_exchange(life, database, &events, feeds);
        let publisher = spawn_file_events(life, database, events, with_files);
        spawn_webhooks(life, database, callbacks, hooked);
        let background = timeline.in_background();
        spawn_search_index(life, database, background.clone(), with_changes);
        let cleared = ClearedChats {
            database: database.clone(),
            timeline: background.clone(),
            behind: deletions,
        };
        life.spawn("cleared chats", cleared.run(life.stop()));
        let erased = ErasedUsers {
            database: database.clone(),
            timeline: background.clone(),
            behind: erasures,
            seconds_min: limits.erasure_seconds_min,
        };
        life.spawn("erased users", erased.run(life.stop()));
        let retention = Retention {
            database: database.clone(),
            timeline: background,
            period: Duration::from_secs(limits.retention_period),
            publishes_feeds,
        };
        life.spawn("retention", retention.run(life.stop()));
        let meter = Meter {
            session: database.session(Purpose::Measuring),
            timeline: timeline.clone(),
            publisher: publisher.clone(),
            publishes_feeds,
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
            signals,
            publisher,
            caches: vec![reads_cache, kept],
        }
    }
}

fn spawn_writers(
    life: &mut Lifecycle,
    database: &Database,
    kept: &Arc<Kept>,
    limits: &LimitsConfig,
) -> Timeline {
    let wait_max = Duration::from_millis(limits.write_wait_ms_max);
    let (timeline, commands) = Timeline::new(limits.write_queue_max, BATCH_MAX, wait_max);
    for writer in Writer::all(database, kept, timeline.progress(), wait_max) {
        life.spawn("writer", writer.run(commands.clone()));
    }
    timeline
}

/// `waiting_max` reads of each kind may wait, of each application. Returns a handle for each thread
/// that serves HTTP, and what is cached.
fn spawn_readers(
    life: &mut Lifecycle,
    database: &Database,
    waiting_max: usize,
    freshness: &Arc<Freshness>,
) -> (Vec<ThreadHandle>, Arc<dyn Cache>) {
    let readers = Readers::new(waiting_max, Arc::clone(freshness), render_message);
    let threads =
        thread::available_parallelism().map_or(1, |cores| cores.get().min(HTTP_THREADS_MAX));
    let handles = (0..threads).map(|_| readers.handle(database)).collect();
    let cache = readers.cache();
    for (name, task) in readers.tasks(database) {
        life.spawn(name, task);
    }
    (handles, cache)
}

/// Ends at once: whatever is recorded last counts for some seconds.
fn spawn_presence(life: &mut Lifecycle, database: &Database, hub: &Arc<Hub>) {
    let presence = Presence::new(Arc::clone(hub), database.session(Purpose::Presence));
    let stop = life.stop();
    life.spawn("presence", async move {
        stop.run_until_cancelled(presence.run()).await.unwrap_or(())
    });
}

/// Ends at once: signals are no promise.
fn spawn_signals(life: &mut Lifecycle, reads: &Pool) -> Arc<Signals> {
    let signals = Arc::new(Signals::new(reads.clone(), now));
    let (sending, stop) = (Arc::clone(&signals).run(), life.stop());
    life.spawn("signals", async move {
        stop.run_until_cancelled(sending).await.unwrap_or(())
    });
    signals
}

fn spawn_search_index(
    life: &mut Lifecycle,
    database: &Database,
    timeline: BackgroundTimeline,
    behind: Arc<Behind>,
) {
    let index = SearchIndex::new(timeline);
    let following = followers::run(index, database.clone(), behind, life.stop());
    life.spawn("search index", following);
}

fn has_changes(commit: &Commit) -> bool {
    commit.range.after < commit.range.last
}

/// Returns whether the feeds are published: if a broker and an exchange are configured.
fn spawn_feed_exchange(
    life: &mut Lifecycle,
    database: &Database,
    events: &EventsConfig,
    behind: Arc<Behind>,
) -> bool {
    let exchange = events.amqp_feed_exchange.clone();
    if exchange.is_empty() {
        return false;
    }
    let Some(url) = events.amqp_url.clone() else {
        tracing::warn!("AMQP_URL is not set: the feeds are not published");
        return false;
    };
    let exchange = FeedExchange::new(FeedExchangeConfig {
        url,
        exchange,
        render: render_entry,
    });
    let following = followers::run(exchange, database.clone(), behind, life.stop());
    life.spawn("feed exchange", following);
    true
}

fn spawn_webhooks(
    life: &mut Lifecycle,
    database: &Database,
    callbacks: Arc<Callbacks>,
    notes: Arc<WebhookNotes>,
) {
    let webhooks = Webhooks {
        database: database.clone(),
        notes,
        callbacks,
        render_message,
        render_batch,
    };
    life.spawn("webhooks", webhooks.run(life.stop()));
}

/// Nothing is published unless a broker is configured.
fn spawn_file_events(
    life: &mut Lifecycle,
    database: &Database,
    events: EventsConfig,
    behind: Arc<Behind>,
) -> PublisherStatus {
    let EventsConfig {
        amqp_url,
        amqp_exchange,
        amqp_routing_key,
        amqp_queue,
        amqp_queue_type,
        amqp_feed_exchange: _,
    } = events;
    let Some(url) = amqp_url else {
        tracing::warn!("AMQP_URL is not set: events wait in the database");
        return followers::not_configured();
    };
    let config = BrokerConfig {
        url,
        exchange: amqp_exchange,
        routing_key: amqp_routing_key.unwrap_or_else(|| amqp_queue.clone()),
        queue: amqp_queue,
        queue_type: amqp_queue_type,
    };
    let (events, status) = FileEvents::new(config);
    let following = followers::run(events, database.clone(), behind, life.stop());
    life.spawn("file events", following);
    status
}
