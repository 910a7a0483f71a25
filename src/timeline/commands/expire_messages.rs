//! Letting the earlier messages of a conversation expire.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{
    Change, Chat, Conversation, ConversationId, Expiring, ExpiryChange, MessageNumber,
    OverdueMessages, PersonalConversation, Refusal,
};

/// Lets the first messages of a conversation expire, for the service itself. From this change on
/// nobody reads them; their rows are cleared afterwards.
///
/// Nothing expires that is kept now: the retention may have changed since the messages were found.
#[derive(Debug, Clone)]
pub struct ExpireMessages {
    pub conversation: Conversation,
    /// Its id: after an erasure, another conversation may have the same users.
    pub id: ConversationId,
    /// None of these values ever changes, so no message need be loaded.
    pub overdue: OverdueMessages,
}

impl Command for ExpireMessages {
    /// The number of the first message that is kept.
    type Output = MessageNumber;

    const ERASES: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation: Some(self.conversation.clone()),
            ..Needs::default()
        }
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<MessageNumber>, Refusal> {
        let otherwise = Refusal::Forbidden("this is for the service itself");
        ensure(context.caller.is_none(), otherwise)?;
        let (before, of_chat) = match &self.conversation {
            Conversation::Chat(chat) => {
                let chat = context.state.chat(*chat).ok_or(Refusal::NotFound)?;
                (Expiring::Chat(Arc::clone(chat)), chat.rules.retention)
            }
            Conversation::Personal(pair) => {
                let personal = context.state.personal(pair).ok_or(Refusal::NotFound)?;
                (Expiring::Personal(Arc::clone(personal)), None)
            }
        };
        ensure(before.conversation() == self.id, Refusal::NotFound)?;
        let retention = of_chat.or(context.policy().retention);
        let limit = retention.map(|days| days.limit(context.next.now));
        let is_old = limit.is_some_and(|limit| self.overdue.youngest < limit);
        if !is_old || self.overdue.number < before.first() {
            return Ok(Decision::Keep(before.first()));
        }
        let first = self.overdue.number.next();
        let after = match before {
            Expiring::Chat(chat) => Expiring::Chat(Arc::new(Chat {
                first,
                ..Chat::clone(&chat)
            })),
            Expiring::Personal(personal) => Expiring::Personal(Arc::new(PersonalConversation {
                first,
                ..PersonalConversation::clone(&personal)
            })),
        };
        let change = ExpiryChange {
            timestamp: context.next.timestamp,
            after,
            newest: self.overdue.id,
        };
        Ok(Decision::Change(Change::Expiry(change), first))
    }
}
