//! The erasure of a user.

use time::OffsetDateTime;

use super::{Pair, UserId};

/// A keyed digest of a user's id, which names the user to whoever knows the id, and to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserDigest(pub [u8; 32]);

/// A user who is being erased. From the request on, the user does nothing, and nothing new names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    pub user: UserId,
    pub digest: UserDigest,
    /// What names the user from then on.
    pub pseudonym: UserId,
    pub others: OthersMessages,
}

/// What becomes of the messages of the other users of the user's personal conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OthersMessages {
    #[default]
    Kept,
    Deleted,
}

/// What a change says of an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureEvent {
    Requested { now: OffsetDateTime },
    Finished { now: OffsetDateTime },
}

/// How the id of a pseudonym begins.
const PSEUDONYM_PREFIX: &str = "erased:";

impl Erasure {
    /// A pseudonym for a random number. It is an id like any other one, and says nothing of the user.
    pub fn pseudonym(random: u128) -> UserId {
        UserId::trusted(&format!("{PSEUDONYM_PREFIX}{random:032x}"))
    }

    /// The pair with the pseudonym in place of the user.
    pub fn renamed(&self, pair: &Pair) -> Pair {
        let [one, other] = [pair.least(), pair.greatest()].map(|user| self.name_of(user));
        Pair::new(one, other)
    }

    /// What names a user from now on.
    pub fn name_of<'a>(&'a self, user: &'a UserId) -> &'a UserId {
        if *user == self.user {
            &self.pseudonym
        } else {
            user
        }
    }
}

impl OthersMessages {
    pub fn are_deleted(self) -> bool {
        self == Self::Deleted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_the_id_of_a_user() {
        for random in [0, u128::MAX] {
            let pseudonym = Erasure::pseudonym(random);
            assert_eq!(UserId::parse(pseudonym.as_str()), Ok(pseudonym));
        }
    }
}
