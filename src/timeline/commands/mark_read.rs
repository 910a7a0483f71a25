//! Marking a personal message as read, or as not read: both move the caller's position.

use std::sync::Arc;

use super::{Command, Context, Decision, Expected, Needs, content, ensure};
use crate::domain::{Change, Message, MessageId, Refusal};

/// Moves the recipient's position to a personal message, or back to the one before it. The message
/// stays as it is.
#[derive(Debug, Clone)]
pub struct MarkRead {
    pub id: MessageId,
    pub read: bool,
    /// The message's timestamps that the caller accepts, if the caller names them.
    pub expected: Option<Expected>,
}

impl Command for MarkRead {
    type Output = Arc<Message>;

    const WHILE_SUSPENDED: bool = true;

    const MARKS: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation_of_message: true,
            ..Needs::of_message(self.id)
        }
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Message>>, Refusal> {
        let (message, _) = context.visible_message(self.id)?;
        let otherwise = "only the recipient of a personal message may mark it as read";
        let is_recipient = message.to().is_some() && message.to() == context.caller;
        ensure(is_recipient, Refusal::Forbidden(otherwise))?;
        content(message)?;
        let seen = context.seen(&message.conversation)?;
        let is_read = seen.position().read() >= message.number;
        if is_read == self.read {
            return Ok(Decision::Keep(Arc::clone(message)));
        }
        if let Some(expected) = &self.expected {
            expected.require(message.timestamp)?;
        }
        let position = if self.read {
            message.number
        } else {
            message.number.previous()
        };
        let change = context.mark(&seen, position);
        Ok(Decision::Change(
            Change::Positions(change),
            Arc::clone(message),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, draft, edit, mark, remove, send, user},
        *,
    };
    use crate::domain::MessageNumber;

    fn position(story: &Story, reader: &str) -> MessageNumber {
        story
            .personal("jane", "john")
            .position(&user(reader))
            .read()
    }

    #[test]
    fn only_the_recipient_marks() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        let refusal = story.when("jane", mark(&sent, true)).err();
        assert!(matches!(refusal, Some(Refusal::Forbidden(_))));
        assert_eq!(
            story.when("jim", mark(&sent, true)).err(),
            Some(Refusal::NotFound)
        );
        assert_eq!(story.given("john", mark(&sent, true)), sent);
        assert_eq!(position(&story, "john"), sent.number);
        assert_eq!(
            position(&story, "jane"),
            sent.number,
            "the sender has read it"
        );
    }

    #[test]
    fn a_mark_covers_the_earlier_messages_and_goes_back_to_the_one_before() {
        let mut story = Story::default();
        let [first, second, third] =
            ["1", "2", "3"].map(|text| story.given("jane", send(draft("jane", "john", text))));
        story.given("john", mark(&third, true));
        for covered in [&first, &second, &third] {
            let again = story.when("john", mark(covered, true));
            assert_eq!(again, Ok(Decision::Keep(Arc::clone(covered))));
        }
        story.given("john", mark(&second, false));
        assert_eq!(position(&story, "john"), first.number);
        let unread = story.when("john", mark(&third, false));
        assert_eq!(unread, Ok(Decision::Keep(third)));
    }

    #[test]
    fn a_mark_leaves_the_message_so_its_author_edits_the_version_from_before() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        story.given("john", mark(&sent, true));
        story.given("jane", edit(&sent, "ho"));
        assert_eq!(position(&story, "john"), sent.number);
    }

    #[test]
    fn a_deleted_message_is_not_marked() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        story.given("jane", remove(&sent));
        assert_eq!(story.when("john", mark(&sent, true)), Err(Refusal::Gone));
    }

    #[test]
    fn a_message_to_oneself_is_marked_by_its_author() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "jane", "buy milk")));
        let oneself = |story: &Story| story.personal("jane", "jane").position(&user("jane"));
        assert_eq!(oneself(&story).read(), sent.number, "sending is reading");
        story.given("jane", mark(&sent, false));
        assert_eq!(oneself(&story).read(), MessageNumber::ZERO);
        story.given("jane", mark(&sent, true));
        assert_eq!(oneself(&story).read(), sent.number);
    }
}
