//! Search: messages by their texts, senders, files and times, within what the caller may read.

use axum::{extract::State, response::IntoResponse};

use super::{
    Answer, Service,
    answer::{
        openapi::{AsUser, ChatNumberPath, ListInsideProblems, SearchPage, SearchedConversation},
        representation::{HitListJson, Json, ListPage, json_bytes},
    },
    extract::{
        caller::Caller,
        checks::{Checks, Passed},
        media::PlainJson,
        search_params::{Narrowed, SearchParams},
    },
};
use crate::{
    domain::{ChatNumber, Conversation, MessageNumber, SearchScope},
    search::{self, Match},
};

/// Searches the caller's messages, the newest first.
///
/// Case does not matter, accents do. Deleted messages are never found, edited ones by what they are
/// now. Words and filters narrow it together, and one of them is enough.
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
/// Case does not matter, accents do. Deleted messages are never found, edited ones by what they are
/// now. Words and filters narrow it together, and one of them is enough.
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
        criteria,
        before,
        limit,
        ..
    } = params;
    let hits_max = usize::try_from(limit + 1).expect("a limit was checked");
    let mut lease = service.searches.take().await?;
    let (connection, application) = (lease.connection(), caller.application);
    let hits = search::find(connection, application, scope, criteria, *before, hits_max).await?;
    // If the search has failed, its statement may still run, so the connection is closed instead.
    lease.give_back();
    let size =
        |hit: &Match| json_bytes(&hit.message) + hit.highlight.as_ref().map_or(0, String::len);
    let page = ListPage::cut_at(hits, *limit, size, |hit| hit.message.id.get());
    Ok(Json(media_type, HitListJson::from(&page)).into_response())
}
