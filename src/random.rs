//! Random numbers and ids: the only module that makes them.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    ops::Range,
    sync::LazyLock,
};

use uuid::Uuid;

/// Random bytes of a secret: as many as the hash that is stored of it.
const SECRET_BYTES: usize = 32;

/// A secret that nobody can guess.
#[expect(clippy::disallowed_methods, reason = "the one home of randomness")]
pub fn secret() -> [u8; SECRET_BYTES] {
    let mut secret = [0; SECRET_BYTES];
    rand::fill(&mut secret);
    secret
}

/// A hash under a key that this process has drawn, to be held in memory in place of a value that must not stay
/// there. It has 64 bits: that two of a million values have the same one has a probability of 3 in 100 million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyedHash(u64);

impl KeyedHash {
    pub fn of(value: &impl Hash) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEY.hash_one(value))
    }
}

/// The id of a request, for its log lines and its answer.
#[expect(clippy::disallowed_methods, reason = "the one home of ids")]
pub fn request_id() -> String {
    Uuid::new_v4().to_string()
}

/// A number that nobody else has drawn, as far as chance allows.
#[expect(clippy::disallowed_methods, reason = "the one home of randomness")]
pub fn number() -> i64 {
    rand::random()
}

/// As [`number`], of a range that nobody can try through.
#[expect(clippy::disallowed_methods, reason = "the one home of randomness")]
pub fn wide_number() -> u128 {
    rand::random()
}

/// A number of the range: spreads pauses, so that those who paused together do not end it together.
#[expect(clippy::disallowed_methods, reason = "the one home of randomness")]
pub fn between(range: Range<u64>) -> u64 {
    rand::random_range(range)
}
