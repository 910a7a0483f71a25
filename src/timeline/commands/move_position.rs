//! Moving one's position in a conversation: marking messages as read, or as unread.

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{Change, Conversation, MessageNumber, READS_TOLD_MAX, Refusal};

/// Moves the caller's position to a message.
#[derive(Debug, Clone)]
pub struct MovePosition {
    pub conversation: Conversation,
    /// The last message that is read; zero for none.
    pub number: MessageNumber,
    /// Whether it may go back, which marks what comes after as unread.
    pub back: bool,
}

impl Command for MovePosition {
    /// The position, as the command leaves it.
    type Output = MessageNumber;

    const WHILE_SUSPENDED: bool = true;

    const MARKS: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation: Some(self.conversation.clone()),
            ..Needs::default()
        }
    }

    fn rows(&self, members: usize) -> usize {
        members.min(READS_TOLD_MAX)
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<MessageNumber>, Refusal> {
        let seen = context.seen(&self.conversation)?;
        let last = seen.last();
        ensure(self.number <= last, Refusal::BeyondLast { last })?;
        let number = self.number.max(seen.reads_after());
        let present = seen.position().read().max(seen.reads_after());
        let is_moved = number > present || (self.back && number < present);
        if !is_moved {
            return Ok(Decision::Keep(present));
        }
        let change = context.mark(&seen, number);
        Ok(Decision::Change(Change::Positions(change), number))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, add, create, draft, leave, move_back, move_to, send},
        *,
    };
    use crate::domain::Chat;

    fn number(number: i64) -> MessageNumber {
        MessageNumber::new(number)
    }

    fn in_chat(chat: &Chat) -> Conversation {
        Conversation::Chat(chat.number)
    }

    #[test]
    fn it_goes_forward_alone_unless_it_is_told_to_go_back() {
        let mut story = Story::default();
        let jane_john = super::super::story::conversation("jane", "john");
        for text in ["1", "2", "3"] {
            story.given("jane", send(draft("jane", "john", text)));
        }
        assert_eq!(story.given("john", move_to(&jane_john, 2)), number(2));
        for repeated in [0, 1, 2] {
            let kept = story.when("john", move_to(&jane_john, repeated));
            assert_eq!(kept, Ok(Decision::Keep(number(2))));
        }
        assert_eq!(story.given("john", move_back(&jane_john, 1)), number(1));
        let kept = story.when("john", move_back(&jane_john, 1));
        assert_eq!(kept, Ok(Decision::Keep(number(1))));
        let beyond = story.when("john", move_to(&jane_john, 4));
        assert_eq!(beyond, Err(Refusal::BeyondLast { last: number(3) }));
        let kept = story.when("jane", move_to(&jane_john, 3));
        assert_eq!(
            kept,
            Ok(Decision::Keep(number(3))),
            "sending moves one's own"
        );
        let stranger = story.when("jim", move_to(&jane_john, 1));
        assert_eq!(stranger, Err(Refusal::NotFound));
    }

    #[test]
    fn joining_sets_it_to_the_newest_message() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        story.send_into(Some("jane"), &chat).unwrap();
        story.given("jane", add(&chat, "jim"));
        let kept = story.when("jim", move_to(&in_chat(&chat), 1));
        assert_eq!(kept, Ok(Decision::Keep(number(1))));
        assert_eq!(story.given("john", move_to(&in_chat(&chat), 1)), number(1));
        story.given("jim", leave(&chat, "jim"));
        assert_eq!(
            story.when("jim", move_to(&in_chat(&chat), 1)),
            Err(Refusal::NotFound)
        );
        story.send_into(Some("jane"), &chat).unwrap();
        story.given("jane", add(&chat, "jim"));
        let kept = story.when("jim", move_to(&in_chat(&chat), 1));
        assert_eq!(kept, Ok(Decision::Keep(number(2))));
        let by_application = story.when_application(move_to(&in_chat(&chat), 1));
        assert_eq!(by_application, Err(Refusal::NotFound));
    }

    #[test]
    fn marks_in_one_conversation_share_a_timestamp_until_the_batch_ends() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "jim"]));
        for _ in 0..3 {
            story.send_into(None, &chat).unwrap();
        }
        story.given("john", move_to(&in_chat(&chat), 1));
        let first = story.last_timestamp();
        story.send_into(None, &chat).unwrap();
        story.given("jim", move_to(&in_chat(&chat), 4));
        assert_eq!(story.last_timestamp(), first);
        story.end_batch();
        story.given("john", move_to(&in_chat(&chat), 4));
        assert_ne!(story.last_timestamp(), first);
    }
}
