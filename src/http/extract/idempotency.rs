//! `Idempotency-Key`: repeating a request is safe.

use std::ops::Not;

use axum::http::{HeaderMap, HeaderName};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use serde::Serialize;
use sha2::Sha256;

use super::{checks::FromHeaders, request_bodies::NewChat};
use crate::{
    auth::derived_key,
    domain::{Attributes, Digest, Idempotency, IdempotencyKey, Invalid, UserId},
    http::answer::problem::Problem,
    timeline::commands::Draft,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request, if it has one.
pub struct KeyHeader(pub Option<IdempotencyKey>);

impl FromHeaders for KeyHeader {
    fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (lines.next(), lines.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(line), None) => IdempotencyKey::parse(line.to_str().unwrap_or_default()),
            (Some(_), Some(_)) => Err(Invalid("must be given once")),
        };
        key.map(|key| Self(Some(key)))
            .map_err(|invalid| Problem::invalid_field("Idempotency-Key", invalid.to_string()))
    }
}

/// Makes the keyed digests that distinguish a repeated request from another one.
///
/// The key is derived from the service's secret, so a reader of the database cannot guess a deleted
/// text from its digest.
pub struct Digester {
    key: Hmac<Sha256>,
}

/// The parts in which a repeated request must equal the first one.
#[derive(Serialize)]
struct Fingerprint<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<i64>,
    text: Option<&'a str>,
    files: Vec<&'a str>,
    attributes: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<&'a str>,
    #[serde(skip_serializing_if = "Not::not")]
    mentions_all: bool,
    reply_to: Option<i64>,
}

/// The same for the creation of a chat. The members are sorted, each once.
#[derive(Serialize)]
struct ChatFingerprint<'a> {
    name: &'a str,
    members: Vec<&'a str>,
    /// Absent where there are none, as in the digests of before there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<String>,
}

impl Digester {
    pub fn new(secret: &SecretString) -> Self {
        let key = derived_key(secret, "messages: digests of requests");
        Self {
            key: Hmac::new_from_slice(&key).expect("HMAC takes keys of every length"),
        }
    }

    /// The key with the digest of its draft.
    ///
    /// `to` is the recipient of a personal message.
    pub fn bind(&self, key: IdempotencyKey, to: Option<&UserId>, draft: &Draft) -> Idempotency {
        let fingerprint = Fingerprint {
            to: to.map(UserId::as_str),
            chat: draft.conversation.chat().map(|chat| chat.get()),
            text: draft.text.as_ref().map(|text| text.as_str()),
            files: draft.files.iter().map(|file| file.as_str()).collect(),
            attributes: draft.attributes.as_ref().map(canonical),
            mentions: draft.mentions.users().iter().map(UserId::as_str).collect(),
            mentions_all: draft.mentions.all,
            reply_to: draft.reply_to.map(|id| id.get()),
        };
        self.digest(key, &fingerprint)
    }

    /// The key with the digest of its chat.
    pub fn bind_chat(&self, key: IdempotencyKey, chat: &NewChat) -> Idempotency {
        let fingerprint = ChatFingerprint {
            name: chat.name.as_str(),
            members: chat.members.iter().map(UserId::as_str).collect(),
            attributes: chat.attributes.as_ref().map(canonical),
        };
        self.digest(key, &fingerprint)
    }

    /// The key with the digest of a line of JSON, however that is written.
    pub fn bind_line(&self, key: IdempotencyKey, line: &str) -> Idempotency {
        let value = serde_json::from_str::<serde_json::Value>(line).ok();
        match value {
            Some(value) => self.digest(key, &value),
            // A number in it is outside every common range.
            None => self.digest(key, &line),
        }
    }

    fn digest(&self, key: IdempotencyKey, fingerprint: &impl Serialize) -> Idempotency {
        let json =
            serde_json::to_vec(fingerprint).expect("strings and numbers can be written as JSON");
        let digest = self.key.clone().chain_update(json).finalize();
        Idempotency {
            key,
            digest: Digest(digest.into_bytes().into()),
        }
    }
}

/// Attributes without the differences that do not count in JSON: blanks, escapes and the order of
/// members. If a number is outside every common range, this is the text as it was sent.
fn canonical(attributes: &Attributes) -> String {
    let text = attributes.as_json().get();
    serde_json::from_str::<serde_json::Value>(text)
        .map_or_else(|_| text.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conversation, Files, Mentions, MessageId, Text};

    fn draft(text: &str) -> Draft {
        Draft {
            conversation: Conversation::between(&user("jane"), &user("john")),
            text: Some(Text::parse(text).unwrap()),
            files: Files::default(),
            attributes: None,
            mentions: Mentions::default(),
            reply_to: None,
        }
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    /// The digest of a draft of jane's.
    fn digest(secret: &str, draft: &Draft) -> Digest {
        let key = IdempotencyKey::parse("k").unwrap();
        let to = draft
            .conversation
            .pair()
            .map(|pair| pair.other_of(&user("jane")));
        Digester::new(&SecretString::from(secret.to_owned()))
            .bind(key, to, draft)
            .digest
    }

    #[test]
    fn attributes_are_the_same_however_they_are_written() {
        let with = |json: &str| {
            let raw = serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
            Draft {
                attributes: Some(Attributes::parse(raw).unwrap()),
                ..draft("hello")
            }
        };
        let one = digest("s", &with(r#"{"a":1,"b":"\u0041"}"#));
        assert_eq!(one, digest("s", &with(r#"{ "b": "A", "a": 1 }"#)));
        assert_ne!(one, digest("s", &with(r#"{"a":2,"b":"A"}"#)));
        assert_ne!(
            digest("s", &with(r#"{"a":1e400}"#)),
            digest("s", &with(r#"{"a":2e400}"#))
        );
    }

    #[test]
    fn the_digest_tells_requests_and_secrets_apart() {
        let one = draft("hello");
        assert_eq!(digest("s", &one), digest("s", &one));
        assert_ne!(digest("s", &one), digest("t", &one));
        assert_ne!(digest("s", &one), digest("s", &draft("hello!")));
        let reply = Draft {
            reply_to: Some(MessageId::new(1)),
            ..one.clone()
        };
        assert_ne!(digest("s", &one), digest("s", &reply));
        let other = Draft {
            conversation: Conversation::between(&user("jane"), &user("jim")),
            ..one.clone()
        };
        assert_ne!(digest("s", &one), digest("s", &other));
    }
}
