//! Limits of time that can be set for tests alone, so no help shows them.

use std::time::Duration;

use clap::Args;

use crate::http::HttpTimeLimits;

#[derive(Debug, Args)]
pub struct TimeLimitsConfig {
    /// How long a request's head may take to arrive, in milliseconds, like all of these.
    #[arg(long, env = "HEAD_MS_MAX", hide = true)]
    pub head_ms_max: Option<u64>,
    /// How long a body may take to arrive.
    #[arg(long, env = "BODY_MS_MAX", hide = true)]
    pub body_ms_max: Option<u64>,
    /// How long a caller may take nothing of its answer.
    #[arg(long, env = "WRITE_MS_MAX", hide = true)]
    pub write_ms_max: Option<u64>,
    /// The longest that an answer is held.
    #[arg(long, env = "HELD_ANSWER_MS_MAX", hide = true)]
    pub held_answer_ms_max: Option<u64>,
    /// After how long a silent stream sends a comment.
    #[arg(long, env = "STREAM_COMMENT_MS", hide = true)]
    pub stream_comment_ms: Option<u64>,
}

impl TimeLimitsConfig {
    pub fn limits(&self) -> HttpTimeLimits {
        let usual = HttpTimeLimits::default();
        let or = |set: Option<u64>, usual| set.map_or(usual, Duration::from_millis);
        HttpTimeLimits {
            head: or(self.head_ms_max, usual.head),
            body: or(self.body_ms_max, usual.body),
            write: or(self.write_ms_max, usual.write),
            held_answer: or(self.held_answer_ms_max, usual.held_answer),
            comment_period: or(self.stream_comment_ms, usual.comment_period),
        }
    }
}
