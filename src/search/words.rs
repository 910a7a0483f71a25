//! A text as search sees it: words, and the characters of scripts that put no blanks between words.
//!
//! Canonically equivalent texts are the same text: what is compared is folded and composed (NFC), and
//! what it is taken from are whole characters as a reader sees them, so that whatever is found begins
//! and ends with one. The text itself stays as it was sent.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};
use unicode_properties::{
    GeneralCategory, UnicodeGeneralCategory, general_category::GeneralCategoryGroup,
};
use unicode_script::{Script, UnicodeScript};
use unicode_segmentation::UnicodeSegmentation;

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
    /// Where it stands, in bytes of the text: whole extended grapheme clusters (UAX #29).
    pub range: Range<usize>,
    /// Whether it is a part that follows another one with nothing between them.
    pub is_glued: bool,
}

/// What a unit is, without regard to case and encoding: see [`folded`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Letters, digits and their marks.
    Word(String),
    /// One character of an unspaced script, or a symbol such as an emoji, with all that belongs to it.
    Part(String),
}

impl Unit {
    /// Whether what is being typed may be the beginning of more: of a word, of a character whose vowels
    /// are marks, of an emoji with a colour. A kana with a mark of voicing is another kana.
    pub fn may_go_on(&self) -> bool {
        const COMPLETE: [Script; 4] = [
            Script::Han,
            Script::Hiragana,
            Script::Katakana,
            Script::Bopomofo,
        ];
        match &self.kind {
            Kind::Word(_) => true,
            Kind::Part(part) => !part
                .chars()
                .next()
                .is_some_and(|first| belongs_to(first, &COMPLETE)),
        }
    }
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
    for (start, cluster) in text.grapheme_indices(true) {
        let end = start + cluster.len();
        match (class_of(cluster), &mut word) {
            (Class::Word | Class::Mark, Some(range)) => range.end = end,
            (Class::Word, None) => (word, after_part) = (Some(start..end), false),
            (Class::Part, _) => {
                units.extend(word.take().map(|range| whole_word(text, range)));
                let kind = Kind::Part(folded(cluster));
                units.push(Unit {
                    kind,
                    range: start..end,
                    is_glued: after_part,
                });
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
    Unit {
        kind: Kind::Word(folded(&text[range.clone()])),
        range,
        is_glued: false,
    }
}

/// A text without regard to case, to how its accents are encoded, and to what cannot be seen: two texts
/// fold to the same where they are a canonical caseless match (the Unicode Standard, section 3.13,
/// D145). Lower case, then upper, then lower again is the full folding of case: so ß and ẞ are ss, and
/// every sigma is the same. Beyond it, the Turkish letters i, ı, I and İ are all i.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let visible = text
        .nfd()
        .filter(|character| class(*character) != Class::Invisible);
    let lower = visible.flat_map(char::to_lowercase);
    let folded = lower
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    without_dots(folded).nfc().collect()
}

/// Decomposed characters without the dot that an i has: İ is an I with a dot above. Marks that stand
/// elsewhere, such as below, may come between the two.
fn without_dots(decomposed: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    const DOT_ABOVE: char = '\u{307}';
    const ABOVE: u8 = 230;
    let mut after_i = false;
    decomposed.filter(move |character| {
        let is_dot_of_i = after_i && *character == DOT_ABOVE;
        let is_between = after_i && !matches!(canonical_combining_class(*character), 0 | ABOVE);
        after_i = *character == 'i' || is_between;
        !is_dot_of_i
    })
}

/// The class of a cluster is that of the character which carries the others.
fn class_of(cluster: &str) -> Class {
    let mut classes = cluster.chars().map(class);
    classes
        .find(|class| *class != Class::Invisible)
        .unwrap_or(Class::Invisible)
}

fn class(character: char) -> Class {
    if character.is_ascii() {
        return if character.is_ascii_alphanumeric() {
            Class::Word
        } else {
            Class::Other
        };
    }
    let category = character.general_category();
    match character.general_category_group() {
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number if is_unspaced(character) => {
            Class::Part
        }
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number => Class::Word,
        GeneralCategoryGroup::Mark if is_variation(character) => Class::Invisible,
        GeneralCategoryGroup::Mark if is_unspaced(character) => Class::Part,
        GeneralCategoryGroup::Mark => Class::Mark,
        GeneralCategoryGroup::Symbol if category == GeneralCategory::OtherSymbol => Class::Part,
        GeneralCategoryGroup::Other if is_tag(character) => Class::Mark,
        GeneralCategoryGroup::Other if category == GeneralCategory::Format => Class::Invisible,
        _ => Class::Other,
    }
}

/// Whether it chooses how the character before it looks, or keeps marks apart, and is nothing itself.
fn is_variation(mark: char) -> bool {
    matches!(mark, '\u{34f}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether it spells, behind a black flag, which flag that is (UTS #51).
fn is_tag(character: char) -> bool {
    matches!(character, '\u{e0020}'..='\u{e007f}')
}

/// Whether it belongs to unspaced scripts alone. What several scripts use, such as the apostrophe of
/// Latin and Thai, belongs to the words of those that have blanks.
fn is_unspaced(character: char) -> bool {
    belongs_to(character, &UNSPACED_SCRIPTS)
}

/// Whether all scripts that use a character are among these. What every script uses belongs to none.
fn belongs_to(character: char, among: &[Script]) -> bool {
    let scripts = character.script_extension();
    !scripts.is_common()
        && !scripts.is_inherited()
        && scripts.iter().all(|script| among.contains(&script))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The units as text; a part that is glued to the one before has a + before it.
    fn shown(text: &str) -> Vec<String> {
        let show = |unit: Unit| match (unit.kind, unit.is_glued) {
            (Kind::Word(word), _) => word,
            (Kind::Part(part), false) => part,
            (Kind::Part(part), true) => format!("+{part}"),
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

    /// From CaseFolding.txt of the Unicode Character Database: those with status F and T, and of the
    /// others what has no pair of cases.
    #[test]
    fn case_is_folded_as_unicode_does_it_and_every_i_is_the_same() {
        for (text, expected) in [
            ("ß ẞ ŉ ǰ", "ss ss ʼn ǰ"),
            ("ΐ ᾳ ᾼ ᾷ ͅa", "ΐ αι αι ᾶι ιa"),
            ("և ﬓ", "եւ մն"),
            ("ẖ ẚ ẛ ſ", "ẖ aʾ ṡ s"),
            ("ﬀ ﬁ ﬃ ﬆ", "ff fi ffi st"),
            ("µ ϐ ϑ ς ϖ ϰ ϱ ϵ ι Ω K Å", "μ β θ σ π κ ρ ε ι ω k å"),
            ("Ꭰ ꭰ ᏸ Ა ა ᲀ Ⓐ 𐐀", "ꭰ ꭰ ᏸ ა ა в ⓐ 𐐨"),
            ("i ı I İ I\u{307} i\u{307}", "i i i i i i"),
            ("Ị̇ ị I\u{323}\u{307} i\u{307}\u{300} Ì Ï", "ị ị ị ì ì ï"),
            ("ĵ j\u{307} a\u{307}", "ĵ j\u{307} ȧ"),
        ] {
            assert_eq!(folded(text), expected.nfc().collect::<String>(), "{text}");
        }
    }

    #[test]
    fn every_character_is_the_same_in_each_of_its_cases_and_forms() {
        for character in '\0'..=char::MAX {
            let (lower, upper) = (character.to_lowercase(), character.to_uppercase());
            let forms = [String::from_iter(lower), String::from_iter(upper)];
            let forms = forms
                .into_iter()
                .chain([character.nfc().collect(), character.nfd().collect()]);
            for form in forms.filter(|form| !form.chars().eq([character])) {
                let expected = folded(&character.to_string());
                assert_eq!(folded(&form), expected, "{character:?}");
                assert_eq!(folded(&expected), expected, "{character:?}");
            }
        }
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
        fn units_stand_in_order_and_are_whole_clusters(text in "\\PC*|[\\x00-\\u{ffff}]*") {
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
