//! The messenger, `src/web`, and the client package that it is built on, `client/src`: their files, compiled into the
//! binary.
//!
//! There is no build step and nothing is fetched from elsewhere, so the browser runs exactly these files.

use std::{borrow::Cow, fmt::Write};

use rust_embed::{Embed, EmbeddedFile};
use sha2::{Digest, Sha256};

#[derive(Embed)]
#[folder = "src/web"]
struct Messenger;

#[derive(Embed)]
#[folder = "client/src"]
struct Package;

/// A file that is served.
#[derive(Clone)]
pub struct File {
    pub content: Cow<'static, [u8]>,
    pub media_type: String,
    /// The hash of the content.
    pub tag: String,
}

/// The page that `/` answers with.
pub const PAGE: &str = "index.html";

/// The bytes of the hash that are in a tag: enough to tell two versions of a file apart.
const TAG_BYTES: usize = 8;

/// A file of the messenger.
pub fn messenger(name: &str) -> Option<File> {
    Messenger::get(name).map(file)
}

/// A file of the client package.
pub fn package(name: &str) -> Option<File> {
    Package::get(name).map(file)
}

/// A file that is made while the service runs.
pub fn json(content: String) -> File {
    File {
        tag: tag_of(content.as_bytes()),
        media_type: "application/json".to_owned(),
        content: content.into_bytes().into(),
    }
}

fn file(file: EmbeddedFile) -> File {
    File {
        tag: tag(&file.metadata.sha256_hash()),
        media_type: format!("{}; charset=utf-8", file.metadata.mimetype()),
        content: file.data,
    }
}

pub fn tag_of(content: &[u8]) -> String {
    tag(&Sha256::digest(content))
}

fn tag(hash: &[u8]) -> String {
    hash[..TAG_BYTES]
        .iter()
        .fold(String::new(), |mut tag, byte| {
            let _ = write!(tag, "{byte:02x}");
            tag
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_type() {
        let of_messenger = Messenger::iter().map(|name| (messenger(&name), name));
        let of_package = Package::iter().map(|name| (package(&name), name));
        for (file, name) in of_messenger.chain(of_package) {
            let media_type = file.unwrap().media_type;
            assert!(!media_type.contains("octet-stream"), "{name}");
        }
    }
}
