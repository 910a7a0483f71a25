//! Users in the memory of a process, without their ids.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use super::UserId;

/// Stands for a user of an application where something about users is kept in memory for long: whoever is
/// erased is named nowhere then.
///
/// The hash is keyed anew in each process, and has 64 bits: that two of a million users have the same one has a
/// probability of 3 in 100 million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserHash(u64);

impl UserHash {
    pub fn of(user: &UserId) -> Self {
        static KEYED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEYED.hash_one(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_have_the_same_hash_and_others_another_one() {
        let [jane, same, john] = ["jane", "jane", "john"].map(UserId::trusted);
        assert_eq!(UserHash::of(&jane), UserHash::of(&same));
        assert_ne!(UserHash::of(&jane), UserHash::of(&john));
    }
}
