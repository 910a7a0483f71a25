//! A cache whose entries expire, and whose values are loaded once for all callers who wait.

use std::{hash::Hash, time::Duration};

use quick_cache::sync::{Cache, EntryAction, EntryResult};
use tokio::time::Instant;

/// Values by key, each valid for the time that was given with it.
pub struct ExpiringCache<K, V> {
    entries: Cache<K, Entry<V>>,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    expires: Instant,
}

impl<K: Hash + Eq + Clone, V: Clone> ExpiringCache<K, V> {
    /// Keeps up to `entries_max` entries.
    pub fn new(entries_max: usize) -> Self {
        Self {
            entries: Cache::new(entries_max),
        }
    }

    pub fn contains(&self, key: &K) -> bool {
        let entry = self.entries.get(key);
        entry.is_some_and(|entry| Instant::now() < entry.expires)
    }

    pub fn insert(&self, key: K, value: V, lifetime: Duration) {
        self.entries.insert(key, Entry::new(value, lifetime));
    }

    /// Removes the value. One that is being loaded is not cached.
    pub fn remove(&self, key: &K) {
        self.entries.remove(key);
    }

    /// Removes the value if `is_outdated`. One that is being loaded stays.
    pub fn remove_if(&self, key: &K, is_outdated: impl FnOnce(&V) -> bool) {
        self.entries
            .remove_if(key, |entry| is_outdated(&entry.value));
    }

    /// Returns the valid value, or the one that `load` returns with its lifetime.
    ///
    /// A caller who comes while another one loads waits for the same value, even if that has a
    /// lifetime of zero. If the caller who loads goes away, one of those who wait loads in its
    /// place.
    pub async fn get_or_load(&self, key: &K, load: impl Future<Output = (V, Duration)>) -> V {
        let now = Instant::now();
        let entry = self.entries.entry_async(key, |_, entry| {
            if now < entry.expires {
                EntryAction::Retain(entry.value.clone())
            } else {
                EntryAction::<V>::ReplaceWithGuard
            }
        });
        match entry.await {
            EntryResult::Retained(value) => value,
            EntryResult::Vacant(guard) | EntryResult::Replaced(guard, _) => {
                let (value, lifetime) = load.await;
                // Fails if the entry was removed meanwhile: then nothing is cached.
                let _ = guard.insert(Entry::new(value.clone(), lifetime));
                value
            }
            EntryResult::Removed(..) | EntryResult::Timeout => {
                unreachable!("nothing was removed, and there is no limit of time")
            }
        }
    }
}

impl<V> Entry<V> {
    fn new(value: V, lifetime: Duration) -> Self {
        Self {
            value,
            expires: Instant::now() + lifetime,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::pending};

    use tokio::{join, time::sleep};

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_value_is_loaded_again_once_it_has_expired() {
        let (cache, loads) = (ExpiringCache::new(10), Cell::new(0));
        let get = async || {
            let load = async {
                loads.set(loads.get() + 1);
                (loads.get(), LIFETIME)
            };
            cache.get_or_load(&"key", load).await
        };
        assert_eq!((get().await, get().await), (1, 1));
        assert!(cache.contains(&"key"));
        sleep(LIFETIME).await;
        assert!(!cache.contains(&"key"));
        assert_eq!((get().await, get().await), (2, 2));
        cache.remove(&"key");
        assert_eq!(get().await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_who_wait_share_a_value_that_is_not_cached() {
        let (cache, loads) = (ExpiringCache::new(10), Cell::new(0));
        let get = async || {
            let load = async {
                loads.set(loads.get() + 1);
                sleep(LIFETIME).await;
                (loads.get(), Duration::ZERO)
            };
            cache.get_or_load(&"key", load).await
        };
        assert_eq!(join!(get(), get(), get()), (1, 1, 1));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(get().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn another_caller_loads_when_the_first_one_goes_away() {
        let cache = ExpiringCache::new(10);
        let gone = tokio::time::timeout(LIFETIME, cache.get_or_load(&"key", pending()));
        let load = async { (1, LIFETIME) };
        let (gone, waited) = join!(gone, cache.get_or_load(&"key", load));
        assert!(gone.is_err());
        assert_eq!(waited, 1);
    }
}
