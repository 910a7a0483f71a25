//! Which applications a follower may be behind.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    domain::ApplicationId,
    notifications::{Commit, Notification, Subscriber},
};

/// Notes the applications that have changed, and wakes their follower.
pub struct Behind {
    noted: Mutex<Noted>,
    wake: Notify,
    concerns: fn(&Commit) -> bool,
}

/// What was noted.
#[derive(Default)]
pub struct Noted {
    /// All applications have to be looked at.
    pub all: bool,
    pub applications: BTreeSet<ApplicationId>,
}

impl Behind {
    /// For a follower whom commits with this property concern.
    pub fn new(concerns: fn(&Commit) -> bool) -> Self {
        Self {
            noted: Mutex::default(),
            wake: Notify::new(),
            concerns,
        }
    }

    fn note_all(&self) {
        self.noted().all = true;
        self.wake.notify_one();
    }

    pub fn note(&self, application: ApplicationId) {
        self.noted().applications.insert(application);
        self.wake.notify_one();
    }

    /// Takes what was noted, and leaves nothing.
    pub fn take(&self) -> Noted {
        std::mem::take(&mut *self.noted())
    }

    /// Waits until something is noted, until `time` at the most.
    pub async fn wait_until(&self, time: Instant) {
        let _ = timeout_at(time, self.wake.notified()).await;
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Behind {
    fn reconnected(&self) {
        self.note_all();
    }

    fn notified(&self, notification: &Notification) {
        match &notification.commit {
            Some(commit) if (self.concerns)(commit) => self.note(commit.application),
            Some(_) => {}
            None => self.note_all(),
        }
    }
}
