//! The feed of an application.

use axum::{Extension, extract::State};

use super::{
    Answer, Service,
    answer::{
        openapi::{FeedPageParams, FeedProblems, Resumed, schemas::FeedStreamSchema},
        problem::Problem,
        representation::{self, FeedEntryJson, FeedJson},
        sse::Blocks,
    },
    extract::{
        caller::FeedReader,
        checks::Checks,
        feed_params::FeedParams,
        media::{self, Feed},
        sync_params::LastEventId,
    },
    live::{self, Events, STREAM_PAGE, STREAM_PAGE_WITH_MORE},
    server::{Link, envelope::RequestId},
};
use crate::{
    domain::Cursor,
    store::{feed::FeedRequest, pages::PageSize},
    sync::{FeedChanges, PAGE_BYTES_MAX},
};

/// Lists every change of the application after a point on its timeline, or streams them.
///
/// Repeat it with `after` = `next` of the answer before: your server receives every change of the
/// application, in order, and never misses one. With `kinds` it receives those alone; `next` moves on all
/// the same, also where a page is empty. What each user has set for a conversation is no part of the feed.
///
/// `recipients` of a change are who was concerned when it was made. How much they have not read, and
/// whether they are connected or have muted the conversation, is as it is now.
///
/// With `Accept: text/event-stream` the answer is a stream of the same (see `FeedStream`), without regard
/// to `limit` and `wait`. It ends when the token does, when the service shuts down, or when the client
/// receives nothing of it for 60 s. Open it again with `Last-Event-ID`, on any replica: nothing is lost or
/// repeated.
#[utoipa::path(
    get,
    path = "/feed",
    tag = "feed",
    params(FeedPageParams, Resumed),
    responses(
        (status = 200, description = "A page, ascending by timestamp; or the stream", content(
            (FeedJson = "application/json"),
            (FeedStreamSchema = "text/event-stream"),
        )),
        FeedProblems,
    ),
)]
pub async fn get_feed(
    State(service): State<Service>,
    Extension(request_id): Extension<RequestId>,
    Extension(link): Extension<Link>,
    mut checks: Checks<FeedReader, Feed>,
) -> Answer {
    let params = checks.query::<FeedParams>();
    let is_stream = checks.media_type() == media::EVENT_STREAM;
    let last_event_id = LastEventId::of_stream(&mut checks);
    let passed = checks.finish(|| Some((params?, last_event_id?.0)))?;
    let (
        FeedParams {
            span,
            kinds,
            include,
        },
        last_event_id,
    ) = passed.input;
    let request = FeedRequest {
        application: passed.caller.application,
        cursor: last_event_id.map_or(span.cursor, Cursor::After),
        kinds,
        size: PageSize {
            entries: span.limit,
            bytes: PAGE_BYTES_MAX,
        },
        include,
    };
    let validity = passed.caller.validity;
    if is_stream {
        let size = if include.recipients {
            STREAM_PAGE_WITH_MORE
        } else {
            STREAM_PAGE
        };
        let request = FeedRequest { size, ..request };
        return live::open(&service, validity, request, FeedEvents, request_id, &link);
    }
    if span.wait.is_zero() {
        let changes = service.sync().feed_after(request).await?;
        return Ok(representation::feed(passed.media_type, &changes));
    }
    // Boxed, so that requests that do not wait do not reserve the memory for it.
    let holding = live::hold(&service, &validity, request, span.wait);
    let changes = Box::pin(holding).await?;
    let page = representation::feed(passed.media_type, &changes);
    Ok(representation::held(page))
}

/// The events of the feed.
struct FeedEvents;

impl Events for FeedEvents {
    type Page = FeedChanges;

    /// What an application has missed is deleted, and the feed has everything else.
    const SKIPS_TRIMMED: bool = true;

    async fn add(
        &self,
        _: &Service,
        page: &FeedChanges,
        blocks: &mut Blocks,
    ) -> Result<(), Problem> {
        for entry in &page.entries {
            blocks.event("update", Some(entry.timestamp), &FeedEntryJson::from(entry));
        }
        Ok(())
    }
}
