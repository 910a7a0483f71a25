//! The live forms of a sync: an answer that is held until there is a change, and a stream.
//!
//! Both end with the caller's token and when the service shuts down. Neither buffers for a slow
//! caller: a stream reads a page, and reads the next one when the connection has taken it.

use std::{convert::Infallible, ops::Range, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    Service,
    answer::{
        problem::Problem,
        representation::{
            CaughtUpJson, IncludedConversations, LIVE_CACHE_CONTROL, MessageUpdateJson,
        },
        sse::{Blocks, COMMENT},
    },
    extract::{media, sync_params::Include},
    included,
    server::{
        Link,
        envelope::{LongLived, RequestId},
    },
};
use crate::{
    auth::Validity,
    domain::{ApplicationId, UserId},
    live::{WaitKind, Watcher},
    random,
    store::pages::{PageRequest, PageSize},
    sync::ChangesPage,
};

/// What a stream reads at a time, and keeps until the connection has taken it.
const STREAM_PAGE: PageSize = PageSize {
    entries: 250,
    bytes: 64 * 1024,
};

/// The same where it includes conversations, each with its newest message.
const STREAM_PAGE_WITH_CONVERSATIONS: PageSize = PageSize {
    entries: 25,
    ..STREAM_PAGE
};

/// The pause before a client reconnects, in milliseconds. It is random, so that the clients of a
/// stopped replica do not reconnect all at once.
const RETRY_MILLISECONDS: Range<u64> = 1000..4000;

/// The pause before a stream reads again after a failure, in milliseconds; random as well.
const REREAD_MILLISECONDS: Range<u64> = 500..1500;

/// Waits for a change after the cursor and answers with it. Answers with an empty page after
/// `wait`, or after the longest time that the service holds an answer.
pub async fn hold(
    service: &Service,
    validity: &Validity,
    request: PageRequest,
    include: Include,
    wait: Duration,
) -> Result<ChangesPage, Problem> {
    let deadline = Instant::now() + wait.min(service.times.held_answer);
    let mut watcher =
        service
            .live
            .watch(service.sync(), WaitKind::Poll, request, include.messages)?;
    let mut last = None;
    let waiting = async {
        while last
            .as_ref()
            .is_none_or(|changes: &ChangesPage| changes.entries.is_empty())
        {
            last = Some(watcher.read().await?);
        }
        Ok::<_, Problem>(())
    };
    tokio::select! {
        waited = timeout_at(deadline, waiting) => waited.unwrap_or(Ok(()))?,
        () = service.until_end(validity) => {}
    }
    match last {
        Some(changes) => Ok(changes),
        // Not even the first read has ended.
        None => Ok(watcher.read().await?),
    }
}

/// Answers with a stream of every change after the cursor, and of each new one once it is
/// committed.
pub fn open(
    service: &Service,
    validity: Validity,
    request: PageRequest,
    include: Include,
    request_id: RequestId,
    link: &Link,
) -> Result<Response, Problem> {
    let size = if include.conversations {
        STREAM_PAGE_WITH_CONVERSATIONS
    } else {
        STREAM_PAGE
    };
    let request = PageRequest { size, ..request };
    let (application, user) = (request.application, request.user.clone());
    let watcher =
        service
            .live
            .watch(service.sync(), WaitKind::Stream, request, include.messages)?;
    let events = EventStream {
        watcher,
        service: service.clone(),
        application,
        user,
        include,
        request_id,
        state: StreamState::Opening,
    };
    let blocks = stream::unfold(events, async |mut events| {
        Some((events.next().await?, events))
    });
    let comment_period = service.times.comment_period;
    let service = service.clone();
    let end = async move { service.until_end(&validity).await }.shared();
    link.close_after(end.clone());
    let blocks = stream::iter([COMMENT]).chain(blocks).take_until(end);
    let body = with_comments(blocks, comment_period).map(Ok::<_, Infallible>);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(media::EVENT_STREAM),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static(LIVE_CACHE_CONTROL),
        ),
        // A stream is the last answer of its connection.
        (header::CONNECTION, HeaderValue::from_static("close")),
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let mut response = (headers, Body::from_stream(body)).into_response();
    response.extensions_mut().insert(LongLived);
    Ok(response)
}

/// Waits before a read is repeated.
async fn pause() {
    sleep(Duration::from_millis(random::between(REREAD_MILLISECONDS))).await;
}

/// The blocks, and a comment whenever there was none for `period`.
fn with_comments(blocks: impl Stream<Item = Bytes>, period: Duration) -> impl Stream<Item = Bytes> {
    stream::unfold(Box::pin(blocks), move |mut blocks| async move {
        let next = timeout(period, blocks.next()).await;
        Some((next.unwrap_or(Some(COMMENT))?, blocks))
    })
}

/// Turns what a watcher reads into events for one client.
struct EventStream {
    watcher: Watcher,
    service: Service,
    application: ApplicationId,
    user: UserId,
    include: Include,
    request_id: RequestId,
    state: StreamState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamState {
    /// Nothing was sent yet.
    Opening,
    /// There is more to send.
    Behind,
    /// The client was sent the `current` event.
    Current,
    Ended,
}

impl EventStream {
    /// The next blocks; `None` at the end. A read that fails because the service is busy or the
    /// database is away is repeated.
    async fn next(&mut self) -> Option<Bytes> {
        while self.state != StreamState::Ended {
            match self.watcher.read().await {
                Ok(changes) => match self.included(&changes).await {
                    Ok(included) => {
                        if let Some(blocks) = self.events(&changes, &included).finish() {
                            return Some(blocks);
                        }
                    }
                    Err(problem) => {
                        self.state = StreamState::Ended;
                        return self.last_block(problem).finish();
                    }
                },
                Err(error) if error.is_transient() => pause().await,
                Err(error) => {
                    self.state = StreamState::Ended;
                    return self.last_block(error.into()).finish();
                }
            }
        }
        None
    }

    /// The conversations that are included. A read that fails because the service is busy or the
    /// database is away is repeated: the page is told before the next one is read.
    async fn included(&self, changes: &ChangesPage) -> Result<IncludedConversations, Problem> {
        let Self {
            service,
            application,
            user,
            include,
            ..
        } = self;
        loop {
            match included::conversations(service, *application, user, *include, changes).await {
                Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    pause().await
                }
                included => return included,
            }
        }
    }

    fn events(&mut self, changes: &ChangesPage, included: &IncludedConversations) -> Blocks {
        let mut blocks = Blocks::default();
        if self.state == StreamState::Opening {
            blocks.id(changes.after);
            blocks.retry(random::between(RETRY_MILLISECONDS));
            self.state = StreamState::Behind;
        }
        for entry in &changes.entries {
            blocks.event(
                "update",
                Some(entry.update.timestamp),
                &MessageUpdateJson::of(entry, included),
            );
        }
        if !changes.has_caught_up() {
            self.state = StreamState::Behind;
        } else if self.state == StreamState::Behind {
            blocks.event("current", None::<u8>, &CaughtUpJson::from(changes));
            self.state = StreamState::Current;
        }
        blocks
    }

    /// The `reset` event in place of a 410. Its id 0 makes a client that ignores it start again.
    /// After any other problem the stream just ends.
    fn last_block(&self, problem: Problem) -> Blocks {
        let mut blocks = Blocks::default();
        if problem.status() == StatusCode::INTERNAL_SERVER_ERROR {
            let request_id = self.request_id.as_str();
            tracing::error!(request.id = request_id, %problem, "a stream failed");
        }
        if problem.is_cursor_ahead() {
            blocks.event(
                "reset",
                Some(0),
                &problem.document(self.request_id.as_str()),
            );
        }
        blocks
    }
}
