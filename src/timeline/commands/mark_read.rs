//! Marking a personal message as read, or as not read.

use std::sync::Arc;

use super::{Command, Context, Decision, Expected, Needs, content, ensure};
use crate::domain::{Content, Message, MessageId, Refusal};

/// Sets the read mark of a personal message.
#[derive(Debug, Clone)]
pub struct MarkRead {
    pub id: MessageId,
    pub read: bool,
    pub expected: Expected,
}

impl Command for MarkRead {
    type Output = Arc<Message>;

    fn needs(&self) -> Needs<'_> {
        Needs::of_message(self.id)
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Message>>, Refusal> {
        let (message, _) = context.visible_message(self.id)?;
        let is_recipient = message.to().is_some() && message.to() == context.caller;
        let otherwise = "only the recipient of a personal message may mark it as read";
        ensure(is_recipient, Refusal::Forbidden(otherwise))?;
        let content = content(message)?;
        if content.read == self.read {
            return Ok(Decision::Keep(Arc::clone(message)));
        }
        self.expected.require(message.timestamp)?;
        let marked = Content {
            read: self.read,
            ..content.clone()
        };
        Ok(context.change_message(message, Some(marked)))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, draft, edit, mark, send},
        *,
    };

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
        let read = story.given("john", mark(&sent, true));
        assert!(read.content.as_ref().unwrap().read);
    }

    #[test]
    fn a_mark_is_no_edit() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        let edited = story.given("jane", edit(&sent, "ho"));
        let read = story.given("john", mark(&edited, true));
        let edited_at = |message: &Message| message.content.as_ref().unwrap().edited;
        assert_eq!(edited_at(&read), edited_at(&edited));
        assert!(!story.last_message_change().changes_text());
    }

    #[test]
    fn the_same_mark_again_takes_no_timestamp_however_stale() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        let edited = story.given("jane", edit(&sent, "ho"));
        assert_eq!(
            story.when("john", mark(&sent, false)),
            Ok(Decision::Keep(edited))
        );
    }
}
