//! What stands in the index, and how a query asks it.
//!
//! The index holds terms without positions: it narrows a search down to messages that may match, and
//! [`Query::find_in`] decides on their present texts. The terms of a message are
//! - its words, as far as [`WORD_CHARS_MAX`]; its parts two by two, and the last one of each run;
//! - its readers: the two users of a conversation, or the chat;
//! - its blocks: which of the newest 2^13, 2^17 and 2^21 ids its own lies among. The index has no
//!   order, so a search reads block after block backwards, from small ones to large ones, and a
//!   word that stands in every message costs no more than one that is rare.
//!
//! What is no word begins with a colon, which no word holds.

use std::{collections::BTreeSet, ops::Range};

use super::{
    query::{Query, Term},
    words::{Kind, Unit, units},
};
use crate::domain::{ApplicationId, ChatNumber, Message, Recipient, UserId};

/// How much of a word the index holds: longer than what people type, shorter than what PostgreSQL
/// takes as a lexeme (2,046 bytes).
const WORD_CHARS_MAX: usize = 40;

/// Powers of two: the sizes of the blocks of ids, and their names. Each is 16 times the one before,
/// so a search that has found too little reads at most 32 times as much as it has found.
const BLOCKS: [(u32, char); 3] = [(13, 'a'), (17, 'b'), (21, 'c')];

/// Whose messages are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that a user may read: personal messages, and those of these chats.
    User(UserId, Vec<ChatNumber>),
    /// The conversation of two users.
    Conversation(UserId, UserId),
    /// One chat.
    Chat(ChatNumber),
}

/// A message as the index knows it: a literal of `tsvector`. `None` where it can be found by nothing.
pub fn terms_of(application: ApplicationId, message: &Message) -> Option<String> {
    let text = message.content.as_ref()?.text.as_ref()?;
    let mut terms = BTreeSet::new();
    let units = units(text.as_str());
    for (index, unit) in units.iter().enumerate() {
        let next = units.get(index + 1).filter(|next| next.is_glued);
        terms.insert(lexeme(unit, next));
    }
    let readers = match &message.to {
        Recipient::Chat(chat, _) => vec![chat_term(application, *chat)],
        Recipient::User(to) => {
            message.from.iter().flat_map(|from| pair(application, from, to)).collect()
        }
    };
    let blocks = BLOCKS.map(|(bits, name)| block_term(name, message.id.0 >> bits));
    terms.extend(readers.into_iter().chain(blocks));
    let quoted: Vec<_> = terms.iter().map(|term| quoted(term)).collect();
    (!units.is_empty()).then(|| quoted.join(" "))
}

/// Ids that are searched at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub ids: Range<i64>,
    /// The blocks that cover the ids; none where there is no bound.
    blocks: Vec<String>,
}

impl Stage {
    /// The stages of a search for ids below `before`, the newest first: together they are all ids.
    pub fn all_before(before: i64) -> impl Iterator<Item = Self> {
        let mut end = before;
        let blocks = BLOCKS.into_iter().map(Some).chain([None]);
        blocks.filter_map(move |block| {
            let (start, blocks) = match block {
                None => (0, Vec::new()),
                Some((bits, name)) => {
                    // The block of the last id, and a whole one before it.
                    let last = (end - 1) >> bits;
                    let first = (last - 1).max(0);
                    (first << bits, (first..=last).map(|block| block_term(name, block)).collect())
                }
            };
            let ids = start..end;
            end = start;
            (!ids.is_empty()).then_some(Self { ids, blocks })
        })
    }
}

/// A query of the index: literals of `tsquery`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is looked up.
    pub index: String,
    /// What each entry that was looked up must match.
    pub entry: String,
}

/// Asks for the messages of a scope and a stage that may match.
///
/// Looking up the beginning of a word reads whatever begins so, which may be half of the index, where
/// reading the caller's few entries of a small stage costs next to nothing: `by_entry` does that.
pub fn asked(
    application: ApplicationId,
    scope: &Scope,
    query: &Query,
    stage: &Stage,
    by_entry: bool,
) -> Asked {
    let (mut whole, mut open) = (BTreeSet::new(), BTreeSet::new());
    for term in query.terms() {
        wanted(term, &mut whole, &mut open);
    }
    let place = [readers(application, scope), any(stage.blocks.iter().cloned())];
    let place = place.into_iter().filter(|part| !part.is_empty());
    let whole: Vec<_> = place.chain(whole).collect();
    let entry = whole.iter().cloned().chain(open).collect::<Vec<_>>().join("&");
    Asked { index: if by_entry { whole.join("&") } else { entry.clone() }, entry }
}

/// The lexemes that a term needs: `whole` ones, and `open` ones that are beginnings.
fn wanted(term: &Term, whole: &mut BTreeSet<String>, open: &mut BTreeSet<String>) {
    for (index, unit) in term.units.iter().enumerate() {
        let next = term.units.get(index + 1).filter(|next| next.is_glued);
        let is_last = index + 1 == term.units.len();
        match &unit.kind {
            Kind::Word(word) if term.is_open && is_last && word.chars().count() < WORD_CHARS_MAX => {
                open.insert(format!("{}:*", quoted(word)));
            }
            // A part alone stands in the index together with whatever follows it.
            Kind::Part(_) if next.is_none() && !unit.is_glued => {
                open.insert(format!("{}:*", quoted(&lexeme(unit, None))));
            }
            // The one before has it.
            Kind::Part(_) if next.is_none() => {}
            _ => {
                whole.insert(quoted(&lexeme(unit, next)));
            }
        }
    }
}

/// A word, or a part with the one that is glued to it.
fn lexeme(unit: &Unit, next: Option<&Unit>) -> String {
    let part = |unit: &Unit| match unit.kind {
        Kind::Part(part) => Some(part),
        Kind::Word(_) => None,
    };
    match &unit.kind {
        Kind::Word(word) => word.chars().take(WORD_CHARS_MAX).collect(),
        Kind::Part(first) => [*first].into_iter().chain(next.and_then(part)).collect(),
    }
}

fn readers(application: ApplicationId, scope: &Scope) -> String {
    match scope {
        Scope::Chat(chat) => any([chat_term(application, *chat)]),
        Scope::User(user, chats) => {
            let chats = chats.iter().map(|chat| chat_term(application, *chat));
            any([user_term(application, user)].into_iter().chain(chats))
        }
        Scope::Conversation(one, other) => {
            let pair: Vec<_> = pair(application, one, other).map(|term| quoted(&term)).into();
            pair.join("&")
        }
    }
}

fn any(terms: impl IntoIterator<Item = String>) -> String {
    let terms: Vec<_> = terms.into_iter().map(|term| quoted(&term)).collect();
    if terms.len() > 1 { format!("({})", terms.join("|")) } else { terms.concat() }
}

/// The terms of a conversation. Who writes to oneself is the first user of it, and nobody the second.
fn pair(application: ApplicationId, one: &UserId, other: &UserId) -> [String; 2] {
    let second =
        if one == other { format!(":m{}", application.0) } else { user_term(application, other) };
    [user_term(application, one), second]
}

fn user_term(application: ApplicationId, user: &UserId) -> String {
    format!(":u{}:{}", application.0, user.as_str())
}

fn chat_term(application: ApplicationId, chat: ChatNumber) -> String {
    format!(":g{}:{}", application.0, chat.0)
}

fn block_term(name: char, block: i64) -> String {
    format!(":{name}{block}")
}

/// A lexeme as PostgreSQL reads it: whatever it holds, it ends no quotation.
/// <https://www.postgresql.org/docs/current/datatype-textsearch.html>
fn quoted(lexeme: &str) -> String {
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
    use proptest::prelude::*;

    use super::*;

    const APPLICATION: ApplicationId = ApplicationId(7);

    fn query(text: &str) -> Asked {
        let query = Query::parse(text).unwrap();
        let stage = Stage { ids: 0..100, blocks: Vec::new() };
        asked(APPLICATION, &Scope::Chat(ChatNumber(3)), &query, &stage, true)
    }

    #[test]
    fn a_query_becomes_lexemes_and_nothing_of_it_an_operator() {
        assert_eq!(query("Hello wor").index, "':g7:3'&'hello'");
        assert_eq!(query("Hello wor").entry, "':g7:3'&'hello'&'wor':*");
        assert_eq!(query("日本語").entry, "':g7:3'&'日本'&'本語'");
        assert_eq!(query("日").entry, "':g7:3'&'日':*");
        assert_eq!(query("a|b:* & !(c)'d\\").entry, "':g7:3'&'a'&'b'&'c'&'d':*");
        assert_eq!(quoted("a'\\b"), "'a''\\\\b'");
    }

    #[test]
    fn whoever_searches_reads_only_what_is_meant() {
        let (jane, john) = (UserId::trusted("jane"), UserId::trusted("john"));
        let all = Scope::User(jane.clone(), vec![ChatNumber(1), ChatNumber(2)]);
        assert_eq!(readers(APPLICATION, &all), "(':u7:jane'|':g7:1'|':g7:2')");
        let both = Scope::Conversation(jane.clone(), john);
        assert_eq!(readers(APPLICATION, &both), "':u7:jane'&':u7:john'");
        let alone = Scope::Conversation(jane.clone(), jane);
        assert_eq!(readers(APPLICATION, &alone), "':u7:jane'&':m7'");
    }

    proptest! {
        #[test]
        fn stages_are_all_ids_once_and_their_blocks_cover_them(before in 0..1i64 << 40) {
            let mut end = before;
            for stage in Stage::all_before(before) {
                prop_assert_eq!(stage.ids.end, end);
                end = stage.ids.start;
                let (bits, name) = BLOCKS
                    .into_iter()
                    .find(|(_, name)| stage.blocks.iter().any(|block| block.contains(*name)))
                    .unwrap_or((62, '-'));
                for id in [stage.ids.start, (stage.ids.start + stage.ids.end) / 2, stage.ids.end - 1] {
                    let own = block_term(name, id >> bits);
                    prop_assert!(stage.blocks.is_empty() || stage.blocks.contains(&own));
                }
            }
            prop_assert_eq!(end, 0);
        }
    }
}
