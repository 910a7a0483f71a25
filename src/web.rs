//! The web client: the files of `src/web`, compiled into the binary.
//!
//! There is no build step and nothing is fetched from elsewhere, so the browser runs exactly these
//! files. `sync.js` imports no other file: other clients may use it.

use std::{borrow::Cow, fmt::Write};

use rust_embed::Embed;

#[derive(Embed)]
#[folder = "src/web"]
struct EmbeddedFiles;

/// A file of the web client.
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

/// The file with this name.
pub fn file(name: &str) -> Option<File> {
    let file = EmbeddedFiles::get(name)?;
    let hash = file.metadata.sha256_hash();
    let tag = hash[..TAG_BYTES]
        .iter()
        .fold(String::new(), |mut tag, byte| {
            let _ = write!(tag, "{byte:02x}");
            tag
        });
    Some(File {
        media_type: format!("{}; charset=utf-8", file.metadata.mimetype()),
        content: file.data,
        tag,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_type() {
        for name in EmbeddedFiles::iter() {
            let file = file(&name).unwrap();
            assert!(!file.media_type.contains("octet-stream"), "{name}");
        }
    }

    #[test]
    fn sync_js_stands_alone() {
        let sync = file("sync.js").unwrap();
        let sync = str::from_utf8(&sync.content).unwrap();
        assert!(!sync.contains("import "), "others take the file as it is");
    }
}
