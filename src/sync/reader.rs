//! A reader: one connection that answers many callers with one query.

use std::{marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use super::{Error, Freshness, RequestBatches};
use crate::{
    batching::AcceptedRequest,
    domain::{Message, Timestamp},
    store::{
        self, PgConnection, Session, messages,
        pages::{Page, PageRequest},
    },
};

/// The longest that a read may take: a connection on which nothing arrives any more costs its callers this
/// much.
const READ_TIME_MAX: Duration = Duration::from_secs(6);

pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A kind of read: for the requests of many callers at once, answered in their order.
pub trait Read: Send + 'static {
    type Request: Send + std::marker::Sync + 'static;
    type Answer: Send + 'static;

    /// Whether it may fail for one request and not for another.
    const FAILS_PER_REQUEST: bool = true;

    fn read(
        connection: &mut PgConnection,
        requests: &[&Self::Request],
    ) -> impl Future<Output = store::Result<Vec<Self::Answer>>> + Send;
}

/// The callers who are answered together.
type Batch<R> = Vec<AcceptedRequest<<R as Read>::Request, Result<<R as Read>::Answer, Error>>>;

/// The end of the timeline.
pub struct TimelineEnd;

/// Pages of ids and timestamps.
pub struct Pages;

/// Pages with the messages' present data.
pub struct PagesWithMessages;

/// Single messages by id.
pub struct Messages;

impl Read for TimelineEnd {
    type Request = ();
    type Answer = Timestamp;

    const FAILS_PER_REQUEST: bool = false;

    async fn read(
        connection: &mut PgConnection,
        requests: &[&()],
    ) -> store::Result<Vec<Timestamp>> {
        let end = store::timeline::last_given(connection).await?;
        Ok(vec![end; requests.len()])
    }
}

impl Read for Pages {
    type Request = PageRequest;
    type Answer = Page;

    async fn read(
        connection: &mut PgConnection,
        requests: &[&PageRequest],
    ) -> store::Result<Vec<Page>> {
        store::pages::read(connection, requests).await
    }
}

impl Read for PagesWithMessages {
    type Request = PageRequest;
    type Answer = Page;

    async fn read(
        connection: &mut PgConnection,
        requests: &[&PageRequest],
    ) -> store::Result<Vec<Page>> {
        store::pages::read_with_messages(connection, requests).await
    }
}

impl Read for Messages {
    type Request = messages::Request;
    type Answer = Option<Arc<Message>>;

    async fn read(
        connection: &mut PgConnection,
        requests: &[&Self::Request],
    ) -> store::Result<Vec<Self::Answer>> {
        store::messages::find(connection, requests).await
    }
}

/// Answers one kind of read until its queue is closed and empty.
pub struct Reader<R> {
    session: Session,
    freshness: Arc<Freshness>,
    kind: PhantomData<R>,
}

impl<R: Read> Reader<R> {
    pub fn task(session: Session, freshness: Arc<Freshness>, batches: RequestBatches<R>) -> Task {
        let mut reader = Self {
            session,
            freshness,
            kind: PhantomData,
        };
        Box::pin(async move {
            while let Some(batch) = batches.next().await {
                reader.serve(batch).await;
            }
        })
    }

    async fn serve(&mut self, batch: Batch<R>) {
        let requests: Vec<_> = batch.iter().map(|begun| &begun.request).collect();
        match self.read(&requests).await {
            Ok(answers) => {
                for (begun, answer) in batch.into_iter().zip(answers) {
                    begun.answer(Ok(answer));
                }
            }
            Err(error) => {
                tracing::warn!(%error, batch.size = batch.len(), "a query for many callers failed");
                if R::FAILS_PER_REQUEST {
                    self.serve_one_by_one(batch).await;
                } else {
                    batch
                        .into_iter()
                        .for_each(|begun| begun.answer(Err(Error::Unavailable)));
                }
            }
        }
    }

    /// Runs a failed batch again, caller by caller, so that the one it fails for is alone with it.
    /// Once the database is found to be away or too slow, everybody who is left is told so at once.
    async fn serve_one_by_one(&mut self, batch: Batch<R>) {
        let mut is_away = false;
        for begun in batch {
            let answer = if is_away {
                Err(Error::Unavailable)
            } else {
                self.read_one(&begun.request).await
            };
            is_away = matches!(answer, Err(Error::Unavailable));
            begun.answer(answer);
        }
    }

    async fn read_one(&mut self, request: &R::Request) -> Result<R::Answer, Error> {
        let mut answers = self.read(&[request]).await.inspect_err(|error| {
            // That the database is away was said for the batch.
            if !error.is_unavailable() {
                tracing::error!(%error, "a query failed");
            }
        })?;
        Ok(answers.pop().expect("a read answers each request"))
    }

    /// One read; its connection is thrown away where it has failed.
    async fn read(&mut self, requests: &[&R::Request]) -> store::Result<Vec<R::Answer>> {
        let Self {
            session, freshness, ..
        } = self;
        let reading = async move {
            if !session.is_connected() {
                session.connection().await?;
                freshness.begin_epoch();
            }
            R::read(session.connection().await?, requests).await
        };
        let result = store::in_time(READ_TIME_MAX, reading).await;
        let is_broken = |error: &store::Error| error.is_unavailable() && !error.is_overdue();
        if result.as_ref().is_err_and(is_broken) {
            self.session.discard();
        }
        result
    }
}
