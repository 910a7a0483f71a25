//! The terms under which the index finds a message.
//!
//! The index holds terms without positions: it narrows a search down to messages that may match,
//! and [`Query::find_in`](super::Query::find_in) decides on their present texts. The terms of a
//! message are
//! - its words, up to [`WORD_CHARS_MAX`]; its parts in pairs, and the last part of each run;
//! - its readers: the two users of a conversation, or the chat;
//! - its readers within blocks of ids, small and large. The index has no order, so a search reads
//!   the newest blocks first, and a word that every message has costs no more than a rare one;
//! - its sender, whether it has a file, and the blocks of time in which it was created ([`times`]).
//!
//! A message that is not deleted always has terms, also without a word: filters find it.
//!
//! Terms that are no words begin with a colon, which no word contains.

use std::collections::BTreeSet;

use super::{
    times,
    words::{Unit, UnitKind, units},
};
use crate::domain::{ApplicationId, ChatNumber, Conversation, Message, UserId};

/// How much of a word the index holds: longer than people type, shorter than the longest lexeme of
/// PostgreSQL (2,046 bytes). Messages and queries are cut in the same way, after folding, and a
/// match is decided on the whole text. So a cut never changes the result.
pub const WORD_CHARS_MAX: usize = 40;

/// How much of a part the index holds: a pair of them is as long as a word.
const PART_CHARS_MAX: usize = WORD_CHARS_MAX / 2;

/// The sizes of the blocks of ids, as powers of two, and their names: each 16 times the one before.
pub const BLOCKS: [(u32, char); 3] = [(12, 'a'), (16, 'b'), (20, 'c')];

/// The terms of a message as a literal of `tsvector`. `None` if it is deleted: nothing finds it.
pub fn terms_of(application: ApplicationId, message: &Message) -> Option<String> {
    let content = message.content.as_ref()?;
    let mut terms = BTreeSet::new();
    let units = content.text.as_ref().map(|text| units(text.as_str()));
    let units = units.unwrap_or_default();
    for (index, unit) in units.iter().enumerate() {
        let next = units.get(index + 1).filter(|next| next.is_glued);
        terms.insert(lexeme(unit, next));
    }
    for reader in readers_of(application, &message.conversation) {
        terms.extend(BLOCKS.map(|(bits, name)| in_block(&reader, name, message.id.get() >> bits)));
        terms.insert(reader);
    }
    let sender = message.from.as_ref();
    terms.extend(sender.map(|sender| sender_term(application, sender)));
    terms.extend((!content.files.is_empty()).then(|| files_term(application)));
    terms.extend(times::terms_of(application, message.created));
    let quoted: Vec<_> = terms.iter().map(|term| quoted(term)).collect();
    Some(quoted.join(" "))
}

/// A word, or a part with the part that follows it directly.
pub fn lexeme(unit: &Unit, next: Option<&Unit>) -> String {
    match (&unit.kind, next.map(|next| &next.kind)) {
        (UnitKind::Word(word), _) => cut(word, WORD_CHARS_MAX).to_owned(),
        (UnitKind::Part(first), Some(UnitKind::Part(second))) => {
            [cut(first, PART_CHARS_MAX), cut(second, PART_CHARS_MAX)].concat()
        }
        (UnitKind::Part(part), _) => cut(part, PART_CHARS_MAX).to_owned(),
    }
}

/// The first characters of a text.
fn cut(text: &str, chars_max: usize) -> &str {
    text.char_indices()
        .nth(chars_max)
        .map_or(text, |(end, _)| &text[..end])
}

/// The terms of the readers of a conversation. In one with oneself, "nobody" is the second reader.
pub fn readers_of(application: ApplicationId, conversation: &Conversation) -> Vec<String> {
    match conversation {
        Conversation::Chat(chat) => vec![chat_term(application, *chat)],
        Conversation::Personal(pair) => {
            let mut terms: Vec<_> = pair
                .users()
                .map(|user| user_term(application, user))
                .collect();
            if terms.len() == 1 {
                terms.push(format!(":m{}", application.get()));
            }
            terms
        }
    }
}

pub fn user_term(application: ApplicationId, user: &UserId) -> String {
    format!(":u{}:{}", application.get(), user.as_str())
}

pub fn chat_term(application: ApplicationId, chat: ChatNumber) -> String {
    format!(":g{}:{}", application.get(), chat.get())
}

/// The term of the messages that a user has sent.
pub fn sender_term(application: ApplicationId, user: &UserId) -> String {
    format!(":s{}:{}", application.get(), user.as_str())
}

/// The term of the messages with files.
pub fn files_term(application: ApplicationId) -> String {
    format!(":f{}", application.get())
}

/// The term of a reader within a block of ids. The block comes first: a user's id may end like a
/// block.
pub fn in_block(reader: &str, name: char, block: i64) -> String {
    format!(":{name}{block}{reader}")
}

/// A lexeme in quotes as PostgreSQL reads it: no character of it ends the quotation.
/// <https://www.postgresql.org/docs/current/datatype-textsearch.html>
pub fn quoted(lexeme: &str) -> String {
    let mut quoted = String::with_capacity(lexeme.len() + 2);
    quoted.push('\'');
    for character in lexeme.chars() {
        if matches!(character, '\'' | '\\') {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_lexeme_ends_where_its_quotation_does() {
        assert_eq!(quoted("a'\\b"), "'a''\\\\b'");
    }
}
