//! Importing conversations from elsewhere.

use std::time::Duration;

use axum::{Extension, extract::State};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    Answer, Service,
    answer::{
        openapi::ApplicationCreateProblems,
        problem::Problem,
        representation::{ImportResultJson, Lines},
    },
    extract::{
        caller::OwnApplication,
        checks::Checks,
        media::JsonLines,
        request_bodies::{ImportLineJson, ImportLinesJson},
    },
    importer::{Importer, SortedLines},
    server::envelope::RequestId,
};

/// How many lines wait for a writer at the same time, at the most. So many are half a batch: the other half
/// is left to those who send meanwhile.
const LINES_AT_ONCE: usize = 128;

/// How long a request waits for those before it, with its lines in memory.
const TURN_TIME_MAX: Duration = Duration::from_secs(15);

/// Imports conversations from elsewhere.
///
/// For an application's own token. The body has an `ImportLine` a line, up to 1,000 lines and 1 MiB. First
/// conversations are begun, then messages are added, and last conversations are done, each in the order of
/// the lines: so messages have their ids, numbers and timestamps. Until a conversation is done, nobody but the
/// application sees it or writes into it; then its members learn of it by one change, and have read what `read`
/// says. The erasure of a user ends the import of its personal conversations as they are by then. Imported
/// messages are in the feed, as `message.imported`, and on nobody's timeline.
///
/// If a line cannot be read or is not acceptable in itself, nothing of the request is stored. Otherwise the
/// answer has a result a line. A line that is refused changes nothing, and those after it are carried out; but
/// a conversation is not done where messages of it were refused. Lines with the result 503 are not stored, since
/// the service has failed: repeat the request as it was. A replica carries out one import at a time: beside very
/// many who send, 1,000 lines take some 10 s. After 15 s of others the answer is 503.
#[utoipa::path(
    post,
    path = "/import",
    tag = "applications",
    request_body(content((ImportLineJson = "application/x-ndjson"))),
    responses(
        (status = 200, description = "Carried out: a result for each line that is not empty",
            body = ImportResultJson, content_type = "application/x-ndjson"),
        ApplicationCreateProblems,
    ),
)]
pub async fn import(
    State(service): State<Service>,
    Extension(request_id): Extension<RequestId>,
    mut checks: Checks<OwnApplication, JsonLines>,
) -> Answer {
    let lines = checks.body::<ImportLinesJson>().await?;
    let passed = checks.finish(|| lines)?;
    // After its body: whoever sends one slowly holds up nobody else.
    let _turn = turn(&service.imports, TURN_TIME_MAX).await?;
    let background = service.timeline.in_background();
    let mut importer = Importer::new(&background, LINES_AT_ONCE, &service.reads, passed.caller);
    let lines = SortedLines::of(passed.input, &service.digester);
    let results = importer.import(lines).await?;
    let mut answer = Lines::default();
    for result in &results {
        answer.push(&result.json(request_id.as_str()));
    }
    Ok(answer.answer(passed.media_type))
}

/// Waits for the import before this one.
async fn turn(imports: &Semaphore, time_max: Duration) -> Result<SemaphorePermit<'_>, Problem> {
    match timeout(time_max, imports.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(Problem::other_imports()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_import_waits_for_the_one_before_it_for_a_while() {
        let imports = Semaphore::new(1);
        let first = turn(&imports, TURN_TIME_MAX).await.unwrap();
        let refused = turn(&imports, TURN_TIME_MAX).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let (waiting, ()) = tokio::join!(turn(&imports, TURN_TIME_MAX), async {
            tokio::time::sleep(TURN_TIME_MAX / 2).await;
            drop(first);
        });
        assert!(waiting.is_ok());
    }
}
