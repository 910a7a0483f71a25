//! A reader: one connection that answers many callers of an application with one query.

use std::{pin::Pin, sync::Arc, time::Duration};

use super::{Error, Freshness, readers::ReadBatches};
use crate::{
    batching::AcceptedRequest,
    domain::{ApplicationId, Message, Timestamp},
    store::{
        self, PgConnection, Render, Session,
        conversations::{SeenConversation, SeenRequest},
        feed::{self, FeedPage, FeedRequest},
        messages,
        pages::{Page, PageRequest},
    },
};

/// The longest that a read may take. A connection on which nothing arrives any more delays its
/// callers this long.
const READ_TIME_MAX: Duration = Duration::from_secs(6);

pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A kind of read, which answers the requests of many callers of one application at once, in their
/// order.
pub trait Read: Copy + Send + Sync + 'static {
    type Request: Send + Sync + 'static;
    type Answer: Send + 'static;

    /// Whether a read may fail because of one of its requests.
    const FAILS_PER_REQUEST: bool = true;

    fn read(
        self,
        connection: &mut PgConnection,
        application: ApplicationId,
        requests: &[&Self::Request],
    ) -> impl Future<Output = store::Result<Vec<Self::Answer>>> + Send;
}

/// A request that a query is answering.
type AcceptedRead<R> = AcceptedRequest<<R as Read>::Request, Result<<R as Read>::Answer, Error>>;

/// The end of the timeline.
#[derive(Clone, Copy)]
pub struct TimelineEnd;

/// Pages of ids and timestamps.
#[derive(Clone, Copy)]
pub struct Pages;

/// Pages with the messages' present data. They are written as JSON as they arrive, while the database
/// looks up the next ones.
#[derive(Clone, Copy)]
pub struct PagesWithMessages {
    pub render: Render,
}

/// Single messages by id.
#[derive(Clone, Copy)]
pub struct Messages;

/// Conversations as users see them.
#[derive(Clone, Copy)]
pub struct Conversations;

/// Pages of the feed.
#[derive(Clone, Copy)]
pub struct Feed {
    pub render: Render,
}

impl Read for TimelineEnd {
    type Request = ();
    type Answer = Timestamp;

    const FAILS_PER_REQUEST: bool = false;

    async fn read(
        self,
        connection: &mut PgConnection,
        application: ApplicationId,
        requests: &[&()],
    ) -> store::Result<Vec<Timestamp>> {
        let end = store::changes::end(connection, application).await?;
        Ok(vec![end; requests.len()])
    }
}

impl Read for Pages {
    type Request = PageRequest;
    type Answer = Page;

    async fn read(
        self,
        connection: &mut PgConnection,
        application: ApplicationId,
        requests: &[&PageRequest],
    ) -> store::Result<Vec<Page>> {
        store::pages::read(connection, application, requests).await
    }
}

impl Read for PagesWithMessages {
    type Request = PageRequest;
    type Answer = Page;

    async fn read(
        self,
        connection: &mut PgConnection,
        application: ApplicationId,
        requests: &[&PageRequest],
    ) -> store::Result<Vec<Page>> {
        store::pages::read_with_messages(connection, application, requests, self.render).await
    }
}

impl Read for Messages {
    type Request = messages::MessageRequest;
    type Answer = Option<Arc<Message>>;

    async fn read(
        self,
        connection: &mut PgConnection,
        application: ApplicationId,
        requests: &[&Self::Request],
    ) -> store::Result<Vec<Self::Answer>> {
        store::messages::find(connection, application, requests).await
    }
}

impl Read for Conversations {
    type Request = SeenRequest;
    type Answer = Vec<SeenConversation>;

    async fn read(
        self,
        connection: &mut PgConnection,
        application: ApplicationId,
        requests: &[&SeenRequest],
    ) -> store::Result<Vec<Vec<SeenConversation>>> {
        store::conversations::find(connection, application, requests).await
    }
}

impl Read for Feed {
    type Request = FeedRequest;
    type Answer = Arc<FeedPage>;

    /// What several followers of a feed ask for alike is read once: a commit wakes them all at the same
    /// cursor.
    async fn read(
        self,
        connection: &mut PgConnection,
        application: ApplicationId,
        requests: &[&FeedRequest],
    ) -> store::Result<Vec<Arc<FeedPage>>> {
        let (different, places) = different(requests);
        let pages = feed::read(connection, application, &different, self.render).await?;
        let pages: Vec<_> = pages.into_iter().map(Arc::new).collect();
        let answers = places.into_iter().map(|place| Arc::clone(&pages[place]));
        Ok(answers.collect())
    }
}

/// The requests that differ from each other, and the place of each request among them.
fn different<'a, R: PartialEq>(requests: &[&'a R]) -> (Vec<&'a R>, Vec<usize>) {
    let mut different: Vec<&R> = Vec::new();
    let places = requests.iter().map(|request| {
        let place = different.iter().position(|other| other == request);
        place.unwrap_or_else(|| {
            different.push(request);
            different.len() - 1
        })
    });
    let places = places.collect();
    (different, places)
}

/// Answers one kind of read until its queue is closed and empty.
pub struct Reader<R> {
    session: Session,
    freshness: Arc<Freshness>,
    kind: R,
}

impl<R: Read> Reader<R> {
    pub fn task(
        kind: R,
        session: Session,
        freshness: Arc<Freshness>,
        batches: ReadBatches<R>,
    ) -> Task {
        let mut reader = Self {
            session,
            freshness,
            kind,
        };
        Box::pin(async move {
            while let Some((application, batch)) = batches.next().await {
                reader.serve(application, batch).await;
            }
        })
    }

    async fn serve(&mut self, application: ApplicationId, batch: Vec<AcceptedRead<R>>) {
        let requests: Vec<_> = batch.iter().map(|accepted| &accepted.request).collect();
        match self.read(application, &requests).await {
            Ok(answers) => {
                for (accepted, answer) in batch.into_iter().zip(answers) {
                    accepted.answer(Ok(answer));
                }
            }
            Err(error) => {
                tracing::warn!(%error, batch.size = batch.len(), "a query for many callers failed");
                if R::FAILS_PER_REQUEST {
                    self.serve_one_by_one(application, batch).await;
                } else {
                    fail::<R>(batch, &Arc::new(error));
                }
            }
        }
    }

    /// Runs a failed batch again, one request at a time, so that it fails only for the request that
    /// causes it. As soon as the database turns out to be unavailable or too slow, all remaining
    /// requests fail.
    async fn serve_one_by_one(&mut self, application: ApplicationId, batch: Vec<AcceptedRead<R>>) {
        let mut batch = batch.into_iter();
        while let Some(accepted) = batch.next() {
            match self.read(application, &[&accepted.request]).await {
                Ok(mut answers) => {
                    let answer = answers.pop().expect("a read answers each request");
                    accepted.answer(Ok(answer));
                }
                Err(error) => {
                    let (is_unavailable, cause) = (error.is_unavailable(), Arc::new(error));
                    accepted.answer(Err(Error::of(Arc::clone(&cause))));
                    if is_unavailable {
                        return fail::<R>(batch, &cause);
                    }
                }
            }
        }
    }

    /// Runs one query. A new connection begins an epoch of the cache. A connection that fails is
    /// discarded.
    async fn read(
        &mut self,
        application: ApplicationId,
        requests: &[&R::Request],
    ) -> store::Result<Vec<R::Answer>> {
        let Self {
            session,
            freshness,
            kind,
        } = self;
        let reading = async move {
            if !session.is_connected() {
                session.connection().await?;
                freshness.begin_epoch();
            }
            kind.read(session.connection().await?, application, requests)
                .await
        };
        let result = store::in_time(READ_TIME_MAX, reading).await;
        let is_broken = |error: &store::Error| error.is_unavailable() && !error.is_overdue();
        if result.as_ref().is_err_and(is_broken) {
            self.session.discard();
        }
        result
    }
}

/// Fails reads because the database is not available.
fn fail<R: Read>(batch: impl IntoIterator<Item = AcceptedRead<R>>, cause: &Arc<store::Error>) {
    for accepted in batch {
        accepted.answer(Err(Error::Unavailable(Arc::clone(cause))));
    }
}

#[cfg(test)]
mod tests {
    use super::different;

    #[test]
    fn each_request_has_the_place_of_its_like() {
        let requests = ["a", "b", "a", "c", "b", "a"];
        let requests: Vec<_> = requests.iter().collect();
        let (different, places) = different(&requests);
        assert_eq!(different, [&"a", &"b", &"c"]);
        assert_eq!(places, [0, 1, 0, 2, 1, 0]);
    }
}
