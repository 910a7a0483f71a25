//! What can go wrong between the service and its database.

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is away, overloaded, shutting down or too slow. It may be well again soon.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused a statement for what it says: trying again changes nothing.
    #[error("the database refused a statement: {0}")]
    Refused(#[source] sqlx::Error),
}

/// Classes of SQLSTATE that speak of the server's state and not of the statement: connection,
/// transaction state, rollback, resources, object state, operator's intervention, system.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const CLASSES_OF_THE_SERVER: [&str; 8] = ["08", "25", "28", "3D", "40", "53", "57", "58"];

/// A lock could not be had in time (class 55 is otherwise about the statement).
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A statement ran into its limit of time.
const QUERY_CANCELED: &str = "57014";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let of_the_statement = match &error {
            sqlx::Error::Database(answer) => answer.code().is_some_and(|code| {
                let class = code.get(..2).unwrap_or_default();
                !CLASSES_OF_THE_SERVER.contains(&class) && code != LOCK_NOT_AVAILABLE
            }),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => false,
            _ => true,
        };
        if of_the_statement { Self::Refused(error) } else { Self::Unavailable(error) }
    }
}

impl Error {
    /// An answer that did not come in time.
    pub fn timed_out(what: &str) -> Self {
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, what.to_owned());
        Self::Unavailable(sqlx::Error::Io(error))
    }

    /// Whether a statement was given up because it took too long.
    pub fn is_overdue(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        error.as_database_error().and_then(|answer| answer.code()).as_deref() == Some(QUERY_CANCELED)
    }

    /// Whether the same statements may succeed on another connection or at another time.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
