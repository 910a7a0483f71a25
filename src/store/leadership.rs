//! Leadership: the work of a follower, which one replica does at a time, under an advisory lock of
//! PostgreSQL.

use std::{marker::PhantomData, time::Duration};

use sqlx::{
    Connection, Either, PgConnection,
    postgres::{PgAdvisoryLock, PgAdvisoryLockGuard, PgAdvisoryLockKey},
};
use tokio::time::sleep;

use super::{Database, Purpose, Result, in_time, locks};

/// A follower, which has one leader.
pub trait Duty: Send {
    /// Its name in the table `followers` and in metrics.
    const NAME: &'static str;
    /// Whether it follows only the changes that begin or end the use of files.
    const FOLLOWS_FILES: bool;
    /// The key of its lock: the same in every version, so that replicas of two versions exclude
    /// each other.
    const LOCK_KEY: i64;
    /// What the leader's connection is for.
    const PURPOSE: Purpose;
}

/// Publishes the events of files.
pub enum Publishing {}

impl Duty for Publishing {
    const NAME: &'static str = "file-events";
    const FOLLOWS_FILES: bool = true;
    const LOCK_KEY: i64 = locks::PUBLISHER;
    const PURPOSE: Purpose = Purpose::Publishing;
}

/// Publishes the feeds of applications.
pub enum FeedPublishing {}

impl Duty for FeedPublishing {
    const NAME: &'static str = "feed-exchange";
    const FOLLOWS_FILES: bool = false;
    const LOCK_KEY: i64 = locks::FEED_PUBLISHER;
    const PURPOSE: Purpose = Purpose::Publishing;
}

/// Brings the feeds to webhooks.
pub enum Delivering {}

impl Duty for Delivering {
    const NAME: &'static str = "webhooks";
    const FOLLOWS_FILES: bool = false;
    const LOCK_KEY: i64 = locks::DELIVERER;
    const PURPOSE: Purpose = Purpose::Publishing;
}

/// Clears the messages of deleted chats.
pub enum Clearing {}

impl Duty for Clearing {
    const NAME: &'static str = "clearing";
    const FOLLOWS_FILES: bool = false;
    const LOCK_KEY: i64 = locks::CLEARER;
    const PURPOSE: Purpose = Purpose::Publishing;
}

/// Erases users.
pub enum Erasing {}

impl Duty for Erasing {
    const NAME: &'static str = "erasing";
    const FOLLOWS_FILES: bool = false;
    const LOCK_KEY: i64 = locks::ERASER;
    const PURPOSE: Purpose = Purpose::Publishing;
}

/// Lets messages expire, clears them, and trims the timelines.
pub enum Expiring {}

impl Duty for Expiring {
    const NAME: &'static str = "retention";
    const FOLLOWS_FILES: bool = false;
    const LOCK_KEY: i64 = locks::EXPIRER;
    const PURPOSE: Purpose = Purpose::Publishing;
}

/// Keeps the index of search.
pub enum Indexing {}

impl Duty for Indexing {
    const NAME: &'static str = "search-index";
    const FOLLOWS_FILES: bool = false;
    const LOCK_KEY: i64 = locks::INDEXER;
    const PURPOSE: Purpose = Purpose::Indexing;
}

/// How often a replica tries to become the leader.
const ATTEMPT_PERIOD: Duration = Duration::from_secs(2);

/// How long it may take to connect, and how long one attempt to take the lock.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(15);

/// Proof that this replica leads a follower: the connection that holds the lock.
///
/// What only the leader may do takes it as a parameter, and runs on its connection. So the lock is
/// held while a statement runs. Dropping it closes the connection, and the server frees the lock.
pub struct Leadership<R> {
    guard: PgAdvisoryLockGuard<PgConnection>,
    duty: PhantomData<R>,
}

impl<R: Duty> Leadership<R> {
    /// Waits, with a connection of its own, until no other replica leads. Fails when the database
    /// does.
    pub async fn acquire(database: &Database) -> Result<Self> {
        let lock = PgAdvisoryLock::with_key(PgAdvisoryLockKey::BigInt(R::LOCK_KEY));
        let mut connection = in_time(ATTEMPT_TIME_MAX, database.connect(R::PURPOSE)).await?;
        loop {
            let attempt = async { Ok(lock.try_acquire(connection).await?) };
            match in_time(ATTEMPT_TIME_MAX, attempt).await? {
                Either::Left(guard) => {
                    return Ok(Self {
                        guard,
                        duty: PhantomData,
                    });
                }
                Either::Right(returned) => connection = returned,
            }
            sleep(ATTEMPT_PERIOD).await;
        }
    }

    /// Fails if the connection, and so the lock, is lost.
    pub async fn check(&mut self) -> Result<()> {
        Ok(self.connection().ping().await?)
    }

    /// The connection that holds the lock.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.guard.as_mut()
    }
}
