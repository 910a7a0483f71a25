//! The live forms of a sync: an answer that is held until there is something, and a stream.
//!
//! Both end when the caller's token does and when the service shuts down. Neither keeps anything for
//! a caller that is slow: a stream reads a page, and reads on when the connection has taken it.

use std::{convert::Infallible, ops::Range, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    Service,
    answer::{
        problem::Problem,
        representation::{CaughtUp, LIVE_CACHE_CONTROL, MessageUpdate},
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
    live::{Follower, WaitKind},
    random,
    store::pages::{PageRequest, PageSize},
    sync::Changes,
};

/// The longest that an answer is held, whatever its caller asks for. Proxies give up an answer that
/// says nothing for 60 s, as nginx does by default, and then answer 504.
pub const HELD_TIME_MAX: Duration = Duration::from_secs(50);

/// A stream on which nothing else was sent for this long sends a comment, which keeps proxies from
/// closing it and finds out who has gone.
const COMMENT_PERIOD: Duration = Duration::from_secs(15);

/// What a stream reads, and keeps until the connection has taken it.
const STREAM_PAGE: PageSize = PageSize {
    entries: 250,
    bytes: 64 * 1024,
};

/// The pause before a client opens a broken stream again, in milliseconds. It is spread, so that the
/// clients of a replica that was stopped do not come back all at once.
const RETRY_MILLISECONDS: Range<u64> = 1000..4000;

/// The pause before a stream reads again after a failure, in milliseconds; spread as well.
const REREAD_MILLISECONDS: Range<u64> = 500..1500;

/// Answers once there is something after the cursor, or with an empty page when `wait` is over, or the
/// longest that the service holds an answer ([`HELD_TIME_MAX`]).
pub async fn hold(
    service: &Service,
    validity: &Validity,
    request: PageRequest,
    with_messages: bool,
    wait: Duration,
) -> Result<Changes, Problem> {
    let deadline = Instant::now() + wait.min(service.held_time_max);
    let mut follower =
        service
            .live
            .follow(service.sync(), WaitKind::Poll, request, with_messages)?;
    let mut last = None;
    let waiting = async {
        while last
            .as_ref()
            .is_none_or(|changes: &Changes| changes.entries.is_empty())
        {
            last = Some(follower.read().await?);
        }
        Ok::<_, Problem>(())
    };
    tokio::select! {
        waited = timeout_at(deadline, waiting) => waited.unwrap_or(Ok(()))?,
        () = service.until_end(validity) => {}
    }
    match last {
        Some(changes) => Ok(changes),
        // Not even the first read has come to an end.
        None => Ok(follower.read().await?),
    }
}

/// Answers with a stream of everything after the cursor, and of each change as it is committed.
pub fn open(
    service: &Service,
    validity: Validity,
    request: PageRequest,
    with_messages: bool,
    request_id: RequestId,
    link: &Link,
) -> Result<Response, Problem> {
    let request = PageRequest {
        size: STREAM_PAGE,
        ..request
    };
    let follower = service
        .live
        .follow(service.sync(), WaitKind::Stream, request, with_messages)?;
    let teller = Teller {
        follower,
        request_id,
        state: State::Opening,
    };
    let blocks = stream::unfold(teller, async |mut teller| {
        Some((teller.next().await?, teller))
    });
    let service = service.clone();
    let end = async move { service.until_end(&validity).await }.shared();
    link.must_end(end.clone());
    let blocks = stream::iter([COMMENT]).chain(blocks).take_until(end);
    let body = with_comments(blocks).map(Ok::<_, Infallible>);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(media::EVENT_STREAM),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static(LIVE_CACHE_CONTROL),
        ),
        // It is the last answer of its connection, which ends with it.
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

/// The blocks, and a comment whenever there was none for [`COMMENT_PERIOD`].
fn with_comments(blocks: impl Stream<Item = Bytes>) -> impl Stream<Item = Bytes> {
    stream::unfold(Box::pin(blocks), async |mut blocks| {
        let next = timeout(COMMENT_PERIOD, blocks.next()).await;
        Some((next.unwrap_or(Some(COMMENT))?, blocks))
    })
}

/// Tells one client what its follower reads.
struct Teller {
    follower: Follower,
    request_id: RequestId,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was read yet.
    Opening,
    /// There is more to read.
    Behind,
    /// The client was told that it has caught up.
    Current,
    Ended,
}

impl Teller {
    /// The next blocks; `None` at the end. A read that fails because the service is busy or the
    /// database away is repeated: the client has only to wait.
    async fn next(&mut self) -> Option<Bytes> {
        while self.state != State::Ended {
            match self.follower.read().await {
                Ok(changes) => {
                    if let Some(blocks) = self.tell(&changes).finish() {
                        return Some(blocks);
                    }
                }
                Err(error) if error.is_transient() => {
                    sleep(Duration::from_millis(random::between(REREAD_MILLISECONDS))).await;
                }
                Err(error) => {
                    self.state = State::Ended;
                    return self.last_block(error.into()).finish();
                }
            }
        }
        None
    }

    fn tell(&mut self, changes: &Changes) -> Blocks {
        let mut blocks = Blocks::default();
        if self.state == State::Opening {
            blocks.id(changes.after);
            blocks.retry(random::between(RETRY_MILLISECONDS));
            self.state = State::Behind;
        }
        for entry in &changes.entries {
            blocks.event(
                "update",
                Some(entry.update.timestamp),
                &MessageUpdate::from(entry),
            );
        }
        if !changes.has_caught_up() {
            self.state = State::Behind;
        } else if self.state == State::Behind {
            blocks.event("current", None::<u8>, &CaughtUp::from(changes));
            self.state = State::Current;
        }
        blocks
    }

    /// What stands for a 410 in a stream. Its id lets a client that does nothing about it begin
    /// anew. After any other problem the stream just ends.
    fn last_block(&self, problem: Problem) -> Blocks {
        let mut blocks = Blocks::default();
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
