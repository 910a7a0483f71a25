//! Server-Sent Events as bytes (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! axum's `Sse` sends each event as a chunk of its own. A stream that catches up sends hundreds of
//! events a page, and writes them here into one buffer, which is one chunk.

use std::fmt::Display;

use axum::body::Bytes;
use serde::Serialize;

/// An empty comment, which keeps a connection open.
pub const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Blocks of fields, in the order in which they were added.
#[derive(Default)]
pub struct Blocks(Vec<u8>);

impl Blocks {
    /// An id alone: no event, but the client resumes from it.
    pub fn id(&mut self, id: impl Display) {
        self.field("id", id);
        self.end();
    }

    /// How long the client waits before it reconnects.
    pub fn retry(&mut self, milliseconds: u64) {
        self.field("retry", milliseconds);
        self.end();
    }

    /// An event. Without an `id`, the client keeps the last one. (A browser dispatches no event
    /// without data.)
    pub fn event(&mut self, name: &str, id: Option<impl Display>, data: &impl Serialize) {
        self.field("event", name);
        if let Some(id) = id {
            self.field("id", id);
        }
        self.0.extend_from_slice(b"data: ");
        let start = self.0.len();
        serde_json::to_writer(&mut self.0, data)
            .expect("strings and numbers can be written as JSON");
        // Attributes are sent as they were received, and may have line breaks between their tokens.
        // A line break would end the field, and a blank means the same in JSON.
        for byte in &mut self.0[start..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        self.0.push(b'\n');
        self.end();
    }

    /// The bytes; `None` if nothing was added.
    pub fn finish(self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.into())
    }

    fn field(&mut self, name: &str, value: impl Display) {
        self.0
            .extend_from_slice(format!("{name}: {value}\n").as_bytes());
    }

    fn end(&mut self) {
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::RawValue};

    use super::*;

    #[test]
    fn blocks_are_written_as_the_standard_has_them() {
        let mut blocks = Blocks::default();
        blocks.id(41);
        blocks.retry(2500);
        blocks.event("update", Some(42), &json!({ "id": 17 }));
        blocks.event("current", None::<i64>, &json!({}));
        let text = "id: 41\n\nretry: 2500\n\n\
                    event: update\nid: 42\ndata: {\"id\":17}\n\nevent: current\ndata: {}\n\n";
        assert_eq!(blocks.finish().unwrap(), text);
        assert_eq!(Blocks::default().finish(), None);
    }

    #[test]
    fn a_line_break_in_json_does_not_end_its_field() {
        let raw = RawValue::from_string("{\r\n \"a\":\r1}".to_owned()).unwrap();
        let mut blocks = Blocks::default();
        blocks.event("update", None::<i64>, &raw);
        assert_eq!(
            blocks.finish().unwrap(),
            "event: update\ndata: {   \"a\": 1}\n\n"
        );
    }
}
