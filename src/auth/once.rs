//! What is said once: a fault in another service's document is there with each read of it.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Faults that are remembered. A document that has more of them says something new each time.
const FAULTS_MAX: usize = 100;

/// Remembers what was said already.
#[derive(Default)]
pub struct Once(Mutex<HashSet<String>>);

impl Once {
    /// Whether this was not said before, and is to be said now. Past [`FAULTS_MAX`] nothing is.
    pub fn is_new(&self, fault: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() < FAULTS_MAX && said.insert(fault.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_new_once_and_their_number_is_limited() {
        let once = Once::default();
        assert!(once.is_new("one") && !once.is_new("one") && once.is_new("other"));
        assert_eq!(
            (0..200)
                .filter(|number| once.is_new(&number.to_string()))
                .count(),
            FAULTS_MAX - 2
        );
    }
}
