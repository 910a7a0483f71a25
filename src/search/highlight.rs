//! A text as HTML with its matches marked.

use std::ops::Range;

/// The text with `<mark>` around the ranges and everything else escaped, so that a page can contain
/// it unchanged. The ranges are in order and on the borders of characters, as a query finds them.
pub fn highlight(text: &str, ranges: &[Range<usize>]) -> String {
    let mut html = String::with_capacity(text.len() + ranges.len() * "<mark></mark>".len());
    let mut done = 0;
    for range in ranges {
        escape(&text[done..range.start], &mut html);
        html.push_str("<mark>");
        escape(&text[range.clone()], &mut html);
        html.push_str("</mark>");
        done = range.end;
    }
    escape(&text[done..], &mut html);
    html
}

/// Escapes the characters that have a meaning in an element or in a quoted attribute.
fn escape(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::query::Query, *};

    fn highlighted(query: &str, text: &str) -> Option<String> {
        let ranges = Query::parse(query).ok()?.find_in(text)?;
        Some(highlight(text, &ranges))
    }

    #[test]
    fn matches_are_marked_and_the_rest_is_escaped() {
        let html = highlighted("hello b", "<b>Hello</b> & \"hello\" 'ok'").unwrap();
        let expected = "&lt;<mark>b</mark>&gt;<mark>Hello</mark>&lt;/<mark>b</mark>&gt; &amp; \
                        &quot;<mark>hello</mark>&quot; &#39;ok&#39;";
        assert_eq!(html, expected);
    }

    proptest! {
        #[test]
        fn without_its_marks_the_html_is_the_escaped_text(query in "\\PC{1,20}", text in "[ab<>&\"'日本 ]*") {
            if let Some(html) = highlighted(&query, &text) {
                let plain = html.replace("<mark>", "").replace("</mark>", "");
                prop_assert!(!plain.contains(['<', '>', '"', '\'']));
                prop_assert_eq!(plain, highlight(&text, &[]));
            }
        }
    }
}
