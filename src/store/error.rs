//! The errors of the database.

use std::borrow::Cow;

use sqlx::{
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is unreachable, overloaded, shutting down or too slow. It may recover soon.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The server that answers is not one that the service can use.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The database refused a statement for its content: another attempt fails as well.
    #[error("the database refused a statement: {0}")]
    Refused(#[source] sqlx::Error),
    /// A row has values that contradict each other.
    #[error("row {id} of the table {table} is inconsistent")]
    Inconsistent { table: &'static str, id: i64 },
    /// The database became unreachable, or was too slow, after a change was sent to it.
    #[error("it is unknown whether the change was made: {0}")]
    OutcomeUnknown(#[source] sqlx::Error),
}

/// Why the service cannot use the server that answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the database server is a standby: the service works on the primary alone")]
    Standby,
    #[error(
        "the database server was replaced: it is on PostgreSQL's timeline {found}, and timeline \
         {newest} was seen before"
    )]
    Replaced { found: i32, newest: i32 },
    #[error(
        "the setting {setting} does not hold on a connection to the database: a connection pooler on \
         the way drops it; use the pooler in session mode, or connect to PostgreSQL directly"
    )]
    SettingLost { setting: &'static str },
    #[error(
        "a connection pooler in transaction mode is between the service and the database: use it in \
         session mode, or connect to PostgreSQL directly"
    )]
    SharedSession,
    #[error("the certificate of the database server is not accepted ({reason}): {advice}")]
    Certificate {
        reason: String,
        advice: &'static str,
    },
    #[error("the database's encoding is {0}; it must be UTF8")]
    Encoding(String),
    /// The server's own message: a wrong password, user or database.
    #[error("the database server refused the connection: {0}")]
    Denied(String),
}

impl Unfit {
    /// Whether it lasts until somebody changes the configuration. (A standby may be promoted.)
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Standby | Self::Replaced { .. })
    }
}

/// Classes of SQLSTATE that describe the server's state and not the statement: connection,
/// transaction state, rollback, resources, limits of the server, object state, operator's
/// intervention, system. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const CLASSES_OF_THE_SERVER: [&str; 9] = ["08", "25", "28", "3D", "40", "53", "54", "57", "58"];

/// A lock could not be acquired in time. (The rest of class 55 describes the statement.)
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A statement exceeded its time limit.
const QUERY_CANCELED: &str = "57014";

/// No room is left on the server's disk.
const DISK_FULL: &str = "53100";

/// The transaction may only read.
const READ_ONLY: &str = "25006";

/// The class of the server's own limits. The limit of its queue of notifications is reported at
/// COMMIT.
const LIMIT_EXCEEDED: &str = "54";

/// There is no such table.
const UNDEFINED_TABLE: &str = "42P01";

/// The class of broken connections.
const CONNECTION: &str = "08";

/// The code with which poolers report every problem.
const PROTOCOL_VIOLATION: &str = "08P01";

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
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::BeginFailed => false,
            _ => true,
        };
        if of_the_statement {
            Self::Refused(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

impl Error {
    /// An answer that did not come in time.
    pub fn timed_out(what: &str) -> Self {
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, what.to_owned());
        Self::Unavailable(sqlx::Error::Io(error))
    }

    /// The error of a query whose table may be missing: the database was restored from a backup
    /// with an older schema, and the service has to start again to migrate it.
    pub(super) fn of_missing_table(self) -> Self {
        match self {
            Self::Refused(error) if code_of(&error) == UNDEFINED_TABLE => Self::Unavailable(error),
            other => other,
        }
    }

    /// An error of connecting. It tells a wrong configuration from a server that is unreachable.
    pub(super) fn of_connecting(error: sqlx::Error) -> Self {
        if let Some(unfit) = certificate(&error) {
            return unfit.into();
        }
        match error.as_database_error() {
            Some(answer) if is_denial(answer) => Unfit::Denied(answer.message().to_owned()).into(),
            _ => error.into(),
        }
    }

    /// The error of a statement that changes something and is its own transaction.
    pub(super) fn of_change(self) -> Self {
        match self {
            Self::Unavailable(error) | Self::Refused(error) if !is_undone(&error) => {
                Self::OutcomeUnknown(error)
            }
            other => other,
        }
    }

    /// Whether the server cancelled a statement because it took too long.
    pub fn is_overdue(&self) -> bool {
        self.has_code(QUERY_CANCELED)
    }

    /// Whether the connection has failed: no answer of the server came on it.
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Io(_)))
    }

    pub fn is_disk_full(&self) -> bool {
        self.has_code(DISK_FULL)
    }

    pub fn is_read_only(&self) -> bool {
        self.has_code(READ_ONLY)
    }

    /// Whether a limit of the server was exceeded: at a commit, most likely the one of
    /// notifications.
    pub fn is_limit_exceeded(&self) -> bool {
        self.code().starts_with(LIMIT_EXCEEDED)
    }

    fn has_code(&self, code: &str) -> bool {
        self.code() == code
    }

    /// The SQLSTATE; empty if the server has sent none.
    fn code(&self) -> Cow<'_, str> {
        let Self::Unavailable(error) = self else {
            return Cow::default();
        };
        code_of(error)
    }

    /// Whether the same statements may succeed on another connection or at another time.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Unfit(_) | Self::OutcomeUnknown(_)
        )
    }

    /// Whether it lasts until somebody changes the configuration.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::OutcomeUnknown(_) => false,
            Self::Unfit(unfit) => unfit.is_lasting(),
            Self::Refused(_) | Self::Inconsistent { .. } => true,
        }
    }
}

fn code_of(error: &sqlx::Error) -> Cow<'_, str> {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .unwrap_or_default()
}

/// Whether the statement certainly failed: the server has reported the error, and goes on. A server
/// that ends the session may do so after the commit, and a pooler that has lost its server cannot
/// know.
fn is_undone(error: &sqlx::Error) -> bool {
    let answer = error
        .as_database_error()
        .and_then(|answer| answer.try_downcast_ref::<PgDatabaseError>());
    answer.is_some_and(|answer| {
        matches!(answer.severity(), PgSeverity::Error) && !answer.code().starts_with(CONNECTION)
    })
}

/// Class 28 is a wrong user or password, 3D a database that does not exist. Poolers use one code
/// for every problem, so the text of their message decides.
fn is_denial(answer: &dyn DatabaseError) -> bool {
    let (code, message) = (answer.code().unwrap_or_default(), answer.message());
    let is_denial_of_pooler = [
        "unsupported startup parameter",
        "no such database",
        "no such user",
    ];
    code.starts_with("28")
        || code.starts_with("3D")
        || code == PROTOCOL_VIOLATION
            && is_denial_of_pooler
                .iter()
                .any(|beginning| message.starts_with(beginning))
}

/// A certificate that TLS does not accept, with advice.
fn certificate(error: &sqlx::Error) -> Option<Unfit> {
    let sqlx::Error::Io(error) = error else {
        return None;
    };
    let rustls::Error::InvalidCertificate(reason) = error.get_ref()?.downcast_ref()? else {
        return None;
    };
    let reason = format!("{reason:?}");
    let advice = ADVICE
        .iter()
        .find(|(part, _)| reason.contains(part))
        .map_or(ADVICE_OTHERWISE, |it| it.1);
    Some(Unfit::Certificate { reason, advice })
}

/// What to do about a certificate, by a part of the reason why it is not accepted.
const ADVICE: [(&str, &str); 5] = [
    (
        "CaUsedAsEndEntity",
        "give the server a certificate that is not that of an authority, or set sslmode=require, which \
         encrypts and does not verify",
    ),
    (
        "UnsupportedCertVersion",
        "give the server one of X.509 version 3, or set sslmode=disable",
    ),
    (
        "BadEncoding",
        "give the server one of X.509 version 3, or set sslmode=disable",
    ),
    (
        "UnknownIssuer",
        "set sslrootcert to the certificate of the authority that signed it, or sslmode=require, which \
         encrypts and does not verify",
    ),
    (
        "NotValidForName",
        "connect by the name that it was made for, or set sslmode=verify-ca",
    ),
];

const ADVICE_OTHERWISE: &str = "give the server another one, or set sslmode=disable";
