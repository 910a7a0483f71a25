//! Queries: parsed from what a caller types, and found in texts.

use std::ops::Range;

use super::words::{Unit, UnitKind, units};
use crate::domain::is_longer;

/// The longest query, in characters of its composed form (NFC).
pub const QUERY_CHARS_MAX: usize = 200;

/// Quotation marks, which begin and end a phrase.
const QUOTES: [char; 4] = ['"', '“', '”', '„'];

/// A parsed query: all of its terms must occur, in any order. Every text of a valid length can be
/// parsed, and there are no operators: every other character separates terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    terms: Vec<Term>,
}

/// Units that must follow each other: a word, a run of parts, or a phrase of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub units: Vec<Unit>,
    /// Whether the last unit may be the beginning of a longer one.
    pub is_open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {QUERY_CHARS_MAX} characters")]
pub struct BadLength;

impl Query {
    pub fn parse(text: &str) -> Result<Self, BadLength> {
        let trimmed = text.trim();
        if trimmed.is_empty() || is_longer(trimmed, QUERY_CHARS_MAX) {
            return Err(BadLength);
        }
        let mut terms = Vec::new();
        // The untrimmed text: a blank and the mark after it may be one character.
        for (index, section) in text.split(QUOTES).enumerate() {
            let units = units(section);
            // Every second section is in quotation marks.
            if index % 2 == 1 {
                terms.extend((!units.is_empty()).then_some(units));
            } else {
                terms.extend(
                    units
                        .chunk_by(|_, next| next.is_glued)
                        .map(<[Unit]>::to_vec),
                );
            }
        }
        let mut terms: Vec<_> = terms
            .into_iter()
            .map(|units| Term {
                units,
                is_open: false,
            })
            .collect();
        // The last unit may still be typed, unless its phrase is closed.
        if let Some(last) = terms.last_mut()
            && !trimmed.ends_with(QUOTES)
        {
            last.is_open = last.units.last().is_some_and(Unit::may_continue);
        }
        Ok(Self {
            terms: without_repetitions(terms),
        })
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The matches in `text`, in order and without overlaps; `None` unless every term occurs. A
    /// query without terms finds nothing.
    pub fn find_in(&self, text: &str) -> Option<Vec<Range<usize>>> {
        let units = units(text);
        let mut found = Vec::new();
        for term in &self.terms {
            let before = found.len();
            found.extend(term.find_in(&units));
            if found.len() == before {
                return None;
            }
        }
        found.sort_unstable_by_key(|range| range.start);
        (!found.is_empty()).then(|| merged(found))
    }
}

/// The terms, each once.
fn without_repetitions(terms: Vec<Term>) -> Vec<Term> {
    let mut distinct: Vec<Term> = Vec::new();
    for term in terms {
        if !distinct.iter().any(|earlier| earlier.is_equal(&term)) {
            distinct.push(term);
        }
    }
    distinct
}

impl Term {
    /// Whether both are equal, apart from their places in the text.
    fn is_equal(&self, other: &Self) -> bool {
        let parts = |term: &Self| -> Vec<_> {
            term.units
                .iter()
                .map(|unit| (unit.kind.clone(), unit.is_glued))
                .collect()
        };
        self.is_open == other.is_open && parts(self) == parts(other)
    }

    fn find_in(&self, text: &[Unit]) -> impl Iterator<Item = Range<usize>> {
        let windows = text.windows(self.units.len());
        windows.filter(|window| self.is_at(window)).map(|window| {
            let (first, last) = (&window[0], &window[window.len() - 1]);
            first.range.start..last.range.end
        })
    }

    fn is_at(&self, window: &[Unit]) -> bool {
        let last = self.units.len() - 1;
        self.units
            .iter()
            .zip(window)
            .enumerate()
            .all(|(index, (own, unit))| {
                let is_equal = own.kind == unit.kind
                    || (self.is_open && index == last && unit.begins_with(own));
                is_equal && (unit.is_glued || !own.is_glued)
            })
    }
}

impl Unit {
    fn begins_with(&self, beginning: &Self) -> bool {
        match (&self.kind, &beginning.kind) {
            (UnitKind::Word(whole), UnitKind::Word(beginning))
            | (UnitKind::Part(whole), UnitKind::Part(beginning)) => whole.starts_with(beginning),
            _ => false,
        }
    }
}

/// Joins ranges that overlap.
fn merged(sorted: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    /// What a query finds in a text; `None` if it does not match.
    fn found<'t>(query: &str, text: &'t str) -> Option<Vec<&'t str>> {
        let ranges = Query::parse(query).unwrap().find_in(text)?;
        Some(ranges.into_iter().map(|range| &text[range]).collect())
    }

    #[test]
    fn all_words_must_occur_in_any_order_and_case() {
        assert_eq!(
            found("WORLD hello", "Hello, brave world"),
            Some(vec!["Hello", "world"])
        );
        assert_eq!(found("hello moon", "Hello, brave world"), None);
        assert_eq!(found("hello hello", "Hello"), Some(vec!["Hello"]));
    }

    #[test]
    fn only_the_last_word_may_be_a_beginning() {
        assert_eq!(
            found("hello wor", "Hello, world"),
            Some(vec!["Hello", "world"])
        );
        assert_eq!(found("hel world", "Hello, world"), None);
        assert_eq!(found("orld", "Hello, world"), None);
        assert_eq!(found("\"wor\"", "Hello, world"), None);
    }

    #[test]
    fn quoted_words_follow_each_other() {
        assert_eq!(
            found("\"to be\"", "To be, or not to be"),
            Some(vec!["To be", "to be"])
        );
        assert_eq!(found("\"be to\"", "To be, or not to be"), None);
        assert_eq!(
            found("not “to be”", "To be, or not to be").unwrap().len(),
            3
        );
        assert_eq!(
            found("\"or not t", "To be, or not to be"),
            Some(vec!["or not to"])
        );
        assert_eq!(found("a\"\"b", "b a"), Some(vec!["b", "a"]));
    }

    #[test]
    fn any_part_of_a_text_without_blanks_is_found() {
        for part in ["日本", "本語", "日本語", "語", "日", "語を"] {
            assert_eq!(found(part, "私は日本語を話す"), Some(vec![part]));
        }
        assert_eq!(found("本私", "私は日本語を話す"), None);
        assert_eq!(found("日語", "私は日本語を話す"), None);
        assert_eq!(found("本語", "日本。語"), None);
        assert_eq!(found("啊啊", "啊啊啊"), Some(vec!["啊啊啊"]));
        assert_eq!(found("สวัสดี", "สวัสดีครับ"), Some(vec!["สวัสดี"]));
        assert_eq!(found("👍", "great👍"), Some(vec!["👍"]));
        assert_eq!(found("สวัสด", "สวัสดีครับ"), Some(vec!["สวัสดี"]));
        assert_eq!(found("\"สวัสด\"", "สวัสดีครับ"), None);
    }

    #[test]
    fn accents_count_as_typed() {
        assert_eq!(found("cafe", "Café"), None);
        assert_eq!(found("CAFÉ", "le cafe\u{301}"), Some(vec!["cafe\u{301}"]));
    }

    #[test]
    fn nothing_to_search_for_finds_nothing() {
        for query in ["!?", "\"\"", "\"", "%_\\", "&|!()<->:*"] {
            assert_eq!(found(query, "anything %_\\ at all"), None, "{query}");
        }
        assert_eq!(Query::parse(" \t"), Err(BadLength));
        assert_eq!(Query::parse(&"x".repeat(201)), Err(BadLength));
        assert!(Query::parse(&"日".repeat(200)).is_ok());
        assert!(Query::parse(&"n\u{303}".repeat(200)).is_ok());
    }

    proptest! {
        #[test]
        fn the_ranges_of_any_query_are_in_order_and_on_boundaries(
            query in "\\PC{1,200}", text in "\\PC*",
        ) {
            let Ok(query) = Query::parse(&query) else { return Ok(()) };
            let mut end = 0;
            for range in query.find_in(&text).unwrap_or_default() {
                prop_assert!(range.start >= end && text.get(range.clone()).is_some());
                end = range.end;
            }
        }

        #[test]
        fn a_text_is_found_by_every_canonically_equivalent_query(
            text in "([a-zI가-힣ᄀ-ᇂ][\\u{300}-\\u{345}]{0,3}|[ก-๎]|[かば゚]|[क-ह़]| ){1,40}",
        ) {
            let (composed, decomposed) = (text.nfc().collect::<String>(), text.nfd().collect::<String>());
            let query = Query::parse(&composed);
            prop_assume!(query.as_ref().is_ok_and(|query| !query.terms().is_empty()));
            let query = query.unwrap();
            prop_assert_eq!(Query::parse(&decomposed).unwrap().terms().len(), query.terms().len());
            for text in [&composed, &decomposed, &text] {
                prop_assert!(query.find_in(text).is_some(), "{:?}", text);
            }
        }

        #[test]
        fn a_text_is_found_by_itself(text in "[a-zé日本語ไทย 👍'-]{1,100}") {
            let query = Query::parse(&text);
            prop_assume!(query.as_ref().is_ok_and(|query| !query.terms().is_empty()));
            prop_assert!(query.unwrap().find_in(&text).is_some());
        }

        #[test]
        fn a_phrase_is_found_in_what_holds_it(before in "[a-z ]{0,20}", phrase in "[a-z日本 ]{1,20}", after in "[a-z ]{0,20}") {
            let query = Query::parse(&format!("\"{phrase}\"")).unwrap();
            prop_assume!(!query.terms().is_empty());
            let text = format!("{before} {phrase} {after}");
            prop_assert!(query.find_in(&text).is_some());
        }
    }
}
