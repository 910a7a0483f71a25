//! Beginning the import of a personal conversation.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{
    Change, Conversation, Import, MessageNumber, OpeningChange, Pair, PersonalConversation, Refusal,
};

/// Lets the messages of a personal conversation be imported. Its users do not see it until that is done. A
/// conversation that is being imported, or was, stays as it is.
#[derive(Debug, Clone)]
pub struct BeginImport {
    pub pair: Pair,
    /// When the conversation began; `None` is now.
    pub created: Option<OffsetDateTime>,
}

impl Command for BeginImport {
    type Output = ();

    fn needs(&self) -> Needs<'_> {
        Needs {
            conversation: Some(Conversation::Personal(self.pair.clone())),
            ..Needs::default()
        }
    }

    fn rows(&self, _: usize) -> usize {
        0
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<()>, Refusal> {
        context.require_application()?;
        let next = context.next;
        let before = context.state.personal(&self.pair);
        let mut after = match before {
            Some(before) if before.import != Import::None => return Ok(Decision::Keep(())),
            Some(before) => PersonalConversation::clone(before),
            None => PersonalConversation::created_at(next.timestamp, next.now, &self.pair),
        };
        let is_empty = after.messages == MessageNumber::ZERO;
        ensure(is_empty, Refusal::HasMessages)?;
        after.created = self.created.unwrap_or(next.now);
        (after.import, after.timestamp) = (Import::Running, next.timestamp);
        let change = OpeningChange {
            after: Arc::new(after),
            // Users who have seen it, without a message, do not see it any more.
            is_told: before.is_some(),
        };
        Ok(Decision::Change(Change::Opening(change), ()))
    }
}
