//! Stages: a search reads the newest ids first, and goes back as far as it has to.

use std::ops::Range;

use super::terms::{BLOCKS, in_block};

/// The most blocks of a stage. A longer stage has larger blocks.
const STAGE_BLOCKS_MAX: i64 = 16;

/// A stage is at least so many times as long as the one before.
const STAGE_GROWTH_MIN: usize = 2;

/// The next stage is so many times as long as the matches so far suggest: a stage too many costs
/// another query, a stage too long costs reads.
const MARGIN: usize = 2;

/// The same, after a stage without a match, which says little about where the next one is.
const MARGIN_WITHOUT_MATCH: usize = 8;

/// The ids that are searched in one go: a few blocks, or all that remain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub ids: Range<i64>,
    /// The index of its block size in [`BLOCKS`]; one past the last if it has no blocks.
    level: usize,
}

impl Stage {
    /// The newest few thousand of the ids below `end`.
    pub fn first(end: i64) -> Self {
        Self::of(end, 1 << BLOCKS[0].0)
    }

    /// The next stage, after this one had `found` matches and `missing` more are needed: about as
    /// long as they take at the same rate, and longer if there was none. `None` after the last id.
    pub fn next(&self, found: usize, missing: usize) -> Option<Self> {
        let margin = if found == 0 {
            MARGIN_WITHOUT_MATCH
        } else {
            MARGIN
        };
        let growth = (missing * margin / (found + 1)).max(STAGE_GROWTH_MIN);
        let length = self.length().saturating_mul(growth);
        (self.ids.start > 0)
            .then(|| Self::of(self.ids.start, i64::try_from(length).unwrap_or(i64::MAX)))
    }

    /// The number of its ids, whether messages have them or not.
    pub fn length(&self) -> usize {
        usize::try_from(self.ids.end - self.ids.start).unwrap_or_default()
    }

    /// The last `length` ids below `end`, and the rest of their first block.
    pub(super) fn of(end: i64, length: i64) -> Self {
        let level = BLOCKS
            .iter()
            .position(|(bits, _)| length >> bits < STAGE_BLOCKS_MAX);
        match level {
            Some(level) if length < end => {
                let bits = BLOCKS[level].0;
                Self {
                    ids: (end - length) >> bits << bits..end,
                    level,
                }
            }
            _ => Self {
                ids: 0..end,
                level: BLOCKS.len(),
            },
        }
    }

    /// The terms of a reader in this stage.
    pub fn terms(&self, reader: &str) -> Vec<String> {
        let Some((bits, name)) = BLOCKS.get(self.level) else {
            return vec![reader.to_owned()];
        };
        let blocks = (self.ids.start >> bits)..=((self.ids.end - 1) >> bits);
        blocks.map(|block| in_block(reader, *name, block)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stages_are_all_ids_once_and_their_blocks_cover_them(
            end in 1..1i64 << 40, found in 0usize..100, missing in 1usize..100,
        ) {
            let (mut end, mut stage) = (end, Some(Stage::first(end)));
            while let Some(now) = stage {
                prop_assert_eq!(now.ids.end, end);
                end = now.ids.start;
                if let Some((bits, name)) = BLOCKS.get(now.level) {
                    for id in [now.ids.start, (now.ids.start + now.ids.end) / 2, now.ids.end - 1] {
                        let own = in_block("x", *name, id >> bits);
                        prop_assert!(now.ids.is_empty() || now.terms("x").contains(&own));
                    }
                }
                prop_assert!(now.terms("x").len() <= 17);
                stage = now.next(found, missing);
            }
            prop_assert_eq!(end, 0);
        }
    }
}
