//! A reader of Server-Sent Events that shows every block as it came.

use reqwest::{
    RequestBuilder, Response,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::Value;

use super::PATIENCE;

/// A stream of the timeline as it arrives.
pub struct Stream {
    response: Response,
    pub headers: HeaderMap,
    unread: String,
}

/// What is between two empty lines.
#[derive(Debug, Default, PartialEq)]
pub struct Block {
    pub comment: bool,
    pub id: Option<i64>,
    pub retry: Option<u64>,
    pub event: String,
    pub data: Value,
}

impl Stream {
    pub async fn open(request: RequestBuilder) -> Self {
        Self::try_open(request).await.expect("a stream")
    }

    /// A stream, or none where no answer or 503 came.
    pub async fn try_open(request: RequestBuilder) -> Option<Self> {
        let response = request.send().await.ok()?;
        if response.status() == 503 {
            return None;
        }
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        let headers = response.headers().clone();
        Some(Self {
            response,
            headers,
            unread: String::new(),
        })
    }

    /// The next block; `None` once the stream has ended or its connection broke.
    pub async fn block(&mut self) -> Option<Block> {
        self.try_block().await.ok().flatten()
    }

    /// The next block; `None` once the stream has ended in order.
    pub async fn try_block(&mut self) -> Result<Option<Block>, reqwest::Error> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let block = Block::parse(block);
                self.unread = rest.to_owned();
                return Ok(Some(block));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let Some(chunk) = chunk.expect("the stream sends something")? else {
                return Ok(None);
            };
            self.unread
                .push_str(std::str::from_utf8(&chunk).expect("a page is whole"));
        }
    }

    /// The next block that is no comment.
    pub async fn next_event(&mut self) -> Block {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if !block.comment {
                return block;
            }
        }
    }

    /// The next event of this name, and not another.
    pub async fn event(&mut self, name: &str) -> Block {
        let block = self.next_event().await;
        assert_eq!(block.event, name, "{block:?}");
        block
    }

    /// The next update, whatever comes before it.
    pub async fn update(&mut self) -> Block {
        loop {
            let block = self.next_event().await;
            if block.event == "update" {
                return block;
            }
        }
    }

    /// Reads what a stream begins with; returns the cursor.
    pub async fn begin(&mut self) -> i64 {
        assert!(
            self.block().await.unwrap().comment,
            "a comment goes out at once"
        );
        let cursor = self.block().await.unwrap();
        let id = cursor.id.expect("the cursor");
        assert_eq!(
            cursor,
            Block {
                id: Some(id),
                ..Block::default()
            },
            "the cursor has a block of its own"
        );
        assert!((1000..4000).contains(&self.block().await.unwrap().retry.unwrap()));
        id
    }

    /// Reads what a stream begins with, and that there is nothing to catch up with.
    pub async fn begin_current(&mut self) -> i64 {
        let cursor = self.begin().await;
        self.event("current").await;
        cursor
    }
}

impl Block {
    fn parse(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines() {
            let (field, value) = line.split_once(": ").unwrap_or((line, ""));
            match field {
                ":" => block.comment = true,
                "id" => block.id = Some(value.parse().expect("an id is a timestamp")),
                "retry" => block.retry = Some(value.parse().expect("milliseconds")),
                "event" => value.clone_into(&mut block.event),
                "data" => block.data = serde_json::from_str(value).expect("data is JSON"),
                _ => panic!("not a field: {line}"),
            }
        }
        block
    }
}
