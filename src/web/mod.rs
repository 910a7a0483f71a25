//! The web client: plain files that are compiled into the binary, each with the tag of its content.
//!
//! Nothing is built and nothing is fetched from anywhere else, so what the browser runs is what
//! stands in this directory. `sync.js` depends on no other file: others may take it as their client.

use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

/// A file of the web client.
pub struct File {
    pub name: &'static str,
    pub content: &'static [u8],
    pub media_type: &'static str,
    /// Changes with the content.
    pub tag: String,
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    const FILES: &[(&str, &[u8])] = &[
        ("index.html", include_bytes!("index.html")),
        ("base.css", include_bytes!("base.css")),
        ("layout.css", include_bytes!("layout.css")),
        ("thread.css", include_bytes!("thread.css")),
        ("icon.svg", include_bytes!("icon.svg")),
        ("app.js", include_bytes!("app.js")),
        ("messenger.js", include_bytes!("messenger.js")),
        ("sync.js", include_bytes!("sync.js")),
        ("session.js", include_bytes!("session.js")),
        ("api.js", include_bytes!("api.js")),
        ("database.js", include_bytes!("database.js")),
        ("store.js", include_bytes!("store.js")),
        ("outbox.js", include_bytes!("outbox.js")),
        ("chats.js", include_bytes!("chats.js")),
        ("changes.js", include_bytes!("changes.js")),
        ("reading.js", include_bytes!("reading.js")),
        ("dom.js", include_bytes!("dom.js")),
        ("words.js", include_bytes!("words.js")),
        ("sidebar.js", include_bytes!("sidebar.js")),
        ("search.js", include_bytes!("search.js")),
        ("thread.js", include_bytes!("thread.js")),
        ("bubble.js", include_bytes!("bubble.js")),
        ("composer.js", include_bytes!("composer.js")),
        ("dialogs.js", include_bytes!("dialogs.js")),
        ("members.js", include_bytes!("members.js")),
    ];
    FILES
        .iter()
        .map(|(name, content)| File::new(name, content))
        .collect()
});

/// The page that `/` answers with.
pub const PAGE: &str = "index.html";

/// The file of this name.
pub fn file(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

impl File {
    fn new(name: &'static str, content: &'static [u8]) -> Self {
        let media_type = match name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml; charset=utf-8",
            _ => "application/octet-stream",
        };
        Self {
            name,
            content,
            media_type,
            tag: format!("{:016x}", xxh3_64(content)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_file_of_the_directory_is_served_with_its_type() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web");
        for entry in fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name != "mod.rs" {
                let file = file(&name).unwrap_or_else(|| panic!("{name} is not among the files"));
                assert_ne!(file.media_type, "application/octet-stream", "{name}");
            }
        }
    }

    #[test]
    fn sync_js_stands_alone() {
        let sync = str::from_utf8(file("sync.js").unwrap().content).unwrap();
        assert!(!sync.contains("import "), "others take the file as it is");
    }
}
