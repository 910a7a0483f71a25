//! The replies to a message.

use axum::{extract::State, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{AsUser, ListInsideProblems, MessageIdPath, NumberPage},
        problem::Problem,
        representation::{Json, ListPage, ReplyCountJson, ReplyListJson, json_bytes},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson, params::ListParams},
};
use crate::{
    domain::{ApplicationId, MessageId, MessageNumber},
    store::{
        messages,
        replies::{self, Replies},
    },
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
    let after = MessageNumber::new(after.unwrap_or(0));
    let (application, user) = (passed.caller.application, passed.caller.user);
    let reading = service.query(async |connection| {
        let request = (user, root);
        let found = messages::find(&mut *connection, application, &[&request]).await?;
        if found.iter().flatten().next().is_none() {
            return Ok(None);
        }
        let replies = replies::read(connection, application, root, after, limit + 1).await?;
        Ok(Some(replies))
    });
    let replies = reading.await?.ok_or_else(Problem::not_found)?;
    let count = ReplyCountJson::new(replies.count, replies.last);
    let page = ListPage::cut_at(replies.messages, limit, json_bytes, |message| {
        message.number.get()
    });
    Ok(Json(passed.media_type, ReplyListJson::of(&page, count)).into_response())
}

/// How many replies a message has. The caller must be allowed to read the message.
pub async fn count(
    service: &Service,
    application: ApplicationId,
    root: MessageId,
) -> Result<ReplyCountJson, Problem> {
    let reading = service.query(async |connection| {
        replies::read(connection, application, root, MessageNumber::ZERO, 0).await
    });
    let Replies { count, last, .. } = reading.await?;
    Ok(ReplyCountJson::new(count, last))
}
