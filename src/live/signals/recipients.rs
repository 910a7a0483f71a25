//! Who receives a signal, if it may be sent at all.

use time::OffsetDateTime;

use crate::{
    domain::{
        ApplicationId, ChatNumber, Conversation, MessageId, Pair, Refusal, SIGNAL_MEMBERS_MAX,
        UserId, require_accepted, require_posting,
    },
    store::{self, PgConnection, applications, restrictions, signals},
};

/// The users whom a signal of `from` reaches: everybody else in the conversation. Refuses what would be
/// refused of a message, a chat that is too large, and the draft of a message that `from` has not sent.
pub async fn find(
    connection: &mut PgConnection,
    application: ApplicationId,
    from: &UserId,
    conversation: &Conversation,
    draft: Option<MessageId>,
    now: OffsetDateTime,
) -> store::Result<Result<Vec<UserId>, Refusal>> {
    let restrictions = restrictions::find(connection, application, from).await?;
    if let Some(until) = restrictions.suspended_until.filter(|until| *until > now) {
        return Ok(Err(Refusal::Suspended { until }));
    }
    match conversation {
        Conversation::Chat(chat) => in_chat(connection, application, from, *chat, draft, now).await,
        Conversation::Personal(pair) => in_pair(connection, application, from, pair, draft).await,
    }
}

async fn in_chat(
    connection: &mut PgConnection,
    application: ApplicationId,
    from: &UserId,
    number: ChatNumber,
    draft: Option<MessageId>,
    now: OffsetDateTime,
) -> store::Result<Result<Vec<UserId>, Refusal>> {
    let Some(chat) = signals::find_chat(connection, application, from, number, draft).await? else {
        return Ok(Err(Refusal::NotFound));
    };
    let is_muted = chat.muted_until.is_some_and(|until| until > now);
    let may = require_posting(chat.rank, &chat.rules, is_muted);
    Ok(may.and_then(|()| {
        if chat.members > SIGNAL_MEMBERS_MAX {
            return Err(Refusal::ChatTooLarge);
        }
        require_own(draft, chat.has_sent)?;
        Ok(chat.others)
    }))
}

async fn in_pair(
    connection: &mut PgConnection,
    application: ApplicationId,
    from: &UserId,
    pair: &Pair,
    draft: Option<MessageId>,
) -> store::Result<Result<Vec<UserId>, Refusal>> {
    let Some(found) = applications::find(connection, application).await? else {
        return Ok(Err(Refusal::UnknownApplication));
    };
    let between = signals::find_pair(connection, application, from, pair, draft).await?;
    let (is_opened, is_blocked) = (between.is_opened, between.is_blocked);
    let may = require_accepted(pair, found.policy.personal, is_opened, is_blocked);
    Ok(may.and_then(|()| {
        require_own(draft, between.has_sent)?;
        let others = pair.users().filter(|user| *user != from);
        Ok(others.cloned().collect())
    }))
}

/// A draft changes what others see of a message, so it must be the sender's own.
fn require_own(draft: Option<MessageId>, has_sent: bool) -> Result<(), Refusal> {
    if draft.is_none() || has_sent {
        Ok(())
    } else {
        Err(Refusal::DraftElsewhere)
    }
}
