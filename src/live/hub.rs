//! Who waits: a flag for each, raised when there may be something new.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::Notify;

use crate::{
    domain::{ApplicationId, UserId},
    notifications::{Concerned, Notification, Subscriber, UserKey},
};

/// How many may wait at the same time on one replica.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub total_max: usize,
    /// Of one user of one application.
    pub per_user_max: usize,
}

/// Why one more may not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("the service has as many live connections as it takes")]
    Service,
    #[error("the user has as many live connections as one user may have")]
    User,
}

/// What somebody waits for. It names the kind in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Poll,
    Stream,
}

/// Everybody on this replica who waits.
pub struct Hub {
    limits: Limits,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    total: usize,
    by_user: HashMap<UserKey, Vec<Arc<Flag>>>,
}

struct Flag {
    application: ApplicationId,
    user: UserId,
    raised: Notify,
    /// When the oldest of what has raised it was written.
    since: Mutex<Option<SystemTime>>,
}

/// A place among those who wait; it ends when it is dropped.
pub struct Place {
    hub: Arc<Hub>,
    key: UserKey,
    flag: Arc<Flag>,
    kind: Kind,
}

impl Hub {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: Mutex::default(),
        }
    }

    /// Takes a place for a user. Every wake-up from now on raises its flag.
    pub fn enter(
        self: &Arc<Self>,
        kind: Kind,
        application: ApplicationId,
        user: &UserId,
    ) -> Result<Place, Full> {
        let key = UserKey::of(application, user);
        let flag = Arc::new(Flag::new(application, user));
        let mut waiting = self.waiting();
        if waiting.total >= self.limits.total_max {
            return Err(Full::Service);
        }
        let places = waiting.by_user.entry(key).or_default();
        // Users may share a key, but not a limit.
        let is_own = |place: &&Arc<Flag>| place.application == application && place.user == *user;
        if places.iter().filter(is_own).count() >= self.limits.per_user_max {
            return Err(Full::User);
        }
        places.push(Arc::clone(&flag));
        waiting.total += 1;
        metrics::gauge!("messages_live_connections", "kind" => kind.name()).increment(1.0);
        Ok(Place {
            hub: Arc::clone(self),
            key,
            flag,
            kind,
        })
    }

    /// Raises the flags of those whom a commit concerns.
    pub fn wake(&self, notification: &Notification) {
        let waiting = self.waiting();
        metrics::counter!("messages_wakeups_total", "who" => notification.concerned.name())
            .increment(1);
        match &notification.concerned {
            Concerned::Users(keys) => {
                let places = keys.iter().filter_map(|key| waiting.by_user.get(key));
                places
                    .flatten()
                    .for_each(|flag| flag.raise(notification.written));
            }
            Concerned::Everybody => {
                waiting
                    .by_user
                    .values()
                    .flatten()
                    .for_each(|flag| flag.raise(notification.written));
            }
        }
    }

    fn leave(&self, place: &Place) {
        let mut waiting = self.waiting();
        waiting.total -= 1;
        if let Some(places) = waiting.by_user.get_mut(&place.key) {
            places.retain(|flag| !Arc::ptr_eq(flag, &place.flag));
            if places.is_empty() {
                waiting.by_user.remove(&place.key);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        unpoisoned(&self.waiting)
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

impl Place {
    /// Waits until the flag is raised, unless it is, and lowers it. Tells when the oldest of what
    /// has raised it was written, where that is known.
    pub async fn woken(&self) -> Option<SystemTime> {
        self.flag.raised.notified().await;
        unpoisoned(&self.flag.since).take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.leave(self);
        metrics::gauge!("messages_live_connections", "kind" => self.kind.name()).decrement(1.0);
    }
}

impl Flag {
    fn new(application: ApplicationId, user: &UserId) -> Self {
        Self {
            application,
            user: user.clone(),
            raised: Notify::new(),
            since: Mutex::default(),
        }
    }

    fn raise(&self, written: Option<SystemTime>) {
        let mut since = unpoisoned(&self.since);
        *since = since.or(written);
        drop(since);
        self.raised.notify_one();
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Stream => "stream",
        }
    }
}

/// What the lock guards is whole after every step, so a panic elsewhere does not spoil it.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const ONE: ApplicationId = ApplicationId(1);

    fn hub(total_max: usize, per_user_max: usize) -> Arc<Hub> {
        Arc::new(Hub::new(Limits {
            total_max,
            per_user_max,
        }))
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn enter(hub: &Arc<Hub>, id: &str) -> Result<Place, Full> {
        hub.enter(Kind::Poll, ONE, &user(id))
    }

    fn wake(hub: &Hub, id: &str, second: u64) {
        let concerned = Concerned::Users(vec![UserKey::of(ONE, &user(id))]);
        hub.wake(&Notification {
            concerned,
            written: Some(at(second)),
            ..Notification::EVERYBODY
        });
    }

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    /// Whether the flag is raised; it is lowered.
    fn is_raised(place: &Place) -> Option<Option<SystemTime>> {
        let mut woken = std::pin::pin!(place.woken());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match woken.as_mut().poll(&mut context) {
            std::task::Poll::Ready(since) => Some(since),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_wake_up_raises_the_flags_of_its_users_alone() {
        let hub = hub(10, 10);
        let places = ["jane", "jane", "john"].map(|id| enter(&hub, id).unwrap());
        wake(&hub, "jane", 7);
        assert_eq!(
            places.each_ref().map(is_raised),
            [Some(Some(at(7))), Some(Some(at(7))), None]
        );
        hub.wake(&Notification::EVERYBODY);
        assert_eq!(
            places.each_ref().map(is_raised),
            [Some(None), Some(None), Some(None)]
        );
    }

    #[test]
    fn wake_ups_before_the_wait_count_once_with_the_oldest_time() {
        let hub = hub(10, 10);
        let place = enter(&hub, "jane").unwrap();
        wake(&hub, "jane", 7);
        wake(&hub, "jane", 8);
        assert_eq!(is_raised(&place), Some(Some(at(7))));
        assert_eq!(is_raised(&place), None);
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let hub = hub(3, 2);
        let jane = enter(&hub, "jane").unwrap();
        let _also_jane = enter(&hub, "jane").unwrap();
        assert_eq!(enter(&hub, "jane").err(), Some(Full::User));
        let _john = enter(&hub, "john").unwrap();
        assert_eq!(enter(&hub, "jim").err(), Some(Full::Service));
        drop(jane);
        let jim = enter(&hub, "jim").unwrap();
        drop(jim);
        assert!(enter(&hub, "jane").is_ok());
        assert_eq!(
            hub.waiting().by_user.len(),
            2,
            "nothing is kept of who has gone"
        );
    }
}
