//! Removing a member from a chat, and leaving it.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{Chat, ChatNumber, Refusal, UserId};

/// Ends a membership. If the owner leaves, the member with the longest membership becomes the
/// owner.
#[derive(Debug, Clone)]
pub struct RemoveMember {
    pub chat: ChatNumber,
    pub user: UserId,
}

impl Command for RemoveMember {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            member: Some(&self.user),
            successors: true,
            ..Needs::of_chat(self.chat)
        }
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let chat = context.visible_chat(self.chat)?;
        let may = context.may_manage(chat) || context.caller == Some(&self.user);
        ensure(
            may,
            Refusal::Forbidden("only the chat's owner may remove others"),
        )?;
        let Some(member) = context.member(self.chat, &self.user) else {
            return Ok(Decision::Keep(Arc::clone(chat)));
        };
        let mut smaller = Chat {
            members: chat.members - 1,
            ..Chat::clone(chat)
        };
        if smaller.owner.as_ref() == Some(&self.user) {
            let successor = context.state.longest_member(self.chat, &self.user);
            smaller.owner = successor.cloned();
        }
        let departed = Some((self.user.clone(), member.joined));
        Ok(context.change_chat(chat, smaller, Vec::new(), departed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, add, create, leave, user};
    use crate::domain::MessageNumber;

    #[test]
    fn ownership_passes_to_the_member_with_the_longest_membership() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        story.given("jane", add(&chat, "adam"));
        story.given("jane", leave(&chat, "john"));
        story.given("jane", add(&chat, "john"));
        let left = story.given("jane", leave(&chat, "jane"));
        assert_eq!(left.owner, Some(user("adam")));
        let left = story.given_application(leave(&chat, "adam"));
        assert_eq!(left.owner, Some(user("john")));
        let last = story.given("john", leave(&chat, "john"));
        assert_eq!((last.members, last.owner.clone()), (0, None));
        let sent = story.send_into(None, &chat);
        assert_eq!(
            sent,
            Ok(MessageNumber::new(1)),
            "it stays with the application"
        );
    }
}
