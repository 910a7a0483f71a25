//! Stream tickets: a browser's EventSource cannot set headers, so it opens a stream with a ticket
//! in the URL. A ticket is signed by a key of its own, so it is good on every replica, and it is no
//! token, nor is a token a ticket.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    Caller, Error,
    key::{Key, derived_key, numeric_date, time_of},
};
use crate::domain::{ApplicationId, Clock, UserId};

/// How long a ticket opens streams. A stream that it has opened lasts as long as the token.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// A ticket and when it stops to open streams.
pub struct Ticket {
    pub ticket: String,
    pub expires: SystemTime,
}

/// Gives and takes tickets.
#[derive(Clone)]
pub struct Tickets {
    key: Key,
    clock: Clock,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    app: i64,
    exp: u64,
    /// When the token ends that the ticket was asked for with.
    until: u64,
}

impl Tickets {
    pub fn new(secret: &SecretString, clock: Clock) -> Self {
        Self { key: Key::new(&derived_key(secret, "messages: stream tickets")), clock }
    }

    /// A ticket for `caller`; it ends with the caller's token, if that is sooner.
    pub fn give(&self, caller: &Caller) -> Ticket {
        let expires = numeric_date(((self.clock)() + TICKET_LIFETIME).min(caller.expires));
        let ticket = self.key.sign(&Claims {
            sub: caller.user.as_str().to_owned(),
            app: caller.application.0,
            exp: expires,
            until: numeric_date(caller.expires),
        });
        Ticket { ticket, expires: time_of(expires as f64) }
    }

    /// The caller who asked for the ticket.
    pub fn take(&self, ticket: &str) -> Result<Caller, Error> {
        let claims = self.key.verify::<Claims>(ticket).map_err(|error| match error {
            Error::Expired => Error::TicketExpired,
            _ => Error::BadTicket,
        })?;
        Ok(Caller {
            application: ApplicationId(claims.app),
            user: UserId::parse(&claims.sub).map_err(|_| Error::BadTicket)?,
            expires: time_of(claims.until as f64),
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tickets are verified against the real clock")]
mod tests {
    use super::{super::Signer, *};

    const HOUR: Duration = Duration::from_secs(3600);

    fn secret() -> SecretString {
        "0123456789abcdef0123456789abcdef".to_owned().into()
    }

    fn tickets() -> Tickets {
        Tickets::new(&secret(), SystemTime::now)
    }

    fn jane(expires: SystemTime) -> Caller {
        let whole_seconds = time_of(numeric_date(expires) as f64);
        let user = UserId::parse("jane").unwrap();
        Caller { application: ApplicationId(7), user, expires: whole_seconds }
    }

    #[test]
    fn a_ticket_stands_for_its_caller_until_the_token_ends() {
        let jane = jane(SystemTime::now() + HOUR);
        let given = tickets().give(&jane);
        assert!(given.expires <= SystemTime::now() + TICKET_LIFETIME);
        assert_eq!(tickets().take(&given.ticket), Ok(jane));
    }

    #[test]
    fn a_ticket_ends_soon_and_with_its_token() {
        let an_hour_ago = || SystemTime::now() - HOUR;
        let old = Tickets::new(&secret(), an_hour_ago).give(&jane(SystemTime::now() + HOUR));
        assert_eq!(tickets().take(&old.ticket), Err(Error::TicketExpired));
        let soon = SystemTime::now() + Duration::from_secs(5);
        assert!(tickets().give(&jane(soon)).expires <= soon);
    }

    #[test]
    fn tickets_and_tokens_do_not_stand_for_each_other() {
        let expires = SystemTime::now() + HOUR;
        let jane = jane(expires);
        let signer = Signer::new(&secret()).unwrap();
        let token = signer.sign(jane.application, &jane.user, expires);
        assert_eq!(tickets().take(&token), Err(Error::BadTicket));
        let given = tickets().give(&jane);
        assert_eq!(signer.verify(&given.ticket), Err(Error::BadSignature));
        let other =
            Tickets::new(&"another secret that is long enough".to_owned().into(), SystemTime::now);
        assert_eq!(other.take(&given.ticket), Err(Error::BadTicket));
    }
}
