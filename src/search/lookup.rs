//! Translates what is searched for into a lookup of the index.

use std::collections::BTreeSet;

use super::{
    criteria::{Criteria, Filters},
    query::{Query, Term},
    stage::Stage,
    terms::{
        WORD_CHARS_MAX, chat_term, files_term, lexeme, quoted, readers_of, sender_term, user_term,
    },
    times::terms_between,
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
    criteria: &Criteria,
    stage: &Stage,
    by_entry: bool,
) -> Lookup {
    let (mut whole, mut open) = (BTreeSet::new(), BTreeSet::new());
    for term in criteria.query.iter().flat_map(Query::terms) {
        collect_lexemes(term, &mut whole, &mut open);
    }
    let whole = [readers(application, scope, chats, stage)]
        .into_iter()
        .chain(whole)
        .chain(marks(application, &criteria.filters));
    let whole: Vec<_> = whole.collect();
    let entry: Vec<_> = whole.iter().cloned().chain(open).collect();
    let index = if by_entry { &whole } else { &entry };
    // Dozens of blocks take longer to check on an entry than the time of its message.
    let times = times(application, &criteria.filters);
    let index: Vec<_> = index.iter().cloned().chain(times).collect();
    Lookup {
        index: index.join("&"),
        entry: entry.join("&"),
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

/// The terms of the sender and of files that the filters demand.
fn marks(application: ApplicationId, filters: &Filters) -> impl Iterator<Item = String> {
    let from = filters.from.as_ref();
    let from = from.map(|user| quoted(&sender_term(application, user)));
    let files = filters.has_file.then(|| quoted(&files_term(application)));
    from.into_iter().chain(files)
}

/// The blocks of time in one of which a message must lie, as a query of their terms. `None` if the
/// time does not matter.
fn times(application: ApplicationId, filters: &Filters) -> Option<String> {
    let terms = terms_between(application, filters.since, filters.until);
    let terms: Vec<_> = terms.iter().map(|term| quoted(term)).collect();
    (!terms.is_empty()).then(|| format!("({})", any_of(&terms)))
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
    use time::macros::datetime;

    use super::*;
    use crate::domain::{Conversation, MessageNumber, UserId};

    const APPLICATION: ApplicationId = ApplicationId::new(7);

    fn query(text: &str) -> Lookup {
        filtered(Some(text), Filters::default())
    }

    fn filtered(text: Option<&str>, filters: Filters) -> Lookup {
        let query = text.map(|text| Query::parse(text).unwrap());
        let criteria = Criteria { query, filters };
        let stage = Stage::of(100, 100);
        let chat = SearchScope::In(Conversation::Chat(ChatNumber::new(3)), MessageNumber::ZERO);
        lookup(APPLICATION, &chat, &[], &criteria, &stage, true)
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
    fn filters_become_terms_with_and_without_words() {
        let files = Filters {
            from: Some(UserId::trusted("jane")),
            has_file: true,
            ..Filters::default()
        };
        let alone = filtered(None, files.clone());
        assert_eq!(alone.index, "(':g7:3')&':s7:jane'&':f7'");
        assert_eq!(alone.entry, alone.index);
        let with_words = filtered(Some("hello wor"), files);
        assert_eq!(
            with_words.index, "(':g7:3')&'hello'&':s7:jane'&':f7'",
            "by entry"
        );
        assert_eq!(
            with_words.entry,
            "(':g7:3')&'hello'&':s7:jane'&':f7'&'wor':*"
        );
        let day = Filters {
            since: Some(datetime!(2026-11-01 00:00 UTC)),
            until: Some(datetime!(2026-11-02 00:00 UTC)),
            ..Filters::default()
        };
        let of_day = filtered(None, day);
        assert_eq!(of_day.index, "(':g7:3')&(':t0:7:27366'|':t0:7:27367')");
        assert_eq!(of_day.entry, "(':g7:3')");
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
