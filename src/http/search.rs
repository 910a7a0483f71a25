//! Search: messages by their texts, within what the caller may read.

use axum::{extract::State, response::IntoResponse};
use serde::Deserialize;

use super::{
    Answer, Service,
    answer::{
        openapi::{AsUser, ChatNumberPath, ListInsideProblems, SearchPage, SearchedConversation},
        problem::Problem,
        representation::{HitListJson, Json, ListPage, json_bytes},
    },
    extract::{
        caller::Caller,
        checks::{Checks, FromQuery, Passed},
        media::PlainJson,
        params::{list_limit, number},
    },
};
use crate::{
    domain::{ChatNumber, Conversation, Invalid, MessageNumber, SearchScope, UserId},
    search::{self, Match},
};

/// Searches the caller's messages, the newest first.
///
/// Case does not matter, accents do. Deleted messages are never found, edited ones by their present
/// text.
#[utoipa::path(
    get,
    path = "/messages/search",
    tag = "messages",
    params(AsUser, SearchPage, SearchedConversation),
    responses(
        (status = 200, description = "A page of hits",
            body = HitListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn search_messages(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let params = checks.query::<SearchParams>();
    if let Some(SearchParams {
        narrowed: Some(Narrowed::Chat(chat)),
        ..
    }) = params
    {
        return find_in_chat(&service, checks.finish(|| Some(chat).zip(params))?).await;
    }
    let user = checks.user();
    let passed = checks.finish(|| user.zip(params))?;
    let (user, params) = passed.input;
    let scope = match &params.narrowed {
        Some(Narrowed::With(other)) => {
            SearchScope::In(Conversation::between(&user, other), MessageNumber::ZERO)
        }
        _ => SearchScope::Everything(user),
    };
    find(&service, &passed.caller, &scope, &params, passed.media_type).await
}

/// Searches the messages of a chat, the newest first.
///
/// Case does not matter, accents do. Deleted messages are never found, edited ones by their present
/// text.
#[utoipa::path(
    get,
    path = "/chats/{number}/messages/search",
    tag = "chats",
    params(AsUser, ChatNumberPath, SearchPage),
    responses(
        (status = 200, description = "A page of hits",
            body = HitListJson, content_type = "application/json"),
        ListInsideProblems,
    ),
)]
pub async fn search_chat(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (chat, params) = (checks.path(), checks.query::<SearchParams>());
    find_in_chat(&service, checks.finish(|| chat.zip(params))?).await
}

/// Searches a chat, if the caller may read it.
async fn find_in_chat(
    service: &Service,
    passed: Passed<Caller, (ChatNumber, SearchParams)>,
) -> Answer {
    let (number, params) = passed.input;
    let visible = service.visible_chat(&passed.caller, number).await?;
    let scope = SearchScope::In(Conversation::Chat(number), visible.reads_after);
    find(service, &passed.caller, &scope, &params, passed.media_type).await
}

async fn find(
    service: &Service,
    caller: &Caller,
    scope: &SearchScope,
    params: &SearchParams,
    media_type: &'static str,
) -> Answer {
    let SearchParams {
        query,
        before,
        limit,
        ..
    } = params;
    let hits_max = usize::try_from(limit + 1).expect("a limit was checked");
    let mut lease = service.searches.take().await?;
    let (connection, application) = (lease.connection(), caller.application);
    let hits = search::find(connection, application, scope, query, *before, hits_max).await?;
    // If the search has failed, its statement may still run, so the connection is closed instead.
    lease.give_back();
    let size = |hit: &Match| json_bytes(&hit.message) + hit.highlight.len();
    let page = ListPage::cut_at(hits, *limit, size, |hit| hit.message.id.get());
    Ok(Json(media_type, HitListJson::from(&page)).into_response())
}

/// The parameters of a search before they are parsed.
#[derive(Deserialize)]
pub struct SearchQuery {
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
    Chat(ChatNumber),
}

impl FromQuery for SearchParams {
    type Params = SearchQuery;

    fn from_query(params: SearchQuery) -> Result<Self, Problem> {
        let SearchQuery {
            q,
            with,
            chat,
            before,
            limit,
        } = params;
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
            (None, Some(chat)) => Some(Narrowed::Chat(ChatNumber::new(chat))),
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
