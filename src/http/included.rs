//! The conversations that come with the entries of a page.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Service,
    answer::{
        problem::Problem,
        representation::{IncludedConversations, fitting, seen_bytes},
    },
    extract::sync_params::Include,
};
use crate::{
    domain::{ApplicationId, Subject, UserId},
    sync::ChangesPage,
};

/// The changes of a page with their conversations. It ends before the conversation with which it would
/// have more than 1 MiB of them.
pub async fn page(
    service: &Service,
    application: ApplicationId,
    user: &UserId,
    include: Include,
    changes: ChangesPage,
) -> Result<(ChangesPage, IncludedConversations), Problem> {
    let included = conversations(service, application, user, include, &changes).await?;
    let sizes = changes.entries.iter().map(|entry| {
        let seen = included.get(&entry.update.timestamp);
        seen.map_or(0, |seen| seen_bytes(seen))
    });
    let count = fitting(sizes);
    Ok((changes.first(count), included))
}

/// The conversations that the entries of a page tell of, if they are to be included: each at the newest
/// entry that names it, and where its newest message comes later, with its data, at that one too.
pub async fn conversations(
    service: &Service,
    application: ApplicationId,
    user: &UserId,
    include: Include,
    changes: &ChangesPage,
) -> Result<IncludedConversations, Problem> {
    if !include.conversations {
        return Ok(IncludedConversations::default());
    }
    let (mut places, mut named, mut subjects) = (Vec::new(), HashSet::new(), HashSet::new());
    for entry in changes.entries.iter().rev() {
        let (subject, is_named) = match (&entry.update.subject, &entry.message) {
            (Subject::Message(_), Some(version)) => (version.conversation.named_by(user), false),
            (Subject::Message(_), None) => continue,
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
        return Ok(IncludedConversations::default());
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
