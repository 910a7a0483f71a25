//! A message as it is now.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{
    Attributes, Conversation, ConversationId, FileId, Invalid, Mentions, MessageId, MessageNumber,
    Text, Timestamp, UserId,
};

/// The most files that a message may name. Each becomes an event on its creation and deletion.
pub const FILES_MAX: usize = 100;

/// A message as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: MessageId,
    /// The last change of the message; also its entity tag.
    pub timestamp: Timestamp,
    /// `None` if the application itself has sent it into a chat, or a change of the chat carries it.
    pub from: Option<UserId>,
    pub conversation: Conversation,
    /// The key of the conversation in the database; `conversation` is how callers name it.
    pub conversation_id: ConversationId,
    pub number: MessageNumber,
    pub created: OffsetDateTime,
    /// Whether it tells of a change of its chat: then it is never unread.
    pub system: bool,
    /// `None` once the message is deleted: its data are cleared for ever.
    pub content: Option<Content>,
}

/// What a deletion clears.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    pub text: Option<Text>,
    pub files: Files,
    pub attributes: Option<Attributes>,
    pub mentions: Mentions,
    pub reply_to: Option<MessageId>,
    pub edited: Option<OffsetDateTime>,
}

impl Message {
    /// The recipient of a personal message. For a message to oneself, that is the sender.
    pub fn to(&self) -> Option<&UserId> {
        Some(self.conversation.pair()?.other_of(self.from.as_ref()?))
    }

    /// Its users, and those whom it lists.
    pub fn named_users(&self) -> impl Iterator<Item = &UserId> {
        let pair = self.conversation.pair().into_iter();
        let pair = pair.flat_map(|pair| [pair.least(), pair.greatest()]);
        let content = self.content.iter();
        let listed = content.flat_map(|content| content.mentions.listed());
        self.from.iter().chain(pair).chain(listed)
    }

    /// What is left of it once its data are cleared, without a change of it on the timeline.
    #[must_use]
    pub fn cleared(&self) -> Arc<Self> {
        Arc::new(Self {
            content: None,
            ..self.clone()
        })
    }

    /// The length of its data as JSON, in bytes: text, attributes, files and the users
    /// that it names.
    pub fn data_bytes(&self) -> usize {
        let Some(content) = &self.content else {
            return 0;
        };
        let text = content.text.as_ref().map_or(0, Text::json_bytes);
        let attributes = content
            .attributes
            .as_ref()
            .map_or(0, |raw| raw.as_json().get().len());
        // Each file has quotes and a comma.
        let files: usize = content
            .files
            .iter()
            .map(|file| file.as_str().len() + 3)
            .sum();
        let mentions: usize = content
            .mentions
            .users()
            .iter()
            .map(|user| user.as_str().len() + 3)
            .sum();
        text + attributes + files + mentions
    }
}

/// The files of a message: up to 100, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files(Vec<FileId>);

impl Files {
    pub fn new(files: Vec<FileId>) -> Result<Self, Invalid> {
        if files.len() > FILES_MAX {
            return Err(Invalid("must have at most 100 entries"));
        }
        let mut sorted: Vec<_> = files.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Invalid("must not name a file twice"));
        }
        Ok(Self(files))
    }

    /// Files that were checked before they were stored.
    pub fn trusted(files: Vec<FileId>) -> Self {
        Self(files)
    }

    pub fn iter(&self) -> impl Iterator<Item = &FileId> {
        self.0.iter()
    }

    pub fn as_slice(&self) -> &[FileId] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: &str) -> FileId {
        FileId::parse(id).unwrap()
    }

    #[test]
    fn files_keep_their_order_and_are_unique_and_few() {
        let files = Files::new(vec![file("b"), file("a")]).unwrap();
        assert_eq!(
            files.iter().map(FileId::as_str).collect::<Vec<_>>(),
            ["b", "a"]
        );
        assert!(Files::new(vec![file("a"), file("b"), file("a")]).is_err());
        let many = |count: usize| (0..count).map(|n| file(&n.to_string())).collect();
        assert!(Files::new(many(FILES_MAX)).is_ok());
        assert!(Files::new(many(FILES_MAX + 1)).is_err());
    }
}
