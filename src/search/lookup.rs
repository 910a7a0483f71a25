//! Translates a query into a lookup of the index.

use std::collections::BTreeSet;

use super::{
    query::{Query, Term},
    stage::Stage,
    terms::{WORD_CHARS_MAX, chat_term, lexeme, quoted, readers_of, user_term},
    words::UnitKind,
};
use crate::domain::{ApplicationId, ChatNumber, SearchScope};

/// The most readers that are looked up block by block. A user of more chats is looked up with one
/// term a chat, whatever the ids; with 20,000 chats that takes longer than a search may.
const READERS_IN_BLOCKS_MAX: usize = 100;

/// The most terms in one chain of `|`. PostgreSQL parses a chain as operators within each other, so
/// a longer one is split in halves.
const CHAIN_TERMS_MAX: usize = 16;

/// A query of the index: literals of `tsquery`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What the index looks up.
    pub index: String,
    /// What each entry that was looked up must match as well.
    pub entry: String,
}

/// The lookup of the messages of a scope and a stage that may match. `chats` are those of a user
/// who searches in everything.
///
/// Looking up the beginning of a word reads everything that begins with it, which may be half of
/// the index. `by_entry` reads the caller's entries of the stage instead, which costs little if
/// they are few.
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
        collect_lexemes(term, &mut whole, &mut open);
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

/// Collects the lexemes of a term: the whole ones, and the open ones.
fn collect_lexemes(term: &Term, whole: &mut BTreeSet<String>, open: &mut BTreeSet<String>) {
    for (index, unit) in term.units.iter().enumerate() {
        let next = term.units.get(index + 1).filter(|next| next.is_glued);
        let lexeme = lexeme(unit, next);
        let is_beginning = term.is_open && index + 1 + next.iter().len() == term.units.len();
        let is_open = match unit.kind {
            // The pair before contains it.
            UnitKind::Part(_) if next.is_none() && unit.is_glued => continue,
            // In the index, a part is paired with the one that follows it.
            UnitKind::Part(_) if next.is_none() => true,
            _ => is_beginning && lexeme.chars().count() < WORD_CHARS_MAX,
        };
        if is_open {
            open.insert(format!("{}:*", quoted(&lexeme)));
        } else {
            whole.insert(quoted(&lexeme));
        }
    }
}

/// The readers whom a message of the scope must have, as a query of their terms.
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
        SearchScope::In(conversation, _) => {
            let readers = readers_of(application, conversation).into_iter();
            let terms: Vec<_> = readers.map(|reader| any(vec![reader])).collect();
            terms.join("&")
        }
    }
}

/// Any of the terms, in chains of [`CHAIN_TERMS_MAX`].
fn any_of(terms: &[String]) -> String {
    match terms.split_at(terms.len() / 2) {
        (first, second) if terms.len() > CHAIN_TERMS_MAX => {
            format!("({})|({})", any_of(first), any_of(second))
        }
        _ => terms.join("|"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conversation, MessageNumber, UserId};

    const APPLICATION: ApplicationId = ApplicationId::new(7);

    fn query(text: &str) -> Lookup {
        let query = Query::parse(text).unwrap();
        let stage = Stage::of(100, 100);
        let chat = SearchScope::In(Conversation::Chat(ChatNumber::new(3)), MessageNumber::ZERO);
        lookup(APPLICATION, &chat, &[], &query, &stage, true)
    }

    #[test]
    fn a_query_becomes_lexemes_and_none_of_its_characters_an_operator() {
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
    }

    #[test]
    fn a_scope_and_a_stage_become_the_terms_of_their_readers() {
        let (jane, john) = (UserId::trusted("jane"), UserId::trusted("john"));
        let all = SearchScope::Everything(jane.clone());
        let everywhere = Stage::of(100, 100);
        assert_eq!(
            readers(APPLICATION, &all, &[ChatNumber::new(1)], &everywhere),
            "(':u7:jane'|':g7:1')"
        );
        let both = SearchScope::In(Conversation::between(&john, &jane), MessageNumber::ZERO);
        assert_eq!(
            readers(APPLICATION, &both, &[], &everywhere),
            "(':u7:jane')&(':u7:john')"
        );
        let newest = "(':a0:u7:jane'|':a1:u7:jane')&(':a0:m7'|':a1:m7')";
        let alone = SearchScope::In(Conversation::between(&jane, &jane), MessageNumber::ZERO);
        let first = Stage::first(5000);
        assert_eq!(readers(APPLICATION, &alone, &[], &first), newest);
    }
}
