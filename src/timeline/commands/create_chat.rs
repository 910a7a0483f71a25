//! Creating a chat.

use std::{collections::BTreeSet, sync::Arc};

use super::{ChatDecision, Command, Context, Needs, changed_chat, ensure};
use crate::domain::{
    AddMembers, Attributes, Chat, ChatChange, ChatRules, ConversationId, CreateChats, Created,
    Idempotency, MEMBERS_MAX, MessageNumber, Refusal, Title, UserId,
};

/// Creates a chat. The caller, if it is a user, owns it and is a member.
#[derive(Debug, Clone)]
pub struct CreateChat {
    pub name: Title,
    pub members: Vec<UserId>,
    pub attributes: Option<Attributes>,
    pub idempotency: Option<Idempotency>,
}

impl Command for CreateChat {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            idempotency: self.idempotency.as_ref(),
            next_chat: true,
            ..Needs::default()
        }
    }

    /// The members, and their updates.
    fn rows(&self, _: usize) -> usize {
        2 * self.members.len()
    }

    fn replay(&self, context: &Context<'_>) -> Result<Option<Arc<Chat>>, Refusal> {
        let Some(Created::Chat(number)) = context.replayed(self.idempotency.as_ref())? else {
            return Ok(None);
        };
        let earlier = context.state.chat(number).ok_or(Refusal::NotFound)?;
        Ok(Some(Arc::clone(earlier)))
    }

    fn decide(&self, context: &Context<'_>) -> Result<ChatDecision, Refusal> {
        let may = context.caller.is_none() || context.policy().create_chats == CreateChats::Users;
        let otherwise = "only the application may create chats";
        ensure(may, Refusal::Forbidden(otherwise))?;
        let owner = context.caller.cloned();
        let members: BTreeSet<_> = self.members.iter().chain(&owner).cloned().collect();
        let adds_others = context.caller.is_some() && members.len() > 1;
        let may = !adds_others || context.policy().add_members != AddMembers::Application;
        let otherwise = "only the application may add members to chats";
        ensure(may, Refusal::Forbidden(otherwise))?;
        ensure(members.len() <= MEMBERS_MAX, Refusal::ChatFull)?;
        let chat = Arc::new(Chat {
            id: ConversationId::created_at(context.next.timestamp),
            number: context.state.next_chat(),
            timestamp: context.next.timestamp,
            name: self.name.clone(),
            owner,
            created: context.next.now,
            messages: MessageNumber::ZERO,
            first: MessageNumber::FIRST,
            last: context.next.timestamp,
            members: i32::try_from(members.len()).expect("the members were counted"),
            attributes: self.attributes.clone(),
            rules: ChatRules::default(),
        });
        Ok(changed_chat(ChatChange {
            joined: members.into_iter().collect(),
            idempotency: self.idempotency.clone().map(Box::new),
            ..ChatChange::new(chat)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, add, create, leave, policy, rename, user},
        *,
    };
    use crate::domain::{ChatNumber, MessageNumber, PolicyPatch};

    #[test]
    fn chats_and_their_messages_are_numbered_from_one_without_gaps() {
        let mut story = Story::default();
        let first = story.given("jane", create(&["john"]));
        assert!(story.when("jim", rename(&first, "x")).is_err());
        let second = story.given_application(create(&[]));
        assert_eq!(
            (first.number, second.number),
            (ChatNumber::new(1), ChatNumber::new(2))
        );
        assert_eq!(
            story.send_into(Some("john"), &first),
            Ok(MessageNumber::new(1))
        );
        assert_eq!(story.send_into(Some("jim"), &first), Err(Refusal::NotFound));
        assert_eq!(story.send_into(None, &first), Ok(MessageNumber::new(2)));
    }

    #[test]
    fn a_user_owns_what_it_creates_and_an_application_does_not() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john", "jane"]));
        assert_eq!((chat.owner.clone(), chat.members), (Some(user("jane")), 2));
        let chat = story.given_application(create(&["john"]));
        assert_eq!((chat.owner.clone(), chat.members), (None, 1));
    }

    #[test]
    fn a_chat_has_room_for_a_thousand() {
        let mut story = Story::default();
        let members: Vec<_> = (0..999).map(|number| format!("user-{number}")).collect();
        let members: Vec<_> = members.iter().map(String::as_str).collect();
        let chat = story.given("jane", create(&members));
        assert_eq!(
            story.when("jane", add(&chat, "one-more")).err(),
            Some(Refusal::ChatFull)
        );
        story.given("jane", leave(&chat, "user-7"));
        story.given("jane", add(&chat, "one-more"));
    }

    #[test]
    fn the_policy_may_leave_chats_to_the_application() {
        let mut story = Story::default();
        let patch = PolicyPatch {
            create_chats: Some(CreateChats::Application),
            ..PolicyPatch::default()
        };
        story.given_application(policy(patch));
        let refused = story.when("jane", create(&[])).err();
        assert!(
            matches!(refused, Some(Refusal::Forbidden(_))),
            "{refused:?}"
        );
        story.given_application(create(&["jane"]));
    }
}
