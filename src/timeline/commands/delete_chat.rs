//! Deleting a chat.

use std::sync::Arc;

use super::{Command, Context, Decision, Expected, Needs, changed_chat};
use crate::domain::{Action, Chat, ChatChange, ChatNumber, Refusal};

/// Deletes a chat: its members learn of it by this change, and from then on it is not there any more. Its
/// messages are cleared one by one afterwards.
#[derive(Debug, Clone)]
pub struct DeleteChat {
    pub chat: ChatNumber,
    pub expected: Expected,
}

impl Command for DeleteChat {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            everybody: true,
            ..Needs::of_chat(self.chat)
        }
    }

    fn rows(&self, members: usize) -> usize {
        2 * members
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let inside = context.inside(self.chat)?;
        let otherwise = "only the chat's owner and the application may delete it";
        let chat = inside.require(Action::Manage, otherwise)?;
        self.expected.require(chat.timestamp)?;
        let departed = context.state.all_members(self.chat);
        let deleted = Chat {
            owner: None,
            members: 0,
            attributes: None,
            ..Chat::clone(chat)
        };
        Ok(changed_chat(ChatChange {
            deleted: true,
            departed,
            ..context.chat_change(chat, deleted)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, create, delete_chat, rename},
        *,
    };
    use crate::domain::ChatNumber;

    #[test]
    fn a_deleted_chat_is_there_for_nobody_and_its_number_is_not_used_again() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let refused = story.when("john", delete_chat(&chat)).err();
        assert!(
            matches!(refused, Some(Refusal::Forbidden(_))),
            "{refused:?}"
        );
        let renamed = story.given("jane", rename(&chat, "Crew"));
        let current = renamed.timestamp;
        let stale = story.when("jane", delete_chat(&chat)).err();
        assert_eq!(stale, Some(Refusal::Stale { current }));
        story.given("jane", delete_chat(&renamed));
        for caller in [Some("jane"), Some("john"), None] {
            let gone = story.send_into(caller, &chat).err();
            assert_eq!(gone, Some(Refusal::NotFound));
        }
        let again = story.when_application(delete_chat(&renamed)).err();
        assert_eq!(again, Some(Refusal::NotFound));
        let next = story.given("jane", create(&[]));
        assert_eq!(next.number, ChatNumber::new(2));
    }
}
