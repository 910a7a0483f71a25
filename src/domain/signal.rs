//! Signals: what users see of each other at the moment, such as that somebody is typing. A signal is
//! stored nowhere.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Attributes, ChatNumber, Invalid, MessageId, UserId, ids::parse_name};

/// The most members of a chat in which signals are sent. Each signal reaches all of them.
pub const SIGNAL_MEMBERS_MAX: usize = 100;

/// The largest data of a signal, in bytes of their JSON text as it was sent: room for about 20 lines of
/// a draft, and for several signals in one notification of PostgreSQL.
pub const SIGNAL_DATA_BYTES_MAX: usize = 2 * 1024;

/// For how long a signal may hold, in seconds.
pub const SIGNAL_TTL_SECONDS_MAX: u8 = 30;

/// For how long a signal holds if it does not say, in seconds.
pub const SIGNAL_TTL_SECONDS_DEFAULT: u8 = 5;

/// The largest integer that a double holds exactly.
const NUMBER_MAX: i64 = (1 << 53) - 1;

/// The kind of a signal: a name that the application chooses, of 1 to 64 ASCII letters, digits and
/// `- _ . :`. Two are reserved: `typing`, and [`draft`](Self::is_draft).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalKind(Arc<str>);

impl SignalKind {
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        parse_name(value, "-_.:").map(Self).ok_or(Invalid(
            "must be 1 to 64 characters of letters, digits and - _ . :, not \".\" or \"..\"",
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the signal carries a message that is still being written.
    pub fn is_draft(&self) -> bool {
        &*self.0 == "draft"
    }
}

/// The data of a signal: a JSON object of at most 2 KiB. Its text is kept unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalData(Attributes);

impl SignalData {
    /// Refuses what is not an object, what is too large, and what other parsers of JSON cannot read.
    pub fn parse(raw: Box<RawValue>) -> Result<Self, Invalid> {
        if raw.get().len() > SIGNAL_DATA_BYTES_MAX {
            return Err(Invalid("must be at most 2 KiB of JSON"));
        }
        Attributes::parse(raw).map(Self)
    }

    /// Data that were checked before they were sent.
    pub fn trusted(raw: Box<RawValue>) -> Self {
        Self(Attributes::trusted(raw))
    }

    /// The JSON text as it was sent.
    pub fn as_json(&self) -> &RawValue {
        self.0.as_json()
    }
}

/// A signal before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSignal {
    kind: SignalKind,
    ttl_seconds: u8,
    data: Option<SignalData>,
    draft: Option<MessageId>,
}

/// What a `draft` says: that the text of a message goes on, after so many of its characters, with this
/// text.
#[derive(Deserialize)]
struct DraftData {
    message: i64,
    offset: i64,
    #[serde(rename = "text")]
    _text: String,
}

impl NewSignal {
    /// Refuses a draft without its message, its offset or its text.
    pub fn new(
        kind: SignalKind,
        ttl_seconds: u8,
        data: Option<SignalData>,
    ) -> Result<Self, Invalid> {
        let draft = if kind.is_draft() {
            Some(parse_draft(data.as_ref())?)
        } else {
            None
        };
        Ok(Self {
            kind,
            ttl_seconds,
            data,
            draft,
        })
    }

    /// The message whose draft it is: one that the sender has sent.
    pub fn draft(&self) -> Option<MessageId> {
        self.draft
    }

    pub fn sent_by(self, from: UserId, chat: Option<ChatNumber>) -> Signal {
        Signal {
            from,
            chat,
            kind: self.kind,
            ttl_seconds: self.ttl_seconds,
            data: self.data,
        }
    }
}

fn parse_draft(data: Option<&SignalData>) -> Result<MessageId, Invalid> {
    let json = data.map_or("{}", |data| data.as_json().get());
    let draft = serde_json::from_str::<DraftData>(json).ok();
    let is_valid = |draft: &DraftData| {
        (1..=NUMBER_MAX).contains(&draft.message) && (0..=NUMBER_MAX).contains(&draft.offset)
    };
    let draft = draft.filter(is_valid).ok_or(Invalid(
        "must have, for a draft: message (an id), offset (a count of characters) and text",
    ))?;
    Ok(MessageId::new(draft.message))
}

/// A signal that is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub from: UserId,
    /// `None`: in the personal conversation of its sender and its recipient.
    pub chat: Option<ChatNumber>,
    pub kind: SignalKind,
    /// For how long it holds.
    pub ttl_seconds: u8,
    pub data: Option<SignalData>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> Result<SignalData, Invalid> {
        SignalData::parse(RawValue::from_string(json.to_owned()).unwrap())
    }

    fn draft(json: &str) -> Result<NewSignal, Invalid> {
        let kind = SignalKind::parse("draft").unwrap();
        NewSignal::new(kind, 5, Some(data(json).unwrap()))
    }

    #[test]
    fn a_kind_is_a_plain_name() {
        for kind in ["typing", "shop:looks-at.cart_2", &"k".repeat(64)] {
            assert_eq!(SignalKind::parse(kind).unwrap().as_str(), kind);
        }
        for kind in ["", ".", "a b", "a/b", "é", "\"", &"k".repeat(65)] {
            assert!(SignalKind::parse(kind).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn data_are_a_small_object() {
        let sized = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(data(&sized(SIGNAL_DATA_BYTES_MAX)).is_ok());
        for json in [&sized(SIGNAL_DATA_BYTES_MAX + 1), "[]", r#"{"a":"\u0000"}"#] {
            assert!(data(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_draft_says_where_the_text_of_which_message_goes_on() {
        let valid = draft(r#"{"message":7,"offset":0,"text":"","more":1}"#).unwrap();
        assert_eq!(valid.draft(), Some(MessageId::new(7)));
        for json in [
            "{}",
            r#"{"message":7,"offset":0}"#,
            r#"{"message":0,"offset":0,"text":"a"}"#,
            r#"{"message":"7","offset":0,"text":"a"}"#,
            r#"{"message":7,"offset":-1,"text":"a"}"#,
            r#"{"message":7,"offset":0.5,"text":"a"}"#,
            r#"{"message":7,"offset":0,"text":null}"#,
            r#"{"message":9007199254740992,"offset":0,"text":"a"}"#,
        ] {
            assert!(draft(json).is_err(), "{json}");
        }
        let kind = SignalKind::parse("draft").unwrap();
        assert!(NewSignal::new(kind, 5, None).is_err());
        let typing = SignalKind::parse("typing").unwrap();
        assert_eq!(NewSignal::new(typing, 5, None).unwrap().draft(), None);
    }
}
