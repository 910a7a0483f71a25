//! Signals as notifications: whole ones, with the users whom they reach, as many as fit into one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::{ApplicationId, ChatNumber, Signal, SignalData, SignalKind, UserId};

/// The longest payload, in bytes: PostgreSQL allows 7,999.
const PAYLOAD_BYTES_MAX: usize = 7900;

/// A signal with the users of its application whom it reaches. They are named by their ids, since two users
/// may have the same [`UserKey`](super::UserKey), and a signal carries data.
#[derive(Debug, Clone, PartialEq)]
pub struct AddressedSignal {
    pub application: ApplicationId,
    pub signal: Signal,
    pub to: Vec<UserId>,
}

/// A signal as a payload has it.
#[derive(Serialize, Deserialize)]
struct WrittenSignal<'a> {
    application: i64,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<i64>,
    kind: &'a str,
    ttl: u8,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    to: Vec<&'a str>,
}

/// The payload of one notification, while it is put together: a JSON array of signals.
#[derive(Default)]
pub struct SignalsPayload(String);

impl SignalsPayload {
    /// Adds a signal for as many of its users as there is room for. Returns the rest of it; `None` if it is
    /// added whole. An empty payload has room for any signal with some of its users.
    #[must_use]
    pub fn add(&mut self, mut addressed: AddressedSignal) -> Option<AddressedSignal> {
        let brackets_and_comma = 3;
        let taken = self.0.len() + brackets_and_comma + addressed.write(&[]).len();
        let mut room = PAYLOAD_BYTES_MAX.saturating_sub(taken);
        let fits = |user: &&UserId| {
            let quotes_and_comma = 3;
            let left = room.checked_sub(user.as_str().len() + quotes_and_comma);
            room = left.unwrap_or(room);
            left.is_some()
        };
        let count = addressed.to.iter().take_while(fits).count();
        if count > 0 {
            let rest = addressed.to.split_off(count);
            let written = addressed.write(&addressed.to);
            self.0.push(if self.0.is_empty() { '[' } else { ',' });
            self.0.push_str(&written);
            addressed.to = rest;
        }
        (!addressed.to.is_empty()).then_some(addressed)
    }

    /// The payload; `None` if nothing was added.
    pub fn finish(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push(']');
        Some(self.0)
    }
}

impl AddressedSignal {
    fn write(&self, to: &[UserId]) -> String {
        let signal = &self.signal;
        let written = WrittenSignal {
            application: self.application.get(),
            from: signal.from.as_str(),
            chat: signal.chat.map(ChatNumber::get),
            kind: signal.kind.as_str(),
            ttl: signal.ttl_seconds,
            data: signal.data.as_ref().map(SignalData::as_json),
            to: to.iter().map(UserId::as_str).collect(),
        };
        serde_json::to_string(&written).expect("strings and numbers can be written as JSON")
    }

    /// Parses a payload. What cannot be parsed was sent by another version of the service, and has none.
    pub fn parse_all(payload: &str) -> Vec<Self> {
        let written: Vec<WrittenSignal<'_>> = serde_json::from_str(payload).unwrap_or_default();
        written
            .into_iter()
            .filter_map(WrittenSignal::into_addressed)
            .collect()
    }
}

impl WrittenSignal<'_> {
    fn into_addressed(self) -> Option<AddressedSignal> {
        let signal = Signal {
            from: UserId::trusted(self.from),
            chat: self.chat.map(ChatNumber::new),
            kind: SignalKind::parse(self.kind).ok()?,
            ttl_seconds: self.ttl,
            data: self.data.map(|data| SignalData::trusted(data.to_owned())),
        };
        Some(AddressedSignal {
            application: ApplicationId::new(self.application),
            signal,
            to: self.to.into_iter().map(UserId::trusted).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SIGNAL_DATA_BYTES_MAX, SIGNAL_MEMBERS_MAX};

    fn addressed(chat: Option<i64>, data: Option<&str>, to: Vec<UserId>) -> AddressedSignal {
        let data = data.map(|json| RawValue::from_string(json.to_owned()).unwrap());
        let signal = Signal {
            from: UserId::trusted("jane"),
            chat: chat.map(ChatNumber::new),
            kind: SignalKind::parse("typing").unwrap(),
            ttl_seconds: 5,
            data: data.map(|data| SignalData::parse(data).unwrap()),
        };
        AddressedSignal {
            application: ApplicationId::new(7),
            signal,
            to,
        }
    }

    /// The payloads of signals, in their order.
    fn payloads(signals: Vec<AddressedSignal>) -> Vec<String> {
        let (mut payloads, mut payload) = (Vec::new(), SignalsPayload::default());
        for signal in signals {
            let mut rest = payload.add(signal);
            while let Some(more) = rest {
                payloads.extend(std::mem::take(&mut payload).finish());
                rest = payload.add(more);
            }
        }
        payloads.extend(payload.finish());
        payloads
    }

    fn parsed(payloads: &[String]) -> Vec<AddressedSignal> {
        let parse = |payload: &String| AddressedSignal::parse_all(payload);
        payloads.iter().flat_map(parse).collect()
    }

    #[test]
    fn several_signals_share_a_payload_and_are_read_back() {
        let john = || vec![UserId::trusted("john")];
        let signals = vec![
            addressed(None, None, john()),
            addressed(Some(3), Some(r#"{ "a" : "\u00e9\n" }"#), john()),
        ];
        let payloads = payloads(signals.clone());
        assert_eq!(payloads.len(), 1);
        assert_eq!(parsed(&payloads), signals);
        assert_eq!(SignalsPayload::default().finish(), None);
    }

    #[test]
    fn a_signal_for_many_users_with_long_ids_takes_several_payloads_and_names_each_once() {
        let user = |n: usize| UserId::trusted(&format!("{n:064}"));
        let to: Vec<_> = (1..SIGNAL_MEMBERS_MAX).map(user).collect();
        let data = format!("{{\"a\":\"{}\"}}", "x".repeat(SIGNAL_DATA_BYTES_MAX - 8));
        let signals = vec![addressed(Some(i64::MAX), Some(&data), to.clone()); 3];
        let payloads = payloads(signals);
        assert!(payloads.len() > 3, "{}", payloads.len());
        assert!(
            payloads
                .iter()
                .all(|payload| payload.len() <= PAYLOAD_BYTES_MAX)
        );
        let named: Vec<_> = parsed(&payloads)
            .into_iter()
            .flat_map(|part| part.to)
            .collect();
        assert_eq!(named, [to.clone(), to.clone(), to].concat());
    }

    #[test]
    fn what_another_version_has_sent_is_no_signal() {
        for payload in ["", "*", "{}", "[1]", r#"[{"from":"jane"}]"#] {
            assert_eq!(AddressedSignal::parse_all(payload), [], "{payload:?}");
        }
    }
}
