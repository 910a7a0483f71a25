//! The text of a message.

use unicode_normalization::UnicodeNormalization;

use super::Invalid;

/// The longest text, in characters of its composed form after trimming: see [`is_longer`].
pub const TEXT_CHARS_MAX: usize = 20_000;

/// Whether a text has more than so many characters: Unicode scalar values of its Normalization Form
/// C (UAX #15), so that canonically equivalent texts are equally long.
pub fn is_longer(text: &str, chars_max: usize) -> bool {
    // A text has at least as many bytes as its composed form has characters.
    text.len() > chars_max && text.nfc().nth(chars_max).is_some()
}

/// The text of a message, as it was sent: 1 to 20,000 characters without blanks at its ends and
/// without NUL, which PostgreSQL cannot store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Trims `value` at both ends and checks what remains.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        Self::parse_or_empty(value)?.ok_or(Invalid("must hold more than blanks"))
    }

    /// As [`Text::parse`], but an empty text is `None`: a message may have files or attributes
    /// alone.
    pub fn parse_or_empty(value: &str) -> Result<Option<Self>, Invalid> {
        let trimmed = value.trim();
        if trimmed.contains('\0') {
            return Err(Invalid("must not contain U+0000"));
        }
        if is_longer(trimmed, TEXT_CHARS_MAX) {
            return Err(Invalid("must be at most 20,000 characters"));
        }
        Ok((!trimmed.is_empty()).then(|| Self(trimmed.to_owned())))
    }

    /// A text that was checked before it was stored.
    pub fn trusted(value: String) -> Self {
        Self(value)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its length as a JSON string, in bytes (RFC 8259, section 7).
    pub fn json_bytes(&self) -> usize {
        let escaped = |byte: u8| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0..0x20 => 6,
            _ => 1,
        };
        self.as_str().bytes().map(escaped).sum::<usize>() + 2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_counts_characters_and_not_bytes() {
        assert!(Text::parse(&"日".repeat(TEXT_CHARS_MAX)).is_ok());
        assert!(Text::parse(&"日".repeat(TEXT_CHARS_MAX + 1)).is_err());
        assert!(Text::parse(&format!("  {}\n", "a".repeat(TEXT_CHARS_MAX))).is_ok());
    }

    #[test]
    fn canonically_equivalent_texts_have_the_same_limit_and_stay_as_they_are() {
        for (letter, length) in [
            ("ñ", 1),
            ("n\u{303}", 1),
            ("ᄒ\u{1161}\u{11ab}", 1),
            ("\u{fb2c}", 3),
        ] {
            let longest = letter.repeat(TEXT_CHARS_MAX / length);
            assert_eq!(Text::parse(&longest).unwrap().as_str(), longest);
            assert!(Text::parse(&(longest + letter)).is_err(), "{letter}");
        }
    }

    #[test]
    fn blanks_alone_are_no_text() {
        assert!(Text::parse(" \t\u{3000}\n").is_err());
        assert_eq!(Text::parse_or_empty(" \n"), Ok(None));
    }

    #[test]
    fn nul_is_refused_at_every_place() {
        assert!(Text::parse("a\0b").is_err());
        assert!(Text::parse("\0").is_err());
    }

    proptest! {
        #[test]
        fn the_composed_form_decides_how_long_a_text_is(text in "\\PC{0,20}|[\u{fb1d}-\u{fb4e}]{0,20}") {
            let length = text.nfc().count();
            prop_assert!(!is_longer(&text, length));
            prop_assert_eq!(length > 0, length > 0 && is_longer(&text, length - 1));
        }

        #[test]
        fn trimming_twice_is_trimming_once(raw in "\\PC{0,50}") {
            if let Ok(text) = Text::parse(&raw) {
                prop_assert_eq!(Text::parse(text.as_str()), Ok(text.clone()));
                prop_assert_eq!(text.as_str(), raw.trim());
            }
        }
    }
}
