//! How long callers may take, and how long they may be kept waiting.

use std::time::Duration;

/// Limits of time. Only tests change the defaults.
#[derive(Debug, Clone, Copy)]
pub struct HttpTimeLimits {
    /// How long a request's head may take to arrive, from the connect or from the end of the
    /// request before it. So it is also how long an idle connection is kept.
    pub head: Duration,
    /// How long a body may take to arrive.
    pub body: Duration,
    /// How long a caller may read nothing of its answer, which stays in memory until then.
    pub write: Duration,
    /// The longest that an answer is held, even if `wait` is longer. Proxies give up on an answer
    /// that is silent for 60 s, as nginx does by default, and then answer 504.
    pub held_answer: Duration,
    /// How long a stream may be silent before it sends a comment, which keeps proxies from closing
    /// it and detects clients that have gone.
    pub comment_period: Duration,
}

impl Default for HttpTimeLimits {
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
