//! Clearing a message of a chat that is gone.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs};
use crate::domain::{FILES_MAX, MENTIONS_MAX, Message, MessageId, Refusal};

/// Deletes a message for the service itself, which asks for no right and no condition: its chat is gone.
#[derive(Debug, Clone)]
pub struct ClearMessage {
    pub id: MessageId,
}

impl Command for ClearMessage {
    type Output = Arc<Message>;

    fn needs(&self) -> Needs<'_> {
        Needs::of_message(self.id)
    }

    fn rows(&self, _: usize) -> usize {
        FILES_MAX + MENTIONS_MAX
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Message>>, Refusal> {
        let message = context.message(self.id).ok_or(Refusal::NotFound)?;
        if message.content.is_none() {
            return Ok(Decision::Keep(Arc::clone(message)));
        }
        Ok(context.change_message(message, None))
    }
}
