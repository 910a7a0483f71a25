//! Signals that wait for the next notification.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::drop_signals;
use crate::{
    domain::MessageId,
    notifications::{AddressedSignal, SignalsPayload},
};

/// The most signals that wait, in all and of one application. One more is dropped.
const WAITING_MAX: usize = 1000;
const WAITING_OF_APPLICATION_MAX: usize = 250;

/// A signal that has waited for longer is of no use any more, and its receivers may be others by now.
const AGE_MAX: Duration = Duration::from_secs(2);

/// A signal that waits.
struct Waiter {
    since: Instant,
    /// The message whose draft it is.
    draft: Option<MessageId>,
    addressed: AddressedSignal,
}

/// Signals in the order in which they were posted.
#[derive(Default)]
pub struct Waiting {
    signals: Mutex<VecDeque<Waiter>>,
    filled: Notify,
}

impl Waiting {
    /// Adds a signal, in the place of an older one that it makes out of date: of the same kind, by the same
    /// user, in the same conversation. Drops it if too many wait.
    pub fn put(&self, new: AddressedSignal, draft: Option<MessageId>) {
        let new = Waiter {
            since: Instant::now(),
            draft,
            addressed: new,
        };
        let mut waiting = self.signals();
        if let Some(older) = waiting.iter_mut().find(|older| new.outdates(older)) {
            older.addressed = new.addressed;
            return;
        }
        let application = new.addressed.application;
        let of_same = waiting
            .iter()
            .filter(|other| other.addressed.application == application);
        if waiting.len() >= WAITING_MAX || of_same.count() >= WAITING_OF_APPLICATION_MAX {
            drop_signals(1, "queue");
            return;
        }
        waiting.push_back(new);
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
        while let Some(waiter) = signals.pop_front() {
            if waiter.since.elapsed() > AGE_MAX {
                drop_signals(1, "age");
                continue;
            }
            let users = waiter.addressed.to.len();
            let rest = payload.add(waiter.addressed);
            let left = rest.as_ref().map_or(0, |rest| rest.to.len());
            count += usize::from(left < users);
            if let Some(addressed) = rest {
                signals.push_front(Waiter {
                    addressed,
                    ..waiter
                });
                break;
            }
        }
        Some((payload.finish()?, count))
    }

    /// Removes all, and returns how many there were.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut *self.signals()).len()
    }

    fn signals(&self) -> MutexGuard<'_, VecDeque<Waiter>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Whether it makes another one out of date.
    fn outdates(&self, older: &Self) -> bool {
        let (one, other) = (&self.addressed.signal, &older.addressed.signal);
        let is_same_chat = one.chat.is_some() || self.addressed.to == older.addressed.to;
        self.addressed.application == older.addressed.application
            && one.from == other.from
            && one.kind == other.kind
            && one.chat == other.chat
            && is_same_chat
            && self.draft == older.draft
    }
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
            waiting.put(other, None);
        }
        let mut newest = signal("jane", Some(1), "typing", &["john", "jim"]);
        newest.signal.ttl_seconds = 9;
        waiting.put(newest.clone(), None);
        let mut expected = others.to_vec();
        expected[0] = newest;
        assert_eq!(taken(&waiting), expected);
        assert_eq!(taken(&waiting), []);
        // Drafts of two messages are two signals.
        for message in [7, 8, 7] {
            let draft = signal("jane", Some(1), "draft", &["john"]);
            waiting.put(draft, Some(MessageId::new(message)));
        }
        assert_eq!(taken(&waiting).len(), 2);
    }

    #[test]
    fn what_has_waited_for_too_long_is_dropped() {
        let waiting = Waiting::default();
        waiting.put(signal("jane", Some(1), "typing", &["john"]), None);
        let since = Instant::now().checked_sub(2 * AGE_MAX).unwrap();
        waiting.signals()[0].since = since;
        waiting.put(signal("jim", Some(1), "typing", &["john"]), None);
        let left = taken(&waiting);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].signal.from.as_str(), "jim");
    }

    #[test]
    fn what_is_too_much_is_dropped_and_the_rest_is_taken_payload_by_payload() {
        let waiting = Waiting::default();
        let name = |n: usize| format!("user-{n}");
        for n in 0..WAITING_OF_APPLICATION_MAX + 5 {
            waiting.put(signal(&name(n), Some(1), "typing", &["john"]), None);
        }
        let mut other = signal("jim", Some(1), "typing", &["john"]);
        other.application = ApplicationId::new(2);
        waiting.put(other.clone(), None);
        let (mut found, mut payloads) = (Vec::new(), 0);
        loop {
            let signals = taken(&waiting);
            if signals.is_empty() {
                break;
            }
            payloads += 1;
            found.extend(signals);
        }
        assert_eq!(found.pop(), Some(other), "another application has room");
        assert_eq!(found.len(), WAITING_OF_APPLICATION_MAX);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(n, found)| found.signal.from.as_str() == name(n))
        );
        assert!((3..15).contains(&payloads), "{payloads}");
    }

    #[test]
    fn a_signal_that_does_not_fit_is_sent_to_the_others_with_the_next_payload() {
        let waiting = Waiting::default();
        let to: Vec<_> = (0..200).map(|n| format!("{n:064}")).collect();
        let to: Vec<_> = to.iter().map(String::as_str).collect();
        waiting.put(signal("jane", Some(1), "typing", &to), None);
        waiting.put(signal("jim", Some(1), "typing", &["john"]), None);
        let (_, first) = waiting.take_now().unwrap();
        assert_eq!(first, 1);
        let second = taken(&waiting);
        assert_eq!(second[0].signal.from.as_str(), "jane");
        assert_eq!(waiting.clear(), 0, "the rest was taken: {second:?}");
        assert_eq!(second[1].signal.from.as_str(), "jim");
    }
}
