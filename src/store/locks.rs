//! The keys of PostgreSQL's advisory locks.
//!
//! Every replica must use the same keys, whatever its version. They are arbitrary numbers, but
//! large ones: another user of the same database is unlikely to have chosen them.

use crate::domain::ApplicationId;

/// The upper byte of the keys of lanes; ids of applications are below 2^53.
const LANES: i64 = 0x4d << 56;

/// Held by the transaction that writes the timeline of an application: see [`Lane`](super::Lane).
pub const fn lane(application: ApplicationId) -> i64 {
    LANES | application.get()
}

/// Held by the transaction that remembers a branch of the database's history.
pub const BRANCH: i64 = 7_305_808_869_231_650_168;

/// Held on a connection by the one replica that publishes events.
pub const PUBLISHER: i64 = 7_305_808_869_231_650_169;

/// Held on a connection by the one replica that indexes texts.
pub const INDEXER: i64 = 7_305_808_869_231_650_170;

/// Held on a connection by the one replica that distributes tables.
pub const DISTRIBUTION: i64 = 7_305_808_869_231_650_172;

/// Held on a connection by the one replica that publishes the feeds.
pub const FEED_PUBLISHER: i64 = 7_305_808_869_231_650_173;

/// Held on a connection by the one replica that brings the feeds to webhooks.
pub const DELIVERER: i64 = 7_305_808_869_231_650_174;

/// Held on a connection by the one replica that clears deleted chats.
pub const CLEARER: i64 = 7_305_808_869_231_650_176;

/// Held on a connection by the one replica that erases users.
pub const ERASER: i64 = 7_305_808_869_231_650_177;

/// Held on a connection by the one replica that lets messages expire.
pub const EXPIRER: i64 = 7_305_808_869_231_650_178;

/// Held by the transaction that creates a webhook, which counts them before.
pub const WEBHOOKS: i64 = 7_305_808_869_231_650_175;

/// Held by the transaction that sets a sequence, which is read before.
pub const SEQUENCES: i64 = 7_305_808_869_231_650_171;
