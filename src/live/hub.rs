//! The hub: a flag for each watcher, raised when there may be something new.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::Notify;

use crate::{
    domain::{ApplicationId, UserId},
    notifications::{Concerned, Notification, Subscriber, UserKey},
};

/// How many watchers one replica may have.
#[derive(Debug, Clone, Copy)]
pub struct LiveLimits {
    pub total_max: usize,
    /// Of one user of one application, and of an application that follows its feed.
    pub per_user_max: usize,
}

/// Why one more watcher is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("the service has as many live connections as it allows")]
    Service,
    #[error("the caller has as many live connections as one caller may have")]
    User,
}

/// What a watcher serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitKind {
    Poll,
    Stream,
}

/// The watchers of this replica.
pub struct Hub {
    limits: LiveLimits,
    flags: Mutex<Flags>,
}

#[derive(Default)]
struct Flags {
    total: usize,
    by_key: HashMap<WakeKey, Vec<Arc<Flag>>>,
}

/// What a commit wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum WakeKey {
    User(UserKey),
    /// Those who follow the feed of the application.
    Application(ApplicationId),
}

struct Flag {
    application: ApplicationId,
    /// `None`: the application itself.
    user: Option<UserId>,
    kind: WaitKind,
    raised: Notify,
    /// When the oldest change that has raised it was written.
    written: Mutex<Option<SystemTime>>,
}

/// A watcher's registration with the hub. Dropping it removes its flag.
pub struct Registration {
    hub: Arc<Hub>,
    key: WakeKey,
    flag: Arc<Flag>,
}

impl Hub {
    pub fn new(limits: LiveLimits) -> Self {
        Self {
            limits,
            flags: Mutex::default(),
        }
    }

    /// Registers a watcher of a user, or of the feed of an application. Every wake-up from now on raises
    /// its flag.
    pub fn register(
        self: &Arc<Self>,
        kind: WaitKind,
        application: ApplicationId,
        user: Option<&UserId>,
    ) -> Result<Registration, Full> {
        let key = match user {
            Some(user) => WakeKey::User(UserKey::of(application, user)),
            None => WakeKey::Application(application),
        };
        let flag = Arc::new(Flag::new(application, user, kind));
        let mut flags = self.flags();
        if flags.total >= self.limits.total_max {
            return Err(Full::Service);
        }
        let of_key = flags.by_key.entry(key).or_default();
        // Two users may have the same key; each has a limit of its own.
        let is_own =
            |other: &&Arc<Flag>| other.application == application && other.user == flag.user;
        if of_key.iter().filter(is_own).count() >= self.limits.per_user_max {
            return Err(Full::User);
        }
        of_key.push(Arc::clone(&flag));
        flags.total += 1;
        metrics::gauge!("messages_live_connections", "kind" => kind.name()).increment(1.0);
        Ok(Registration {
            hub: Arc::clone(self),
            key,
            flag,
        })
    }

    /// The users of this replica who have a stream open.
    pub fn connected(&self) -> HashSet<(ApplicationId, UserId)> {
        let flags = self.flags();
        let flags = flags.by_key.values().flatten();
        let of_streams = flags.filter(|flag| flag.kind == WaitKind::Stream);
        of_streams
            .filter_map(|flag| Some((flag.application, flag.user.clone()?)))
            .collect()
    }

    /// Raises the flags of the users whom a commit concerns, and of those who follow its application.
    pub fn wake(&self, notification: &Notification) {
        let flags = self.flags();
        metrics::counter!("messages_wakeups_total", "who" => notification.concerned.name())
            .increment(1);
        let written = notification.commit.and_then(|commit| commit.written);
        match &notification.concerned {
            Concerned::Users(keys) => {
                let users = keys.iter().map(|key| WakeKey::User(*key));
                let feed = notification.commit.map(|commit| commit.application);
                let keys = users.chain(feed.map(WakeKey::Application));
                let concerned = keys.filter_map(|key| flags.by_key.get(&key));
                concerned.flatten().for_each(|flag| flag.raise(written));
            }
            Concerned::Everybody => {
                let application = notification.commit.map(|commit| commit.application);
                let flags = flags.by_key.values().flatten();
                flags
                    .filter(|flag| application.is_none_or(|it| it == flag.application))
                    .for_each(|flag| flag.raise(written));
            }
        }
    }

    fn remove(&self, registration: &Registration) {
        let mut flags = self.flags();
        flags.total -= 1;
        if let Some(of_key) = flags.by_key.get_mut(&registration.key) {
            of_key.retain(|flag| !Arc::ptr_eq(flag, &registration.flag));
            if of_key.is_empty() {
                flags.by_key.remove(&registration.key);
            }
        }
    }

    fn flags(&self) -> MutexGuard<'_, Flags> {
        unpoisoned(&self.flags)
    }
}

impl Subscriber for Hub {
    fn reconnected(&self) {
        self.wake(&Notification::EVERYBODY);
    }

    fn notified(&self, notification: &Notification) {
        self.wake(notification);
    }
}

impl Registration {
    /// Waits until the flag is raised, and lowers it. Returns when the oldest change that has
    /// raised it was written, if its notification had the time.
    pub async fn woken(&self) -> Option<SystemTime> {
        self.flag.raised.notified().await;
        unpoisoned(&self.flag.written).take()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.hub.remove(self);
        metrics::gauge!("messages_live_connections", "kind" => self.flag.kind.name())
            .decrement(1.0);
    }
}

impl Flag {
    fn new(application: ApplicationId, user: Option<&UserId>, kind: WaitKind) -> Self {
        Self {
            application,
            user: user.cloned(),
            kind,
            raised: Notify::new(),
            written: Mutex::default(),
        }
    }

    fn raise(&self, written: Option<SystemTime>) {
        let mut oldest = unpoisoned(&self.written);
        *oldest = oldest.or(written);
        drop(oldest);
        self.raised.notify_one();
    }
}

impl WaitKind {
    /// Its name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Stream => "stream",
        }
    }
}

/// The value is consistent after every step, so a panic while the lock was held does no harm.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::{
        domain::Timestamp,
        notifications::{Commit, TimestampRange},
    };

    const ONE: ApplicationId = ApplicationId::new(1);

    fn hub(total_max: usize, per_user_max: usize) -> Arc<Hub> {
        Arc::new(Hub::new(LiveLimits {
            total_max,
            per_user_max,
        }))
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn register(hub: &Arc<Hub>, id: &str) -> Result<Registration, Full> {
        hub.register(WaitKind::Poll, ONE, Some(&user(id)))
    }

    fn wake(hub: &Hub, id: &str, second: u64) {
        hub.wake(&Notification {
            commit: Some(commit(ONE, second)),
            concerned: Concerned::Users(vec![UserKey::of(ONE, &user(id))]),
        });
    }

    fn commit(application: ApplicationId, second: u64) -> Commit {
        let zero = Timestamp::new(0);
        Commit {
            application,
            range: TimestampRange {
                after: zero,
                last: zero,
            },
            written: Some(at(second)),
            uses_files: false,
            continues: false,
        }
    }

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    /// Whether the flag is raised; it is lowered.
    fn is_raised(registration: &Registration) -> Option<Option<SystemTime>> {
        let mut woken = std::pin::pin!(registration.woken());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match woken.as_mut().poll(&mut context) {
            std::task::Poll::Ready(written) => Some(written),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_wake_up_raises_the_flags_of_its_users_alone() {
        let hub = hub(10, 10);
        let registrations = ["jane", "jane", "john"].map(|id| register(&hub, id).unwrap());
        wake(&hub, "jane", 7);
        assert_eq!(
            registrations.each_ref().map(is_raised),
            [Some(Some(at(7))), Some(Some(at(7))), None]
        );
        hub.wake(&Notification::EVERYBODY);
        assert_eq!(
            registrations.each_ref().map(is_raised),
            [Some(None), Some(None), Some(None)]
        );
        for (application, woken) in [(ApplicationId::new(2), None), (ONE, Some(Some(at(9))))] {
            hub.wake(&Notification {
                commit: Some(commit(application, 9)),
                concerned: Concerned::Everybody,
            });
            assert_eq!(registrations.each_ref().map(is_raised), [woken; 3]);
        }
    }

    #[test]
    fn every_commit_of_an_application_wakes_those_who_follow_its_feed() {
        let hub = hub(10, 10);
        let follow = |id| hub.register(WaitKind::Stream, ApplicationId::new(id), None);
        let feeds = [follow(1).unwrap(), follow(2).unwrap()];
        wake(&hub, "jane", 7);
        assert_eq!(feeds.each_ref().map(is_raised), [Some(Some(at(7))), None]);
        assert!(hub.connected().is_empty(), "an application is no user");
        let jane = hub.register(WaitKind::Stream, ONE, Some(&user("jane")));
        assert!(hub.connected().contains(&(ONE, user("jane"))));
        drop(jane);
        let _polling = register(&hub, "jane").unwrap();
        assert!(hub.connected().is_empty());
    }

    #[test]
    fn wake_ups_before_the_wait_count_once_with_the_oldest_time() {
        let hub = hub(10, 10);
        let jane = register(&hub, "jane").unwrap();
        wake(&hub, "jane", 7);
        wake(&hub, "jane", 8);
        assert_eq!(is_raised(&jane), Some(Some(at(7))));
        assert_eq!(is_raised(&jane), None);
    }

    #[test]
    fn registrations_are_limited_and_end_when_dropped() {
        let hub = hub(3, 2);
        let jane = register(&hub, "jane").unwrap();
        let _also_jane = register(&hub, "jane").unwrap();
        assert_eq!(register(&hub, "jane").err(), Some(Full::User));
        let _john = register(&hub, "john").unwrap();
        assert_eq!(register(&hub, "jim").err(), Some(Full::Service));
        drop(jane);
        let jim = register(&hub, "jim").unwrap();
        drop(jim);
        assert!(register(&hub, "jane").is_ok());
        assert_eq!(
            hub.flags().by_key.len(),
            2,
            "nothing is kept of who has gone"
        );
    }
}
