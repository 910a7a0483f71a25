//! Giving a member another role, and muting it.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{Announcement, Announcing, Command, Context, Decision, Needs, changed_chat, ensure};
use crate::domain::{Action, Chat, ChatChange, ChatNumber, Member, Rank, Refusal, Role, UserId};

/// Changes the role of a member, or until when it does not post. What is `None` stays as it is.
#[derive(Debug, Clone)]
pub struct AlterMember {
    pub chat: ChatNumber,
    pub user: UserId,
    pub role: Option<Role>,
    /// An inner `None` lets the member post again.
    pub muted_until: Option<Option<OffsetDateTime>>,
    pub announcement: Option<Announcement>,
}

impl Announcing for AlterMember {
    fn announcement_mut(&mut self) -> Option<(ChatNumber, &mut Announcement)> {
        Some((self.chat, self.announcement.as_mut()?))
    }
}

impl Command for AlterMember {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            mentioned: std::slice::from_ref(&self.user),
            ..Needs::of_chat(self.chat)
        }
    }

    fn announcement(&self) -> Option<&Announcement> {
        self.announcement.as_ref()
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let inside = context.inside(self.chat)?;
        let otherwise = "only moderators, the owner and the application may change members";
        let chat = inside.require(Action::Moderate, otherwise)?;
        let before = context
            .member(self.chat, &self.user)
            .ok_or(Refusal::NotFound)?;
        let theirs = chat.rank(&self.user, &before);
        let otherwise = "only a higher rank may change this member";
        ensure(inside.rank > theirs, Refusal::Forbidden(otherwise))?;
        ensure(theirs != Rank::Owner, Refusal::OwnersRole)?;
        let after = Member {
            role: self.role.unwrap_or(before.role),
            muted_until: self.muted_until.unwrap_or(before.muted_until),
            ..before
        };
        let appoints = after.role != before.role && after.role == Role::Moderator;
        if appoints {
            let otherwise = "only the owner and the application appoint moderators";
            inside.require(Action::AppointModerators, otherwise)?;
        }
        if after == before {
            return Ok(Decision::Keep(Arc::clone(chat)));
        }
        Ok(changed_chat(ChatChange {
            altered: vec![(self.user.clone(), after)],
            ..context.chat_change(chat, Chat::clone(chat))
        }))
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::{
        super::story::{Story, alter, create, mute},
        *,
    };

    #[test]
    fn a_moderator_acts_on_members_and_readers_and_the_owner_on_everybody() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "jim", "kim", "lea"]));
        story.given("jane", alter(&chat, "john", Role::Moderator));
        story.given("jane", alter(&chat, "jim", Role::Moderator));
        story.given("john", alter(&chat, "kim", Role::Reader));
        story.given("john", alter(&chat, "kim", Role::Member));
        let forbidden = |story: &mut Story, caller: &str, whom: &str, role| {
            let refused = story.when(caller, alter(&chat, whom, role)).err();
            assert!(
                matches!(refused, Some(Refusal::Forbidden(_))),
                "{refused:?}"
            );
        };
        forbidden(&mut story, "john", "jim", Role::Member);
        forbidden(&mut story, "john", "john", Role::Member);
        forbidden(&mut story, "john", "jane", Role::Member);
        forbidden(&mut story, "john", "lea", Role::Moderator);
        forbidden(&mut story, "kim", "lea", Role::Reader);
        story.given("jane", alter(&chat, "jim", Role::Member));
        let stranger = story.when("eve", alter(&chat, "lea", Role::Reader)).err();
        assert_eq!(stranger, Some(Refusal::NotFound));
        let nobody = story.when("jane", alter(&chat, "eve", Role::Reader)).err();
        assert_eq!(nobody, Some(Refusal::NotFound));
        let owner = story
            .when_application(alter(&chat, "jane", Role::Reader))
            .err();
        assert_eq!(owner, Some(Refusal::OwnersRole));
    }

    #[test]
    fn a_role_that_a_member_has_is_no_change() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let same = story.when("jane", alter(&chat, "john", Role::Member));
        assert_eq!(same, Ok(Decision::Keep(chat)));
    }

    #[test]
    fn readers_and_muted_members_do_not_post() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "jim"]));
        story.given("jane", alter(&chat, "john", Role::Reader));
        let reader = story.send_into(Some("john"), &chat).err();
        assert!(matches!(reader, Some(Refusal::MayNotPost(_))), "{reader:?}");

        let later = story.now() + Duration::seconds(3);
        story.given("jane", mute(&chat, "jim", Some(later)));
        let muted = story.send_into(Some("jim"), &chat).err();
        assert!(matches!(muted, Some(Refusal::MayNotPost(_))), "{muted:?}");
        assert!(story.send_into(Some("jane"), &chat).is_ok());
        // Each command takes a second of a story.
        assert!(story.send_into(Some("jim"), &chat).is_ok(), "it is over");
        story.given("jane", mute(&chat, "jim", Some(later + Duration::hours(1))));
        story.given("jane", mute(&chat, "jim", None));
        assert!(story.send_into(Some("jim"), &chat).is_ok());
    }
}
