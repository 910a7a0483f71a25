//! The replies to a message.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{AsUser, IncludeInList, MessageIdPath, MessageReadProblems, NumberPage},
        problem::Problem,
        representation::{Json, ListPage, ReplyCountJson, ReplyListJson},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson, params::RepliesParams},
    included,
    messages::missing,
};
use crate::{
    domain::{ApplicationId, Message, MessageId, MessageNumber},
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
    params(AsUser, MessageIdPath, NumberPage, IncludeInList),
    responses(
        (status = 200, description = "A page, and how many replies there are, as of one moment",
            body = ReplyListJson, content_type = "application/json"),
        MessageReadProblems,
    ),
)]
pub async fn list_replies(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (id, params) = (checks.path::<MessageId>(), checks.query::<RepliesParams>());
    let passed = checks.finish(|| id.zip(params))?;
    let (root, params) = passed.input;
    let RepliesParams {
        after,
        limit,
        beside,
    } = params;
    let (application, user) = (passed.caller.application, passed.caller.user);
    let reading = service.query(async |connection| {
        let request = (user.clone(), root);
        let found = messages::find(&mut *connection, application, &[&request]).await?;
        if found.iter().flatten().next().is_none() {
            return Ok(None);
        }
        let replies = replies::read(connection, application, root, after, limit + 1).await?;
        Ok(Some(replies))
    });
    let Some(replies) = reading.await? else {
        return Err(missing(&service, application, root).await?);
    };
    let count = ReplyCountJson::new(replies.count, replies.last);
    let ids: Vec<_> = replies.messages.iter().map(|reply| reply.id).collect();
    let reacted =
        included::reactions_beside(&service, application, user.as_ref(), beside, &ids).await?;
    let size = |message: &Arc<Message>| included::bytes_with(message, &reacted);
    let page = ListPage::cut_at(replies.messages, limit, size, |reply| reply.number.get());
    let list = ReplyListJson::of(&page, &reacted, count);
    Ok(Json(passed.media_type, list).into_response())
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
