//! Folding: the form of a text in which search compares it.

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};

use super::words::is_invisible;

/// A text without its case, the encoding of its accents, and its invisible characters. Two texts
/// fold to the same if they are a canonical caseless match (the Unicode Standard, section 3.13,
/// D145). Lower case, then upper, then lower again is the full folding of case: so ß and ẞ become
/// ss, and every sigma becomes the same. In addition, the Turkish letters i, ı, I and İ all become
/// i.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let visible = text.nfd().filter(|character| !is_invisible(*character));
    let lower = visible.flat_map(char::to_lowercase);
    let folded = lower
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    without_dots(folded).nfc().collect()
}

/// Decomposed characters without the dot above of each i: İ is an I with a dot above. Marks in
/// other places, such as below, may come between the two.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// From CaseFolding.txt of the Unicode Character Database: those with status F and T, and of
    /// the others what has no pair of cases.
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
}
