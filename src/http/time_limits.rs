//! How long callers may take, and how long they are kept waiting.

use std::time::Duration;

/// Limits of time. Only tests set other ones: they have no minute to spare.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// How long a request's head may take to arrive, counted from the connect or from the end of the
    /// request before it: so also how long an idle connection is kept.
    pub head: Duration,
    /// How long a body may take to arrive.
    pub body: Duration,
    /// How long a caller may take nothing of its answer. Until then the answer stays in memory; a
    /// stream goes on where it was.
    pub write: Duration,
    /// The longest that an answer is held, whatever its caller asks for. Proxies give up an answer that
    /// says nothing for 60 s, as nginx does by default, and then answer 504.
    pub held_answer: Duration,
    /// A stream on which nothing else was sent for this long sends a comment, which keeps proxies from
    /// closing it and finds out who has gone.
    pub comment_period: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(20),
            body: Duration::from_secs(10),
            write: Duration::from_secs(60),
            held_answer: Duration::from_secs(50),
            comment_period: Duration::from_secs(15),
        }
    }
}
