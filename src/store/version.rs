//! A message at one point of the timeline.

use serde_json::value::RawValue;

use crate::domain::{Conversation, Message, MessageId, Timestamp};

/// Writes a message as JSON. A message has one representation, so a process has one of these.
pub type Render = fn(&Message) -> Box<RawValue>;

/// A message as one change has left it, as JSON. That never changes.
#[derive(Debug)]
pub struct Version {
    pub id: MessageId,
    pub timestamp: Timestamp,
    pub conversation: Conversation,
    pub json: Box<RawValue>,
}

impl Version {
    pub fn new(message: &Message, render: Render) -> Self {
        Self {
            id: message.id,
            timestamp: message.timestamp,
            conversation: message.conversation.clone(),
            json: render(message),
        }
    }

    /// The length of the JSON.
    pub fn bytes(&self) -> usize {
        self.json.get().len()
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        // The JSON has everything else.
        self.json.get() == other.json.get() && self.conversation == other.conversation
    }
}
