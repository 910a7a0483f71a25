//! Chats.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    Answer, Service,
    answer::{
        openapi::{
            AsUser, ChatAnswer, ChatChangeProblems, ChatCreated, ChatDeleteProblems,
            ChatNumberPath, CreateProblems, IfMatchHeader, ListProblems, NumberPage, ReadProblems,
            Repeatable,
        },
        problem::Problem,
        representation::{
            self, ChatListJson, Json, ListPage, ListedChatJson, chat_bytes, seen_bytes,
        },
    },
    extract::{
        caller::Caller,
        checks::Checks,
        idempotency::KeyHeader,
        media::PlainJson,
        params::ListParams,
        prefer::prefers_minimal,
        request_bodies::{ChatPatchJson, NewChatJson},
    },
};
use crate::{
    domain::{Chat, ChatNumber, Subject},
    store::{
        self,
        conversations::{SeenConversation, SeenKind},
    },
    timeline::commands::{Announcing, ChangeChat, CreateChat, DeleteChat, Expected},
};

/// Creates a chat.
///
/// A user who creates it owns it and is a member; the application's policy may leave chats to the
/// application. Repeating the request with the same
/// `Idempotency-Key` creates nothing again.
#[utoipa::path(
    post,
    path = "/chats",
    tag = "chats",
    params(AsUser, Repeatable),
    request_body(content((NewChatJson = "application/json"))),
    responses(ChatCreated, CreateProblems),
)]
pub async fn create_chat(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let chat = checks.body::<NewChatJson>().await?;
    let key = checks.header::<KeyHeader>();
    let minimal = prefers_minimal(checks.headers());
    let passed = checks.finish(|| Some((chat?, key?.0)))?;
    let (chat, key) = passed.input;
    let idempotency = key.map(|key| service.digester.bind_chat(key, &chat));
    let command = CreateChat {
        name: chat.name,
        members: chat.members,
        attributes: chat.attributes,
        idempotency,
        import: None,
    };
    let outcome = service.submit(&passed.caller, command).await?;
    let media_type = passed.media_type;
    let seen = match minimal {
        false => as_seen(&service, &passed.caller, outcome.output.number).await,
        true => None,
    };
    let seen = seen.as_ref();
    Ok(representation::created_chat(
        media_type, &outcome, seen, minimal,
    ))
}

/// Lists the caller's chats, by number.
///
/// For an application that acts for no user: all its chats.
#[utoipa::path(
    get,
    path = "/chats",
    tag = "chats",
    params(AsUser, NumberPage),
    responses(
        (status = 200, description = "A page",
            body = ChatListJson, content_type = "application/json"),
        ListProblems,
    ),
)]
pub async fn list_chats(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let params = checks.query::<ListParams<i64>>();
    let passed = checks.finish(|| params)?;
    let ListParams { after, limit } = passed.input;
    let after = ChatNumber::new(after.unwrap_or(0));
    let Caller {
        application, user, ..
    } = passed.caller;
    let Some(user) = user else {
        let reading = service.query(async |connection| {
            store::chats::list(connection, application, after, limit + 1).await
        });
        let page = ListPage::cut_at(reading.await?, limit, chat_bytes, |last| last.number.get());
        let chats = page
            .items
            .iter()
            .map(|chat| ListedChatJson::Chat(chat.into()));
        let list = ChatListJson {
            chats: chats.collect(),
            next: page.next,
        };
        return Ok(Json(passed.media_type, list).into_response());
    };
    let reading = service.query(async |connection| {
        store::conversations::list_chats(connection, application, &user, after, limit + 1).await
    });
    let page = ListPage::cut_at(reading.await?, limit, seen_bytes, |last| match &last.kind {
        SeenKind::Chat { chat, .. } => chat.number.get(),
        SeenKind::With(_) => unreachable!("only chats were read"),
    });
    let chats = page.items.iter();
    let list = ChatListJson {
        chats: chats
            .map(|seen| ListedChatJson::Seen(Box::new(seen.into())))
            .collect(),
        next: page.next,
    };
    Ok(Json(passed.media_type, list).into_response())
}

/// Reads a chat.
///
/// A member may, who sees it as a conversation of its own, and the application.
#[utoipa::path(
    get,
    path = "/chats/{number}",
    tag = "chats",
    params(AsUser, ChatNumberPath),
    responses(ChatAnswer, ReadProblems)
)]
pub async fn get_chat(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let chat = checks.path::<ChatNumber>();
    let passed = checks.finish(|| chat)?;
    let (caller, number) = (&passed.caller, passed.input);
    let Some(user) = &caller.user else {
        let visible = service.visible_chat(caller, number).await?;
        return Ok(representation::chat(passed.media_type, &visible.chat));
    };
    let named = vec![Subject::Chat(number)];
    let seen = service.seen(caller.application, user, named).await?;
    let seen = seen.first().ok_or_else(Problem::not_found)?;
    Ok(representation::conversation(passed.media_type, seen))
}

/// Changes a chat: its name, its attributes, its rules and its owner.
///
/// Its owner may, and the application. Every member finds the change on the timeline. `message` is posted
/// into the chat with it.
#[utoipa::path(
    patch,
    path = "/chats/{number}",
    tag = "chats",
    params(AsUser, ChatNumberPath, IfMatchHeader),
    request_body(content(
        (ChatPatchJson = "application/json"),
        (ChatPatchJson = "application/merge-patch+json"),
    )),
    responses(ChatAnswer, ChatChangeProblems),
)]
pub async fn change_chat(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let body = checks.body::<ChatPatchJson>().await?;
    let (chat, expected) = (checks.path::<ChatNumber>(), checks.header::<Expected>());
    let command = || {
        let (patch, announcement) = body?;
        Some(ChangeChat {
            chat: chat?,
            patch,
            expected: expected?,
            announcement,
        })
    };
    let passed = checks.finish(command)?;
    submit_change(&service, &passed.caller, passed.media_type, passed.input).await
}

/// Deletes a chat.
///
/// Its owner may, and the application. Its members find one last change on their timelines; from then on
/// it is there for nobody, and its messages are cleared, which ends the use of their files.
#[utoipa::path(
    delete,
    path = "/chats/{number}",
    tag = "chats",
    params(AsUser, ChatNumberPath, IfMatchHeader),
    responses(
        (status = 204, description = "The chat is deleted"),
        ChatDeleteProblems,
    ),
)]
pub async fn delete_chat(
    State(service): State<Service>,
    mut checks: Checks<Caller, PlainJson>,
) -> Answer {
    let (chat, expected) = (checks.path::<ChatNumber>(), checks.header::<Expected>());
    let command = || {
        Some(DeleteChat {
            chat: chat?,
            expected: expected?,
        })
    };
    let passed = checks.finish(command)?;
    service.submit(&passed.caller, passed.input).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Changes a chat, unless the change carries a message and the caller sends too many or the application
/// rejects it. The answer is the chat as the caller sees it.
pub async fn submit_change<C: Announcing>(
    service: &Service,
    caller: &Caller,
    media_type: &'static str,
    mut command: C,
) -> Answer {
    let fields = service
        .limit_announcement(caller, command.announcement())
        .await?;
    let changing = async {
        if let Some((chat, announcement)) = command.announcement_mut() {
            service
                .screen_announcement(caller, chat, announcement)
                .await?;
        }
        let changed = service.submit(caller, command).await?;
        Ok(changed_chat(service, caller, media_type, &changed.output).await)
    };
    fields.tell(changing.await)
}

/// A chat that the caller has changed, as the caller sees it.
async fn changed_chat(
    service: &Service,
    caller: &Caller,
    media_type: &'static str,
    chat: &Chat,
) -> Response {
    match as_seen(service, caller, chat.number).await {
        Some(seen) => representation::conversation(media_type, &seen),
        None => representation::chat(media_type, chat),
    }
}

/// A chat that the caller has created or changed, as the caller sees it. `None` if the caller is no
/// member, and if it cannot be read: the change is made all the same.
async fn as_seen(
    service: &Service,
    caller: &Caller,
    number: ChatNumber,
) -> Option<SeenConversation> {
    let (application, user) = (caller.application, caller.user.as_ref()?);
    let named = vec![Subject::Chat(number)];
    let seen = service.seen(application, user, named).await;
    seen.ok()?.pop()
}
