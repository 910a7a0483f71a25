//! Who may import whom, and where the libraries stay: the rooms of the house have walls.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each module with the modules of the service that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("batching", &[]),
    ("random", &[]),
    ("lifecycle", &[]),
    ("telemetry", &[]),
    ("store", &["domain"]),
    ("notifications", &["domain", "store"]),
    (
        "timeline",
        &["domain", "notifications", "store", "batching", "random"],
    ),
    ("sync", &["domain", "notifications", "store", "batching"]),
    (
        "followers",
        &[
            "domain",
            "callbacks",
            "notifications",
            "search",
            "store",
            "timeline",
            "random",
        ],
    ),
    ("callbacks", &["domain", "random"]),
    ("search", &["domain", "store"]),
    ("auth", &["domain", "store", "random"]),
    (
        "live",
        &[
            "domain",
            "notifications",
            "store",
            "sync",
            "batching",
            "random",
        ],
    ),
    (
        "config",
        &[
            "domain",
            "auth",
            "callbacks",
            "http",
            "live",
            "followers",
            "store",
            "telemetry",
        ],
    ),
    ("web", &[]),
    (
        "http",
        &[
            "domain",
            "timeline",
            "sync",
            "live",
            "auth",
            "callbacks",
            "search",
            "followers",
            "store",
            "batching",
            "web",
            "random",
        ],
    ),
];

/// Each library with the places that may name it.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("axum", &["http/"]),
    ("utoipa", &["http/"]),
    ("tower", &["http/"]),
    ("lapin", &["followers/", "config/values.rs"]),
    ("sqlx", &["store/", "notifications/listener.rs"]),
    ("jsonwebtoken", &["auth/"]),
    ("reqwest", &["auth/", "callbacks/"]),
    ("hickory_resolver", &["callbacks/"]),
    ("base64", &["callbacks/"]),
    ("rand", &["random.rs"]),
    ("governor", &["auth/"]),
    ("quick_cache", &["auth/", "sync/"]),
    (
        "clap",
        &["config.rs", "config/", "telemetry.rs", "followers/"],
    ),
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::<PathBuf>::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                sources.push(path)
            }
        }
    }
    let named = |path: PathBuf| {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    sources.into_iter().map(named).collect()
}

/// The lines of code, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// The modules named after `crate::`, one or several in braces over lines.
fn imports(text: &str) -> Vec<String> {
    let code = code(text).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (position, _) in code.match_indices("crate::") {
        let rest = &code[position + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            found.extend(names_at_depth_one(list));
        } else {
            found.push(leading_name(rest));
        }
    }
    found
}

fn names_at_depth_one(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (1, Vec::new(), 0);
    for (position, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (character == ',' && depth == 1) || depth == 0 {
            names.push(leading_name(list[start..position].trim()));
            start = position + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

fn leading_name(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn modules_import_only_what_they_may() {
    let mut checked = 0;
    for (name, text) in sources() {
        let module = name.split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            assert!(
                ["lib", "main", "app"].contains(&module),
                "{name} belongs to no module of the list"
            );
            continue;
        };
        for import in imports(&text) {
            checked += 1;
            assert!(
                import == module || allowed.contains(&import.as_str()),
                "{name} imports {import}"
            );
        }
    }
    assert!(checked > 30, "the imports are found");
}

#[test]
fn libraries_stay_in_their_rooms() {
    for (name, text) in sources() {
        for (library, places) in LIBRARIES {
            let is_named = code(&text).any(|line| {
                line.match_indices(library).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let is_whole =
                        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
                    is_whole && line[at + library.len()..].starts_with("::")
                })
            });
            let is_home = places.iter().any(|place| name.starts_with(place));
            assert!(!is_named || is_home, "{name} names {library}");
        }
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::{\n    domain::{Message, UserId},\n    store,\n};\nuse crate::http::x;\nlet a = crate::sync::b();";
    assert_eq!(imports(text), ["domain", "store", "http", "sync"]);
}

/// What decides about a command is pure: it does not depend on the database.
#[test]
fn commands_import_the_domain_and_the_timeline_alone() {
    let commands = sources()
        .into_iter()
        .filter(|(name, _)| name.starts_with("timeline/commands/") || name == "timeline/state.rs");
    let mut checked = 0;
    for (name, text) in commands {
        for import in imports(&text) {
            let may = ["domain", "timeline"].contains(&import.as_str());
            assert!(may, "{name} imports {import}");
        }
        assert!(!text.contains(".await"), "{name} waits");
        checked += 1;
    }
    assert!(checked >= 10, "{checked} files were checked");
}
