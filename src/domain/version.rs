//! A message at one point of the timeline.

use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use super::Message;

/// A message as one change has left it. That never changes, so its JSON is made once and kept with it.
#[derive(Debug)]
pub struct Version {
    pub message: Arc<Message>,
    json: OnceLock<Box<RawValue>>,
}

impl Version {
    /// What `render` makes of the message, which is always the same.
    pub fn json(&self, render: impl FnOnce(&Message) -> Box<RawValue>) -> &RawValue {
        self.json.get_or_init(|| render(&self.message))
    }
}

impl From<Arc<Message>> for Version {
    fn from(message: Arc<Message>) -> Self {
        Self { message, json: OnceLock::new() }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
    }
}
