//! Reactions to messages.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, MessageIdPath, MessageReadProblems, NumberPage, ReactionKeyPath,
            ReactionsOfKey, SettableProblems,
        },
        representation::{self, Json, ListPage, ReactionListJson},
    },
    extract::{caller::Caller, checks::Checks, media::PlainJson, params::ReactionsParams},
    messages::missing,
};
use crate::{
    domain::{MessageId, UserId},
    store::reactions,
    timeline::commands::React,
};

/// Lists the reactions to a message, the oldest first.
///
/// Each is of one user, with one key. A deleted message has none.
#[utoipa::path(
    get,
    path = "/messages/{id}/reactions",
    tag = "messages",
    params(AsUser, MessageIdPath, NumberPage, ReactionsOfKey),
    responses(
        (status = 200, description = "A page",
            body = ReactionListJson, content_type = "application/json"),
        MessageReadProblems,
    ),
)]
pub async fn list_reactions(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (id, params) = (
        checks.path::<MessageId>(),
        checks.query::<ReactionsParams>(),
    );
    let passed = checks.finish(|| id.zip(params))?;
    let (id, ReactionsParams { key, after, limit }) = passed.input;
    let (application, user) = (passed.caller.application, passed.caller.user);
    let message = service.sync().message(application, user, id).await?;
    let Some(message) = message else {
        return Err(missing(&service, application, id).await?);
    };
    // The rows of a deleted message are cleared a while later.
    let listed = match message.content {
        None => Vec::new(),
        Some(_) => {
            let key = key.as_ref();
            let reading = service.query(async |connection| {
                reactions::list(connection, application, id, key, after, limit + 1).await
            });
            reading.await?
        }
    };
    let page = ListPage::cut(listed, limit, |listed| listed.number.get());
    Ok(Json(passed.media_type, ReactionListJson::from(page)).into_response())
}

/// Reacts to a message.
///
/// Whoever may read the message may, unless it is muted in the chat, the chat is frozen or has
/// `reactions: false`, or the other user of a personal conversation takes no messages from it. A user
/// reacts with up to 20 keys, and a message has up to 50. The message and its ETag stay as they are; the
/// members of the conversation find `{"reactions": id}` on their timelines.
#[utoipa::path(
    put,
    path = "/messages/{id}/reactions/{key}",
    tag = "messages",
    params(AsUser, MessageIdPath, ReactionKeyPath),
    responses(
        (status = 201, description = "The reaction is there now"),
        (status = 204, description = "The reaction was there"),
        SettableProblems,
    ),
)]
pub async fn add_reaction(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let command = named(&mut checks, true);
    let passed = checks.finish(|| command)?;
    let added = service.submit(&passed.caller, passed.input).await?;
    Ok(representation::put(added.effect))
}

/// Takes a reaction back.
///
/// Whoever may read the message may, unless the application has suspended it.
#[utoipa::path(
    delete,
    path = "/messages/{id}/reactions/{key}",
    tag = "messages",
    params(AsUser, MessageIdPath, ReactionKeyPath),
    responses(
        (status = 204, description = "The reaction is not there"),
        SettableProblems,
    ),
)]
pub async fn remove_reaction(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let command = named(&mut checks, false);
    let passed = checks.finish(|| command)?;
    service.submit(&passed.caller, passed.input).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The reaction of the caller that the path names.
fn named<A>(checks: &mut Checks<Caller, A>, reacts: bool) -> Option<React> {
    let (user, id, key): (Option<UserId>, _, _) = (checks.user(), checks.path(), checks.path());
    user?;
    Some(React {
        id: id?,
        key: key?,
        reacts,
    })
}
