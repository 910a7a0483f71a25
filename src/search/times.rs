//! The terms of times: blocks of 18 hours, of 24 days and of 2 years. A span of time is the larger
//! blocks within it and the smaller ones at its ends, so a few dozen terms cover any span. They
//! narrow a search down to a block at either end; the time of the message decides.

use time::OffsetDateTime;

use crate::domain::ApplicationId;

/// The sizes of the blocks, as powers of two seconds.
const BITS: [u32; 3] = [16, 21, 26];

/// The terms of the blocks in which a time lies.
pub fn terms_of(application: ApplicationId, time: OffsetDateTime) -> [String; BITS.len()] {
    let second = second_of(time);
    std::array::from_fn(|level| term(application, level, second >> BITS[level]))
}

/// The terms of the fewest blocks that cover all times from `since` to `until`: every time between
/// them lies in exactly one. Where one of the two is absent, there is no limit on that side. None,
/// if both are absent: then no time needs to be looked up.
pub fn terms_between(
    application: ApplicationId,
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
) -> Vec<String> {
    if since.is_none() && until.is_none() {
        return Vec::new();
    }
    let mut first = since.map_or(0, second_of) >> BITS[0];
    // One past the last one.
    let mut end = (until.map_or(u32::MAX, second_of) >> BITS[0]) + 1;
    let mut terms = Vec::new();
    for (level, sizes) in BITS.windows(2).enumerate() {
        let step = 1 << (sizes[1] - sizes[0]);
        let (inner, inner_end) = (first.next_multiple_of(step), end / step * step);
        if inner >= inner_end {
            terms.extend((first..end).map(|block| term(application, level, block)));
            return terms;
        }
        let outer = (first..inner).chain(inner_end..end);
        terms.extend(outer.map(|block| term(application, level, block)));
        (first, end) = (inner / step, inner_end / step);
    }
    terms.extend((first..end).map(|block| term(application, BITS.len() - 1, block)));
    terms
}

/// The second of a time. What lies outside of the years 1970 to 2106 counts as the nearest second
/// within.
fn second_of(time: OffsetDateTime) -> u32 {
    let second = time.unix_timestamp().clamp(0, u32::MAX.into());
    u32::try_from(second).expect("it was clamped")
}

fn term(application: ApplicationId, level: usize, block: u32) -> String {
    format!(":t{level}:{}:{block}", application.get())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, macros::datetime};

    use super::*;

    const APPLICATION: ApplicationId = ApplicationId::new(7);

    /// How many of the terms of a time are among the terms of a span.
    fn found(time: i64, since: Option<i64>, until: Option<i64>) -> usize {
        let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
        let terms = terms_between(APPLICATION, since.map(at), until.map(at));
        let own = terms_of(APPLICATION, at(time));
        own.iter().filter(|term| terms.contains(term)).count()
    }

    #[test]
    fn a_span_is_few_blocks_and_no_span_is_none() {
        let since = datetime!(2026-11-01 00:00 UTC);
        let count = |since, until| terms_between(APPLICATION, since, until).len();
        assert_eq!(count(None, None), 0);
        assert_eq!(count(Some(since), Some(since)), 1);
        assert_eq!(count(Some(since), Some(since + Duration::DAY)), 2);
        assert!(count(Some(since), None) <= 100);
        assert!(count(None, Some(since)) <= 100);
    }

    #[test]
    fn times_that_have_no_block_of_their_own_are_found() {
        let (early, late) = (
            datetime!(0001-01-01 0:00 UTC),
            datetime!(9999-12-31 0:00 UTC),
        );
        for time in [early, late] {
            let own = terms_of(APPLICATION, time);
            let terms = terms_between(APPLICATION, Some(time), Some(time));
            assert!(own.iter().any(|term| terms.contains(term)), "{time}");
        }
    }

    proptest! {
        #[test]
        fn a_time_lies_in_one_block_of_each_span_around_it_and_in_none_of_those_far_from_it(
            time in 0..i64::from(u32::MAX),
            length in 0..1i64 << 31,
            place in 0.0..1.0f64,
        ) {
            const BLOCK: i64 = 1 << BITS[0];
            let since = (time - (length as f64 * place) as i64).max(0);
            let until = (since + length).max(time);
            for (since, until) in [
                (Some(since), Some(until)), (Some(since), None), (None, Some(until)), (Some(time), Some(time)),
            ] {
                prop_assert_eq!(found(time, since, until), 1);
            }
            let after = (time + BLOCK, time + BLOCK + length);
            prop_assert_eq!(found(time, Some(after.0), Some(after.1)), 0);
            prop_assert_eq!(found(time, Some(after.0), None), usize::from(after.0 > i64::from(u32::MAX)));
        }

        #[test]
        fn a_span_has_no_more_terms_than_its_ends_and_the_largest_blocks(
            since in 0..1i64 << 32, length in 0..1i64 << 32,
        ) {
            let at = |second| Some(OffsetDateTime::from_unix_timestamp(second).unwrap());
            let terms = terms_between(APPLICATION, at(since), at(since + length));
            prop_assert!(terms.len() <= 4 * 31 + 64);
        }
    }
}
