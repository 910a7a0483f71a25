//! Reads the part of a request's body that the handler did not read. An answer to a caller that is
//! still sending is often lost, because closing a connection with unread data resets it.
//!
//! The handler gets the body in a wrapper that returns it when it is dropped. While the answer is
//! sent, the rest of the body is read and discarded, within a limit of time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{sync::oneshot, time::timeout};

use super::{encoding, envelope::Account};

/// How long the rest of a body may take. A caller that sends for longer does not read the answer.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// A body that returns to its owner when it is dropped.
struct ReturnedBody {
    body: Body,
    owner: Option<oneshot::Sender<Body>>,
}

/// Answers a request; the handler may answer at any time, and the caller may finish sending.
pub async fn finish_reading(request: Request, next: Next, account: Account) -> Response {
    // Without a body there is nothing to read, and a caller that waits for 100 (Continue) sends
    // none.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return encoding::answer(request, next, account).await;
    }
    let (owner, returned) = oneshot::channel();
    let request = request.map(|body| {
        Body::new(ReturnedBody {
            body,
            owner: Some(owner),
        })
    });
    let response = encoding::answer(request, next, account).await;
    if let Ok(body) = returned.await
        && !body.is_end_stream()
    {
        drain(body);
    }
    response
}

#[expect(
    clippy::disallowed_methods,
    reason = "it ends with its connection, at the latest in 10 s"
)]
fn drain(mut body: Body) {
    let draining = async move { while let Some(Ok(_)) = body.frame().await {} };
    tokio::spawn(timeout(DRAIN_TIME_MAX, draining));
}

impl HttpBody for ReturnedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ReturnedBody {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            // The owner may have gone with its connection.
            let _ = owner.send(std::mem::take(&mut self.body));
        }
    }
}
