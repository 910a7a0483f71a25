//! Stream tickets: a browser's EventSource cannot set headers, so it opens a stream with a ticket
//! in the URL. A ticket is signed by a key of its own, so it is good on every replica, and it is no
//! token, nor is a token a ticket.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    Error, Identity, Validity,
    applications::Fingerprint,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    /// Or, for the token of the application, its fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Fingerprint>,
}

impl Tickets {
    pub fn new(secret: &SecretString, clock: Clock) -> Self {
        Self {
            key: Key::new(&derived_key(secret, "messages: stream tickets")),
            clock,
        }
    }

    /// A ticket for a user who is known by a token; it ends with the token, if that is sooner.
    pub fn give(&self, application: ApplicationId, user: &UserId, validity: &Validity) -> Ticket {
        let soon = (self.clock)() + TICKET_LIFETIME;
        let (expires, until, token) = match validity {
            Validity::Until(_, until) => (soon.min(*until), Some(numeric_date(*until)), None),
            Validity::WhileCurrent(_, token) => (soon, None, Some(*token)),
        };
        let exp = numeric_date(expires);
        let sub = user.as_str().to_owned();
        let ticket = self.key.sign(&Claims {
            sub,
            app: application.0,
            exp,
            until,
            token,
        });
        Ticket {
            ticket,
            expires: time_of(exp as f64),
        }
    }

    /// The user for whom the ticket was given.
    pub fn take(&self, ticket: &str) -> Result<Identity, Error> {
        let claims = self
            .key
            .verify::<Claims>(ticket)
            .map_err(|error| match error {
                Error::Expired => Error::TicketExpired,
                _ => Error::BadTicket,
            })?;
        let application = ApplicationId(claims.app);
        let validity = match (claims.until, claims.token) {
            (Some(until), _) => Validity::Until(application, time_of(until as f64)),
            (None, Some(token)) => Validity::WhileCurrent(application, token),
            (None, None) => return Err(Error::BadTicket),
        };
        let user = UserId::parse(&claims.sub).map_err(|_| Error::BadTicket)?;
        Ok(Identity::User(application, user, validity))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tickets are verified against the real clock"
)]
mod tests {
    use super::{super::Signer, *};

    const HOUR: Duration = Duration::from_secs(3600);
    const APPLICATION: ApplicationId = ApplicationId(7);

    fn secret() -> SecretString {
        "0123456789abcdef0123456789abcdef".to_owned().into()
    }

    fn tickets() -> Tickets {
        Tickets::new(&secret(), SystemTime::now)
    }

    fn jane() -> UserId {
        UserId::parse("jane").unwrap()
    }

    fn until(expires: SystemTime) -> Validity {
        Validity::Until(APPLICATION, time_of(numeric_date(expires) as f64))
    }

    #[test]
    fn a_ticket_stands_for_its_user_until_the_token_ends() {
        let an_hour = until(SystemTime::now() + HOUR);
        let fingerprint = serde_json::from_str(&format!("{:?}", [3; 32])).unwrap();
        for validity in [an_hour, Validity::WhileCurrent(APPLICATION, fingerprint)] {
            let given = tickets().give(APPLICATION, &jane(), &validity);
            assert!(given.expires <= SystemTime::now() + TICKET_LIFETIME);
            let identity = Identity::User(APPLICATION, jane(), validity);
            assert_eq!(tickets().take(&given.ticket), Ok(identity));
        }
    }

    #[test]
    fn a_ticket_ends_soon_and_with_its_token() {
        let an_hour_ago = || SystemTime::now() - HOUR;
        let validity = until(SystemTime::now() + HOUR);
        let old = Tickets::new(&secret(), an_hour_ago).give(APPLICATION, &jane(), &validity);
        assert_eq!(tickets().take(&old.ticket), Err(Error::TicketExpired));
        let soon = SystemTime::now() + Duration::from_secs(5);
        assert!(tickets().give(APPLICATION, &jane(), &until(soon)).expires <= soon);
    }

    #[test]
    fn tickets_and_tokens_do_not_stand_for_each_other() {
        let expires = SystemTime::now() + HOUR;
        let signer = Signer::new(&secret()).unwrap();
        let token = signer.sign(APPLICATION, &jane(), expires);
        assert_eq!(tickets().take(&token), Err(Error::BadTicket));
        let given = tickets().give(APPLICATION, &jane(), &until(expires));
        assert_eq!(signer.verify(&given.ticket), Err(Error::BadSignature));
        let other = Tickets::new(
            &"another secret that is long enough".to_owned().into(),
            SystemTime::now,
        );
        assert_eq!(other.take(&given.ticket), Err(Error::BadTicket));
    }
}
