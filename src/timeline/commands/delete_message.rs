//! Deleting a message: its data are cleared for ever, and a tombstone stays.

use std::sync::Arc;

use super::{Command, Context, Decision, Expected, Inside, Needs, content, ensure};
use crate::domain::{Action, FILES_MAX, MENTIONS_MAX, Message, MessageId, Refusal};

/// Deletes a message.
#[derive(Debug, Clone)]
pub struct DeleteMessage {
    pub id: MessageId,
    pub expected: Expected,
}

impl Command for DeleteMessage {
    type Output = Arc<Message>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation_of_message: true,
            ..Needs::of_message(self.id)
        }
    }

    fn rows(&self, members: usize) -> usize {
        members + FILES_MAX + MENTIONS_MAX
    }

    /// Either user may delete a personal message. In a chat, the sender, moderators, the owner and the
    /// application may.
    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Message>>, Refusal> {
        let (message, inside) = context.visible_message(self.id)?;
        let is_sender = message.from.as_ref() == context.caller;
        let may_delete = |inside: Inside<'_>| inside.may(Action::DeleteMessages);
        let may = is_sender || inside.is_none_or(may_delete);
        let otherwise =
            "only the sender, moderators, the owner and the application may delete the message";
        ensure(may, Refusal::Forbidden(otherwise))?;
        content(message)?;
        self.expected.require(message.timestamp)?;
        Ok(context.change_message(message, None))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::story::{Story, draft, edit, mark, remove, send, with_files},
        *,
    };
    use crate::domain::{Change, Timestamp};

    #[test]
    fn either_user_deletes_and_nothing_comes_after() {
        for deleter in ["jane", "john"] {
            let mut story = Story::default();
            let sent = story.given("jane", send(with_files("jane", "john", &["a"])));
            let deleted = story.given(deleter, remove(&sent));
            assert_eq!(deleted.content, None);
            assert_eq!(story.last_message_change().files()[0].as_str(), "a");
            assert_eq!(
                story.when(deleter, remove(&deleted)).err(),
                Some(Refusal::Gone)
            );
            assert_eq!(
                story.when("jane", edit(&deleted, "x")).err(),
                Some(Refusal::Gone)
            );
            let forbidden = story.when("john", edit(&sent, "x")).err();
            assert!(matches!(forbidden, Some(Refusal::Forbidden(_))));
        }
    }

    #[test]
    fn a_stranger_finds_nothing_to_delete() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "hi")));
        assert_eq!(
            story.when("jim", remove(&sent)).err(),
            Some(Refusal::NotFound)
        );
    }

    /// A step of a random story between two users and a stranger about one message.
    fn steps() -> impl Strategy<Value = Vec<(u8, u8, bool)>> {
        proptest::collection::vec((0..3u8, 0..4u8, any::<bool>()), 1..40)
    }

    proptest! {
        #[test]
        fn after_any_commands_the_message_keeps_its_laws(steps in steps()) {
            let mut story = Story::default();
            let mut present = story.given("jane", send(with_files("jane", "john", &["a"])));
            let mut uses = 1;
            for (who, what, is_current) in steps {
                let caller = ["jane", "john", "jim"][usize::from(who)];
                let seen = Message {
                    timestamp: Timestamp::new(if is_current { present.timestamp.get() } else { 0 }),
                    ..Message::clone(&present)
                };
                let decision = match what {
                    0 => story.when(caller, edit(&seen, "one")),
                    1 => story.when(caller, edit(&seen, "")),
                    2 => story.when(caller, mark(&seen, true)),
                    _ => story.when(caller, remove(&seen)),
                };
                match decision {
                    Ok(Decision::Change(Change::Message(change), after)) => {
                        prop_assert!(caller != "jim", "a stranger changed something");
                        prop_assert!(is_current, "a stale change was made");
                        prop_assert!(present.content.is_some(), "a tombstone was changed");
                        prop_assert!(after.timestamp > present.timestamp);
                        prop_assert!(after.content != present.content);
                        prop_assert_eq!(change.before.as_ref(), Some(&present));
                        let sign = if after.content.is_some() { 1 } else { -1 };
                        uses += sign * i32::try_from(change.files().len()).unwrap();
                        present = after;
                    }
                    Ok(Decision::Change(Change::Positions(_), kept) | Decision::Keep(kept)) => prop_assert_eq!(&kept, &present),
                    Ok(other) => prop_assert!(false, "{other:?}"),
                    Err(_) => {}
                }
                prop_assert_eq!(uses, i32::from(present.content.is_some()), "uses of the file are counted");
            }
        }
    }
}
