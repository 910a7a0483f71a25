//! Search: messages by their texts, within what the caller may read.

use axum::{
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    Answer, Service,
    answer::{
        openapi::{ListInsideProblems, SearchPage},
        problem::Problem,
        representation::{HitList, Json, Page, json_bytes},
    },
    extract::{
        caller::Caller,
        media::{Accept, PlainJson},
        params::{ChatPath, list_limit, number, query},
    },
};
use crate::{
    domain::{Conversation, Invalid, SearchScope, UserId},
    search::{self, Match},
};

/// Searches the caller's messages, the newest first.
#[utoipa::path(
    get,
    path = "/messages/search",
    tag = "messages",
    security(("bearer" = [])),
    params(
        crate::http::answer::openapi::AsUser,
        SearchPage,
        ("with" = Option<String>, Query, description = "Only the personal conversation with this user"),
        ("chat" = Option<i64>, Query, description = "Only this chat", minimum = 1, maximum = 9007199254740991_i64),
    ),
    responses(
        (status = 200, description = "A page of what matches", body = HitList, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn search_messages(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PlainJson>,
    mut params: SearchParams,
) -> Answer {
    let scope = match params.narrowed.take() {
        None => SearchScope::Everything(caller.user()?),
        Some(Narrowed::With(other)) => {
            SearchScope::In(Conversation::between(&caller.user()?, &other))
        }
        Some(Narrowed::Chat(chat)) => chat_of(&service, &caller, &chat).await?,
    };
    found(&service, &caller, accept.media_type, &scope, params).await
}

/// Searches the messages of a chat, the newest first.
#[utoipa::path(
    get,
    path = "/chats/{number}/messages/search",
    tag = "chats",
    security(("bearer" = [])),
    params(crate::http::answer::openapi::AsUser, crate::http::answer::openapi::ChatNumberPath, SearchPage),
    responses(
        (status = 200, description = "A page of what matches; `before` is the id of a message", body = HitList, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn search_chat(
    State(service): State<Service>,
    caller: Caller,
    accept: Accept<PlainJson>,
    number: ChatPath,
    params: SearchParams,
) -> Answer {
    let scope = chat_of(&service, &caller, &number).await?;
    found(&service, &caller, accept.media_type, &scope, params).await
}

/// A chat, if the caller may read it.
async fn chat_of(
    service: &Service,
    caller: &Caller,
    chat: &ChatPath,
) -> Result<SearchScope, Problem> {
    let chat = service.visible_chat(caller, chat).await?;
    Ok(SearchScope::In(Conversation::Chat(chat.number)))
}

async fn found(
    service: &Service,
    caller: &Caller,
    media_type: &'static str,
    scope: &SearchScope,
    params: SearchParams,
) -> Answer {
    let SearchParams {
        query,
        before,
        limit,
        ..
    } = params;
    let wanted = usize::try_from(limit + 1).expect("a limit was checked");
    let mut lease = service.searches.take().await?;
    let connection = lease.connection();
    let hits = search::find(
        connection,
        caller.application,
        scope,
        &query,
        before,
        wanted,
    )
    .await?;
    // A search that did not end well may still be at work on its connection, which is closed then.
    lease.give_back();
    Ok(answer(media_type, hits, limit))
}

fn answer(media_type: &'static str, hits: Vec<Match>, limit: i64) -> Response {
    let size = |hit: &Match| json_bytes(&hit.message) + hit.highlight.len();
    let page = Page::cut_at(hits, limit, size, |hit| hit.message.id.0);
    Json(media_type, HitList::from(&page)).into_response()
}

/// The query of a search as it came.
#[derive(Deserialize)]
struct SearchQuery {
    q: Option<String>,
    with: Option<String>,
    chat: Option<String>,
    before: Option<String>,
    limit: Option<String>,
}

/// What is searched for, where, and which page of it.
pub struct SearchParams {
    pub query: search::Query,
    pub narrowed: Option<Narrowed>,
    pub before: Option<i64>,
    pub limit: i64,
}

/// A search in one conversation.
pub enum Narrowed {
    With(UserId),
    Chat(ChatPath),
}

impl<S: Sync> FromRequestParts<S> for SearchParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let SearchQuery {
            q,
            with,
            chat,
            before,
            limit,
        } = query(parts).await?;
        let (before, chat) = (number("before", before)?, number("chat", chat)?);
        let limit = list_limit(limit.as_deref())?;
        let query = search::Query::parse(&q.unwrap_or_default())
            .map_err(|error| Problem::invalid_field("q", error.to_string()))?;
        let narrowed = match (with, chat) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid_field(
                    "chat",
                    "must not be given together with `with`",
                ));
            }
            (Some(with), None) => {
                let invalid =
                    |invalid: Invalid| Problem::invalid_field("with", invalid.to_string());
                Some(Narrowed::With(UserId::parse(&with).map_err(invalid)?))
            }
            (None, Some(chat)) => Some(Narrowed::Chat(ChatPath::of(chat))),
            (None, None) => None,
        };
        Ok(Self {
            query,
            narrowed,
            before,
            limit,
        })
    }
}
