//! The message that a change of a chat carries.

use std::sync::Arc;

use crate::{
    domain::{
        Attributes, Change, ChatNumber, Content, Conversation, Files, Mentions, Message,
        MessageChange, NextNumbers, Text,
    },
    timeline::BatchState,
};

/// The words, or the attributes, in which a change of a chat's name or members tells of itself. They become a
/// message of the chat with the number that is next, of no sender and never unread, in the same
/// transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    pub text: Option<Text>,
    pub attributes: Option<Attributes>,
}

impl Announcement {
    /// The change that posts it into a chat which was changed just before.
    pub fn post(&self, chat: ChatNumber, state: &BatchState, next: NextNumbers) -> Option<Change> {
        let chat = state.chat(chat)?;
        let content = Content {
            text: self.text.clone(),
            files: Files::default(),
            attributes: self.attributes.clone(),
            mentions: Mentions::default(),
            reply_to: None,
            edited: None,
        };
        let message = Message {
            id: next.id,
            timestamp: next.timestamp,
            from: None,
            conversation: Conversation::Chat(chat.number),
            conversation_id: chat.id,
            number: chat.messages.next(),
            created: next.now,
            system: true,
            content: Some(content),
        };
        Some(Change::Message(MessageChange {
            before: None,
            after: Arc::new(message),
            begun: None,
            recipient_newest: None,
            idempotency: None,
            imported: None,
        }))
    }
}
