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
use futures_util::{FutureExt, Stream, StreamExt, future, stream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    Service,
    answer::{
        problem::{CursorFault, Problem},
        representation::{CaughtUpJson, LIVE_CACHE_CONTROL, SignalJson},
        sse::{Blocks, COMMENT},
    },
    extract::media,
    server::{
        Link,
        envelope::{LongLived, RequestId},
    },
};
use crate::{
    auth::Validity,
    domain::Timestamp,
    live::{Inbox, WaitKind, Watched, WatchedPage, Watcher},
    random,
    store::pages::PageSize,
};

/// What a stream reads at a time, and keeps until the connection has taken it.
pub const STREAM_PAGE: PageSize = PageSize {
    entries: 250,
    bytes: 64 * 1024,
};

/// The same where it includes much beside the messages.
pub const STREAM_PAGE_WITH_MORE: PageSize = PageSize {
    entries: 25,
    ..STREAM_PAGE
};

/// How the pages of a timeline become events.
pub trait Events: Send + Sync + 'static {
    type Page: WatchedPage;

    /// Whether a client whose cursor is before what is kept goes on with what is kept. If it may not, its cursor
    /// stays where it is, so that it is sent `reset` whenever it resumes.
    const SKIPS_TRIMMED: bool;

    /// The signals that come with the events, if there are any.
    fn signals(&self, _service: &Service) -> Option<Inbox> {
        None
    }

    /// Adds an event for each entry of the page. It may read what is included.
    fn add(
        &self,
        service: &Service,
        page: &Self::Page,
        blocks: &mut Blocks,
    ) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// The pause before a client reconnects, in milliseconds. It is random, so that the clients of a
/// stopped replica do not reconnect all at once.
const RETRY_MILLISECONDS: Range<u64> = 1000..4000;

/// The pause before a stream reads again after a failure, in milliseconds; random as well.
const REREAD_MILLISECONDS: Range<u64> = 500..1500;

/// Waits for a change after the cursor and answers with it. Answers with an empty page after
/// `wait`, or after the longest time that the service holds an answer.
pub async fn hold<W: Watched>(
    service: &Service,
    validity: &Validity,
    watched: W,
    wait: Duration,
) -> Result<W::Page, Problem> {
    let deadline = Instant::now() + wait.min(service.times.held_answer);
    let mut watcher = service
        .live
        .watch(service.sync(), WaitKind::Poll, watched)?;
    let mut last = None;
    let waiting = async {
        while last.as_ref().is_none_or(W::Page::is_empty) {
            last = Some(watcher.read().await?);
        }
        Ok::<_, Problem>(())
    };
    tokio::select! {
        waited = timeout_at(deadline, waiting) => waited.unwrap_or(Ok(()))?,
        () = service.until_end(validity) => {}
    }
    match last {
        Some(page) => Ok(page),
        // Not even the first read has ended.
        None => Ok(watcher.read().await?),
    }
}

/// Answers with a stream of every change after the cursor, and of each new one once it is
/// committed.
pub fn open<W: Watched>(
    service: &Service,
    validity: Validity,
    watched: W,
    events: impl Events<Page = W::Page>,
    request_id: RequestId,
    link: &Link,
) -> Result<Response, Problem> {
    let watcher = service
        .live
        .watch(service.sync(), WaitKind::Stream, watched)?;
    let signals = events.signals(service);
    let events = EventStream {
        watcher,
        events,
        service: service.clone(),
        request_id,
        state: StreamState::Opening,
        sent_cursor: Timestamp::new(0),
        cursor_sent_at: Instant::now(),
    };
    let blocks = stream::unfold(events, async |mut events| {
        Some((events.next().await?, events))
    });
    let blocks = match signals {
        Some(inbox) => with_signals(blocks, inbox).left_stream(),
        None => blocks.right_stream(),
    };
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

/// The blocks of a timeline, and between them those of signals. The first one is the timeline's, and the
/// stream ends with it. Neither waits for the other: a timeline that has nothing to send delays no signal, and
/// a signal interrupts no read.
fn with_signals(timeline: impl Stream<Item = Bytes>, inbox: Inbox) -> impl Stream<Item = Bytes> {
    let signals = stream::unfold(inbox, async |inbox| {
        Some((signal_blocks(&inbox).await, inbox))
    });
    let opening = Box::pin(timeline).into_future();
    let opened = opening.map(|(first, timeline)| {
        let timeline = timeline.map(Some).chain(stream::iter([None]));
        let merged = stream::select(timeline, signals.map(Some))
            .take_while(|blocks| future::ready(blocks.is_some()))
            .filter_map(future::ready);
        stream::iter(first).chain(merged)
    });
    opened.flatten_stream()
}

/// Waits for signals, and returns an event without an id for each: the client's cursor does not move.
async fn signal_blocks(inbox: &Inbox) -> Bytes {
    let mut blocks = Blocks::default();
    for signal in inbox.take().await {
        blocks.event("signal", None::<u8>, &SignalJson::from(&*signal));
    }
    blocks.finish().unwrap_or_default()
}

/// The blocks, and a comment whenever there was none for `period`.
fn with_comments(blocks: impl Stream<Item = Bytes>, period: Duration) -> impl Stream<Item = Bytes> {
    stream::unfold(Box::pin(blocks), move |mut blocks| async move {
        let next = timeout(period, blocks.next()).await;
        Some((next.unwrap_or(Some(COMMENT))?, blocks))
    })
}

/// Turns what a watcher reads into events for one client.
struct EventStream<W, E> {
    watcher: Watcher<W>,
    events: E,
    service: Service,
    request_id: RequestId,
    state: StreamState,
    /// The last id that was sent, and when.
    sent_cursor: Timestamp,
    cursor_sent_at: Instant,
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

impl<W: Watched, E: Events<Page = W::Page>> EventStream<W, E> {
    /// The next blocks; `None` at the end. A read that fails because the service is busy or the
    /// database is away is repeated.
    async fn next(&mut self) -> Option<Bytes> {
        while self.state != StreamState::Ended {
            match self.watcher.read().await {
                Ok(page) => match self.blocks(&page).await {
                    Ok(blocks) => {
                        if let Some(blocks) = blocks.finish() {
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

    async fn blocks(&mut self, page: &W::Page) -> Result<Blocks, Problem> {
        let mut blocks = Blocks::default();
        if self.state == StreamState::Opening {
            blocks.id(page.after());
            blocks.retry(random::between(RETRY_MILLISECONDS));
            self.state = StreamState::Behind;
            self.note_sent(page.after());
        }
        if let Some(last) = page.last() {
            self.add_events(page, &mut blocks).await?;
            self.note_sent(last);
        }
        if self.is_cursor_due(page.next()) {
            blocks.id(page.next());
            self.note_sent(page.next());
        }
        if !page.has_caught_up() {
            self.state = StreamState::Behind;
        } else if self.state == StreamState::Behind {
            blocks.event("current", None::<u8>, &CaughtUpJson::new(page.latest()));
            self.state = StreamState::Current;
        }
        Ok(blocks)
    }

    /// Adds the events of a page. What fails because the service is busy or the database is away is
    /// repeated: the page is sent before the next one is read.
    async fn add_events(&self, page: &W::Page, blocks: &mut Blocks) -> Result<(), Problem> {
        loop {
            match self.events.add(&self.service, page, blocks).await {
                Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    pause().await
                }
                added => return added,
            }
        }
    }

    /// Whether it is time to send how far the stream has come, where no event has done so for a while: then
    /// the client does not begin far back when it resumes.
    fn is_cursor_due(&self, cursor: Timestamp) -> bool {
        let period = self.service.times.comment_period;
        self.sent_cursor < cursor && self.cursor_sent_at.elapsed() >= period
    }

    fn note_sent(&mut self, cursor: Timestamp) {
        self.sent_cursor = cursor;
        self.cursor_sent_at = Instant::now();
    }

    /// The `reset` event in place of a 410. A client that ignores it resumes after its id: from the beginning, or
    /// from that of what is kept. Without an id, it resumes with the cursor that it has, and is sent the event again.
    /// After any other problem the stream just ends.
    fn last_block(&self, problem: Problem) -> Blocks {
        let mut blocks = Blocks::default();
        if problem.status() == StatusCode::INTERNAL_SERVER_ERROR {
            let request_id = self.request_id.as_str();
            tracing::error!(request.id = request_id, %problem, "a stream failed");
        }
        if let Some(fault) = problem.cursor_fault() {
            let after = match fault {
                CursorFault::Ahead => Some(Timestamp::new(0)),
                CursorFault::Behind { trimmed } => E::SKIPS_TRIMMED.then_some(trimmed),
            };
            let document = problem.document(self.request_id.as_str());
            blocks.event("reset", after, &document);
        }
        blocks
    }
}
