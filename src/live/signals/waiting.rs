//! Signals that wait for the next notification.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::drop_signals;
use crate::notifications::{AddressedSignal, SignalsPayload};

/// The most signals that wait. One more is dropped.
const WAITING_MAX: usize = 1000;

/// Signals in the order in which they were posted.
#[derive(Default)]
pub struct Waiting {
    signals: Mutex<VecDeque<AddressedSignal>>,
    filled: Notify,
}

impl Waiting {
    /// Adds a signal, in the place of an older one that it makes out of date: of the same kind, by the same
    /// user, in the same conversation. Drops it if too many wait.
    pub fn put(&self, new: AddressedSignal) {
        let mut signals = self.signals();
        if let Some(older) = signals.iter_mut().find(|older| is_newer(&new, older)) {
            *older = new;
            return;
        }
        if signals.len() >= WAITING_MAX {
            drop_signals(1, "queue");
            return;
        }
        signals.push_back(new);
        self.filled.notify_one();
    }

    /// Waits for signals, and takes as many as fit into one payload. Returns it, and how many signals are in
    /// it, at least in part.
    pub async fn take(&self) -> (String, usize) {
        loop {
            if let Some(taken) = self.take_now() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    fn take_now(&self) -> Option<(String, usize)> {
        let (mut payload, mut count) = (SignalsPayload::default(), 0);
        let mut signals = self.signals();
        while let Some(signal) = signals.pop_front() {
            let users = signal.to.len();
            let rest = payload.add(signal);
            let left = rest.as_ref().map_or(0, |rest| rest.to.len());
            count += usize::from(left < users);
            if let Some(rest) = rest {
                signals.push_front(rest);
                break;
            }
        }
        Some((payload.finish()?, count))
    }

    /// Removes all, and returns how many there were.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut *self.signals()).len()
    }

    fn signals(&self) -> MutexGuard<'_, VecDeque<AddressedSignal>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a signal makes another one out of date.
fn is_newer(new: &AddressedSignal, older: &AddressedSignal) -> bool {
    let (one, other) = (&new.signal, &older.signal);
    let is_same_place = one.chat == other.chat && (one.chat.is_some() || new.to == older.to);
    new.application == older.application
        && one.from == other.from
        && one.kind == other.kind
        && is_same_place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApplicationId, ChatNumber, Signal, SignalKind, UserId};

    fn signal(from: &str, chat: Option<i64>, kind: &str, to: &[&str]) -> AddressedSignal {
        AddressedSignal {
            application: ApplicationId::new(1),
            signal: Signal {
                from: UserId::trusted(from),
                chat: chat.map(ChatNumber::new),
                kind: SignalKind::parse(kind).unwrap(),
                ttl_seconds: 5,
                data: None,
            },
            to: to.iter().map(|id| UserId::trusted(id)).collect(),
        }
    }

    fn taken(waiting: &Waiting) -> Vec<AddressedSignal> {
        let payload = waiting.take_now().map(|(payload, _)| payload);
        AddressedSignal::parse_all(&payload.unwrap_or_default())
    }

    #[test]
    fn the_newest_signal_takes_the_place_of_an_older_one_of_its_kind() {
        let waiting = Waiting::default();
        let others = [
            signal("jane", Some(1), "typing", &["john"]),
            signal("jane", Some(2), "typing", &["john"]),
            signal("jane", Some(1), "draft", &["john"]),
            signal("jim", Some(1), "typing", &["john"]),
            signal("jane", None, "typing", &["john"]),
            signal("jane", None, "typing", &["jim"]),
        ];
        for other in others.clone() {
            waiting.put(other);
        }
        let mut newest = signal("jane", Some(1), "typing", &["john", "jim"]);
        newest.signal.ttl_seconds = 9;
        waiting.put(newest.clone());
        let mut expected = others.to_vec();
        expected[0] = newest;
        assert_eq!(taken(&waiting), expected);
        assert_eq!(taken(&waiting), []);
    }

    #[test]
    fn what_is_too_much_is_dropped_and_the_rest_is_taken_payload_by_payload() {
        let waiting = Waiting::default();
        let name = |n: usize| format!("user-{n}");
        for n in 0..WAITING_MAX + 5 {
            waiting.put(signal(&name(n), Some(1), "typing", &["john"]));
        }
        let (mut found, mut payloads) = (Vec::new(), 0);
        loop {
            let signals = taken(&waiting);
            if signals.is_empty() {
                break;
            }
            payloads += 1;
            found.extend(signals);
        }
        assert_eq!(found.len(), WAITING_MAX);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(n, found)| found.signal.from.as_str() == name(n))
        );
        assert!((10..50).contains(&payloads), "{payloads}");
    }

    #[test]
    fn a_signal_that_does_not_fit_is_sent_to_the_others_with_the_next_payload() {
        let waiting = Waiting::default();
        let to: Vec<_> = (0..200).map(|n| format!("{n:064}")).collect();
        let to: Vec<_> = to.iter().map(String::as_str).collect();
        waiting.put(signal("jane", Some(1), "typing", &to));
        waiting.put(signal("jim", Some(1), "typing", &["john"]));
        let (_, first) = waiting.take_now().unwrap();
        assert_eq!(first, 1);
        let second = taken(&waiting);
        assert_eq!(second[0].signal.from.as_str(), "jane");
        assert_eq!(waiting.clear(), 0, "the rest was taken: {second:?}");
        assert_eq!(second[1].signal.from.as_str(), "jim");
    }
}
