//! A point on the timeline.

use std::fmt;

use super::ids::number_types;

/// A point on the one timeline of the service: a value of the database's sequence `timeline`.
///
/// It orders changes and is not a clock. Zero is the point before every change. The sequence ends
/// at 2^53 - 1, so that JavaScript's numbers represent every timestamp exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

number_types!(Timestamp);

impl Timestamp {
    /// Reads decimal digits: no sign, no fraction, no blank, nothing beyond 64 bits.
    pub fn parse(value: &str) -> Option<Self> {
        parse_digits(value).map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A non-negative 64-bit number of decimal digits and nothing else (`str::parse` takes a sign).
pub(super) fn parse_digits(value: &str) -> Option<i64> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_timestamp_is_parsed_strictly() {
        assert_eq!(Timestamp::parse("0"), Some(Timestamp(0)));
        assert_eq!(
            Timestamp::parse("9223372036854775807"),
            Some(Timestamp(i64::MAX))
        );
        for text in [
            "",
            "+1",
            "-1",
            "1.0",
            "1e3",
            " 1",
            "0x1",
            "١",
            "9223372036854775808",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_timestamp_is_read_back_as_it_was_written(value in 0..=i64::MAX) {
            prop_assert_eq!(Timestamp::parse(&Timestamp(value).to_string()), Some(Timestamp(value)));
        }
    }
}
