//! Parameters that several operations have, and those of a sync.

use utoipa::{IntoParams, openapi::path::Parameter};

use super::schemas::{
    ApplicationIdSchema, ChatNumberSchema, MessageIdSchema, MessageNumberSchema, TimestampSchema,
    UserIdSchema, WebhookIdSchema,
};

/// As whom an application acts.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header")]
pub struct AsUser {
    /// For an application: the user as whom it acts
    #[param(rename = "As-User", value_type = UserIdSchema, required = false)]
    as_user: Option<String>,
}

/// What makes a POST safe to repeat, and its answer short.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes headers")]
pub struct Repeatable {
    /// 1 to 64 visible ASCII characters, the same when this request is repeated
    #[param(
        rename = "Idempotency-Key",
        value_type = String,
        required = false,
        min_length = 1,
        max_length = 64
    )]
    idempotency_key: Option<String>,
    /// `return=minimal`: an answer without a body
    #[param(rename = "Prefer", value_type = String, required = false)]
    prefer: Option<String>,
}

/// What lets a change succeed only where nothing has changed since.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header")]
pub struct IfMatchHeader {
    /// The ETag of the message or chat as you have it
    #[param(rename = "If-Match")]
    if_match: String,
}

/// What lets an edit succeed only where the message has not changed since.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header")]
pub struct EditIfMatchHeader {
    /// The ETag of the message as you have it; needed for an edit, and not for a read mark
    #[param(rename = "If-Match", value_type = String, required = false)]
    if_match: Option<String>,
}

/// What saves the answer to a caller who has it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header")]
pub struct IfNoneMatchHeader {
    /// The ETag of the message as you have it: 304 where it has not changed
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    if_none_match: Option<String>,
}

/// The id of a message in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct MessageIdPath {
    /// The message's id
    #[param(value_type = MessageIdSchema)]
    id: i64,
}

/// The key of a reaction in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct ReactionKeyPath {
    /// An emoji or any other text, percent-encoded
    #[param(value_type = String, min_length = 1, max_length = 64, example = "👍")]
    key: String,
}

/// Which reactions of a message.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct ReactionsOfKey {
    /// Only those with this key
    #[param(value_type = String, min_length = 1, max_length = 64, required = false)]
    key: Option<String>,
}

/// Which page of what is pinned.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct PinPage {
    /// Pins that are older: the `next` of the page before
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<i64>,
    /// The most items of the page
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// What comes with a message.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct IncludeWithMessage {
    /// Several are separated by commas. `reactions`: those to it, where there are any. `replies`: how many
    /// messages reply to it
    #[param(value_type = String, pattern = "^(reactions|replies)(,(reactions|replies))*$", required = false)]
    include: Option<String>,
}

/// What comes with the messages of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct IncludeInList {
    /// `reactions`: each message with the reactions to it, where there are any
    #[param(value_type = String, pattern = "^reactions$", required = false)]
    include: Option<String>,
}

/// The number of a chat in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct ChatNumberPath {
    /// The chat's number
    #[param(value_type = ChatNumberSchema)]
    number: i64,
}

/// The number of a message in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct MessageNumberPath {
    /// The message's number in the conversation
    #[param(value_type = MessageNumberSchema)]
    n: i64,
}

/// A user in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct UserIdPath {
    /// The user's id
    #[param(value_type = UserIdSchema)]
    user: String,
}

/// The ids of the two users of a personal conversation in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct PairPath {
    /// One of the users
    #[param(value_type = UserIdSchema)]
    user: String,
    /// The other one
    #[param(value_type = UserIdSchema)]
    other: String,
}

/// What an erasure does.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct ErasureParams {
    /// `delete`: the messages of others in the user's personal conversations are deleted, too, and so are chats
    /// of which it is the only member
    #[param(value_type = String, pattern = "^(keep|delete)$", default = "keep", required = false)]
    conversations: Option<String>,
}

/// Which page of an export.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct ExportPage {
    /// The `next` of the page before
    #[param(value_type = String, required = false)]
    after: Option<String>,
    /// About how many lines the page has
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// The id of an application in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct ApplicationIdPath {
    /// The application's id
    #[param(value_type = ApplicationIdSchema)]
    id: i64,
}

/// The id of a webhook in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct WebhookIdPath {
    /// The webhook's id
    #[param(value_type = WebhookIdSchema)]
    id: i64,
}

/// The id of a report in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub struct ReportIdPath {
    /// The report's id
    #[param(value_type = TimestampSchema)]
    id: i64,
}

/// Which reports.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct OpenReports {
    /// `false`: those that are not resolved
    #[param(value_type = String, required = false, pattern = "^false$")]
    resolved: Option<bool>,
}

/// Which page of a list by numbers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct NumberPage {
    /// The `next` of the page before
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
    /// The most items of the page
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// Which page of a list by users.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct UserPage {
    /// The `next` of the page before
    #[param(value_type = UserIdSchema, required = false)]
    after: Option<String>,
    /// The most items of the page
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// Which page of a conversation.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct HistoryPage {
    /// Messages with smaller numbers, the newest first (the default, from the newest on)
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<i64>,
    /// Messages with larger numbers, the oldest first; not together with `before`
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
    /// The most items of the page
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// The words and filters of a search, and which page of its hits.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct SearchPage {
    /// Words that must all occur, in any order and case; the last one may be the beginning of a
    /// word; "quoted words" follow each other; text without blanks is found by any part. Required
    /// where there is none of `from`, `has`, `since` and `until`
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
    /// Only what this user has sent
    #[param(value_type = UserIdSchema, required = false)]
    from: Option<String>,
    /// `file`: only messages with files
    #[param(value_type = String, required = false, pattern = "^file$")]
    has: Option<String>,
    /// Only what was created at this time (RFC 3339, with an offset) or later
    #[param(value_type = String, format = DateTime, required = false)]
    since: Option<String>,
    /// Only what was created before this time, which is later than `since`
    #[param(value_type = String, format = DateTime, required = false)]
    until: Option<String>,
    /// Messages with smaller ids: the `next` of the page before
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<i64>,
    /// The most items of the page
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// One conversation of a search.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct SearchedConversation {
    /// Only the personal conversation with this user
    #[param(value_type = UserIdSchema, required = false)]
    with: Option<String>,
    /// Only this chat; not together with `with`
    #[param(value_type = ChatNumberSchema, required = false)]
    chat: Option<i64>,
}

/// Where and how a sync reads on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct SyncPage {
    /// The `next` of the answer before; `latest`: only what comes from now on
    #[param(pattern = "^([0-9]+|latest)$", default = "0", example = "0")]
    after: Option<String>,
    /// The most entries of the page
    #[param(minimum = 1, maximum = 1000, default = 50, example = 50)]
    limit: Option<i64>,
    /// How long to hold the answer while there is nothing, in seconds; after 50 it comes anyway
    #[param(minimum = 0, maximum = 60, default = 0)]
    wait: Option<i64>,
    /// Several are separated by commas. `message`: each message as it is now, at its newest entry of
    /// the page; a page then ends after 1 MiB of data. `conversation`: each conversation that an entry
    /// names as the caller sees it now, at its newest entry of the page; with `message`, also at the
    /// newest message of each conversation. `reactions`: those to each message of which an entry says that
    /// they have changed, at its newest such entry of the page; with `message`, also those to each message.
    /// With `conversation` or `reactions` a page ends after 100 entries
    #[param(pattern = "^(message|conversation|reactions)(,(message|conversation|reactions))*$")]
    include: Option<String>,
    /// Instead of a sync: up to 100 ids of messages, separated by commas. They are answered in this
    /// order, without those that the caller may not read
    #[param(pattern = "^[0-9]+(,[0-9]+){0,99}$")]
    ids: Option<String>,
    /// For a stream: `1` adds the signals that reach the caller meanwhile. A page has none, and ignores it
    #[param(value_type = String, required = false, pattern = "^[01]$")]
    signals: Option<String>,
}

/// Where and how the feed is read on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct FeedPageParams {
    /// The `next` of the answer before; `latest`: only what comes from now on
    #[param(pattern = "^([0-9]+|latest)$", default = "0", example = "0")]
    after: Option<String>,
    /// The most entries of the page
    #[param(minimum = 1, maximum = 1000, default = 50, example = 50)]
    limit: Option<i64>,
    /// How long to hold the answer while there is nothing, in seconds; after 50 it comes anyway
    #[param(minimum = 0, maximum = 60, default = 0)]
    wait: Option<i64>,
    /// Only these kinds of changes, separated by commas
    #[param(example = "message.created,message.edited")]
    kinds: Option<String>,
    /// Several are separated by commas. `message`: each message as it is now, at its newest entry of
    /// the page; a page then ends after 1 MiB of data. `recipients`: whom each change of a message
    /// concerns, other than who has made it; a page then ends before it has more than about 5,000 of them
    #[param(pattern = "^(message|recipients)(,(message|recipients))*$")]
    include: Option<String>,
}

/// Which page of the conversations.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct ConversationPage {
    /// Conversations whose newest message is older: the `next` of the page before
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<i64>,
    /// The most items of the page
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// Those that are archived, instead of those that are not
    #[param(default = false)]
    archived: Option<bool>,
}

/// Which users.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes a query")]
pub struct NamedUsersQuery {
    /// 1 to 100 users, separated by commas
    #[param(example = "jane,john")]
    users: String,
}

/// Where a stream resumes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header")]
pub struct Resumed {
    /// For a stream: the id of the last event received, which takes precedence over `after`
    #[param(
        rename = "Last-Event-ID",
        value_type = String,
        required = false,
        pattern = "^[0-9]*$"
    )]
    last_event_id: Option<String>,
}

/// The parameters that several operations have, by their names among the document's components.
pub fn components() -> Vec<(&'static str, Parameter)> {
    [
        named::<AsUser>(&["AsUser"]),
        named::<Repeatable>(&["IdempotencyKey", "Prefer"]),
        named::<IfMatchHeader>(&["IfMatch"]),
        named::<EditIfMatchHeader>(&["EditIfMatch"]),
        named::<IfNoneMatchHeader>(&["IfNoneMatch"]),
        named::<MessageIdPath>(&["MessageId"]),
        named::<ReactionKeyPath>(&["ReactionKey"]),
        named::<IncludeWithMessage>(&["IncludeWithMessage"]),
        named::<IncludeInList>(&["IncludeInList"]),
        named::<ChatNumberPath>(&["ChatNumber"]),
        named::<MessageNumberPath>(&["MessageNumber"]),
        named::<UserIdPath>(&["User"]),
        named::<ApplicationIdPath>(&["ApplicationId"]),
        named::<WebhookIdPath>(&["WebhookId"]),
        named::<NumberPage>(&["AfterNumber", "Limit"]),
        named::<FeedPageParams>(&["AfterTimestamp", "EntryLimit", "Wait"]),
        named::<Resumed>(&["LastEventId"]),
        named::<HistoryPage>(&["HistoryBefore", "HistoryAfter", "Limit"]),
        named::<SearchPage>(&[
            "SearchQuery",
            "SearchFrom",
            "SearchHas",
            "SearchSince",
            "SearchUntil",
            "SearchBefore",
            "Limit",
        ]),
    ]
    .concat()
}

fn named<P: IntoParams>(names: &[&'static str]) -> Vec<(&'static str, Parameter)> {
    let parameters = P::into_params(|| None);
    names.iter().copied().zip(parameters).collect()
}
