//! What comes with the entries of a page: conversations, and the reactions to messages.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Service,
    answer::{
        problem::Problem,
        representation::{Included, fitting, json_bytes, summary_bytes},
    },
    extract::{include::Beside, sync_params::Include},
};
use crate::{
    domain::{ApplicationId, Message, MessageId, ReactionSummary, Subject, Timestamp, UserId},
    store::{conversations::SeenConversation, reactions},
    sync::ChangesPage,
};

/// The changes of a page with what they include. It ends before that with which it would have more than 1
/// MiB of it.
pub async fn page(
    service: &Service,
    application: ApplicationId,
    user: &UserId,
    include: Include,
    changes: ChangesPage,
) -> Result<(ChangesPage, Included), Problem> {
    let included = of(service, application, user, include, &changes).await?;
    let sizes = changes.entries.iter();
    let sizes = sizes.map(|entry| included.bytes_at(entry.update.timestamp));
    let count = fitting(sizes);
    Ok((changes.first(count), included))
}

/// What the entries of a page include.
pub async fn of(
    service: &Service,
    application: ApplicationId,
    user: &UserId,
    include: Include,
    changes: &ChangesPage,
) -> Result<Included, Problem> {
    let mut included = Included::default();
    if include.conversations {
        included.conversations = conversations(service, application, user, changes).await?;
    }
    if include.reactions {
        included.reactions = reactions(service, application, user, changes).await?;
    }
    Ok(included)
}

/// The reactions to some messages, by their ids.
pub type Reacted = HashMap<MessageId, Arc<ReactionSummary>>;

/// The reactions to the messages, of those that the reader may read, if they are to come beside them. `None` as
/// a reader is the application itself.
pub async fn reactions_beside(
    service: &Service,
    application: ApplicationId,
    reader: Option<&UserId>,
    beside: Beside,
    messages: &[MessageId],
) -> Result<Reacted, Problem> {
    match beside.reactions {
        true => reactions_to(service, application, reader, messages).await,
        false => Ok(Reacted::new()),
    }
}

/// About how long a message is with the reactions to it, in bytes of JSON.
pub fn bytes_with(message: &Arc<Message>, reacted: &Reacted) -> usize {
    let summary = reacted.get(&message.id);
    json_bytes(message) + summary.map_or(0, |summary| summary_bytes(summary))
}

async fn reactions_to(
    service: &Service,
    application: ApplicationId,
    reader: Option<&UserId>,
    messages: &[MessageId],
) -> Result<Reacted, Problem> {
    if messages.is_empty() {
        return Ok(Reacted::new());
    }
    let reading = service.query(async |connection| {
        reactions::summaries(connection, application, reader, messages).await
    });
    let found = reading.await?.into_iter();
    Ok(found
        .map(|summary| (summary.message, Arc::new(summary)))
        .collect())
}

/// The reactions of which the entries of a page tell, each at the newest entry that does; and those to the
/// messages that are included, at these too. Of a message that the user may not read any more, or that never
/// had any, there are none.
async fn reactions(
    service: &Service,
    application: ApplicationId,
    user: &UserId,
    changes: &ChangesPage,
) -> Result<HashMap<Timestamp, Arc<ReactionSummary>>, Problem> {
    let (mut places, mut messages) = (Vec::new(), HashSet::new());
    let mut named = HashSet::new();
    for entry in changes.entries.iter().rev() {
        let id = match (&entry.update.subject, &entry.message) {
            (Subject::Reactions(id), _) if named.insert(*id) => *id,
            (Subject::Message(id), Some(_)) => *id,
            _ => continue,
        };
        messages.insert(id);
        places.push((entry.update.timestamp, id));
    }
    let messages: Vec<_> = messages.into_iter().collect();
    let found = reactions_to(service, application, Some(user), &messages).await?;
    let included = places
        .into_iter()
        .filter_map(|(timestamp, id)| Some((timestamp, Arc::clone(found.get(&id)?))));
    Ok(included.collect())
}

/// The conversations of which the entries of a page tell: each at the newest
/// entry that names it, and where its newest message comes later, with its data, at that one too.
async fn conversations(
    service: &Service,
    application: ApplicationId,
    user: &UserId,
    changes: &ChangesPage,
) -> Result<HashMap<Timestamp, Arc<SeenConversation>>, Problem> {
    let (mut places, mut named, mut subjects) = (Vec::new(), HashSet::new(), HashSet::new());
    for entry in changes.entries.iter().rev() {
        let (subject, is_named) = match (&entry.update.subject, &entry.message) {
            (Subject::Message(_), Some(version)) => (version.conversation.named_by(user), false),
            (Subject::Message(_), None) | (Subject::Reactions(_), _) => continue,
            (subject, _) => (subject.clone(), true),
        };
        let is_newest = subjects.insert(subject.clone());
        if is_newest || (is_named && !named.contains(&subject)) {
            places.push((entry.update.timestamp, subject.clone()));
        }
        if is_named {
            named.insert(subject);
        }
    }
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let subjects = subjects.into_iter().collect();
    let seen = service.seen(application, user, subjects).await?;
    let seen = seen
        .into_iter()
        .map(|seen| (seen.subject(), Arc::new(seen)));
    let seen: HashMap<_, _> = seen.collect();
    let included = places
        .into_iter()
        .filter_map(|(timestamp, subject)| Some((timestamp, Arc::clone(seen.get(&subject)?))));
    Ok(included.collect())
}
