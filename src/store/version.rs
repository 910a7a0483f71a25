//! A message at one point of the timeline.

use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use crate::domain::Message;

/// A message as one change has left it. That never changes, so its JSON is made once and kept with
/// it.
#[derive(Debug)]
pub struct Version {
    pub message: Arc<Message>,
    data_bytes: usize,
    json: OnceLock<Box<RawValue>>,
}

impl Version {
    /// The message as JSON, which the first call makes. A message has one representation, so every
    /// caller must pass the same `render`.
    pub fn json(&self, render: impl FnOnce(&Message) -> Box<RawValue>) -> &RawValue {
        self.json.get_or_init(|| render(&self.message))
    }

    /// As [`Message::data_bytes`].
    pub fn data_bytes(&self) -> usize {
        self.data_bytes
    }
}

impl From<Arc<Message>> for Version {
    fn from(message: Arc<Message>) -> Self {
        Self {
            data_bytes: message.data_bytes(),
            message,
            json: OnceLock::new(),
        }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
    }
}
