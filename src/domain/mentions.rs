//! Whom a message names.

use super::{Invalid, UserId};

/// The most users that a message may name one by one.
pub const MENTIONS_MAX: usize = 50;

/// Whom a message names: some members of its conversation, or all of them. To name oneself means
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mentions {
    users: Vec<UserId>,
    pub all: bool,
}

/// Users whom a change names: the listed ones, or everybody but these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub everybody_but: bool,
    pub listed: Vec<UserId>,
}

impl Mentions {
    /// The users in their order, each once.
    pub fn new(users: Vec<UserId>, all: bool) -> Result<Self, Invalid> {
        let mut mentions = Self::trusted(Vec::new(), all);
        for user in users {
            if !mentions.users.contains(&user) {
                mentions.users.push(user);
            }
        }
        if mentions.users.len() > MENTIONS_MAX {
            return Err(Invalid("must have at most 50 entries"));
        }
        Ok(mentions)
    }

    /// Mentions that were checked before they were stored.
    pub fn trusted(users: Vec<UserId>, all: bool) -> Self {
        Self { users, all }
    }

    pub fn users(&self) -> &[UserId] {
        &self.users
    }

    /// The same without some users.
    #[must_use]
    pub fn without(mut self, is_left_out: impl Fn(&UserId) -> bool) -> Self {
        self.users.retain(|user| !is_left_out(user));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && !self.all
    }

    /// All users whom it lists, also if it names everybody.
    pub fn listed(&self) -> &[UserId] {
        &self.users
    }

    /// The users other than the sender whom it names one by one; none if it names everybody.
    pub fn one_by_one<'a>(
        &'a self,
        sender: Option<&'a UserId>,
    ) -> impl Iterator<Item = &'a UserId> {
        let users = self.users.iter().filter(|_| !self.all);
        users.filter(move |user| Some(*user) != sender)
    }

    /// Whom it names that `before` did not name; `None` if that is nobody.
    pub fn named_since(&self, before: &Self, sender: Option<&UserId>) -> Option<Named> {
        if before.all || self.is_empty() {
            return None;
        }
        if self.all {
            return Some(Named {
                everybody_but: true,
                listed: before.users.iter().chain(sender).cloned().collect(),
            });
        }
        let new = self.one_by_one(sender);
        let new = new.filter(|user| !before.users.contains(user));
        let listed: Vec<_> = new.cloned().collect();
        (!listed.is_empty()).then_some(Named {
            everybody_but: false,
            listed,
        })
    }
}

impl Named {
    pub fn contains(&self, user: &UserId) -> bool {
        self.listed.contains(user) != self.everybody_but
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(users: &[&str], all: bool) -> Mentions {
        let users = users.iter().map(|user| UserId::trusted(user)).collect();
        Mentions::new(users, all).unwrap()
    }

    /// Which of jane, john and jim are named since; jane is the sender.
    fn named_since(before: &Mentions, after: &Mentions) -> Vec<&'static str> {
        let jane = UserId::trusted("jane");
        let named = after.named_since(before, Some(&jane));
        let is_named = |user: &&str| {
            let user = UserId::trusted(user);
            named.as_ref().is_some_and(|named| named.contains(&user))
        };
        ["jane", "john", "jim"]
            .into_iter()
            .filter(is_named)
            .collect()
    }

    #[test]
    fn each_is_named_once_and_oneself_never() {
        let nobody = Mentions::default();
        let (john, both) = (
            mentions(&["john", "john"], false),
            mentions(&["jim", "john"], false),
        );
        let (all, jane) = (mentions(&[], true), mentions(&["jane"], false));
        assert_eq!(john.users().len(), 1);
        assert_eq!(named_since(&nobody, &john), ["john"]);
        assert_eq!(named_since(&john, &both), ["jim"]);
        assert_eq!(named_since(&both, &john), [""; 0]);
        assert_eq!(named_since(&john, &all), ["jim"]);
        assert_eq!(named_since(&nobody, &all), ["john", "jim"]);
        assert_eq!(named_since(&all, &both), [""; 0]);
        assert_eq!(named_since(&nobody, &jane), [""; 0]);
    }

    #[test]
    fn at_most_fifty_are_named() {
        let many = |count: usize| {
            (0..count)
                .map(|n| UserId::trusted(&n.to_string()))
                .collect()
        };
        assert!(Mentions::new(many(MENTIONS_MAX), false).is_ok());
        assert!(Mentions::new(many(MENTIONS_MAX + 1), false).is_err());
    }
}
