//! Pinning a message in its chat, and the opposite.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, changed_chat, content, ensure};
use crate::domain::{Action, Chat, ChatChange, ChatNumber, MessageId, PINS_MAX, Refusal};

/// Pins a message of a chat, or removes the pin.
#[derive(Debug, Clone)]
pub struct PinMessage {
    pub chat: ChatNumber,
    pub id: MessageId,
    pub pinned: bool,
}

impl Command for PinMessage {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            message: Some(self.id),
            pins: true,
            ..Needs::of_chat(self.chat)
        }
    }

    fn rows(&self, members: usize) -> usize {
        members + 1
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let inside = context.inside(self.chat)?;
        let message = context.message(self.id);
        let message = message.filter(|message| message.conversation.chat() == Some(self.chat));
        let message = message.ok_or_else(|| context.missing(self.id))?;
        let is_kept = message.number >= inside.chat.first;
        ensure(is_kept, context.missing(self.id))?;
        let is_readable = message.number > inside.reads_after();
        ensure(is_readable || !self.pinned, Refusal::NotFound)?;
        let otherwise = "only moderators, the owner and the application pin messages";
        let chat = inside.require(Action::Pin, otherwise)?;
        content(message)?;
        let pins = context.state.pins(self.chat);
        if pins.is_some_and(|pins| pins.contains(&self.id)) == self.pinned {
            return Ok(Decision::Keep(Arc::clone(chat)));
        }
        let change = context.chat_change(chat, Chat::clone(chat));
        if !self.pinned {
            return Ok(changed_chat(ChatChange {
                unpinned: Some(self.id),
                ..change
            }));
        }
        let count = pins.map_or(0, |pins| pins.len());
        ensure(count < PINS_MAX, Refusal::TooManyPins)?;
        Ok(changed_chat(ChatChange {
            pinned: Some(self.id),
            ..change
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, alter, create, pin, remove, send_to, unpin},
        *,
    };
    use crate::domain::Role;

    #[test]
    fn moderators_pin_messages_of_the_chat_alone() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let other = story.given("jane", create(&["john"]));
        let message = story.given("jane", send_to(&chat));
        let refused = story.when("john", pin(&chat, &message)).err();
        assert!(matches!(refused, Some(Refusal::Forbidden(_))));
        let elsewhere = story.when("jane", pin(&other, &message)).err();
        assert_eq!(elsewhere, Some(Refusal::NotFound));
        let stranger = story.when("jim", pin(&chat, &message)).err();
        assert_eq!(stranger, Some(Refusal::NotFound));

        story.given("jane", alter(&chat, "john", Role::Moderator));
        let pinned = story.given("john", pin(&chat, &message));
        assert_eq!(pinned.timestamp, story.last_timestamp());
        let again = story.when("jane", pin(&chat, &message));
        assert_eq!(again, Ok(Decision::Keep(pinned)));
        let unpinned = story.given("jane", unpin(&chat, &message));
        let again = story.when("jane", unpin(&chat, &message));
        assert_eq!(again, Ok(Decision::Keep(unpinned)));
    }

    #[test]
    fn a_chat_has_so_many_pins_and_a_deleted_message_leaves_room() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&[]));
        let messages: Vec<_> = (0..=PINS_MAX)
            .map(|_| story.given("jane", send_to(&chat)))
            .collect();
        let (last, others) = messages.split_last().unwrap();
        for message in others {
            story.given("jane", pin(&chat, message));
        }
        let full = story.when("jane", pin(&chat, last)).err();
        assert_eq!(full, Some(Refusal::TooManyPins));
        story.given("jane", remove(&others[0]));
        let gone = story.when("jane", pin(&chat, &others[0])).err();
        assert_eq!(gone, Some(Refusal::Gone));
        story.given("jane", pin(&chat, last));
    }
}
