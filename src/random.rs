//! Random numbers and ids: the only module that makes them.

use std::ops::Range;

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
