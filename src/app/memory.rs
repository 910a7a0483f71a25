//! Empties the caches of this process of users who were erased, and measures them.
//!
//! # The promise
//! A minute after the erasure of a user is finished, no cache names the user or has a text of theirs.
//!
//! # How
//! Every replica looks every few seconds which erasures are under way or were finished lately. Once one is
//! finished, it drops whatever may name the user; and once more half a minute later, when the reads that were
//! under way by then have ended, each of which may have put something back. It looks in the table and relies on
//! no notification: a lost one would leave a name behind.
//!
//! Who may send how much, who has signalled lately, and whose tokens are revoked, is held under hashes of users'
//! ids ([`KeyedHash`](crate::random::KeyedHash)), and stays.

use std::{collections::HashMap, convert::Infallible, mem, sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use crate::{
    domain::{ApplicationId, Cache, ErasedUsers, UserDigest, UserId},
    lifecycle::Lifecycle,
    store::{
        Pool,
        erasures::{self, RecentErasure, RecentState},
    },
};

/// The pause between two looks.
const PERIOD: Duration = Duration::from_secs(5);

/// How far a look goes back: a commit may become visible long after the time that it names, and the clock of the
/// database may be set.
const LOOK_BACK: Duration = Duration::from_secs(3600);

/// After so much time, the reads and batches that were under way have ended.
const UNDER_WAY_MAX: Duration = Duration::from_secs(30);

/// The caches of this process.
pub struct Memory {
    reads: Pool,
    caches: Vec<Arc<dyn Cache>>,
}

/// The erasures that the last look has found.
#[derive(Default)]
struct Found(HashMap<(ApplicationId, UserDigest), FoundErasure>);

#[derive(Default)]
struct FoundErasure {
    /// Who is erased, if a look has found it under way, and until nothing is left to be dropped.
    user: Option<UserId>,
    finished: Option<Finished>,
}

struct Finished {
    time: OffsetDateTime,
    /// When a look has found that first.
    found: Instant,
    /// How many times the user was dropped.
    drops: u8,
}

impl Memory {
    /// Ends at once: whatever is held ends with the process.
    pub fn spawn(life: &mut Lifecycle, reads: &Pool, caches: Vec<Arc<dyn Cache>>) {
        let (memory, stop) = (Self::new(reads, caches), life.stop());
        life.spawn("memory", async move {
            stop.run_until_cancelled(memory.run()).await;
        });
    }

    pub fn new(reads: &Pool, caches: Vec<Arc<dyn Cache>>) -> Self {
        let reads = reads.clone();
        Self { reads, caches }
    }

    /// Looks for ever. Whatever was finished while the database did not answer is found afterwards.
    pub async fn run(self) -> Infallible {
        let (mut found, mut looked) = (Found::default(), Instant::now());
        loop {
            sleep(PERIOD).await;
            let now = Instant::now();
            let time = LOOK_BACK + (now - looked);
            let reading = self
                .reads
                .query(async |connection| erasures::recent(connection, time).await);
            match reading.await {
                Ok(recent) => {
                    looked = now;
                    self.forget(&found.look(recent, now)).await;
                }
                Err(error) => tracing::warn!(%error, "it cannot be read which users were erased"),
            }
            self.measure();
        }
    }

    /// To look through a large cache takes some milliseconds: others run in between.
    async fn forget(&self, erased: &ErasedUsers) {
        for cache in &self.caches {
            cache.forget(erased);
            yield_now().await;
        }
    }

    fn measure(&self) {
        for (cache, entries) in self.caches.iter().flat_map(|cache| cache.sizes()) {
            metrics::gauge!("messages_cached_entries", "cache" => cache).set(entries as f64);
        }
    }
}

impl Found {
    /// Takes what a look has found, and returns who is to be dropped.
    fn look(&mut self, recent: Vec<RecentErasure>, now: Instant) -> ErasedUsers {
        let mut before = mem::take(&mut self.0);
        let mut erased = ErasedUsers::default();
        for RecentErasure {
            application,
            digest,
            state,
        } in recent
        {
            let key = (application, digest);
            let found = before.remove(&key).unwrap_or_default();
            let found = self.0.entry(key).or_insert(found);
            match state {
                RecentState::Running(user) => found.begin(user),
                RecentState::Finished(time) => found.finish(time, now),
            }
            if found.is_due(now) {
                erased.add(application, found.drop_user());
            }
        }
        erased
    }
}

impl FoundErasure {
    fn begin(&mut self, user: UserId) {
        *self = Self {
            user: Some(user),
            finished: None,
        };
    }

    fn finish(&mut self, time: OffsetDateTime, now: Instant) {
        let is_another = |finished: &Finished| finished.time != time;
        if self.finished.as_ref().is_none_or(is_another) {
            self.finished = Some(Finished {
                time,
                found: now,
                drops: 0,
            });
        }
    }

    /// Whether the user is to be dropped now.
    fn is_due(&self, now: Instant) -> bool {
        self.finished
            .as_ref()
            .is_some_and(|finished| match finished.drops {
                0 => true,
                1 => now - finished.found >= UNDER_WAY_MAX,
                _ => false,
            })
    }

    /// Notes that the user is dropped. Returns its name, if that is known; the last time, it is let go.
    fn drop_user(&mut self) -> Option<UserId> {
        let finished = self.finished.as_mut()?;
        finished.drops += 1;
        match finished.drops {
            1 => self.user.clone(),
            _ => self.user.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: ApplicationId = ApplicationId::DEFAULT;
    const END: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn recent(state: RecentState) -> Vec<RecentErasure> {
        vec![RecentErasure {
            application: APPLICATION,
            digest: UserDigest([1; 32]),
            state,
        }]
    }

    fn jane() -> UserId {
        UserId::trusted("jane")
    }

    /// At which of the looks, one a period, jane is dropped, and whether by her name alone.
    fn drops(found: &mut Found, ends: &[OffsetDateTime]) -> Vec<(usize, bool)> {
        let (start, mut drops) = (Instant::now(), Vec::new());
        let looks = (0_u32..).zip(ends);
        for (look, end) in looks {
            let erased = found.look(recent(RecentState::Finished(*end)), start + PERIOD * look);
            if !erased.is_empty() {
                assert!(erased.contain(APPLICATION, &jane()));
                let is_by_name = !erased.contain(APPLICATION, &UserId::trusted("john"));
                drops.push((look as usize, is_by_name));
            }
        }
        drops
    }

    #[test]
    fn a_user_is_dropped_once_erased_and_again_after_half_a_minute() {
        let mut found = Found::default();
        let running = recent(RecentState::Running(jane()));
        assert!(found.look(running, Instant::now()).is_empty());
        assert_eq!(drops(&mut found, &[END; 20]), [(0, true), (6, true)]);
        let erasure = found.0.values().next().unwrap();
        assert_eq!(erasure.user, None, "its name is let go");
        assert!(found.look(Vec::new(), Instant::now()).is_empty());
        assert!(found.0.is_empty());
    }

    #[test]
    fn whoever_was_not_seen_before_is_dropped_with_the_application() {
        let mut found = Found::default();
        assert_eq!(drops(&mut found, &[END; 20]), [(0, false), (6, false)]);
        let again = END + Duration::from_secs(1);
        assert_eq!(
            drops(&mut found, &[again; 8]),
            [(0, false), (6, false)],
            "it is another erasure"
        );
    }
}
