//! Which applications' timelines have to be announced.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::domain::ApplicationId;

/// Requests to announce where the timelines of applications end. Whoever relies on every
/// notification of an application needs a first one, after which none is missed.
#[derive(Default)]
pub struct Announcements {
    requested: Mutex<BTreeSet<ApplicationId>>,
    wake: Notify,
}

impl Announcements {
    /// Requests the announcement of an application. Requests that wait count once.
    pub fn request(&self, application: ApplicationId) {
        if self.requested().insert(application) {
            self.wake.notify_one();
        }
    }

    /// Waits for requests, and takes all of them.
    pub(super) async fn take(&self) -> BTreeSet<ApplicationId> {
        loop {
            let requested = std::mem::take(&mut *self.requested());
            if !requested.is_empty() {
                return requested;
            }
            self.wake.notified().await;
        }
    }

    fn requested(&self) -> MutexGuard<'_, BTreeSet<ApplicationId>> {
        self.requested
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
