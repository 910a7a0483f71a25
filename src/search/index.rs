//! What stands in the index, and how a query asks it.
//!
//! The index holds terms without positions: it narrows a search down to messages that may match, and
//! [`Query::find_in`] decides on their present texts. The terms of a message are
//! - its words, as far as [`WORD_CHARS_MAX`]; its parts two by two, and the last one of each run;
//! - its readers: the two users of a conversation, or the chat;
//! - its readers within blocks of ids, small and large. The index has no order, so a search reads the
//!   newest blocks first, and a word that stands in every message costs no more than a rare one.
//!
//! What is no word begins with a colon, which no word holds.

use std::{collections::BTreeSet, ops::Range};

use super::{
    query::{Query, Term},
    words::{Kind, Unit, units},
};
use crate::domain::{ApplicationId, ChatNumber, Conversation, Message, SearchScope, UserId};

/// How much of a word the index holds: longer than what people type, shorter than what PostgreSQL
/// takes as a lexeme (2,046 bytes). Entries and queries are cut alike, in the form in which they are
/// compared, and what a cut lets through is decided on the whole text. So it matters to nobody where a
/// cut falls.
const WORD_CHARS_MAX: usize = 40;

/// How much of a part the index holds: two of them are as long as a word.
const PART_CHARS_MAX: usize = WORD_CHARS_MAX / 2;

/// The sizes of the blocks of ids, as powers of two, and their names: each 16 times the one before.
const BLOCKS: [(u32, char); 3] = [(12, 'a'), (16, 'b'), (20, 'c')];

/// A message as the index knows it: a literal of `tsvector`. `None` where it can be found by nothing.
pub fn terms_of(application: ApplicationId, message: &Message) -> Option<String> {
    let text = message.content.as_ref()?.text.as_ref()?;
    let mut terms = BTreeSet::new();
    let units = units(text.as_str());
    for (index, unit) in units.iter().enumerate() {
        let next = units.get(index + 1).filter(|next| next.is_glued);
        terms.insert(lexeme(unit, next));
    }
    for reader in readers_of(application, &message.conversation) {
        terms.extend(BLOCKS.map(|(bits, name)| in_block(&reader, name, message.id.0 >> bits)));
        terms.insert(reader);
    }
    let quoted: Vec<_> = terms.iter().map(|term| quoted(term)).collect();
    (!units.is_empty()).then(|| quoted.join(" "))
}

/// The most blocks of a stage: with more, larger ones are taken.
const STAGE_BLOCKS_MAX: i64 = 16;

/// The most readers that are looked up block by block. A user of more chats is looked up with one term
/// a chat, whatever the ids; with 20,000 chats that takes longer than a search may.
const READERS_IN_BLOCKS_MAX: usize = 100;

/// A stage is at least so many times as long as the one before.
const STAGE_GROWTH_MIN: usize = 2;

/// Ids that are searched at a time: those of a few blocks, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub ids: Range<i64>,
    /// Which of the sizes of blocks it has; beyond the last one it has no bound.
    level: usize,
}

impl Stage {
    /// The newest few thousand of the ids below `end`.
    pub fn first(end: i64) -> Self {
        Self::of(end, 1 << BLOCKS[0].0)
    }

    /// Where to search after this stage has had `found` matches and `wanted` more are: about as far
    /// back as they may lie, and farther where nothing tells. `None` after the last id.
    pub fn next(&self, found: usize, wanted: usize) -> Option<Self> {
        let margin = if found == 0 { 8 } else { 2 };
        let growth = (wanted * margin / (found + 1)).max(STAGE_GROWTH_MIN);
        let length = self.length().saturating_mul(growth);
        (self.ids.start > 0)
            .then(|| Self::of(self.ids.start, i64::try_from(length).unwrap_or(i64::MAX)))
    }

    /// The number of its ids, whether they are in use or not.
    pub fn length(&self) -> usize {
        usize::try_from(self.ids.end - self.ids.start).unwrap_or_default()
    }

    /// The ids below `end`, `length` of them and what is left of their first block.
    fn of(end: i64, length: i64) -> Self {
        let level = BLOCKS
            .iter()
            .position(|(bits, _)| length >> bits < STAGE_BLOCKS_MAX);
        match level {
            Some(level) if length < end => {
                let bits = BLOCKS[level].0;
                Self {
                    ids: (end - length) >> bits << bits..end,
                    level,
                }
            }
            _ => Self {
                ids: 0..end,
                level: BLOCKS.len(),
            },
        }
    }

    /// The terms of a reader in this stage.
    fn terms(&self, reader: &str) -> Vec<String> {
        let Some((bits, name)) = BLOCKS.get(self.level) else {
            return vec![reader.to_owned()];
        };
        let blocks = (self.ids.start >> bits)..=((self.ids.end - 1) >> bits);
        blocks.map(|block| in_block(reader, *name, block)).collect()
    }
}

/// A query of the index: literals of `tsquery`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What is looked up.
    pub index: String,
    /// What each entry that was looked up must match.
    pub entry: String,
}

/// Looks for the messages of a scope and a stage that may match. `chats` are those of a user who searches
/// in everything.
///
/// Looking up the beginning of a word reads whatever begins so, which may be half of the index, where
/// reading the caller's few entries of a small stage costs next to nothing: `by_entry` does that.
pub fn lookup(
    application: ApplicationId,
    scope: &SearchScope,
    chats: &[ChatNumber],
    query: &Query,
    stage: &Stage,
    by_entry: bool,
) -> Lookup {
    let (mut whole, mut open) = (BTreeSet::new(), BTreeSet::new());
    for term in query.terms() {
        wanted(term, &mut whole, &mut open);
    }
    let whole: Vec<_> = [readers(application, scope, chats, stage)]
        .into_iter()
        .chain(whole)
        .collect();
    let entry = whole
        .iter()
        .cloned()
        .chain(open)
        .collect::<Vec<_>>()
        .join("&");
    Lookup {
        index: if by_entry {
            whole.join("&")
        } else {
            entry.clone()
        },
        entry,
    }
}

/// The lexemes that a term needs: `whole` ones, and `open` ones that are beginnings.
fn wanted(term: &Term, whole: &mut BTreeSet<String>, open: &mut BTreeSet<String>) {
    for (index, unit) in term.units.iter().enumerate() {
        let next = term.units.get(index + 1).filter(|next| next.is_glued);
        let lexeme = lexeme(unit, next);
        let is_beginning = term.is_open && index + 1 + next.iter().len() == term.units.len();
        let is_open = match unit.kind {
            // The one before has it.
            Kind::Part(_) if next.is_none() && unit.is_glued => continue,
            // A part alone stands in the index together with whatever follows it.
            Kind::Part(_) if next.is_none() => true,
            _ => is_beginning && lexeme.chars().count() < WORD_CHARS_MAX,
        };
        if is_open {
            open.insert(format!("{}:*", quoted(&lexeme)));
        } else {
            whole.insert(quoted(&lexeme));
        }
    }
}

/// A word, or a part with the one that is glued to it.
fn lexeme(unit: &Unit, next: Option<&Unit>) -> String {
    match (&unit.kind, next.map(|next| &next.kind)) {
        (Kind::Word(word), _) => cut(word, WORD_CHARS_MAX).to_owned(),
        (Kind::Part(first), Some(Kind::Part(second))) => {
            [cut(first, PART_CHARS_MAX), cut(second, PART_CHARS_MAX)].concat()
        }
        (Kind::Part(part), _) => cut(part, PART_CHARS_MAX).to_owned(),
    }
}

/// The first characters of a text.
fn cut(text: &str, chars_max: usize) -> &str {
    text.char_indices()
        .nth(chars_max)
        .map_or(text, |(end, _)| &text[..end])
}

/// Who must be able to read what is found.
fn readers(
    application: ApplicationId,
    scope: &SearchScope,
    chats: &[ChatNumber],
    stage: &Stage,
) -> String {
    let any = |readers: Vec<String>| {
        let is_few = readers.len() <= READERS_IN_BLOCKS_MAX;
        let terms = |reader: &String| {
            if is_few {
                stage.terms(reader)
            } else {
                vec![reader.clone()]
            }
        };
        let terms: Vec<_> = readers
            .iter()
            .flat_map(terms)
            .map(|term| quoted(&term))
            .collect();
        format!("({})", any_of(&terms))
    };
    match scope {
        SearchScope::Everything(user) => {
            let chats = chats.iter().map(|chat| chat_term(application, *chat));
            let user = user_term(application, user);
            any([user].into_iter().chain(chats).collect())
        }
        SearchScope::In(conversation) => {
            let readers = readers_of(application, conversation).into_iter();
            let terms: Vec<_> = readers.map(|reader| any(vec![reader])).collect();
            terms.join("&")
        }
    }
}

/// Any of the terms. PostgreSQL follows operators one within the other, so they are halved and halved
/// again, and never a long chain.
fn any_of(terms: &[String]) -> String {
    match terms.split_at(terms.len() / 2) {
        (first, second) if terms.len() > 16 => format!("({})|({})", any_of(first), any_of(second)),
        _ => terms.join("|"),
    }
}

/// The terms of who may read a conversation. In one with oneself nobody is the second user.
fn readers_of(application: ApplicationId, conversation: &Conversation) -> Vec<String> {
    match conversation {
        Conversation::Chat(chat) => vec![chat_term(application, *chat)],
        Conversation::Personal(pair) => {
            let mut terms: Vec<_> = pair
                .users()
                .map(|user| user_term(application, user))
                .collect();
            if terms.len() == 1 {
                terms.push(format!(":m{}", application.0));
            }
            terms
        }
    }
}

fn user_term(application: ApplicationId, user: &UserId) -> String {
    format!(":u{}:{}", application.0, user.as_str())
}

fn chat_term(application: ApplicationId, chat: ChatNumber) -> String {
    format!(":g{}:{}", application.0, chat.0)
}

/// A reader within a block of ids. The block stands first: a user's id may end like one.
fn in_block(reader: &str, name: char, block: i64) -> String {
    format!(":{name}{block}{reader}")
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

    fn query(text: &str) -> Lookup {
        let query = Query::parse(text).unwrap();
        let stage = Stage::of(100, 100);
        let chat = SearchScope::In(Conversation::Chat(ChatNumber(3)));
        lookup(APPLICATION, &chat, &[], &query, &stage, true)
    }

    #[test]
    fn a_query_becomes_lexemes_and_nothing_of_it_an_operator() {
        assert_eq!(query("Hello wor").index, "(':g7:3')&'hello'");
        assert_eq!(query("Hello wor").entry, "(':g7:3')&'hello'&'wor':*");
        assert_eq!(query("日本語").entry, "(':g7:3')&'日本'&'本語'");
        assert_eq!(query("สวัสด").entry, "(':g7:3')&'วัส'&'สวั'&'สด':*");
        assert_eq!(query("\"สวัสด\"").entry, "(':g7:3')&'วัส'&'สด'&'สวั'");
        assert_eq!(
            query("日本語 か\u{3099}").entry,
            "(':g7:3')&'日本'&'本語'&'が':*"
        );
        assert_eq!(query("日").entry, "(':g7:3')&'日':*");
        assert_eq!(
            query("a|b:* & !(c)'d\\").entry,
            "(':g7:3')&'a'&'b'&'c'&'d':*"
        );
        assert_eq!(quoted("a'\\b"), "'a''\\\\b'");
    }

    #[test]
    fn whoever_searches_reads_only_what_is_meant() {
        let (jane, john) = (UserId::trusted("jane"), UserId::trusted("john"));
        let all = SearchScope::Everything(jane.clone());
        let everywhere = Stage::of(100, 100);
        assert_eq!(
            readers(APPLICATION, &all, &[ChatNumber(1)], &everywhere),
            "(':u7:jane'|':g7:1')"
        );
        let both = SearchScope::In(Conversation::between(&john, &jane));
        assert_eq!(
            readers(APPLICATION, &both, &[], &everywhere),
            "(':u7:jane')&(':u7:john')"
        );
        let newest = "(':a0:u7:jane'|':a1:u7:jane')&(':a0:m7'|':a1:m7')";
        let alone = SearchScope::In(Conversation::between(&jane, &jane));
        let first = Stage::first(5000);
        assert_eq!(readers(APPLICATION, &alone, &[], &first), newest);
    }

    proptest! {
        #[test]
        fn stages_are_all_ids_once_and_their_blocks_cover_them(
            end in 1..1i64 << 40, found in 0usize..100, wanted in 1usize..100,
        ) {
            let (mut end, mut stage) = (end, Some(Stage::first(end)));
            while let Some(now) = stage {
                prop_assert_eq!(now.ids.end, end);
                end = now.ids.start;
                if let Some((bits, name)) = BLOCKS.get(now.level) {
                    for id in [now.ids.start, (now.ids.start + now.ids.end) / 2, now.ids.end - 1] {
                        let own = in_block("x", *name, id >> bits);
                        prop_assert!(now.ids.is_empty() || now.terms("x").contains(&own));
                    }
                }
                prop_assert!(now.terms("x").len() <= 17);
                stage = now.next(found, wanted);
            }
            prop_assert_eq!(end, 0);
        }
    }
}
