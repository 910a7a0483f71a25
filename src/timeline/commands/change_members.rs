//! Adding members to a chat, removing some, and leaving it.

use std::sync::Arc;

use super::{
    Announcement, Announcing, Command, Context, Decision, Inside, Needs, changed_chat, ensure,
};
use crate::domain::{
    Action, Chat, ChatChange, ChatNumber, MEMBERS_MAX, Member, Rank, Refusal, UserId,
};

/// Makes users members of a chat, and ends the memberships of others: all of that or nothing. If the
/// owner leaves, a moderator becomes the owner, or else a member: who has been there longest.
///
/// No user is in both lists, and none is in one twice.
#[derive(Debug, Clone)]
pub struct ChangeMembers {
    pub chat: ChatNumber,
    pub add: Vec<UserId>,
    pub remove: Vec<UserId>,
    pub announcement: Option<Announcement>,
}

impl Announcing for ChangeMembers {
    fn announcement_mut(&mut self) -> Option<(ChatNumber, &mut Announcement)> {
        Some((self.chat, self.announcement.as_mut()?))
    }
}

impl Command for ChangeMembers {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            joining: &self.add,
            leaving: &self.remove,
            ..Needs::of_chat(self.chat)
        }
    }

    fn rows(&self, members: usize) -> usize {
        // A membership and an update for each who joins, and both for each who leaves. Who joins has one of
        // the announcement, too.
        let announced = self.announcement.as_ref().map_or(0, |_| self.add.len());
        members + 2 * self.add.len() + self.remove.len() + announced
    }

    fn announcement(&self) -> Option<&Announcement> {
        self.announcement.as_ref()
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let inside = context.inside(self.chat)?;
        let chat = inside.chat;
        self.require_right(context, &inside)?;
        let is_new = |user: &&UserId| context.member(self.chat, user).is_none();
        let joined: Vec<_> = self.add.iter().filter(is_new).cloned().collect();
        let is_banned = |user: &&UserId| context.state.is_banned(self.chat, user);
        let unbanned: Vec<_> = joined.iter().filter(is_banned).cloned().collect();
        if let Some(banned) = unbanned.first() {
            let may = inside.rank == Rank::Application;
            ensure(may, Refusal::Banned(banned.clone()))?;
        }
        let departed: Vec<_> = self
            .remove
            .iter()
            .filter_map(|user| Some((user.clone(), context.member(self.chat, user)?)))
            .collect();
        if joined.is_empty() && departed.is_empty() {
            return Ok(Decision::Keep(Arc::clone(chat)));
        }
        let changed = context.without(chat, &departed, &joined);
        let members = usize::try_from(changed.members).unwrap_or_default();
        ensure(members <= MEMBERS_MAX, Refusal::ChatFull)?;
        Ok(changed_chat(ChatChange {
            joined,
            departed,
            unbanned,
            ..context.chat_change(chat, changed)
        }))
    }
}

impl ChangeMembers {
    fn require_right(&self, context: &Context<'_>, inside: &Inside<'_>) -> Result<(), Refusal> {
        if !self.add.is_empty() {
            inside.require(Action::AddMembers, "you may not add members to this chat")?;
        }
        for user in self
            .remove
            .iter()
            .filter(|user| context.caller != Some(*user))
        {
            let otherwise = "only moderators, the owner and the application may remove members";
            inside.require(Action::Moderate, otherwise)?;
            let member = context.member(self.chat, user);
            let is_below = |member: Member| inside.chat.rank(user, &member) < inside.rank;
            let otherwise = "only a higher rank may remove this member";
            ensure(member.is_none_or(is_below), Refusal::Forbidden(otherwise))?;
        }
        Ok(())
    }
}

impl Context<'_> {
    /// The chat once some of its members have left and others have joined. If the owner leaves, who has
    /// been there longest of the highest role among those who stay becomes the owner, or else one of the
    /// new ones.
    pub(super) fn without(
        &self,
        chat: &Chat,
        departed: &[(UserId, Member)],
        joined: &[UserId],
    ) -> Chat {
        let count = |users: usize| i32::try_from(users).expect("it is some thousands at the most");
        let leaves = |user: &UserId| departed.iter().any(|(departed, _)| departed == user);
        let owner = match &chat.owner {
            Some(owner) if leaves(owner) => {
                let leaving = departed.iter().map(|(user, _)| user).collect();
                let successor = self.state.successor(chat.number, &leaving);
                successor.or(joined.first()).cloned()
            }
            owner => owner.clone(),
        };
        Chat {
            members: chat.members + count(joined.len()) - count(departed.len()),
            owner,
            ..chat.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{
            Story, add, alter, announce, change_members, create, leave, policy, rename, user,
        },
        *,
    };
    use crate::domain::{AddMembers, MessageNumber, PolicyPatch, Role};

    #[test]
    fn only_the_owner_and_the_application_manage_a_chat() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let refusals = |story: &mut Story, caller: &str| {
            [
                story.when(caller, rename(&chat, "x")).err(),
                story.when(caller, add(&chat, "jim")).err(),
                story.when(caller, leave(&chat, "jane")).err(),
                story
                    .when(caller, change_members(&chat, &[], &["jane", caller]))
                    .err(),
                story
                    .when(caller, change_members(&chat, &["jim"], &[caller]))
                    .err(),
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
        let nothing = change_members(&chat, &["jane"], &["john", "jim"]);
        assert_eq!(story.when("jane", nothing), Ok(Decision::Keep(smaller)));
    }

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

    #[test]
    fn many_join_and_leave_in_one_change() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "kim"]));
        let changed = story.given(
            "jane",
            change_members(&chat, &["adam", "kim"], &["jane", "john"]),
        );
        assert_eq!(
            (changed.members, changed.owner.clone()),
            (2, Some(user("kim")))
        );
        assert_eq!(changed.timestamp, story.last_timestamp());
        // Where all have left, one of the new ones owns it.
        let changed = story.given_application(change_members(&chat, &["eve"], &["adam", "kim"]));
        assert_eq!(
            (changed.members, changed.owner.clone()),
            (1, Some(user("eve")))
        );
        let gone = story.when("jane", add(&chat, "jane")).err();
        assert_eq!(gone, Some(Refusal::NotFound));
    }

    #[test]
    fn a_chat_is_never_too_large_and_nobody_is_added_then() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let names: Vec<_> = (0..999).map(|number| format!("m{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let refused = story.when("jane", change_members(&chat, &names, &[])).err();
        assert_eq!(refused, Some(Refusal::ChatFull));
        let changed = story.given("jane", change_members(&chat, &names, &["john"]));
        assert_eq!(changed.members, 1000);
    }

    #[test]
    fn ownership_passes_to_a_moderator_first_and_to_a_reader_last() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["adam", "john", "kim"]));
        story.given("jane", alter(&chat, "adam", Role::Reader));
        story.given("jane", alter(&chat, "kim", Role::Moderator));
        for (leaving, owner) in [("jane", "kim"), ("kim", "john"), ("john", "adam")] {
            let left = story.given(leaving, leave(&chat, leaving));
            assert_eq!(left.owner, Some(user(owner)));
        }
    }

    #[test]
    fn moderators_add_members_and_remove_those_below_them() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "kim", "lea"]));
        story.given("jane", alter(&chat, "john", Role::Moderator));
        story.given("jane", alter(&chat, "kim", Role::Moderator));
        story.given("john", add(&chat, "eve"));
        story.given("john", leave(&chat, "lea"));
        for whom in ["jane", "kim"] {
            let refused = story.when("john", leave(&chat, whom)).err();
            assert!(
                matches!(refused, Some(Refusal::Forbidden(_))),
                "{refused:?}"
            );
        }
        story.given("jane", leave(&chat, "kim"));
        story.given("john", leave(&chat, "john"));
    }

    #[test]
    fn the_policy_says_who_adds_members() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        story.given("jane", alter(&chat, "john", Role::Moderator));
        let mut adds = |who, user: &str| {
            let patch = PolicyPatch {
                add_members: Some(who),
                ..PolicyPatch::default()
            };
            story.given_application(policy(patch));
            ["john", "jane"].map(|caller| {
                let name = format!("{user}-of-{caller}");
                story.when(caller, add(&chat, &name)).is_ok()
            })
        };
        assert_eq!(adds(AddMembers::Owner, "a"), [false, true]);
        assert_eq!(adds(AddMembers::Application, "b"), [false, false]);
        assert_eq!(adds(AddMembers::Moderators, "c"), [true, true]);
    }

    #[test]
    fn a_change_may_carry_a_message_which_no_repetition_posts_again() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let change = || announce(change_members(&chat, &["kim"], &[]), "kim is here");
        let changed = story.given("jane", change());
        let message = &story.last_message_change().after;
        assert!(message.system && message.from.is_none());
        assert_eq!(message.number, MessageNumber::new(1));
        assert!(message.timestamp > changed.timestamp);
        assert!(matches!(
            story.when("jane", change()),
            Ok(Decision::Keep(_))
        ));
        assert_eq!(
            story.send_into(Some("kim"), &chat),
            Ok(MessageNumber::new(2))
        );
    }
}
