//! The numbers and the time that the next change takes.

use std::{collections::VecDeque, ops::Range};

use time::OffsetDateTime;

use super::{MessageId, Timestamp};

/// The sequences of the database give numbers in blocks of so many: see `CREATE SEQUENCE` in the
/// schema.
const BLOCK: i64 = 32;

/// The numbers that are next, and the time.
#[derive(Debug, Clone, Copy)]
pub struct NextNumbers {
    pub timestamp: Timestamp,
    pub id: MessageId,
    /// By the clock of the database.
    pub now: OffsetDateTime,
}

/// Numbers that an application has drawn from the sequences, and not used yet. They ascend.
#[derive(Debug, Clone, Default)]
pub struct DrawnNumbers {
    timestamps: Blocks,
    ids: Blocks,
}

#[derive(Debug, Clone, Default)]
struct Blocks {
    blocks: VecDeque<Range<i64>>,
    /// How many numbers they have.
    count: usize,
}

impl DrawnNumbers {
    /// Adds blocks by their first numbers, which must be larger than all numbers before.
    pub fn add(&mut self, timestamps: &[i64], ids: &[i64]) {
        self.timestamps.add(timestamps);
        self.ids.add(ids);
    }

    /// How many changes the timestamps are enough for, and how many new messages the ids.
    pub fn counts(&self) -> (usize, usize) {
        (self.timestamps.count, self.ids.count)
    }

    /// How many blocks hold so many numbers.
    pub fn blocks_for(count: usize) -> usize {
        count.div_ceil(BLOCK as usize)
    }

    /// The most numbers that so many requests to change something use up, whether they have changed
    /// anything or not: each may have drawn a block that was never used.
    pub fn used_up_by(requests: i64) -> i64 {
        requests.saturating_mul(BLOCK)
    }

    /// The numbers of the next change. There must be some.
    pub fn next(&self, now: OffsetDateTime) -> NextNumbers {
        NextNumbers {
            timestamp: Timestamp::new(self.timestamps.first()),
            id: MessageId::new(self.ids.first()),
            now,
        }
    }

    /// Takes the timestamp for a change, and the id as well if it creates a message.
    pub fn take(&mut self, creates_message: bool) {
        self.timestamps.take();
        if creates_message {
            self.ids.take();
        }
    }
}

impl Blocks {
    fn add(&mut self, firsts: &[i64]) {
        let blocks = firsts.iter().map(|first| *first..first + BLOCK);
        self.blocks.extend(blocks);
        self.count += firsts.len() * BLOCK as usize;
    }

    fn first(&self) -> i64 {
        self.blocks.front().expect("numbers were drawn").start
    }

    fn take(&mut self) {
        let block = self.blocks.front_mut().expect("numbers were drawn");
        block.start += 1;
        if block.is_empty() {
            self.blocks.pop_front();
        }
        self.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_numbers_are_taken_in_order_block_after_block() {
        let mut numbers = DrawnNumbers::default();
        numbers.add(&[1, 97], &[33]);
        assert_eq!(numbers.counts(), (64, 32));
        let taken = |numbers: &mut DrawnNumbers, creates_message| {
            let next = numbers.next(OffsetDateTime::UNIX_EPOCH);
            numbers.take(creates_message);
            (next.timestamp.get(), next.id.get())
        };
        assert_eq!(taken(&mut numbers, true), (1, 33));
        assert_eq!(taken(&mut numbers, false), (2, 34));
        for _ in 3..=32 {
            taken(&mut numbers, false);
        }
        assert_eq!(taken(&mut numbers, true), (97, 34));
        assert_eq!(numbers.counts(), (31, 30));
    }

    #[test]
    fn blocks_are_counted_up() {
        assert_eq!([0, 1, 32, 33].map(DrawnNumbers::blocks_for), [0, 1, 1, 2]);
    }
}
