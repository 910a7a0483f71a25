//! Replaces the bare answers that hyper makes by itself with problem documents.
//!
//! Bytes that are no request never reach a handler. hyper answers them with a bare status line and
//! has no hook for more. So the bare answer is recognized when it is written: something was read
//! since the service was last called, the status is one of three, and there is no request id, which
//! every answer of the service has. A problem document replaces it.
//!
//! The caller may still be sending. Closing a connection with unread data resets it, and the answer
//! is lost; so the rest is read and discarded for a moment.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::envelope::TARGET_BYTES_MAX;
use crate::{
    http::answer::problem::{MEDIA_TYPE, Problem},
    random,
};

/// The longest bare answer, in bytes: a status line, a length and a date.
const BARE_BYTES_MAX: usize = 256;

/// How long a caller whose request was refused may go on sending before its connection is closed.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);

/// The size of the buffer for data that is discarded, in bytes.
const SCRATCH_BYTES: usize = 8 * 1024;

/// Set when the service is called, and cleared when something is read.
pub type Called = Arc<AtomicBool>;

/// A connection whose bare answers become problem documents.
pub struct Wire<S> {
    stream: S,
    called: Called,
    /// The length of the first line that was read since the last call, which has the request's
    /// target, and whether that line has ended.
    line_bytes: usize,
    has_line: bool,
    /// What replaces a bare answer, and how much of it is written.
    refusal: Option<(Vec<u8>, usize)>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<S> Wire<S> {
    pub fn new(stream: S, called: Called) -> Self {
        Self {
            stream,
            called,
            line_bytes: 0,
            has_line: false,
            refusal: None,
            lingering: None,
        }
    }

    fn note_read(&mut self, data: &[u8]) {
        if self.called.swap(false, Ordering::Relaxed) {
            (self.line_bytes, self.has_line) = (0, false);
        }
        if !self.has_line {
            let end = data.iter().position(|byte| *byte == b'\n');
            self.line_bytes += end.unwrap_or(data.len());
            self.has_line = end.is_some();
        }
    }

    /// Replaces what is about to be written, if it is a bare answer; returns its length.
    fn replace(&mut self, bufs: &[IoSlice<'_>]) -> Option<usize> {
        if self.called.load(Ordering::Relaxed) || self.refusal.is_some() {
            return None;
        }
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if length > BARE_BYTES_MAX {
            return None;
        }
        let bare: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.refusal = Some((refusal(&bare, self.line_bytes)?, 0));
        Some(length)
    }
}

/// The answer in place of a bare one; the first line had `line_bytes`.
fn refusal(bare: &[u8], line_bytes: usize) -> Option<Vec<u8>> {
    let bare = std::str::from_utf8(bare).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = bare.split("\r\n");
    let (version, status) = lines.next()?.split_once(' ')?;
    if !version.starts_with("HTTP/1.") || bare.contains("x-request-id") {
        return None;
    }
    let problem = match status.get(..4)? {
        "400 " => Problem::malformed("this is not a request of HTTP/1.1"),
        "431 " if line_bytes <= TARGET_BYTES_MAX => Problem::head_too_large(),
        "431 " | "414 " => Problem::target_too_long(),
        _ => return None,
    };
    let date = lines.find(|line| line.starts_with("date: "))?;
    let (id, status) = (random::request_id(), problem.status());
    metrics::counter!("messages_http_unreadable_requests_total", "status" => status.as_u16().to_string())
        .increment(1);
    tracing::debug!(
        request.id = id,
        http.status = status.as_u16(),
        "a request could not be read"
    );
    let document = problem.render(&id);
    let head = format!(
        "{version} {status}\r\n{date}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n",
        length = document.len(),
    );
    Some([head.into_bytes(), document].concat())
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Writes what is left of a refusal.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((bytes, written)) = &mut self.refusal else {
            return Poll::Ready(Ok(()));
        };
        while *written < bytes.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *written += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads and discards until the caller ends, at most for [`LINGER_TIME_MAX`].
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = self
            .lingering
            .get_or_insert_with(|| Box::pin(sleep(LINGER_TIME_MAX)));
        let mut scratch = [0; SCRATCH_BYTES];
        loop {
            if end.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.note_read(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.replace(&[IoSlice::new(data)]) {
            Some(length) => Poll::Ready(Ok(length)),
            None => Pin::new(&mut self.stream).poll_write(context, data),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.replace(bufs) {
            Some(length) => Poll::Ready(Ok(length)),
            None => Pin::new(&mut self.stream).poll_write_vectored(context, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        if self.refusal.is_some() {
            ready!(self.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "date: Fri, 20 Nov 2026 09:30:00 GMT";

    fn status(bare: &str, line_bytes: usize) -> Option<String> {
        let answer = String::from_utf8(refusal(bare.as_bytes(), line_bytes)?).unwrap();
        let (head, document) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", document.len())) && head.contains(DATE)
        );
        Some(head.split(' ').nth(1).unwrap().to_owned())
    }

    #[test]
    fn a_bare_answer_gets_a_document() {
        let bare =
            |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{DATE}\r\n\r\n");
        assert_eq!(status(&bare("400 Bad Request"), 9).as_deref(), Some("400"));
        assert_eq!(status(&bare("414 URI Too Long"), 9).as_deref(), Some("414"));
        let too_large = bare("431 Request Header Fields Too Large");
        assert_eq!(status(&too_large, 9).as_deref(), Some("431"));
        assert_eq!(
            status(&too_large, 40_000).as_deref(),
            Some("414"),
            "because of its target"
        );
    }

    #[test]
    fn an_answer_of_the_service_is_not_replaced() {
        let ours = format!("HTTP/1.1 400 Bad Request\r\n{DATE}\r\nx-request-id: 7\r\n\r\n");
        let part = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{DATE}\r\n");
        for written in [
            ours.as_str(),
            &part,
            "HTTP/1.1 200 OK\r\n\r\n",
            "{}",
            "",
            "HTTP/1.1 ",
            "\r\n\r\n",
        ] {
            assert_eq!(status(written, 9), None, "{written}");
        }
    }
}
