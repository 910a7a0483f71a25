//! What comes with messages that are read by their names, or in a list.

use serde::Deserialize;

use super::checks::FromQuery;
use crate::http::answer::problem::Problem;

/// What comes with a message beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beside {
    pub reactions: bool,
    /// The count of its replies.
    pub replies: bool,
}

impl Beside {
    pub fn is_something(self) -> bool {
        self.reactions || self.replies
    }

    /// What comes with each message of a list: reactions alone.
    pub fn of_list(names: Option<&str>) -> Result<Self, Problem> {
        match names {
            None => Ok(Self::default()),
            Some("reactions") => Ok(Self {
                reactions: true,
                replies: false,
            }),
            Some(_) => Err(Problem::invalid_field("include", "must be reactions")),
        }
    }
}

/// The query of one message before it is parsed.
#[derive(Deserialize)]
pub struct BesideQuery {
    include: Option<String>,
}

impl FromQuery for Beside {
    type Params = BesideQuery;

    fn from_query(params: BesideQuery) -> Result<Self, Problem> {
        let mut beside = Self::default();
        for name in params.include.iter().flat_map(|names| names.split(',')) {
            match name {
                "reactions" => beside.reactions = true,
                "replies" => beside.replies = true,
                _ => {
                    let detail = "must be reactions or replies, or both, separated by a comma";
                    return Err(Problem::invalid_field("include", detail));
                }
            }
        }
        Ok(beside)
    }
}
