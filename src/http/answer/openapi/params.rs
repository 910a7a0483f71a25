//! Parameters that several operations have.

use utoipa::IntoParams;

/// As whom an application acts.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header")]
pub struct AsUser {
    /// For an application: the user as whom it acts
    #[param(
        rename = "As-User",
        min_length = 1,
        max_length = 64,
        pattern = "^(\\.{0,2}[A-Za-z0-9_@:|-]|\\.{3})[A-Za-z0-9_.@:|-]*$"
    )]
    as_user: Option<String>,
}

/// What makes a POST safe to repeat, and its answer short.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes headers")]
pub struct Repeatable {
    /// 1 to 64 visible characters that stand for this request
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 64)]
    idempotency_key: Option<String>,
    /// `return=minimal`: an answer without a body
    #[param(rename = "Prefer")]
    prefer: Option<String>,
}

/// The number of a chat in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct ChatNumberPath {
    /// The chat's number
    #[param(minimum = 1, maximum = 9007199254740991_i64)]
    number: i64,
}

/// The number of a message in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct MessageNumberPath {
    /// The message's number in the chat
    #[param(minimum = 1, maximum = 9007199254740991_i64)]
    n: i64,
}

/// A user in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct UserIdPath {
    /// The user's id
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^(\\.{0,2}[A-Za-z0-9_@:|-]|\\.{3})[A-Za-z0-9_.@:|-]*$"
    )]
    user: String,
}

/// Which page of a list by numbers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct NumberPage {
    /// The `next` of the page before
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
    /// The most items of the page (default 50)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Which page of a list by users.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct UserPage {
    /// The `next` of the page before
    after: Option<String>,
    /// The most items of the page (default 50)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Which page of a conversation.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct HistoryPage {
    /// What came before this one, the newest first (the default, from the newest on)
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<i64>,
    /// What came after this one, the oldest first; not together with `before`
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
    /// The most items of the page (default 50)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// What is searched for, and which page of it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct SearchPage {
    /// What is searched for: all words must occur, in any order and case; the last one may be the
    /// beginning of a word; "quoted words" follow each other; text without blanks is found by any part
    #[param(min_length = 1, max_length = 200)]
    q: String,
    /// Messages with smaller ids: the `next` of the page before
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<i64>,
    /// The most hits of the page (default 50)
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}
