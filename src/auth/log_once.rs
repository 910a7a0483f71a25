//! Faults that are logged once: a fault in another service's document is found again with each read
//! of it.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Faults that are remembered. No more are logged.
const FAULTS_MAX: usize = 100;

/// Remembers the faults that were logged.
#[derive(Default)]
pub struct LoggedFaults(Mutex<HashSet<String>>);

impl LoggedFaults {
    /// Whether the caller is to log this fault: it is new, and fewer than [`FAULTS_MAX`] were
    /// logged.
    pub fn is_new(&self, fault: &str) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.len() < FAULTS_MAX && logged.insert(fault.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_new_once_and_their_number_is_limited() {
        let faults = LoggedFaults::default();
        assert!(faults.is_new("one") && !faults.is_new("one") && faults.is_new("other"));
        assert_eq!(
            (0..200)
                .filter(|number| faults.is_new(&number.to_string()))
                .count(),
            FAULTS_MAX - 2
        );
    }
}
