//! A text as search sees it: words, and the characters of scripts that put no blanks between words.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{
    GeneralCategory, UnicodeGeneralCategory, general_category::GeneralCategoryGroup,
};
use unicode_script::{Script, UnicodeScript};

/// Scripts whose words are not told apart by blanks: every part of such a text can be searched for.
const UNSPACED_SCRIPTS: [Script; 8] = [
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Bopomofo,
    Script::Thai,
    Script::Lao,
    Script::Khmer,
    Script::Myanmar,
];

/// The smallest thing that can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub kind: Kind,
    /// Where it stands, in bytes of the text.
    pub range: Range<usize>,
    /// Whether it is a part that follows another one with nothing between them.
    pub is_glued: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Letters, digits and their marks, without regard to case: folded, and composed (NFC).
    Word(String),
    /// One character of an unspaced script, or a symbol such as an emoji, as it is encoded.
    Part(char),
}

/// How a character counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Part,
    /// Belongs to whatever it follows: a mark after a letter.
    Mark,
    /// Is passed over: a soft hyphen, a joiner.
    Invisible,
    Other,
}

/// The units of a text, in their order.
pub fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    // The word that has begun; and whether nothing stands between the last part and here.
    let (mut word, mut after_part) = (None::<Range<usize>>, false);
    for (start, character) in text.char_indices() {
        let end = start + character.len_utf8();
        match (class(character), &mut word) {
            (Class::Word | Class::Mark, Some(range)) => range.end = end,
            (Class::Word, None) => (word, after_part) = (Some(start..end), false),
            (Class::Part, _) => {
                units.extend(word.take().map(|range| whole_word(text, range)));
                let kind = Kind::Part(character);
                units.push(Unit { kind, range: start..end, is_glued: after_part });
                after_part = true;
            }
            (Class::Mark, None) | (Class::Invisible, _) => {}
            (Class::Other, _) => {
                units.extend(word.take().map(|range| whole_word(text, range)));
                after_part = false;
            }
        }
    }
    units.extend(word.map(|range| whole_word(text, range)));
    units
}

fn whole_word(text: &str, range: Range<usize>) -> Unit {
    Unit { kind: Kind::Word(folded(&text[range.clone()])), range, is_glued: false }
}

/// A word without regard to case and to how its accents are encoded. Lower case, then upper, then lower
/// again: so ß and ẞ are ss and every sigma is the same, as full case folding has it.
fn folded(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    let visible = word.chars().filter(|character| class(*character) != Class::Invisible);
    let lower = visible.flat_map(char::to_lowercase);
    lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

fn class(character: char) -> Class {
    if character.is_ascii() {
        return if character.is_ascii_alphanumeric() { Class::Word } else { Class::Other };
    }
    let category = character.general_category();
    match character.general_category_group() {
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number if is_unspaced(character) => {
            Class::Part
        }
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number => Class::Word,
        GeneralCategoryGroup::Mark if is_unspaced(character) => Class::Part,
        GeneralCategoryGroup::Mark => Class::Mark,
        GeneralCategoryGroup::Symbol if category == GeneralCategory::OtherSymbol => Class::Part,
        GeneralCategoryGroup::Other if category == GeneralCategory::Format => Class::Invisible,
        _ => Class::Other,
    }
}

fn is_unspaced(character: char) -> bool {
    // What belongs to every script belongs to none of these.
    let scripts = character.script_extension();
    scripts != Script::Common.into()
        && scripts != Script::Inherited.into()
        && UNSPACED_SCRIPTS.iter().any(|script| scripts.contains_script(*script))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The units as text; a part that is glued to the one before has a + before it.
    fn shown(text: &str) -> Vec<String> {
        let show = |unit: Unit| match (unit.kind, unit.is_glued) {
            (Kind::Word(word), _) => word,
            (Kind::Part(part), false) => part.to_string(),
            (Kind::Part(part), true) => format!("+{part}"),
        };
        units(text).into_iter().map(show).collect()
    }

    #[test]
    fn words_are_letters_digits_and_their_marks() {
        assert_eq!(shown("Don't panic: it's 42!"), ["don", "t", "panic", "it", "s", "42"]);
        assert_eq!(shown("foo_bar@example.org"), ["foo", "bar", "example", "org"]);
        assert_eq!(shown("नमस्ते दुनिया"), ["नमस्ते", "दुनिया"]);
    }

    #[test]
    fn case_and_encoding_do_not_matter_and_accents_do() {
        assert_eq!(shown("STRASSE straße STRAẞE"), ["strasse"; 3]);
        assert_eq!(shown("ΟΔΟΣ οδος"), ["οδοσ", "οδοσ"]);
        assert_eq!(shown("CAFE\u{301} café cafe"), ["café", "café", "cafe"]);
        assert_eq!(shown("co\u{ad}operate"), ["cooperate"]);
    }

    #[test]
    fn scripts_without_blanks_are_split_into_parts() {
        assert_eq!(shown("日本語。東京"), ["日", "+本", "+語", "東", "+京"]);
        assert_eq!(shown("Rust言語2024年"), ["rust", "言", "+語", "2024", "年"]);
        assert_eq!(shown("ラーメン"), ["ラ", "+ー", "+メ", "+ン"]);
        assert_eq!(shown("ที่"), ["ท", "+ี", "+่"]);
        assert_eq!(shown("ok 👍👍"), ["ok", "👍", "+👍"]);
        assert_eq!(shown("葛\u{e0100}城"), ["葛", "+城"]);
    }

    proptest! {
        #[test]
        fn units_stand_in_order_on_the_borders_of_characters(text in "\\PC*|[\\x00-\\u{ffff}]*") {
            let mut end = 0;
            for unit in units(&text) {
                prop_assert!(unit.range.start >= end && unit.range.end > unit.range.start);
                prop_assert!(text.get(unit.range.clone()).is_some());
                end = unit.range.end;
            }
        }

        #[test]
        fn a_word_is_the_same_in_either_case(word in "[a-zA-Zàéîõüßẞñøłžαβγσςя]{1,12}") {
            prop_assert_eq!(shown(&word.to_uppercase()), shown(&word.to_lowercase()));
        }
    }
}
