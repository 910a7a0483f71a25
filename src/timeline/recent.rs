//! A map of what was used recently.

use std::{collections::HashMap, hash::Hash, mem};

/// Holds what was used since some time ago, in two halves: what is recalled or added is in the young
/// one, and [`rotate`](Self::rotate) lets the old one go once the young one is full.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// What the values of the halves weigh, in bytes.
    young_bytes: usize,
    old_bytes: usize,
    weigh: fn(&V) -> usize,
}

/// What was let go. Dropping it takes some time.
pub struct Forgotten<K, V>(#[expect(dead_code, reason = "it is held to be dropped")] HashMap<K, V>);

impl<K: Eq + Hash, V> Recent<K, V> {
    /// `weigh` returns the bytes that an entry takes.
    pub fn new(weigh: fn(&V) -> usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            old_bytes: 0,
            weigh,
        }
    }

    /// Whether there is a value. From now on it is young, so that the other methods find it.
    pub fn recall(&mut self, key: &K) -> bool {
        if self.young.contains_key(key) {
            return true;
        }
        let Some((key, value)) = self.old.remove_entry(key) else {
            return false;
        };
        self.old_bytes -= (self.weigh)(&value);
        self.insert(key, value);
        true
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key)
    }

    /// The value must weigh the same after it was changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key)
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.young_bytes += (self.weigh)(&value);
        if let Some(before) = self.young.insert(key, value) {
            self.young_bytes -= (self.weigh)(&before);
        }
    }

    pub fn remove(&mut self, key: &K) {
        if let Some(value) = self.young.remove(key) {
            self.young_bytes -= (self.weigh)(&value);
        }
        if let Some(value) = self.old.remove(key) {
            self.old_bytes -= (self.weigh)(&value);
        }
    }

    /// Lets the old half go if the young one weighs more than `bytes_max`, and the young one as well
    /// if it weighs more than twice as much.
    pub fn rotate(&mut self, bytes_max: usize) -> Option<Forgotten<K, V>> {
        if self.young_bytes <= bytes_max {
            return None;
        }
        let mut young = mem::take(&mut self.young);
        self.old_bytes = mem::take(&mut self.young_bytes);
        if self.old_bytes > 2 * bytes_max {
            self.old_bytes = 0;
            young.extend(self.old.drain());
            return Some(Forgotten(young));
        }
        Some(Forgotten(mem::replace(&mut self.old, young)))
    }

    /// What all entries weigh.
    pub fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_recalled_is_forgotten_after_two_rotations() {
        let mut recent = Recent::new(|_: &&str| 1);
        recent.insert(1, "one");
        recent.insert(2, "two");
        assert!(recent.rotate(2).is_none());
        assert!(recent.rotate(1).is_some());
        assert!(recent.recall(&1));
        assert_eq!((recent.get(&1), recent.get(&2)), (Some(&"one"), None));
        recent.insert(3, "three");
        assert!(recent.rotate(1).is_some());
        assert!(recent.recall(&1) && !recent.recall(&2));
    }

    proptest! {
        #[test]
        fn it_finds_the_last_value_or_none_and_knows_its_weight(
            steps in proptest::collection::vec((0..4u8, 0..6u8, 0..5usize), 0..60),
        ) {
            let (mut recent, mut all) = (Recent::new(|value: &usize| *value), HashMap::new());
            for (step, key, value) in steps {
                match step {
                    0 | 1 => {
                        recent.recall(&key);
                        recent.insert(key, value);
                        all.insert(key, value);
                    }
                    2 => {
                        recent.remove(&key);
                        all.remove(&key);
                    }
                    _ => drop(recent.rotate(6)),
                }
                prop_assert!(step < 3 || recent.bytes() <= 6 + 2 * 6);
                let halves = recent.young.values().chain(recent.old.values());
                prop_assert_eq!(recent.bytes(), halves.sum::<usize>());
            }
            for key in 0..6 {
                if recent.recall(&key) {
                    prop_assert_eq!(recent.get(&key), all.get(&key));
                }
            }
        }
    }
}
