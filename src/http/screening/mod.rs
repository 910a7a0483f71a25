//! Hooks: servers of applications that judge what users send, before it is sent.
//!
//! # The promise
//! Once a hook is set, every message of a user, every edit and every message with a change of a chat is
//! shown to it before the command enters the queue, so no send of anybody else waits for it. What it says is
//! done: the message is accepted, accepted with another text or other attributes, or rejected. What it does
//! not say in time, or not in a way that can be understood, is a failure, and the application has set what
//! becomes of the message then.
//!
//! # Cases
//! - *A replica has not read yet that a hook was set or removed.* It has within 5 seconds.
//! - *The request was carried out before, under the same idempotency key.* The hook is not asked again. It may
//!   be if both are under way at once. An edit that is repeated is judged again.
//! - *The message is refused afterwards*, since its sender may not post there. The hook has seen it all the
//!   same.
//! - *The server hangs.* Each call ends after the timeout of the hook. Of an application 256 are under way on
//!   a replica, of a user 16; others wait for their turn, as long as a call may take, and are refused then, with
//!   503, whatever the application has set: nobody can push a message past the hook by keeping it busy.
//! - *The connection breaks before an answer*, as one does that the server has closed meanwhile. The hook is asked
//!   once more, with the same id.

mod question;
mod turns;
mod verdict;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{Service, answer::problem::Problem, extract::caller::Caller};
use crate::{
    callbacks::{self, CallbackUrl, Callbacks, Request, SigningSecret},
    domain::{self, ApplicationId, ChatNumber, Idempotency, MessageId, OnFailure, UserId},
    random,
    store::{self, hooks::Hook},
    timeline::commands::{Announcement, MessageEdit, SendMessage},
};
use question::Proposal;
use turns::Turns;
use verdict::{Replacement, Unreadable, Verdict};

pub use question::HookQuestionJson;
pub use verdict::HookVerdictJson;

/// How long a sender waits until a failure is written down.
const NOTE_TIME_MAX: Duration = Duration::from_secs(1);

/// Asks the hooks of applications.
pub struct Screening {
    callbacks: Arc<Callbacks>,
    /// Those that were asked since the start.
    hooks: Mutex<HashMap<ApplicationId, Arc<Turns>>>,
}

/// Why a hook has not judged a message. The text is shown to its application.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Url(#[from] domain::Invalid),
    #[error(transparent)]
    Call(#[from] callbacks::Failure),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Service {
    /// The message as the application's hook leaves it. Fails if that rejects it.
    pub async fn screen_message(
        &self,
        caller: &Caller,
        mut command: SendMessage,
    ) -> Result<SendMessage, Problem> {
        let (proposal, key) = (Proposal::Message(&command.draft), &command.idempotency);
        let replaced = self.screen(caller, proposal, key.as_ref()).await?;
        let draft = &mut command.draft;
        replaced.put_into(&mut draft.text, &mut draft.attributes);
        Ok(command)
    }

    /// The same for an edit.
    pub async fn screen_edit(
        &self,
        caller: &Caller,
        id: MessageId,
        mut edit: MessageEdit,
    ) -> Result<MessageEdit, Problem> {
        let replaced = self.screen(caller, Proposal::Edit(id, &edit), None).await?;
        if let Some(text) = replaced.text {
            edit.text = Some(Some(text));
        }
        if let Some(attributes) = replaced.attributes {
            edit.attributes = Some(Some(attributes));
        }
        Ok(edit)
    }

    /// The same for the message of a change of a chat.
    pub async fn screen_announcement(
        &self,
        caller: &Caller,
        chat: ChatNumber,
        announcement: &mut Announcement,
    ) -> Result<(), Problem> {
        let proposal = Proposal::Announcement(chat, announcement);
        let replaced = self.screen(caller, proposal, None).await?;
        replaced.put_into(&mut announcement.text, &mut announcement.attributes);
        Ok(())
    }

    /// What the hook puts in place of the parts of a proposal. Only proposals of users are shown to it, and
    /// those of earlier requests are not shown again.
    async fn screen(
        &self,
        caller: &Caller,
        proposal: Proposal<'_>,
        key: Option<&Idempotency>,
    ) -> Result<Replacement, Problem> {
        let application = caller.application;
        let access = self.authenticator.access(application).await?;
        let (Some(user), Some(hook)) = (&caller.user, &access.hook) else {
            return Ok(Replacement::default());
        };
        // Boxed, so that sends to which no hook belongs do not reserve the memory for it.
        Box::pin(async {
            if self.is_repeated(application, user, key).await? {
                return Ok(Replacement::default());
            }
            let question = proposal.question(application, user);
            self.ask(application, hook, (user, question)).await
        })
        .await
    }

    async fn is_repeated(
        &self,
        application: ApplicationId,
        user: &UserId,
        key: Option<&Idempotency>,
    ) -> Result<bool, Problem> {
        let Some(Idempotency { key, .. }) = key else {
            return Ok(false);
        };
        self.query(async |connection| {
            store::idempotency::has_sent(connection, application, user, key).await
        })
        .await
    }

    async fn ask(
        &self,
        application: ApplicationId,
        hook: &Hook,
        (user, question): (&UserId, HookQuestionJson<'_>),
    ) -> Result<Replacement, Problem> {
        let turns = self.screening.turns(application);
        let _turn = turns.take(user, hook.timeout).await?;
        match self.screening.ask(hook, question).await {
            Ok(Verdict::Accept) => Ok(Replacement::default()),
            Ok(Verdict::Replace(replacement)) => Ok(replacement),
            Ok(Verdict::Reject(detail)) => Err(Problem::rejected(detail)),
            Err(failure) => {
                if turns.claim_failure() {
                    self.note_failure(application, hook, &failure).await;
                }
                match hook.on_failure {
                    OnFailure::Accept => Ok(Replacement::default()),
                    OnFailure::Reject => Err(Problem::not_judged()),
                }
            }
        }
    }

    /// Writes down why the hook has failed, where its application can read it.
    async fn note_failure(&self, application: ApplicationId, hook: &Hook, failure: &Failure) {
        let application_id = application.get();
        tracing::info!(application_id, %failure, "a hook has not judged a message");
        let detail = failure.to_string();
        let noting = self.reads.change(async |connection| {
            store::hooks::note_failure(connection, application, &hook.url, &detail).await
        });
        if let Err(error) = store::in_time(NOTE_TIME_MAX, noting).await {
            tracing::warn!(%error, "the failure of a hook cannot be written down");
        }
    }
}

impl Screening {
    pub fn new(callbacks: Arc<Callbacks>) -> Self {
        Self {
            callbacks,
            hooks: Mutex::default(),
        }
    }

    /// What the hook says, within its time.
    async fn ask(&self, hook: &Hook, question: HookQuestionJson<'_>) -> Result<Verdict, Failure> {
        let started = Instant::now();
        let asked = timeout(hook.timeout, self.call(hook, question)).await;
        let too_late = callbacks::Failure::NoAnswer(hook.timeout);
        let verdict = asked.unwrap_or(Err(too_late.into()));
        let outcome = match &verdict {
            Ok(Verdict::Accept) => "accepted",
            Ok(Verdict::Replace(_)) => "replaced",
            Ok(Verdict::Reject(_)) => "rejected",
            Err(_) => "failed",
        };
        metrics::histogram!("messages_hook_seconds", "outcome" => outcome)
            .record(started.elapsed().as_secs_f64());
        verdict
    }

    async fn call(&self, hook: &Hook, question: HookQuestionJson<'_>) -> Result<Verdict, Failure> {
        let request = Request {
            url: &CallbackUrl::parse(&hook.url)?,
            id: random::request_id(),
            body: question.to_json(),
            secrets: &[SigningSecret::from(hook.secret.clone())],
        };
        let answer = self.callbacks.ask(request).await?;
        Ok(Verdict::parse(&answer)?)
    }

    fn turns(&self, application: ApplicationId) -> Arc<Turns> {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hooks.entry(application).or_default())
    }
}
