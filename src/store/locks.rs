//! The keys of PostgreSQL's advisory locks.
//!
//! Every replica must use the same keys, whatever its version. They are arbitrary numbers, but
//! large ones: another user of the same database is unlikely to have chosen them.

/// Held by the transaction that writes the timeline: see [`Lane`](super::Lane).
pub const LANE: i64 = 7_305_808_869_231_650_168;

/// Held on a connection by the one replica that publishes events.
pub const PUBLISHER: i64 = 7_305_808_869_231_650_169;

/// Held on a connection by the one replica that indexes texts.
pub const INDEXER: i64 = 7_305_808_869_231_650_170;
