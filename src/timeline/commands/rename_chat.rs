//! Renaming a chat.

use std::sync::Arc;

use super::{Command, Context, Decision, Expected, Needs};
use crate::domain::{Chat, ChatNumber, Refusal, Title};

/// Changes the name of a chat.
#[derive(Debug, Clone)]
pub struct RenameChat {
    pub chat: ChatNumber,
    pub name: Title,
    pub expected: Expected,
}

impl Command for RenameChat {
    type Output = Arc<Chat>;

    fn needs(&self) -> Needs<'_> {
        Needs::of_chat(self.chat)
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Chat>>, Refusal> {
        let chat = context.managed_chat(self.chat, "only the chat's owner may rename it")?;
        if chat.name == self.name {
            return Ok(Decision::Keep(Arc::clone(chat)));
        }
        self.expected.require(chat.timestamp)?;
        let renamed = Chat {
            name: self.name.clone(),
            ..Chat::clone(chat)
        };
        Ok(context.change_chat(chat, renamed, Vec::new(), Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, create, rename},
        *,
    };

    #[test]
    fn a_stale_rename_is_refused_unless_there_is_nothing_to_do() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&[]));
        let renamed = story.given("jane", rename(&chat, "Crew"));
        let current = renamed.timestamp;
        let stale = story.when("jane", rename(&chat, "Gang")).err();
        assert_eq!(stale, Some(Refusal::Stale { current }));
        assert_eq!(
            story.when("jane", rename(&chat, "Crew")),
            Ok(Decision::Keep(renamed))
        );
    }
}
