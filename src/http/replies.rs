//! The replies to a message.

use axum::{extract::State, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{AsUser, ListInsideProblems, MessageIdPath, NumberPage},
        problem::Problem,
        representation::{Json, ListPage, ReplyListJson, json_bytes},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson, params::ListParams},
};
use crate::{
    domain::{MessageId, MessageNumber},
    store,
};

/// Lists the messages that reply to a message, the oldest first.
///
/// For whoever may read the message, which may be deleted. `after` is a number in the conversation.
/// A deleted reply replies to nothing, and is neither listed nor counted. Replies have no positions
/// of their own: they are messages of the conversation like all others.
#[utoipa::path(
    get,
    path = "/messages/{id}/replies",
    tag = "messages",
    params(AsUser, MessageIdPath, NumberPage),
    responses(
        (status = 200, description = "A page, and how many replies there are, as of one moment",
            body = ReplyListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn list_replies(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (id, params) = (
        checks.path::<MessageId>(),
        checks.query::<ListParams<i64>>(),
    );
    let passed = checks.finish(|| id.zip(params))?;
    let (root, ListParams { after, limit }) = passed.input;
    let (application, user) = (passed.caller.application, passed.caller.user);
    let after = MessageNumber::new(after.unwrap_or(0));
    let request = (user, root);
    let reading = service.query(async |connection| {
        let found = store::messages::find(connection, application, &[&request]).await?;
        if found.iter().all(Option::is_none) {
            return Ok(None);
        }
        let replies = store::replies::read(connection, application, root, after, limit + 1);
        replies.await.map(Some)
    });
    let replies = reading.await?.ok_or_else(Problem::not_found)?;
    let (count, last) = (replies.count, replies.last);
    let page = ListPage::cut_at(replies.messages, limit, json_bytes, |message| {
        message.number.get()
    });
    Ok(Json(passed.media_type, ReplyListJson::of(&page, count, last)).into_response())
}
