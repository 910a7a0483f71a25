//! Stream tickets: a browser's EventSource cannot set headers, so it opens a stream with a ticket
//! in the URL. Every replica can verify a ticket. Tickets are signed with a key of their own, so a
//! ticket is not valid as a token, nor a token as a ticket.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    Acting, Error, Identity, Issued, Validity,
    applications::TokenFingerprint,
    jwt::{SigningKey, derived_key, numeric_date, precise_date, time_of},
};
use crate::domain::{ApplicationId, Clock, UserId};

/// How long a ticket opens streams. A stream that it has opened may last until the token expires.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// A ticket, and when it expires.
pub struct Ticket {
    pub ticket: String,
    pub expires: SystemTime,
}

/// Issues and verifies tickets.
#[derive(Clone)]
pub struct Tickets {
    key: SigningKey,
    clock: Clock,
}

#[derive(Serialize, Deserialize)]
struct TicketClaims {
    sub: String,
    app: i64,
    exp: u64,
    /// When the token with which the ticket was requested expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    /// When that token was issued, if it says so; of an application's, since when it acts as the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<f64>,
    /// The fingerprint of that token, if it is an application's.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenFingerprint>,
}

impl Tickets {
    pub fn new(secret: &SecretString, clock: Clock) -> Self {
        Self {
            key: SigningKey::new(&derived_key(secret, "messages: stream tickets")),
            clock,
        }
    }

    /// A ticket for the user of a token with this validity. It expires with the token, if that is
    /// sooner.
    pub fn issue(&self, application: ApplicationId, user: &UserId, validity: &Validity) -> Ticket {
        let soon = (self.clock)() + TICKET_LIFETIME;
        let (expires, until, token) = match validity {
            Validity::Until(token) => {
                let until = numeric_date(token.expires);
                (soon.min(token.expires), Some(until), None)
            }
            Validity::WhileCurrent(_, token, _) => (soon, None, Some(*token)),
        };
        let since = match validity {
            Validity::Until(token) => token.issued.map(precise_date),
            Validity::WhileCurrent(_, _, acting) => {
                acting.as_ref().map(|acting| precise_date(acting.since))
            }
        };
        let exp = numeric_date(expires);
        let sub = user.as_str().to_owned();
        let ticket = self.key.sign(&TicketClaims {
            sub,
            app: application.get(),
            exp,
            until,
            since,
            token,
        });
        Ticket {
            ticket,
            expires: time_of(exp as f64),
        }
    }

    /// The user to whom a ticket was issued.
    pub fn verify(&self, ticket: &str) -> Result<Identity, Error> {
        let claims = self
            .key
            .verify::<TicketClaims>(ticket)
            .map_err(|error| match error {
                Error::Expired => Error::TicketExpired,
                _ => Error::BadTicket,
            })?;
        let application = ApplicationId::new(claims.app);
        let user = UserId::parse(&claims.sub).map_err(|_| Error::BadTicket)?;
        let validity = match (claims.until, claims.token) {
            (Some(until), _) => Validity::Until(Issued {
                application,
                user: user.clone(),
                issued: claims.since.map(time_of),
                expires: time_of(until as f64),
            }),
            (None, Some(token)) => {
                let since = claims.since.map_or_else(self.clock, time_of);
                let acting = Acting {
                    user: user.clone(),
                    since,
                };
                Validity::WhileCurrent(application, token, Some(acting))
            }
            (None, None) => return Err(Error::BadTicket),
        };
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
    const APPLICATION: ApplicationId = ApplicationId::new(7);

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
        Validity::Until(Issued {
            application: APPLICATION,
            user: jane(),
            issued: Some(time_of(1_700_000_000.25)),
            expires: time_of(numeric_date(expires) as f64),
        })
    }

    #[test]
    fn a_ticket_identifies_its_user_until_the_token_expires() {
        let an_hour = until(SystemTime::now() + HOUR);
        let fingerprint = serde_json::from_str(&format!("{:?}", [3; 32])).unwrap();
        let since = time_of(1_700_000_000.25);
        let acting =
            Validity::WhileCurrent(APPLICATION, fingerprint, None).acting_as(&jane(), since);
        for validity in [an_hour, acting] {
            let issued = tickets().issue(APPLICATION, &jane(), &validity);
            assert!(issued.expires <= SystemTime::now() + TICKET_LIFETIME);
            let identity = Identity::User(APPLICATION, jane(), validity);
            assert_eq!(tickets().verify(&issued.ticket), Ok(identity));
        }
    }

    #[test]
    fn a_ticket_expires_soon_and_with_its_token() {
        let an_hour_ago = || SystemTime::now() - HOUR;
        let validity = until(SystemTime::now() + HOUR);
        let old = Tickets::new(&secret(), an_hour_ago).issue(APPLICATION, &jane(), &validity);
        assert_eq!(tickets().verify(&old.ticket), Err(Error::TicketExpired));
        let soon = SystemTime::now() + Duration::from_secs(5);
        assert!(tickets().issue(APPLICATION, &jane(), &until(soon)).expires <= soon);
    }

    #[test]
    fn neither_is_a_ticket_valid_as_a_token_nor_a_token_as_a_ticket() {
        let expires = SystemTime::now() + HOUR;
        let signer = Signer::new(&secret()).unwrap();
        let token = signer.sign(APPLICATION, &jane(), SystemTime::now(), expires);
        assert_eq!(tickets().verify(&token), Err(Error::BadTicket));
        let issued = tickets().issue(APPLICATION, &jane(), &until(expires));
        assert_eq!(signer.verify(&issued.ticket), Err(Error::BadSignature));
        let other = Tickets::new(
            &"another secret that is long enough".to_owned().into(),
            SystemTime::now,
        );
        assert_eq!(other.verify(&issued.ticket), Err(Error::BadTicket));
    }
}
