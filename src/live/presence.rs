//! Presence: every replica records which users have a stream open on it.
//!
//! It is the word of each replica and no promise: a user who has gone may be listed for some seconds, and
//! one who has come may be missing. Nothing that must be right depends on it.

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

/// How often what has changed is recorded. A replica counts as alive for five times as long.
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

/// Users who have come, and users who have gone.
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

    /// Records until it is dropped. After a failure everything is recorded again.
    pub async fn run(mut self) {
        loop {
            if let Err(error) = store::in_time(RECORDING_TIME_MAX, self.record()).await {
                tracing::warn!(%error, "it is not recorded who has a stream open");
                self.session.discard();
                self.recorded.clear();
            }
            sleep(PERIOD).await;
        }
    }

    async fn record(&mut self) -> store::Result<()> {
        let connection = self.session.connection().await?;
        if !presence::say_alive(connection, self.replica).await? {
            self.recorded.clear();
        }
        presence::remove_silent(connection).await?;
        let connected = self.hub.connected();
        for (application, (come, gone)) in moved(&self.recorded, &connected) {
            presence::record(connection, application, self.replica, &come, &gone).await?;
        }
        self.recorded = connected;
        Ok(())
    }
}

/// Who has moved from one record to the next, by application.
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
