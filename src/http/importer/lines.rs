//! The lines of an import by what they import, and what they name.

use std::collections::{BTreeMap, HashMap};

use crate::{
    domain::{
        ChatNumber, Conversation, Idempotency, IdempotencyKey, MessageNumber, Refusal, UserId,
    },
    http::{
        answer::problem::Problem,
        extract::{
            body::RequestBody,
            idempotency::Digester,
            request_bodies::{
                ChatName, ImportItem, ImportLine, ImportLinesJson, ImportedPlace, NewImportedChat,
                NewImportedMessage,
            },
        },
    },
    timeline::commands::{BeginImport, CreateChat, ImportMessage},
};

/// A line, and what it is to do.
#[derive(Clone)]
pub(super) struct Task<C> {
    pub number: usize,
    pub key: IdempotencyKey,
    pub command: C,
}

/// Lines that are acceptable in themselves, by what they import.
#[derive(Default)]
pub struct SortedLines {
    pub(super) chats: Vec<Task<CreateChat>>,
    pub(super) pairs: Vec<Task<BeginImport>>,
    pub(super) messages: Vec<Task<(Idempotency, NewImportedMessage)>>,
    pub(super) done: Vec<Task<(ImportedPlace, Readers)>>,
}

/// How far members have read.
type Readers = BTreeMap<UserId, MessageNumber>;

impl SortedLines {
    /// The lines of a text, the first of which has this number in its file.
    ///
    /// # Errors
    /// If a line cannot be read or is not acceptable in itself.
    pub fn parse(first: usize, text: &[u8], digester: &Digester) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let lines = ImportLinesJson::parse(first, text)?.validate(&mut errors);
        match lines.filter(|_| errors.is_empty()) {
            Some(lines) => Ok(Self::of(lines, digester)),
            None => Err(Problem::invalid(errors)),
        }
    }

    pub fn of(lines: Vec<ImportLine>, digester: &Digester) -> Self {
        let mut sorted = Self::default();
        for ImportLine {
            number,
            key,
            text,
            item,
        } in lines
        {
            let line = || digester.bind_line(key.clone(), &text);
            match item {
                ImportItem::Chat(chat) => {
                    let command = create(chat, line());
                    sorted.chats.push(Task {
                        number,
                        key,
                        command,
                    });
                }
                ImportItem::Personal { pair, created } => {
                    let command = BeginImport { pair, created };
                    sorted.pairs.push(Task {
                        number,
                        key,
                        command,
                    });
                }
                ImportItem::Message(message) => {
                    let command = (line(), *message);
                    sorted.messages.push(Task {
                        number,
                        key,
                        command,
                    });
                }
                ImportItem::Done { place, read } => {
                    let command = (place, read);
                    sorted.done.push(Task {
                        number,
                        key,
                        command,
                    });
                }
            }
        }
        sorted
    }
}

fn create(chat: NewImportedChat, line: Idempotency) -> CreateChat {
    CreateChat {
        name: chat.name,
        members: chat.members,
        attributes: chat.attributes,
        idempotency: Some(line),
        import: Some(chat.import),
    }
}

/// The numbers of chats by their keys.
#[derive(Default)]
pub(super) struct Numbers(pub HashMap<IdempotencyKey, ChatNumber>);

impl Numbers {
    pub fn conversation(&self, place: ImportedPlace) -> Result<Conversation, Refusal> {
        match place {
            ImportedPlace::Personal(pair) => Ok(Conversation::Personal(pair)),
            ImportedPlace::Chat(ChatName::Number(number)) => Ok(Conversation::Chat(number)),
            ImportedPlace::Chat(ChatName::Key(key)) => {
                let number = self.0.get(&key).copied();
                number.map(Conversation::Chat).ok_or(Refusal::NotFound)
            }
        }
    }

    pub fn message(
        &self,
        message: NewImportedMessage,
        line: Idempotency,
    ) -> Result<ImportMessage, Refusal> {
        Ok(ImportMessage {
            line,
            after: None,
            conversation: self.conversation(message.place)?,
            from: message.from,
            created: message.created,
            system: message.system,
            content: message.content,
            reactions: message.reactions,
        })
    }
}
