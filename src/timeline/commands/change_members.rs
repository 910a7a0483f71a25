//! Adding members to a chat, removing some, and leaving it.

use std::{collections::BTreeSet, sync::Arc};

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{Chat, ChatNumber, MEMBERS_MAX, Refusal, Timestamp, UserId};

/// Makes users members of a chat, and ends the memberships of others: all of that or nothing. If the
/// owner leaves, the member with the longest membership becomes the owner.
///
/// No user is in both lists, and none is in one twice.
#[derive(Debug, Clone)]
pub struct ChangeMembers {
    pub chat: ChatNumber,
    pub add: Vec<UserId>,
    pub remove: Vec<UserId>,
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
        // A membership and an update for each who joins, and both for each who leaves.
        members + 2 * self.add.len() + self.remove.len()
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let chat = context.visible_chat(self.chat)?;
        ensure(
            context.may_manage(chat) || self.is_leaving(context.caller),
            Refusal::Forbidden("only the chat's owner may add members, and remove others"),
        )?;
        let is_new = |user: &&UserId| context.member(self.chat, user).is_none();
        let joined: Vec<_> = self.add.iter().filter(is_new).cloned().collect();
        let departed: Vec<_> = self
            .remove
            .iter()
            .filter_map(|user| Some((user.clone(), context.member(self.chat, user)?.joined)))
            .collect();
        if joined.is_empty() && departed.is_empty() {
            return Ok(Decision::Keep(Arc::clone(chat)));
        }
        let before = usize::try_from(chat.members).unwrap_or_default();
        let members = before + joined.len() - departed.len();
        ensure(members <= MEMBERS_MAX, Refusal::ChatFull)?;
        let changed = Chat {
            members: i32::try_from(members).expect("it is at most a thousand"),
            owner: self.owner_after(context, chat, &joined, &departed),
            ..Chat::clone(chat)
        };
        Ok(context.change_chat(chat, changed, joined, departed))
    }
}

impl ChangeMembers {
    /// Whether it is the caller alone who leaves.
    fn is_leaving(&self, caller: Option<&UserId>) -> bool {
        self.add.is_empty() && self.remove.iter().all(|user| caller == Some(user))
    }

    /// The owner; if that one leaves, who has been there longest of those who stay, or else one of the new
    /// ones.
    fn owner_after(
        &self,
        context: &Context<'_>,
        chat: &Chat,
        joined: &[UserId],
        departed: &[(UserId, Timestamp)],
    ) -> Option<UserId> {
        let leaving: BTreeSet<_> = departed.iter().map(|(user, _)| user).collect();
        let owner = chat.owner.as_ref()?;
        if !leaving.contains(owner) {
            return Some(owner.clone());
        }
        let successor = context.state.longest_member(self.chat, &leaving);
        successor.or(joined.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, add, change_members, create, leave, rename, user},
        *,
    };
    use crate::domain::MessageNumber;

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
}
