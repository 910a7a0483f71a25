//! Reactions as JSON.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::ListPage;
use crate::{
    domain::{KeySummary, ReactionSummary, UserId},
    http::answer::openapi::schemas::UserIdSchema,
    store::reactions::ListedReaction,
};

/// The reactions to a message: `{key: {count, users}}`.
pub struct ReactionsJson<'a>(&'a [KeySummary]);

/// How many users have reacted with one key, and who.
#[derive(Serialize, ToSchema)]
#[schema(as = ReactionCount, example = json!({ "count": 2, "users": ["jane", "john"] }))]
pub struct ReactionCountJson<'a> {
    #[schema(minimum = 1)]
    count: i32,
    /// Those who were the first to, 20 at the most; the caller is always among them, if it has reacted.
    #[schema(value_type = Vec<UserIdSchema>)]
    users: Vec<&'a str>,
}

/// What a reaction has besides its texts, in bytes of JSON.
const BYTES_BESIDE_TEXT: usize = 32;

/// About how long a summary is as JSON, in bytes.
pub fn summary_bytes(summary: &ReactionSummary) -> usize {
    let of_key = |listed: &KeySummary| {
        let users = listed.users.iter().map(|user| user.as_str().len() + 3);
        BYTES_BESIDE_TEXT + listed.key.as_str().len() + users.sum::<usize>()
    };
    summary.keys.iter().map(of_key).sum()
}

impl<'a> From<&'a ReactionSummary> for ReactionsJson<'a> {
    fn from(summary: &'a ReactionSummary) -> Self {
        Self(&summary.keys)
    }
}

impl Serialize for ReactionsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|listed| {
            let count = ReactionCountJson {
                count: listed.count,
                users: listed.users.iter().map(UserId::as_str).collect(),
            };
            (listed.key.as_str(), count)
        }))
    }
}

/// A reaction of one user.
#[derive(Serialize, ToSchema)]
#[schema(as = Reaction, example = json!({ "number": 1, "user": "jane", "key": "👍" }))]
pub struct ReactionJson {
    /// Its place among those to the message, in the order in which they were added.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    number: i64,
    #[schema(value_type = UserIdSchema)]
    user: String,
    #[schema(min_length = 1, max_length = 64)]
    key: String,
}

/// A page of the reactions to a message, the oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ReactionList)]
pub struct ReactionListJson {
    reactions: Vec<ReactionJson>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 9007199254740991_i64)]
    next: Option<i64>,
}

impl From<ListPage<ListedReaction, i64>> for ReactionListJson {
    fn from(page: ListPage<ListedReaction, i64>) -> Self {
        let reactions = page.items.into_iter().map(|listed| ReactionJson {
            number: listed.number.get(),
            user: listed.user.as_str().to_owned(),
            key: listed.key.as_str().to_owned(),
        });
        Self {
            reactions: reactions.collect(),
            next: page.next,
        }
    }
}
