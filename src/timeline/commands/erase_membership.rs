//! Erasing a user from who is in a chat.

use std::sync::Arc;

use super::{ChangeMembers, Command, Context, Decision, Needs};
use crate::domain::{Change, Chat, ChatNumber, Erasure, Refusal};

/// Ends the membership of a user who is erased, like one that the application ends. A chat that is being
/// imported has no members yet: it only loses the user as its owner.
#[derive(Debug, Clone)]
pub struct EraseMembership {
    leaving: ChangeMembers,
    erasure: Arc<Erasure>,
}

impl EraseMembership {
    pub fn new(chat: ChatNumber, erasure: &Arc<Erasure>) -> Self {
        Self {
            leaving: ChangeMembers {
                chat,
                add: Vec::new(),
                remove: vec![erasure.user.clone()],
                announcement: None,
            },
            erasure: Arc::clone(erasure),
        }
    }
}

impl Command for EraseMembership {
    type Output = ();

    const ERASES: bool = true;

    fn needs(&self) -> Needs<'_> {
        self.leaving.needs()
    }

    fn rows(&self, members: usize) -> usize {
        self.leaving.rows(members)
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<()>, Refusal> {
        let Some(chat) = context.state.chat(self.leaving.chat) else {
            return Ok(Decision::Keep(()));
        };
        if !context.is_under_way(&self.erasure) {
            return Ok(Decision::Keep(()));
        }
        if chat.import.is_running() {
            return Ok(self.disown(context, chat));
        }
        Ok(match self.leaving.decide(context)? {
            Decision::Change(change, _) => Decision::Change(change, ()),
            Decision::Keep(_) | Decision::Replay(_) => Decision::Keep(()),
        })
    }
}

impl EraseMembership {
    fn disown(&self, context: &Context<'_>, chat: &Arc<Chat>) -> Decision<()> {
        if chat.owner.as_ref() != Some(&self.erasure.user) {
            return Decision::Keep(());
        }
        let owned_by_nobody = Chat {
            owner: None,
            ..Chat::clone(chat)
        };
        let change = context.chat_change(chat, owned_by_nobody);
        Decision::Change(Change::Chat(change), ())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            ChatImport, CreateChat,
            story::{
                Story, add, create, erase, erasure, finish_import, imported_chat, leave, rename,
                user,
            },
        },
        *,
    };
    use crate::{domain::Conversation, timeline::commands::FinishErasure};

    fn erase_from(chat: &Chat) -> EraseMembership {
        EraseMembership::new(chat.number, &Arc::new(erasure("jane")))
    }

    #[test]
    fn the_user_leaves_and_another_member_owns_the_chat() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let early = story.when_application(erase_from(&chat));
        assert_eq!(early, Ok(Decision::Keep(())));
        story.given_application(erase("jane"));
        story.given_application(erase_from(&chat));
        let left = story.chat(chat.number);
        assert_eq!((left.owner.clone(), left.members), (Some(user("john")), 1));
        let again = story.when_application(erase_from(&chat));
        assert_eq!(again, Ok(Decision::Keep(())));
    }

    #[test]
    fn what_comes_after_the_erasure_leaves_the_next_user_with_the_id_alone() {
        let mut story = Story::default();
        let chat = story.given("john", create(&["jane"]));
        let erasure = Arc::new(erasure("jane"));
        story.given_application(erase("jane"));
        story.given_application(erase_from(&chat));
        story.given_application(FinishErasure { erasure });
        story.given("john", add(&chat, "jane"));
        let late = story.when_application(erase_from(&chat));
        assert_eq!(late, Ok(Decision::Keep(())));
        story.given("jane", leave(&chat, "jane"));
    }

    #[test]
    fn a_chat_that_is_being_imported_is_owned_by_nobody() {
        let mut story = Story::default();
        let chat = story.given_application(CreateChat {
            import: Some(ChatImport {
                owner: Some(user("jane")),
                ..ChatImport::default()
            }),
            ..imported_chat(&["john"])
        });
        story.given_application(erase("jane"));
        story.given_application(erase_from(&chat));
        let disowned = story.chat(chat.number);
        assert_eq!(disowned.owner, None);
        assert!(disowned.import.is_running());
        let again = story.when_application(erase_from(&chat));
        assert_eq!(again, Ok(Decision::Keep(())));
        let renamed = story.given_application(rename(&disowned, "Crew"));
        assert_eq!(renamed.owner, None);
        story.given_application(finish_import(&Conversation::Chat(chat.number)));
        let done = story.chat(chat.number);
        assert_eq!((done.owner.clone(), done.members), (None, 1));
    }
}
