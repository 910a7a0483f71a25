//! Creating a chat.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use time::OffsetDateTime;

use super::{ChatDecision, Command, Context, Needs, changed_chat, ensure};
use crate::domain::{
    AddMembers, Attributes, Chat, ChatChange, ChatRules, ConversationId, CreateChats, Created,
    Idempotency, Import, ImportedMembers, ImportingMember, MEMBERS_MAX, MessageNumber, Refusal,
    Title, UserId,
};

/// Creates a chat. The caller, if it is a user, owns it and is a member.
#[derive(Debug, Clone)]
pub struct CreateChat {
    pub name: Title,
    pub members: Vec<UserId>,
    pub attributes: Option<Attributes>,
    pub idempotency: Option<Idempotency>,
    /// Its messages are to be imported, and its members learn of it after that.
    pub import: Option<ChatImport>,
}

/// What is imported of a chat, beside its messages.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatImport {
    /// `None` is now.
    pub created: Option<OffsetDateTime>,
    /// It is a member, too.
    pub owner: Option<UserId>,
    /// The role and `since` of each member that does not have the defaults.
    pub described: BTreeMap<UserId, ImportingMember>,
    pub rules: ChatRules,
}

impl Command for CreateChat {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            joining: &self.members,
            owner: self.import.as_ref().and_then(|it| it.owner.as_ref()),
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
        if let Some(import) = &self.import {
            return self.import(context, import);
        }
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
        let chat = self.chat(context, owner, members.len());
        Ok(changed_chat(ChatChange {
            joined: members.into_iter().collect(),
            idempotency: self.idempotency.clone().map(Box::new),
            ..ChatChange::new(Arc::new(chat))
        }))
    }
}

impl CreateChat {
    fn chat(&self, context: &Context<'_>, owner: Option<UserId>, members: usize) -> Chat {
        let next = context.next;
        Chat {
            id: ConversationId::created_at(next.timestamp),
            number: context.state.next_chat(),
            timestamp: next.timestamp,
            name: self.name.clone(),
            owner,
            created: next.now,
            messages: MessageNumber::ZERO,
            first: MessageNumber::FIRST,
            last: next.timestamp,
            members: i32::try_from(members).expect("the members were counted"),
            attributes: self.attributes.clone(),
            rules: ChatRules::default(),
            import: Import::None,
        }
    }

    /// A chat without members, as yet.
    fn import(&self, context: &Context<'_>, import: &ChatImport) -> Result<ChatDecision, Refusal> {
        context.require_application()?;
        let members: BTreeSet<_> = self.members.iter().chain(&import.owner).collect();
        ensure(members.len() <= MEMBERS_MAX, Refusal::ChatFull)?;
        let described = |user: &UserId| import.described.get(user).copied().unwrap_or_default();
        let importing = members.into_iter();
        let importing = importing.map(|user| (user.clone(), described(user)));
        let chat = self.chat(context, import.owner.clone(), 0);
        let chat = Chat {
            created: import.created.unwrap_or(chat.created),
            rules: import.rules,
            import: Import::Running,
            ..chat
        };
        Ok(changed_chat(ChatChange {
            imported: Some(Box::new(ImportedMembers {
                importing: importing.collect(),
                ..ImportedMembers::default()
            })),
            idempotency: self.idempotency.clone().map(Box::new),
            ..ChatChange::new(Arc::new(chat))
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
