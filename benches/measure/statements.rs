//! Statements of the service, for measuring them alone.

use std::fs;

use super::newcomer::NEWCOMER;

/// A statement of the service.
#[derive(Debug, Clone, Copy)]
pub enum Statement {
    /// The newest 50 conversations of a user.
    Conversations { user: &'static str },
    /// 50 messages from anywhere in the conversations of the newcomer.
    History,
}

impl Statement {
    /// The statement as a script for pgbench, with its parameters.
    pub fn script(self) -> String {
        match self {
            Self::Conversations { user } => {
                let user = format!("'{user}'::text");
                let listing = containing("ORDER BY last DESC");
                with(
                    listing,
                    &["1", &user, "50", "FALSE", "9223372036854775807", "51"],
                )
            }
            Self::History => {
                let peer = "'writer-' || :peer";
                let newcomer = format!("'{NEWCOMER}'::text");
                let history = containing("number < $5");
                let parameters = [
                    "1",
                    "NULL::bigint",
                    &newcomer,
                    peer,
                    ":before",
                    "NULL::bigint",
                    "51",
                ];
                format!(
                    "\\set peer random(1, 100)\n\\set before random(52, 1001)\n{}",
                    with(history, &parameters)
                )
            }
        }
    }
}

/// The one query of the service that contains `part`.
fn containing(part: &str) -> String {
    let queries = fs::read_dir(".sqlx").unwrap().map(|file| {
        let description = fs::read_to_string(file.unwrap().path()).unwrap();
        let description: serde_json::Value = serde_json::from_str(&description).unwrap();
        description["query"].as_str().unwrap().to_owned()
    });
    let mut queries = queries.filter(|query| query.contains(part));
    let query = queries.next().expect("the service has such a query");
    assert!(queries.next().is_none(), "{part} is in several queries");
    query
}

/// A query with its parameters in place.
fn with(query: String, parameters: &[&str]) -> String {
    let numbered = parameters.iter().zip(1..);
    let query = numbered.fold(query, |sql, (value, number)| {
        sql.replace(&format!("${number}"), value)
    });
    format!("{query};")
}
