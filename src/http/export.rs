//! What is stored of one user, for the user to take away.

use std::collections::HashMap;

use axum::extract::State;

use super::{
    Answer, Service,
    answer::{
        openapi::{ApplicationListProblems, ExportPage, UserIdPath},
        problem::Problem,
        representation::{ExportLineJson, Lines, ReportJson, fitting, json_bytes},
    },
    extract::{
        caller::OwnApplication, checks::Checks, export_params::ExportPlace, media::JsonLines,
        params::ListParams,
    },
};
use crate::{
    domain::{
        ApplicationId, ChatNumber, ConversationId, MessageId, MessageNumber, Subject, Timestamp,
        UserId,
    },
    store::{
        self,
        conversations::SeenConversation,
        export::{OwnMessage, OwnMessages},
    },
};

/// Exports what is stored of a user.
///
/// For an application's own token. The answer has a JSON object a line: first the user; each conversation
/// that the user is in or was in, or into which messages of the user were imported, with what the user has set there
/// and how far it has read, followed by the user's messages in it, by number; what it has posted with changes of
/// chats; its reactions, what it has pinned, the reports that it has made, and the chats that it is banned from. What
/// others have written, and what is deleted, is no part of it.
///
/// A page has about `limit` lines: it ends neither between a conversation and the first message in it, nor
/// among the reactions to one message. If it is not the last one, its last line is `{"next": …}`: the `after`
/// of the next page. It may have no other line. What is changed while pages are read may be missed.
#[utoipa::path(
    get,
    path = "/users/{user}/export",
    tag = "applications",
    params(UserIdPath, ExportPage),
    responses(
        (status = 200, description = "A page: each line is such an object",
            body = ExportLineJson, content_type = "application/x-ndjson"),
        ApplicationListProblems,
    ),
)]
pub async fn export_user(
    State(service): State<Service>,
    mut checks: Checks<OwnApplication, JsonLines>,
) -> Answer {
    let user = checks.path::<UserId>();
    let params = checks.query::<ListParams<ExportPlace>>();
    let passed = checks.finish(|| user.zip(params))?;
    let (user, ListParams { after, limit }) = passed.input;
    let mut export = Export {
        service: &service,
        application: passed.caller,
        user: &user,
        lines: Lines::default(),
    };
    if after.is_none() {
        export.add_user().await?;
    }
    let next = export
        .add(after.unwrap_or(ExportPlace::START), limit)
        .await?;
    let mut lines = export.lines;
    if let Some(next) = next {
        lines.push(&ExportLineJson::Next(next.to_string()));
    }
    Ok(lines.answer(passed.media_type))
}

/// A page of an export.
struct Export<'a> {
    service: &'a Service,
    application: ApplicationId,
    user: &'a UserId,
    lines: Lines,
}

/// What was added of one kind.
struct Added {
    count: usize,
    /// Where to go on, if there may be more of it.
    next: Option<ExportPlace>,
}

impl Export<'_> {
    async fn add_user(&mut self) -> Result<(), Problem> {
        let reading = self.service.query(async |connection| {
            store::restrictions::find(connection, self.application, self.user).await
        });
        let restrictions = reading.await?;
        self.lines
            .push(&ExportLineJson::user(self.user, restrictions));
        Ok(())
    }

    /// Adds what comes after a place, about as much as `limit`. Returns where the next page begins.
    async fn add(
        &mut self,
        mut place: ExportPlace,
        limit: i64,
    ) -> Result<Option<ExportPlace>, Problem> {
        let mut room = limit;
        while room > 0 {
            let added = match place {
                ExportPlace::Messages(conversation, number) => {
                    self.add_messages((conversation, number), room).await?
                }
                ExportPlace::Announcements(conversation, number) => {
                    self.add_announcements((conversation, number), room).await?
                }
                ExportPlace::Reactions(message) => self.add_reactions(message, room).await?,
                ExportPlace::Pins(timestamp) => self.add_pins(timestamp, room).await?,
                ExportPlace::Reports(timestamp) => self.add_reports(timestamp, room).await?,
                ExportPlace::Bans(chat) => self.add_bans(chat, room).await?,
            };
            if added.next.is_some() {
                return Ok(added.next);
            }
            room -= added.count as i64;
            match place.following() {
                Some(following) => place = following,
                None => return Ok(None),
            }
        }
        Ok(Some(place))
    }

    async fn add_messages(
        &mut self,
        after: (ConversationId, MessageNumber),
        limit: i64,
    ) -> Result<Added, Problem> {
        let reading = self.service.query(async |connection| {
            store::export::messages(connection, self.application, self.user, after, limit).await
        });
        let OwnMessages { own, next } = fitting_part(reading.await?);
        let seen = self.seen(&own).await?;
        let (mut inside, _) = after;
        for own in &own {
            if own.conversation != inside {
                inside = own.conversation;
                let seen = seen.get(&own.subject);
                self.lines
                    .push(&ExportLineJson::conversation(&own.subject, seen));
            }
            if let Some(message) = &own.message {
                self.lines
                    .push(&ExportLineJson::Message(message.as_ref().into()));
            }
        }
        Ok(Added {
            count: own.len(),
            next: next.map(|(conversation, number)| ExportPlace::Messages(conversation, number)),
        })
    }

    async fn add_announcements(
        &mut self,
        after: (ConversationId, MessageNumber),
        limit: i64,
    ) -> Result<Added, Problem> {
        let reading = self.service.query(async |connection| {
            store::export::announcements(connection, self.application, self.user, after, limit)
                .await
        });
        let OwnMessages { own, next } = fitting_part(reading.await?);
        for message in own.iter().filter_map(|own| own.message.as_ref()) {
            self.lines
                .push(&ExportLineJson::Message(message.as_ref().into()));
        }
        Ok(Added {
            count: own.len(),
            next: next
                .map(|(conversation, number)| ExportPlace::Announcements(conversation, number)),
        })
    }

    /// Those conversations of the messages that the user sees.
    async fn seen(
        &self,
        own: &[OwnMessage],
    ) -> Result<HashMap<Subject, SeenConversation>, Problem> {
        let mut subjects: Vec<_> = own.iter().map(|own| own.subject.clone()).collect();
        subjects.dedup();
        if subjects.is_empty() {
            return Ok(HashMap::new());
        }
        let seen = self
            .service
            .seen(self.application, self.user, subjects)
            .await?;
        Ok(seen
            .into_iter()
            .map(|seen| (seen.subject(), seen))
            .collect())
    }

    async fn add_reactions(&mut self, after: MessageId, limit: i64) -> Result<Added, Problem> {
        let reading = self.service.query(async |connection| {
            store::export::reactions(connection, self.application, self.user, after, limit).await
        });
        let reactions = reading.await?;
        for reaction in reactions.iter().filter(|reaction| reaction.is_shown) {
            let line = ExportLineJson::reaction(reaction.message, &reaction.key);
            self.lines.push(&line);
        }
        let count = reactions.len();
        let last = reactions.last().filter(|_| count as i64 >= limit);
        Ok(Added {
            count,
            next: last.map(|last| ExportPlace::Reactions(last.message)),
        })
    }

    async fn add_pins(&mut self, after: Timestamp, limit: i64) -> Result<Added, Problem> {
        let reading = self.service.query(async |connection| {
            store::export::pins(connection, self.application, self.user, after, limit).await
        });
        let pins = reading.await?;
        for pin in pins.iter().filter(|pin| pin.is_shown) {
            self.lines.push(&ExportLineJson::pin(pin));
        }
        let count = pins.len();
        let last = pins.last().filter(|_| count as i64 >= limit);
        Ok(Added {
            count,
            next: last.map(|pin| ExportPlace::Pins(pin.timestamp)),
        })
    }

    async fn add_reports(&mut self, after: Timestamp, limit: i64) -> Result<Added, Problem> {
        let reading = self.service.query(async |connection| {
            store::reports::of_user(connection, self.application, self.user, after, limit).await
        });
        let reports = reading.await?;
        for report in &reports {
            self.lines
                .push(&ExportLineJson::Report(ReportJson::made(report)));
        }
        let count = reports.len();
        let last = reports.last().filter(|_| count as i64 >= limit);
        Ok(Added {
            count,
            next: last.map(|report| ExportPlace::Reports(report.timestamp)),
        })
    }

    async fn add_bans(&mut self, after: ChatNumber, limit: i64) -> Result<Added, Problem> {
        let reading = self.service.query(async |connection| {
            store::export::bans(connection, self.application, self.user, after, limit).await
        });
        let bans = reading.await?;
        for (chat, created) in &bans {
            self.lines.push(&ExportLineJson::ban(*chat, *created));
        }
        let count = bans.len();
        let last = bans.last().filter(|_| count as i64 >= limit);
        Ok(Added {
            count,
            next: last.map(|(chat, _)| ExportPlace::Bans(*chat)),
        })
    }
}

/// As many of the messages as a page has data for.
fn fitting_part(OwnMessages { mut own, next }: OwnMessages) -> OwnMessages {
    let sizes = own
        .iter()
        .map(|own| own.message.as_ref().map_or(0, json_bytes));
    let fitting = fitting(sizes);
    let next = match own.len() <= fitting {
        true => next,
        false => own[..fitting].last().map(OwnMessage::place),
    };
    own.truncate(fitting);
    OwnMessages { own, next }
}
