//! Reading what the handler did not: an answer that is sent while the caller still sends is often
//! lost, because closing a connection with unread data resets it.
//!
//! The body is lent to the handler, and comes back when the handler drops it. While the answer goes
//! out, what is left of it is read and thrown away, within a limit of time.

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

/// How long that may take; whoever sends for longer does not listen.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// A body that goes back to its owner when it is dropped.
struct ReturnedBody {
    body: Body,
    owner: Option<oneshot::Sender<Body>>,
}

/// Answers; lets the handler do so whenever it wants, and the caller finish what it is sending.
pub async fn finish_reading(request: Request, next: Next, account: Account) -> Response {
    // Without a body there is nothing to read; and who waits to be told to go on sends nothing.
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
