//! Adding a member to a chat.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{Chat, ChatNumber, MEMBERS_MAX, Refusal, UserId};

/// Makes a user a member of a chat.
#[derive(Debug, Clone)]
pub struct AddMember {
    pub chat: ChatNumber,
    pub user: UserId,
}

impl Command for AddMember {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            member: Some(&self.user),
            ..Needs::of_chat(self.chat)
        }
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let chat = context.managed_chat(self.chat, "only the chat's owner may add members")?;
        if context.member(self.chat, &self.user).is_some() {
            return Ok(Decision::Keep(Arc::clone(chat)));
        }
        let has_room = usize::try_from(chat.members).is_ok_and(|members| members < MEMBERS_MAX);
        ensure(has_room, Refusal::ChatFull)?;
        let larger = Chat {
            members: chat.members + 1,
            ..Chat::clone(chat)
        };
        Ok(context.change_chat(chat, larger, vec![self.user.clone()], None))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, add, create, leave, rename},
        *,
    };

    #[test]
    fn only_the_owner_and_the_application_manage_a_chat() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let refusals = |story: &mut Story, caller: &str| {
            [
                story.when(caller, rename(&chat, "x")).err(),
                story.when(caller, add(&chat, "jim")).err(),
                story.when(caller, leave(&chat, "jane")).err(),
            ]
        };
        for refusal in refusals(&mut story, "john") {
            assert!(
                matches!(refusal, Some(Refusal::Forbidden(_))),
                "{refusal:?}"
            );
        }
        for refusal in refusals(&mut story, "jim") {
            assert_eq!(refusal, Some(Refusal::NotFound));
        }
        story.given_application(add(&chat, "jim"));
        story.given("john", leave(&chat, "john"));
    }

    #[test]
    fn adding_and_removing_are_idempotent() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&[]));
        let larger = story.given("jane", add(&chat, "john"));
        assert_eq!(
            story.when("jane", add(&chat, "john")),
            Ok(Decision::Keep(larger))
        );
        let smaller = story.given("jane", leave(&chat, "john"));
        assert_eq!(
            story.when("jane", leave(&chat, "john")),
            Ok(Decision::Keep(smaller))
        );
    }
}
