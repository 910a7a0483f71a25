//! How long messages are kept.

use std::num::NonZeroU16;

use time::{Duration, OffsetDateTime};

use super::{Invalid, MessageId, MessageNumber};

/// The longest retention, in days: some hundred years.
pub const RETENTION_DAYS_MAX: u16 = 36_500;

/// After how many days messages expire: 1 to [`RETENTION_DAYS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetentionDays(NonZeroU16);

impl RetentionDays {
    pub fn parse(days: i64) -> Result<Self, Invalid> {
        let days = u16::try_from(days).ok().and_then(NonZeroU16::new);
        let days = days.filter(|days| days.get() <= RETENTION_DAYS_MAX);
        days.map(Self).ok_or(Invalid("must be 1 to 36500, or null"))
    }

    /// A retention that was checked before it was stored.
    pub fn stored(days: i32) -> Option<Self> {
        Self::parse(days.into()).ok()
    }

    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// What was created before this time has expired at `now`.
    pub fn limit(self, now: OffsetDateTime) -> OffsetDateTime {
        now - Duration::days(self.get().into())
    }
}

/// The first messages that a conversation has, all of which are older than messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverdueMessages {
    /// The newest of them.
    pub id: MessageId,
    pub number: MessageNumber,
    /// When the youngest of them was created. Imported messages need not be in the order of their times.
    pub youngest: OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_a_day_at_least_and_a_hundred_years_at_most() {
        for days in [1, 30, 36_500] {
            assert_eq!(
                RetentionDays::parse(days).map(|days| i64::from(days.get())),
                Ok(days)
            );
        }
        for wrong in [0, -1, 36_501, 65_537, i64::MAX] {
            assert!(RetentionDays::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_expire_when_they_are_older_than_the_days() {
        let epoch = OffsetDateTime::UNIX_EPOCH;
        let two_days = RetentionDays::parse(2).unwrap();
        assert_eq!(
            two_days.limit(epoch + Duration::days(3)),
            epoch + Duration::days(1)
        );
    }
}
