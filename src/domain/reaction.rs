//! Reactions to a message: who has reacted with what, and how often.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use super::{
    Invalid, MessageId, Timestamp, UserId,
    ids::{is_step, number_types},
    is_longer,
};

/// The longest key of a reaction, in characters of its composed form: see [`is_longer`].
pub const REACTION_KEY_CHARS_MAX: usize = 64;

/// With how many keys one user may react to a message.
pub const KEYS_OF_USER_MAX: usize = 20;

/// How many keys the reactions to one message may have.
pub const KEYS_OF_MESSAGE_MAX: usize = 50;

/// The most users who are listed for a key beside the count.
pub const LISTED_USERS_MAX: usize = 20;

/// What a user reacts with: an emoji, or a name that the clients of the application show as they like. 1
/// to 64 characters, none of them a control character, in Normalization Form C (UAX #15), so that
/// canonically equivalent keys are the same. It is never a step of a path: see [`is_step`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReactionKey(Arc<str>);

impl ReactionKey {
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        if value.is_empty() || is_longer(value, REACTION_KEY_CHARS_MAX) {
            return Err(Invalid("must be 1 to 64 characters"));
        }
        if value.contains(char::is_control) {
            return Err(Invalid("must not contain control characters"));
        }
        if is_step(value) {
            return Err(Invalid("must not be . or .."));
        }
        let composed: String = value.nfc().collect();
        Ok(Self(composed.into()))
    }

    /// A key that was checked before it was stored.
    pub fn trusted(value: &str) -> Self {
        Self(value.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The place of a reaction among those to its message: 1, 2, 3 … in the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ReactionNumber(i64);

number_types!(ReactionNumber);

/// The reactions to a message, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reactions {
    /// How many users have reacted with each key, in the order in which the keys came up. None is zero.
    pub counts: Vec<(ReactionKey, i32)>,
    /// The last number given to one of them.
    pub last: ReactionNumber,
}

impl Reactions {
    /// Whether one more key is too many.
    pub fn is_full(&self, key: &ReactionKey) -> bool {
        self.counts.len() >= KEYS_OF_MESSAGE_MAX && self.position(key).is_none()
    }

    /// Counts a new reaction. Returns its number.
    pub fn add(&mut self, key: &ReactionKey) -> ReactionNumber {
        match self.position(key) {
            Some(place) => self.counts[place].1 += 1,
            None => self.counts.push((key.clone(), 1)),
        }
        self.last = ReactionNumber(self.last.0 + 1);
        self.last
    }

    /// Counts a reaction less.
    pub fn remove(&mut self, key: &ReactionKey) {
        if let Some(place) = self.position(key) {
            self.counts[place].1 -= 1;
            if self.counts[place].1 == 0 {
                self.counts.remove(place);
            }
        }
    }

    fn position(&self, key: &ReactionKey) -> Option<usize> {
        self.counts.iter().position(|(other, _)| other == key)
    }
}

/// The reactions to a message, as one reader sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionSummary {
    pub message: MessageId,
    /// The last change of them.
    pub timestamp: Timestamp,
    /// In the order in which the keys came up.
    pub keys: Vec<KeySummary>,
}

/// Who has reacted to a message with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySummary {
    pub key: ReactionKey,
    pub count: i32,
    /// Those who were the first to; among them always the reader, if it is one of them.
    pub users: Vec<UserId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str) -> ReactionKey {
        ReactionKey::parse(value).unwrap()
    }

    #[test]
    fn a_key_is_any_short_text() {
        let thumb = "\u{1f44d}\u{1f3fd}";
        for good in [thumb, "+1", " ", "\"", r"¯\_(ツ)_/¯", &"é".repeat(64)] {
            assert_eq!(key(good).as_str(), good);
        }
        assert_eq!(key("e\u{301}"), key("é"), "canonically equivalent");
        assert_eq!(key(&"e\u{301}".repeat(64)), key(&"é".repeat(64)));
        for bad in ["", ".", "..", "a\0", "a\n", &"a".repeat(65)] {
            assert!(ReactionKey::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn counts_keep_the_order_of_the_keys_and_numbers_are_not_used_again() {
        let mut reactions = Reactions::default();
        assert_eq!(reactions.add(&key("b")).get(), 1);
        assert_eq!(reactions.add(&key("a")).get(), 2);
        assert_eq!(reactions.add(&key("b")).get(), 3);
        assert_eq!(reactions.counts, [(key("b"), 2), (key("a"), 1)]);
        reactions.remove(&key("a"));
        reactions.remove(&key("b"));
        reactions.remove(&key("c"));
        assert_eq!(reactions.counts, [(key("b"), 1)]);
        assert_eq!(reactions.add(&key("a")).get(), 4);
    }

    #[test]
    fn a_message_has_so_many_keys_and_any_number_of_users() {
        let mut reactions = Reactions::default();
        for number in 0..KEYS_OF_MESSAGE_MAX {
            assert!(!reactions.is_full(&key("new")));
            reactions.add(&key(&number.to_string()));
        }
        assert!(reactions.is_full(&key("new")));
        assert!(!reactions.is_full(&key("0")));
    }
}
