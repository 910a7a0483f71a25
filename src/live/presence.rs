//! Presence: every replica records which users have a stream open on it.
//!
//! It is no promise: a user who has closed a stream may be listed for some seconds, and one who has opened
//! one may be missing. Nothing that must be right depends on it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use super::Hub;
use crate::{
    domain::{ApplicationId, UserId},
    random,
    store::{
        self, Session,
        presence::{self, ReplicaId},
    },
};

/// How often what has changed is recorded. A replica counts as alive for 10 s (`store/presence.rs`).
const PERIOD: Duration = Duration::from_secs(2);

/// How long the database may take for it.
const RECORDING_TIME_MAX: Duration = Duration::from_secs(10);

/// Records the users of this replica who have a stream open.
pub struct Presence {
    hub: Arc<Hub>,
    session: Session,
    replica: ReplicaId,
    /// What is recorded.
    recorded: HashSet<(ApplicationId, UserId)>,
}

/// Users who have opened their first stream, and users who have closed their last one.
type Movement = (Vec<UserId>, Vec<UserId>);

impl Presence {
    pub fn new(hub: Arc<Hub>, session: Session) -> Self {
        Self {
            hub,
            session,
            replica: ReplicaId::new(random::number()),
            recorded: HashSet::new(),
        }
    }

    /// Records until it is dropped. After a failure it is not certain what is recorded; so everything is
    /// recorded anew, under another id.
    pub async fn run(mut self) {
        loop {
            if let Err(error) = store::in_time(RECORDING_TIME_MAX, self.record()).await {
                tracing::warn!(%error, "it is not recorded who has a stream open");
                self.session.discard();
                self.replica = ReplicaId::new(random::number());
                self.recorded.clear();
            }
            sleep(PERIOD).await;
        }
    }

    async fn record(&mut self) -> store::Result<()> {
        let connection = self.session.connection().await?;
        if !presence::heartbeat(connection, self.replica).await? {
            self.recorded.clear();
        }
        presence::remove_silent(connection).await?;
        let connected = self.hub.connected();
        for (application, (opened, closed)) in moved(&self.recorded, &connected) {
            presence::record(connection, application, self.replica, &opened, &closed).await?;
        }
        self.recorded = connected;
        Ok(())
    }
}

/// What differs from one record to the next, by application.
fn moved(
    before: &HashSet<(ApplicationId, UserId)>,
    after: &HashSet<(ApplicationId, UserId)>,
) -> BTreeMap<ApplicationId, Movement> {
    let mut moved: BTreeMap<ApplicationId, Movement> = BTreeMap::new();
    for (application, user) in after.difference(before) {
        moved.entry(*application).or_default().0.push(user.clone());
    }
    for (application, user) in before.difference(after) {
        moved.entry(*application).or_default().1.push(user.clone());
    }
    moved
}
