//! Times as answers show them: RFC 3339 in UTC, always with six digits of a second, which is what
//! PostgreSQL keeps.
//!
//! RFC 3339 lets a time have as many digits as it needs. Some parsers accept fewer forms: before
//! version 3.11, Python's `fromisoformat` accepts three or six digits only.

use serde::{Serializer, ser::Error};
use time::{
    OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description,
};

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// The length of a written time, so a year must have four digits.
const CHARACTERS: usize = "2026-11-20T09:30:00.123456Z".len();

/// Writes a time; digits beyond the sixth are cut off.
pub fn serialize<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = [0; CHARACTERS];
    let utc = time.to_offset(UtcOffset::UTC);
    utc.format_into(&mut text.as_mut_slice(), FORMAT)
        .map_err(S::Error::custom)?;
    serializer.serialize_str(std::str::from_utf8(&text).map_err(S::Error::custom)?)
}

/// Writes a time, or null if there is none.
pub fn serialize_option<S: Serializer>(
    time: &Option<OffsetDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{format_description::well_known::Rfc3339, macros::datetime};

    use super::*;

    fn shown(time: OffsetDateTime) -> String {
        let mut json = Vec::new();
        serialize(&time, &mut serde_json::Serializer::new(&mut json)).unwrap();
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn a_round_time_has_six_digits_too() {
        assert_eq!(
            shown(datetime!(2026-11-20 09:30 UTC)),
            r#""2026-11-20T09:30:00.000000Z""#
        );
        assert_eq!(
            shown(datetime!(2026-11-20 09:30:00.5 +02:00)),
            r#""2026-11-20T07:30:00.500000Z""#
        );
        assert_eq!(
            shown(datetime!(2026-11-20 09:30:00.1234567 UTC)),
            r#""2026-11-20T09:30:00.123456Z""#
        );
    }

    proptest! {
        #[test]
        fn every_time_has_one_length_and_is_the_same_time_to_the_microsecond(
            microseconds in 0..253_402_300_800_000_000_i128,
        ) {
            let time = OffsetDateTime::from_unix_timestamp_nanos(microseconds * 1000).unwrap();
            let json = shown(time);
            prop_assert_eq!(json.len(), CHARACTERS + 2);
            prop_assert_eq!(OffsetDateTime::parse(json.trim_matches('"'), &Rfc3339).unwrap(), time);
        }
    }
}
