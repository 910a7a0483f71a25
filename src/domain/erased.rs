//! What a process holds in memory of users, and whose name may not stay there.

use std::collections::{HashMap, HashSet};

use super::{ApplicationId, UserId};

/// So many users of an application are told apart: to look for many names in texts takes longer than to read
/// these again.
const USERS_MAX: usize = 8;

/// What a process keeps in memory only to be fast. Dropping it changes no answer.
pub trait Cache: Send + Sync {
    /// Drops whatever may name one of the users or have a text of theirs, and what has expired. A read that
    /// is under way may still put back what it has found.
    fn forget(&self, erased: &ErasedUsers);

    /// How many entries it has, by the name of each of its parts.
    fn sizes(&self) -> Vec<(&'static str, usize)>;
}

/// Users who are erased.
#[derive(Debug, Default)]
pub struct ErasedUsers(HashMap<ApplicationId, Erased>);

/// The users of one application.
#[derive(Debug)]
enum Erased {
    Users(HashSet<UserId>),
    /// It is not known who they are, or they are too many: each user may be one of them.
    Unknown,
}

impl ErasedUsers {
    /// Adds a user of an application, or one whose name is not known.
    pub fn add(&mut self, application: ApplicationId, user: Option<UserId>) {
        let erased = self.0.entry(application);
        let erased = erased.or_insert_with(|| Erased::Users(HashSet::new()));
        match (&mut *erased, user) {
            (Erased::Users(users), Some(user)) if users.len() < USERS_MAX => {
                users.insert(user);
            }
            _ => *erased = Erased::Unknown,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is of the application.
    pub fn are_of(&self, application: ApplicationId) -> bool {
        self.0.contains_key(&application)
    }

    /// Whether the user is one of them, or may be.
    pub fn contain(&self, application: ApplicationId, user: &UserId) -> bool {
        match self.0.get(&application) {
            Some(Erased::Users(users)) => users.contains(user),
            Some(Erased::Unknown) => true,
            None => false,
        }
    }

    /// Whether JSON of the application has one of them as a string, or may have. (No character of an id is
    /// escaped there.)
    pub fn are_named_in(&self, application: ApplicationId, json: &str) -> bool {
        match self.0.get(&application) {
            Some(Erased::Users(users)) => {
                let mut users = users.iter();
                users.any(|user| json.contains(&format!("\"{}\"", user.as_str())))
            }
            Some(Erased::Unknown) => true,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ApplicationId = ApplicationId::new(1);
    const OTHER: ApplicationId = ApplicationId::new(2);

    #[test]
    fn users_are_told_apart_by_name_and_application() {
        let [jane, john] = ["jane", "john"].map(UserId::trusted);
        let mut erased = ErasedUsers::default();
        assert!(erased.is_empty() && !erased.contain(ONE, &jane));
        erased.add(ONE, Some(jane.clone()));
        assert!(erased.are_of(ONE) && !erased.are_of(OTHER));
        assert!(erased.contain(ONE, &jane));
        assert!(!erased.contain(ONE, &john) && !erased.contain(OTHER, &jane));
        assert!(erased.are_named_in(ONE, r#"{"from":"jane"}"#));
        assert!(!erased.are_named_in(ONE, r#"{"from":"jane.doe"}"#));
        assert!(!erased.are_named_in(OTHER, r#"{"from":"jane"}"#));
    }

    #[test]
    fn whoever_is_not_known_may_be_anybody_and_so_may_very_many() {
        let john = UserId::trusted("john");
        let mut unknown = ErasedUsers::default();
        unknown.add(ONE, None);
        unknown.add(ONE, Some(UserId::trusted("jane")));
        assert!(unknown.contain(ONE, &john) && unknown.are_named_in(ONE, "{}"));

        let mut many = ErasedUsers::default();
        for number in 0..=USERS_MAX {
            assert!(!many.contain(ONE, &john), "{number}");
            many.add(ONE, Some(UserId::trusted(&format!("user-{number}"))));
        }
        assert!(many.contain(ONE, &john) && !many.contain(OTHER, &john));
    }
}
