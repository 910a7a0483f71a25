//! A cache whose entries expire, and whose values are loaded once for all callers who wait.

use std::{hash::Hash, time::Duration};

use quick_cache::sync::Cache;
use tokio::time::Instant;

/// Values by key, each valid for the time that was given with it.
pub struct ExpiringCache<K, V> {
    entries: Cache<K, ExpiringEntry<V>>,
}

#[derive(Clone)]
struct ExpiringEntry<V> {
    value: V,
    loaded: Instant,
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
        self.get(key).is_some()
    }

    /// The valid value.
    pub fn get(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key);
        let valid = entry.filter(|entry| Instant::now() < entry.expires);
        valid.map(|entry| entry.value)
    }

    pub fn insert(&self, key: K, value: V, lifetime: Duration) {
        self.entries
            .insert(key, ExpiringEntry::new(value, lifetime));
    }

    /// Removes the value. One that is being loaded is not cached.
    pub fn remove(&self, key: &K) {
        self.entries.remove(key);
    }

    /// Removes what has expired, and the values for which `stays` is false. Those that are being loaded stay.
    pub fn retain(&self, stays: impl Fn(&V) -> bool) {
        let now = Instant::now();
        self.entries
            .retain(|_, entry| now < entry.expires && stays(&entry.value));
    }

    /// How many values there are, valid or not.
    pub fn size(&self) -> usize {
        self.entries.len()
    }

    /// Removes the value if `is_outdated`. One that is being loaded stays.
    pub fn remove_if(&self, key: &K, is_outdated: impl FnOnce(&V) -> bool) {
        self.entries
            .remove_if(key, |entry| is_outdated(&entry.value));
    }

    /// Returns the valid value, or the one that `load` returns with its lifetime.
    ///
    /// A caller who comes while another one loads waits for the same value. A value with a lifetime
    /// of zero is for those who wait alone, and takes no place in the cache. If the caller who
    /// loads goes away, one of those who wait loads in its place.
    pub async fn get_or_load(&self, key: &K, load: impl Future<Output = (V, Duration)>) -> V {
        let called = Instant::now();
        loop {
            match self.entries.get_value_or_guard_async(key).await {
                Ok(entry) if called < entry.expires || called <= entry.loaded => {
                    return entry.value;
                }
                Ok(_) => self.remove_expired(key, called),
                Err(guard) => {
                    let (value, lifetime) = load.await;
                    let entry = ExpiringEntry::new(value.clone(), lifetime);
                    let loaded = entry.loaded;
                    // Fails if the entry was removed meanwhile: then nothing is cached.
                    let _ = guard.insert(entry);
                    self.remove_expired(key, loaded);
                    return value;
                }
            }
        }
    }

    fn remove_expired(&self, key: &K, now: Instant) {
        self.entries.remove_if(key, |entry| entry.expires <= now);
    }
}

impl<V> ExpiringEntry<V> {
    fn new(value: V, lifetime: Duration) -> Self {
        let loaded = Instant::now();
        Self {
            value,
            loaded,
            expires: loaded + lifetime,
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
    async fn what_has_expired_or_is_not_to_stay_is_dropped() {
        let cache = ExpiringCache::new(10);
        cache.insert("short", 1, LIFETIME);
        for (key, value) in [("one", 1), ("two", 2)] {
            cache.insert(key, value, 2 * LIFETIME);
        }
        cache.retain(|_| true);
        assert_eq!(cache.size(), 3);
        sleep(LIFETIME).await;
        cache.retain(|value| *value != 2);
        assert_eq!((cache.size(), cache.get(&"one")), (1, Some(1)));
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
        assert!(cache.entries.is_empty());
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
