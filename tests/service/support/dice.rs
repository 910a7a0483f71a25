//! Choices that follow from a seed.

/// A generator that gives the same numbers each time.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `below`.
    pub fn roll(&mut self, below: usize) -> usize {
        // Knuth, MMIX: the high bits are good enough to choose by.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    /// Brings the items into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.roll(end + 1));
        }
    }
}

/// The seed in a variable of the environment, which repeats the choices of a test that has failed.
pub fn repeated_seed(variable: &str) -> Option<u64> {
    let seed = std::env::var(variable).ok()?;
    let seed = seed.parse::<u64>();
    Some(seed.unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// Another seed each time.
pub fn new_seed() -> u64 {
    u64::from(uuid::Uuid::new_v4().as_fields().0)
}
