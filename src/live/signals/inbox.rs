//! Inboxes: what each stream that asked for signals has yet to send.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::drop_signals;
use crate::{
    domain::{ApplicationId, Signal, UserId},
    notifications::AddressedSignal,
};

/// The most signals that wait for a stream: as many as a chat may have members. One more has the oldest
/// dropped.
const INBOX_MAX: usize = 100;

type Owner = (ApplicationId, UserId);

/// The inboxes of this replica.
#[derive(Default)]
pub struct Inboxes(Mutex<HashMap<Owner, Vec<Arc<Arrived>>>>);

/// The signals of one inbox.
#[derive(Default)]
struct Arrived {
    signals: Mutex<VecDeque<Arc<Signal>>>,
    filled: Notify,
}

/// The signals for one stream of a user. Dropping it ends that.
pub struct Inbox {
    inboxes: Arc<Inboxes>,
    owner: Owner,
    arrived: Arc<Arrived>,
}

impl Inboxes {
    /// An inbox for the signals that reach the user from now on.
    pub fn open(self: &Arc<Self>, application: ApplicationId, user: &UserId) -> Inbox {
        let owner = (application, user.clone());
        let arrived = Arc::new(Arrived::default());
        let mut by_owner = self.by_owner();
        let of_owner = by_owner.entry(owner.clone()).or_default();
        of_owner.push(Arc::clone(&arrived));
        Inbox {
            inboxes: Arc::clone(self),
            owner,
            arrived,
        }
    }

    /// Puts a signal into the inboxes of its users.
    pub fn deliver(&self, addressed: &AddressedSignal) {
        let by_owner = self.by_owner();
        if by_owner.is_empty() {
            return;
        }
        let signal = Arc::new(addressed.signal.clone());
        for user in &addressed.to {
            let owner = (addressed.application, user.clone());
            for arrived in by_owner.get(&owner).into_iter().flatten() {
                arrived.put(Arc::clone(&signal));
            }
        }
    }

    fn remove(&self, inbox: &Inbox) {
        let mut by_owner = self.by_owner();
        if let Some(of_owner) = by_owner.get_mut(&inbox.owner) {
            of_owner.retain(|arrived| !Arc::ptr_eq(arrived, &inbox.arrived));
            if of_owner.is_empty() {
                by_owner.remove(&inbox.owner);
            }
        }
    }

    fn by_owner(&self) -> MutexGuard<'_, HashMap<Owner, Vec<Arc<Arrived>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrived {
    fn put(&self, signal: Arc<Signal>) {
        let mut signals = self.signals();
        if signals.len() >= INBOX_MAX {
            signals.pop_front();
            drop_signals(1, "stream");
        }
        signals.push_back(signal);
        drop(signals);
        self.filled.notify_one();
    }

    fn signals(&self) -> MutexGuard<'_, VecDeque<Arc<Signal>>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// Waits for signals, and takes all that have arrived, the oldest first. Dropping the future loses none.
    pub async fn take(&self) -> Vec<Arc<Signal>> {
        loop {
            let signals = std::mem::take(&mut *self.arrived.signals());
            if !signals.is_empty() {
                return signals.into();
            }
            self.arrived.filled.notified().await;
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.inboxes.remove(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SignalKind;

    const ONE: ApplicationId = ApplicationId::new(1);

    fn deliver(inboxes: &Inboxes, application: ApplicationId, kind: &str, to: &[&str]) {
        inboxes.deliver(&AddressedSignal {
            application,
            signal: Signal {
                from: UserId::trusted("jane"),
                chat: None,
                kind: SignalKind::parse(kind).unwrap(),
                ttl_seconds: 5,
                data: None,
            },
            to: to.iter().map(|id| UserId::trusted(id)).collect(),
        });
    }

    /// The kinds of what has arrived; none if the inbox would wait.
    fn taken(inbox: &Inbox) -> Vec<String> {
        let mut taking = std::pin::pin!(inbox.take());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let signals = match taking.as_mut().poll(&mut context) {
            std::task::Poll::Ready(signals) => signals,
            std::task::Poll::Pending => Vec::new(),
        };
        signals
            .iter()
            .map(|signal| signal.kind.as_str().to_owned())
            .collect()
    }

    #[test]
    fn every_inbox_of_its_users_gets_a_signal_and_no_other() {
        let inboxes = Arc::new(Inboxes::default());
        let open = |application, id| inboxes.open(application, &UserId::trusted(id));
        let johns = [open(ONE, "john"), open(ONE, "john")];
        let [jim, elsewhere] = [open(ONE, "jim"), open(ApplicationId::new(2), "john")];
        deliver(&inboxes, ONE, "a", &["john"]);
        deliver(&inboxes, ONE, "b", &["john", "ann"]);
        for john in &johns {
            assert_eq!(taken(john), ["a", "b"]);
            assert_eq!(taken(john), [""; 0]);
        }
        assert_eq!(
            [taken(&jim), taken(&elsewhere)],
            [const { Vec::<String>::new() }; 2]
        );
        drop((johns, jim, elsewhere));
        assert!(
            inboxes.by_owner().is_empty(),
            "nothing is kept of who has gone"
        );
    }

    #[test]
    fn a_full_inbox_drops_the_oldest() {
        let inboxes = Arc::new(Inboxes::default());
        let john = inboxes.open(ONE, &UserId::trusted("john"));
        for n in 0..=INBOX_MAX {
            deliver(&inboxes, ONE, &n.to_string(), &["john"]);
        }
        let kinds = taken(&john);
        assert_eq!((kinds.len(), kinds[0].as_str()), (INBOX_MAX, "1"));
    }
}
