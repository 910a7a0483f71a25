//! Ids of applications, users, conversations, messages, files and webhooks; numbers of chats and
//! messages; idempotency keys.

use std::{fmt, sync::Arc};

use super::{
    Invalid,
    timestamp::{Timestamp, parse_digits},
};

/// The longest id of a user or a file, in characters. Long enough for a UUID, an e-mail address of
/// common length or an OpenID Connect subject with its provider; short enough for every index.
pub const NAME_CHARS_MAX: usize = 64;

/// The longest idempotency key, in characters: room for a UUID with a prefix.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 64;

/// Makes and reads types whose only purpose is to tell one kind of number from another.
macro_rules! number_types {
    ($($name:ident),+) => {$(
        impl $name {
            pub const fn new(value: i64) -> Self {
                Self(value)
            }

            pub const fn get(self) -> i64 {
                self.0
            }
        }
    )+};
}
pub(super) use number_types;

number_types!(
    ApplicationId,
    ConversationId,
    MessageId,
    ChatNumber,
    MessageNumber,
    WebhookId
);

/// A tenant. Every user and message belongs to exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApplicationId(i64);

impl ApplicationId {
    /// The application that exists from the start.
    pub const DEFAULT: Self = Self(1);
}

/// The id of a conversation: the timestamp of the change that has created it. No caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(i64);

impl ConversationId {
    /// The id of a conversation that is created at `timestamp`.
    pub fn created_at(timestamp: Timestamp) -> Self {
        Self(timestamp.get())
    }
}

/// The id of a message, which is unique in the service and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(i64);

impl MessageId {
    /// Reads decimal digits. `None` for everything that cannot be the id of a message.
    pub fn parse(value: &str) -> Option<Self> {
        parse_digits(value).filter(|id| *id > 0).map(Self)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A chat's number: 1, 2, 3 … within its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChatNumber(i64);

/// A message's number: 1, 2, 3 … within its conversation, without gap or repeat. Zero is before
/// every message: the position of a user who has read none, or the count of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MessageNumber(i64);

impl MessageNumber {
    /// Before every message.
    pub const ZERO: Self = Self(0);
    /// Of the first message that a conversation ever has.
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub fn previous(self) -> Self {
        Self(self.0 - 1)
    }
}

/// The id of a webhook, which its application gets at random: it is never given again, not even after a
/// restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookId(i64);

impl WebhookId {
    /// The id for a random number: 1 to 2^53 - 1.
    pub fn drawn(number: i64) -> Self {
        const LARGEST: i64 = (1 << 53) - 1;
        Self((number & LARGEST).max(1))
    }
}

/// A user's id: 1 to 64 ASCII letters, digits and `- _ . @ : |`, given by the identity provider. It
/// is never a step of a path: see [`is_step`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// An id that was checked before it was stored.
    pub fn trusted(value: &str) -> Self {
        Self(value.into())
    }

    pub fn parse(value: &str) -> Result<Self, Invalid> {
        parse_name(value, "-_.@:|").map(Self).ok_or(Invalid(
            "must be 1 to 64 characters of letters, digits and - _ . @ : |, not \".\" or \"..\"",
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a file that another service stores: 1 to 64 ASCII letters, digits and `- _ .`. It is
/// never a step of a path: see [`is_step`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(Arc<str>);

impl FileId {
    /// An id that was checked before it was stored.
    pub fn trusted(value: &str) -> Self {
        Self(value.into())
    }

    pub fn parse(value: &str) -> Result<Self, Invalid> {
        parse_name(value, "-_.").map(Self).ok_or(Invalid(
            "must be 1 to 64 characters of letters, digits and - _ ., not \".\" or \"..\"",
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that a sender chooses for a request, so that repeating it is safe: 1 to 64 visible ASCII
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// A key that was checked before it was stored.
    pub fn trusted(value: &str) -> Self {
        Self(value.into())
    }

    pub fn parse(value: &str) -> Result<Self, Invalid> {
        let fits = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&value.len())
            && value.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(value.into()))
            .ok_or(Invalid("must be 1 to 64 visible ASCII characters"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A keyed digest of a parsed request. It differs for another request under the same idempotency
/// key, and a reader of the database learns nothing about the request from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// A name of 1 to 64 ASCII letters, digits and `punctuation` that is no step of a path.
pub(super) fn parse_name(value: &str, punctuation: &str) -> Option<Arc<str>> {
    let fits = (1..=NAME_CHARS_MAX).contains(&value.len())
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || punctuation.contains(c))
        && !is_step(value);
    fits.then(|| value.into())
}

/// Whether a segment of a path is a step within it (RFC 3986, section 3.3). Browsers, proxies and
/// clients resolve such steps, even if they are percent-encoded, and so request another resource.
pub(super) fn is_step(value: &str) -> bool {
    matches!(value, "." | "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_id_accepts_the_ids_of_identity_providers() {
        for id in [
            "jane",
            "auth0|5f7",
            "jane.doe@example.org",
            "urn:user:1",
            "a",
            "...",
            ".a",
            &"x".repeat(64),
        ] {
            assert_eq!(UserId::parse(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn a_user_id_refuses_what_could_be_mistaken_or_does_not_fit() {
        for id in [
            "",
            ".",
            "..",
            " jane",
            "jane\0",
            "jané",
            "a/b",
            "a b",
            &"x".repeat(65),
        ] {
            assert!(UserId::parse(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_file_id_is_narrower_than_a_user_id() {
        assert!(FileId::parse("report-1.2_final.pdf").is_ok());
        for id in ["a@b", "a:b", "a|b", "a/b", ".", "..", ""] {
            assert!(FileId::parse(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii() {
        assert!(IdempotencyKey::parse("\"5f0c\"~!").is_ok());
        for key in ["", "a b", "\u{e9}", &"k".repeat(65)] {
            assert!(IdempotencyKey::parse(key).is_err(), "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn a_message_id_is_read_back_as_it_was_written(id in 1..=i64::MAX) {
            prop_assert_eq!(MessageId::parse(&MessageId(id).to_string()), Some(MessageId(id)));
        }

        #[test]
        fn no_text_but_digits_is_a_message_id(text in "\\PC*") {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            prop_assert!(digits || MessageId::parse(&text).is_none());
        }
    }
}
