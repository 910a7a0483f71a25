//! The units of a text: words, and the characters of scripts that put no blanks between words.
//!
//! Units are compared after [folding](folded), so canonically equivalent texts are equal. A unit
//! consists of whole characters as a reader sees them, so that a match begins and ends with one.
//! The text itself stays as it was sent.

use std::ops::Range;

use unicode_properties::{
    GeneralCategory, UnicodeGeneralCategory, general_category::GeneralCategoryGroup,
};
use unicode_script::{Script, UnicodeScript};
use unicode_segmentation::UnicodeSegmentation;

use super::folding::folded;

/// Scripts without blanks between words: every part of such a text can be searched for.
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
    pub kind: UnitKind,
    /// Its place, in bytes of the text: whole extended grapheme clusters (UAX #29).
    pub range: Range<usize>,
    /// Whether it is a part that follows another part directly.
    pub is_glued: bool,
}

/// What a unit is, after folding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitKind {
    /// Letters, digits and their marks.
    Word(String),
    /// One character of an unspaced script, or a symbol such as an emoji, with its marks.
    Part(String),
}

impl Unit {
    /// Whether a longer unit may begin with this one: a longer word, a character whose vowels are
    /// marks, an emoji with a colour. Not a kana: with a mark of voicing it is another kana.
    pub fn may_continue(&self) -> bool {
        const COMPLETE: [Script; 4] = [
            Script::Han,
            Script::Hiragana,
            Script::Katakana,
            Script::Bopomofo,
        ];
        match &self.kind {
            UnitKind::Word(_) => true,
            UnitKind::Part(part) => !part
                .chars()
                .next()
                .is_some_and(|first| belongs_to(first, &COMPLETE)),
        }
    }
}

/// What a character means for the units.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CharacterClass {
    Word,
    Part,
    /// Belongs to the character before it: a mark after a letter.
    Mark,
    /// Ignored: a soft hyphen, a joiner.
    Invisible,
    Other,
}

/// The units of a text, in order.
pub fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    // The word that is being read; and whether the last part ends here.
    let (mut word, mut after_part) = (None::<Range<usize>>, false);
    for (start, cluster) in text.grapheme_indices(true) {
        let end = start + cluster.len();
        match (class_of(cluster), &mut word) {
            (CharacterClass::Word | CharacterClass::Mark, Some(range)) => range.end = end,
            (CharacterClass::Word, None) => (word, after_part) = (Some(start..end), false),
            (CharacterClass::Part, _) => {
                units.extend(word.take().map(|range| whole_word(text, range)));
                let kind = UnitKind::Part(folded(cluster));
                units.push(Unit {
                    kind,
                    range: start..end,
                    is_glued: after_part,
                });
                after_part = true;
            }
            (CharacterClass::Mark, None) | (CharacterClass::Invisible, _) => {}
            (CharacterClass::Other, _) => {
                units.extend(word.take().map(|range| whole_word(text, range)));
                after_part = false;
            }
        }
    }
    units.extend(word.map(|range| whole_word(text, range)));
    units
}

fn whole_word(text: &str, range: Range<usize>) -> Unit {
    Unit {
        kind: UnitKind::Word(folded(&text[range.clone()])),
        range,
        is_glued: false,
    }
}

/// The class of a cluster is that of its first visible character.
fn class_of(cluster: &str) -> CharacterClass {
    let mut classes = cluster.chars().map(class);
    classes
        .find(|class| *class != CharacterClass::Invisible)
        .unwrap_or(CharacterClass::Invisible)
}

fn class(character: char) -> CharacterClass {
    if character.is_ascii() {
        return if character.is_ascii_alphanumeric() {
            CharacterClass::Word
        } else {
            CharacterClass::Other
        };
    }
    let category = character.general_category();
    match character.general_category_group() {
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number if is_unspaced(character) => {
            CharacterClass::Part
        }
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number => CharacterClass::Word,
        GeneralCategoryGroup::Mark if is_variation(character) => CharacterClass::Invisible,
        GeneralCategoryGroup::Mark if is_unspaced(character) => CharacterClass::Part,
        GeneralCategoryGroup::Mark => CharacterClass::Mark,
        GeneralCategoryGroup::Symbol if category == GeneralCategory::OtherSymbol => {
            CharacterClass::Part
        }
        GeneralCategoryGroup::Other if is_tag(character) => CharacterClass::Mark,
        GeneralCategoryGroup::Other if category == GeneralCategory::Format => {
            CharacterClass::Invisible
        }
        _ => CharacterClass::Other,
    }
}

/// Whether search ignores the character.
pub fn is_invisible(character: char) -> bool {
    class(character) == CharacterClass::Invisible
}

/// Whether it selects a variant of the character before it, or separates marks. It is invisible
/// itself.
fn is_variation(mark: char) -> bool {
    matches!(mark, '\u{34f}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether it spells the name of a flag, after a black flag (UTS #51).
fn is_tag(character: char) -> bool {
    matches!(character, '\u{e0020}'..='\u{e007f}')
}

/// Whether only unspaced scripts use it. A character that a spaced script uses too, such as the
/// apostrophe of Latin and Thai, belongs to words.
fn is_unspaced(character: char) -> bool {
    belongs_to(character, &UNSPACED_SCRIPTS)
}

/// Whether all scripts that use a character are among these. A character that all scripts share
/// belongs to none.
fn belongs_to(character: char, among: &[Script]) -> bool {
    let scripts = character.script_extension();
    !scripts.is_common()
        && !scripts.is_inherited()
        && scripts.iter().all(|script| among.contains(&script))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    /// The units as text; a part that is glued to the one before has a + before it.
    fn shown(text: &str) -> Vec<String> {
        let show = |unit: Unit| match (unit.kind, unit.is_glued) {
            (UnitKind::Word(word), _) => word,
            (UnitKind::Part(part), false) => part,
            (UnitKind::Part(part), true) => format!("+{part}"),
        };
        units(text).into_iter().map(show).collect()
    }

    #[test]
    fn words_are_letters_digits_and_their_marks() {
        assert_eq!(
            shown("Don't panic: it's 42!"),
            ["don", "t", "panic", "it", "s", "42"]
        );
        assert_eq!(
            shown("foo_bar@example.org"),
            ["foo", "bar", "example", "org"]
        );
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
        assert_eq!(shown("ที่"), ["ที่"]);
        assert_eq!(shown("か\u{3099}カ\u{309a}"), ["が", "+カ\u{309a}"]);
        assert_eq!(shown("ok 👍👍🏽"), ["ok", "👍", "+👍🏽"]);
        assert_eq!(shown("🇩🇪🇸🇪 👨‍👩‍👧 ❤\u{fe0f}"), ["🇩🇪", "+🇸🇪", "👨👩👧", "❤"]);
        assert_eq!(shown("葛\u{e0100}城"), ["葛", "+城"]);
    }

    proptest! {
        #[test]
        fn canonically_equivalent_texts_have_the_same_units(
            text in "(\\PC|[\\u{300}-\\u{345}]|[a-zI가-힣ᄀ-ᇂ가-갤क-ह़०-९かば゚]|[\\u{5b0}-\\u{5c2}]){0,12}",
        ) {
            let (composed, decomposed) = (text.nfc().collect::<String>(), text.nfd().collect::<String>());
            prop_assert_eq!(shown(&composed), shown(&text));
            prop_assert_eq!(shown(&decomposed), shown(&text));
        }

        #[test]
        fn units_are_in_order_and_are_whole_clusters(text in "\\PC*|[\\x00-\\u{ffff}]*") {
            let borders: Vec<_> = text.grapheme_indices(true).map(|(start, _)| start).collect();
            let is_border = |at: usize| at == text.len() || borders.binary_search(&at).is_ok();
            let mut end = 0;
            for unit in units(&text) {
                prop_assert!(unit.range.start >= end && unit.range.end > unit.range.start);
                prop_assert!(is_border(unit.range.start) && is_border(unit.range.end));
                end = unit.range.end;
            }
        }

        #[test]
        fn a_word_is_the_same_in_either_case(word in "[a-zA-Zàéîõüßẞñøłžαβγσςя]{1,12}") {
            prop_assert_eq!(shown(&word.to_uppercase()), shown(&word.to_lowercase()));
        }
    }
}
