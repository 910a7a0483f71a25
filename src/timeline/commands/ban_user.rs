//! Keeping a user from a chat, and letting it in again.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, changed_chat, ensure};
use crate::domain::{Action, Chat, ChatChange, ChatNumber, Refusal, UserId};

/// Removes a user from a chat, and keeps members from adding it again; or ends that.
#[derive(Debug, Clone)]
pub struct BanUser {
    pub chat: ChatNumber,
    pub user: UserId,
    pub banned: bool,
}

impl Command for BanUser {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            leaving: std::slice::from_ref(&self.user),
            bans: true,
            ..Needs::of_chat(self.chat)
        }
    }

    fn rows(&self, members: usize) -> usize {
        members + 2
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let inside = context.inside(self.chat)?;
        let otherwise = "only moderators, the owner and the application may ban users";
        let chat = inside.require(Action::Moderate, otherwise)?;
        let member = context.member(self.chat, &self.user);
        if let Some(member) = &member {
            let otherwise = "only a higher rank may ban this member";
            let theirs = chat.rank(&self.user, member);
            ensure(inside.rank > theirs, Refusal::Forbidden(otherwise))?;
        }
        if context.state.is_banned(self.chat, &self.user) == self.banned {
            return Ok(Decision::Keep(Arc::clone(chat)));
        }
        let user = vec![self.user.clone()];
        if !self.banned {
            return Ok(changed_chat(ChatChange {
                unbanned: user,
                ..context.chat_change(chat, Chat::clone(chat))
            }));
        }
        let departed: Vec<_> = member
            .map(|member| (self.user.clone(), member))
            .into_iter()
            .collect();
        let changed = context.without(chat, &departed, &[]);
        Ok(changed_chat(ChatChange {
            departed,
            banned: user,
            ..context.chat_change(chat, changed)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, add, alter, ban, create, leave, unban},
        *,
    };
    use crate::domain::{MessageNumber, Role};

    #[test]
    fn a_banned_user_is_gone_and_members_do_not_bring_it_back() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "jim"]));
        story.given("jane", alter(&chat, "john", Role::Moderator));
        let banned = story.given("john", ban(&chat, "jim"));
        assert_eq!(banned.members, 2);
        assert_eq!(
            story.when("john", ban(&chat, "jim")),
            Ok(Decision::Keep(banned))
        );
        let gone = story.send_into(Some("jim"), &chat).err();
        assert_eq!(gone, Some(Refusal::NotFound));
        for caller in ["john", "jane"] {
            let refused = story.when(caller, add(&chat, "jim")).err();
            assert!(matches!(refused, Some(Refusal::Banned(_))), "{refused:?}");
        }
        story.given("john", unban(&chat, "jim"));
        story.given("john", add(&chat, "jim"));
    }

    #[test]
    fn a_ban_ends_when_the_application_adds_the_user() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&[]));
        story.given("jane", ban(&chat, "jim"));
        story.given_application(add(&chat, "jim"));
        story.given("jane", leave(&chat, "jim"));
        story.given("jane", add(&chat, "jim"));
    }

    #[test]
    fn nobody_bans_those_who_do_not_stand_lower() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "jim"]));
        story.given("jane", alter(&chat, "john", Role::Moderator));
        for (caller, whom) in [
            ("john", "jane"),
            ("john", "john"),
            ("jim", "john"),
            ("jim", "eve"),
        ] {
            let refused = story.when(caller, ban(&chat, whom)).err();
            assert!(
                matches!(refused, Some(Refusal::Forbidden(_))),
                "{refused:?}"
            );
        }
        // The application bans the owner, too, and then another one is the owner.
        let without = story.given_application(ban(&chat, "jane"));
        assert_eq!(without.owner.as_ref().map(UserId::as_str), Some("john"));
        assert_eq!(story.send_into(None, &chat), Ok(MessageNumber::new(1)));
    }
}
