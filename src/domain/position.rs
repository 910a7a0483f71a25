//! How far a member has read a conversation.

use super::MessageNumber;

/// How far a member has read a conversation.
///
/// A mark and joining set the position. Sending moves it to the message that was sent. To store that
/// would rewrite a row of the sender with every message; so it is not stored but derived: what the
/// member has sent counts if it came after the position was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// What was set: the number of the last message read; zero for none.
    set: MessageNumber,
    /// The number of the conversation's newest message when it was set.
    as_of: MessageNumber,
    /// The number of the newest message that the member has sent.
    sent: MessageNumber,
}

impl Position {
    /// The member has read nothing and sent nothing.
    pub const ZERO: Self = Self::stored(
        MessageNumber::ZERO,
        MessageNumber::ZERO,
        MessageNumber::ZERO,
    );

    /// A position as it was stored. A smaller `sent` than the newest message that the member has sent
    /// is good enough if that one is not after `as_of`.
    pub const fn stored(set: MessageNumber, as_of: MessageNumber, sent: MessageNumber) -> Self {
        Self { set, as_of, sent }
    }

    /// Everything up to the `newest` message is read.
    pub fn at_newest(newest: MessageNumber) -> Self {
        Self::stored(newest, newest, MessageNumber::ZERO)
    }

    /// The number of the last message that the member has read; zero for none.
    pub fn read(self) -> MessageNumber {
        if self.sent > self.as_of {
            self.sent
        } else {
            self.set
        }
    }

    /// Once the member has marked everything up to `number` as read, and the rest as unread.
    #[must_use]
    pub fn set_to(self, number: MessageNumber, newest: MessageNumber) -> Self {
        Self::stored(number, newest, self.sent)
    }

    /// Once the member has sent the message `number`, which is now the newest.
    #[must_use]
    pub fn after_sending(self, number: MessageNumber) -> Self {
        Self::stored(self.set, self.as_of, number)
    }

    /// The number of the newest message that the member has sent; zero for none.
    pub fn sent(self) -> MessageNumber {
        self.sent
    }

    /// What is stored of it: the number that was set, and the newest one at that time.
    pub fn to_stored(self) -> (MessageNumber, MessageNumber) {
        (self.set, self.as_of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Steps: a message of somebody else, one of the member, or a mark at a share of them.
        #[test]
        fn it_is_what_a_member_would_store_with_every_step(
            steps in proptest::collection::vec((0..3u8, 0..=100i64), 0..40),
        ) {
            let (mut newest, mut naive) = (MessageNumber::ZERO, MessageNumber::ZERO);
            let mut position = Position::ZERO;
            for (step, share) in steps {
                match step {
                    0 => newest = newest.next(),
                    1 => {
                        newest = newest.next();
                        naive = newest;
                        position = position.after_sending(newest);
                    }
                    _ => {
                        naive = MessageNumber::new(newest.get() * share / 100);
                        position = position.set_to(naive, newest);
                    }
                }
                prop_assert_eq!(position.read(), naive);
            }
        }
    }
}
