//! Suspending a user, and ending its tokens.

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{Change, Refusal, Restrictions, RestrictionsChange, UserId};

/// Sets what the application forbids one of its users.
#[derive(Debug, Clone)]
pub struct RestrictUser {
    pub user: UserId,
    pub restrictions: Restrictions,
}

impl Command for RestrictUser {
    type Output = Restrictions;

    fn needs(&self) -> Needs<'_> {
        Needs {
            restrictions: Some(&self.user),
            ..Needs::default()
        }
    }

    fn rows(&self, _: usize) -> usize {
        1
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Restrictions>, Refusal> {
        let otherwise = Refusal::Forbidden("this is for the application itself");
        ensure(context.caller.is_none(), otherwise)?;
        if context.state.restrictions(&self.user) == self.restrictions {
            return Ok(Decision::Keep(self.restrictions));
        }
        let change = RestrictionsChange {
            timestamp: context.next.timestamp,
            user: self.user.clone(),
            after: self.restrictions,
        };
        Ok(Decision::Change(
            Change::Restrictions(change),
            self.restrictions,
        ))
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{
        super::story::{
            Story, conversation, create, draft, edit, leave, move_to, remove, send, send_once,
            settings, user,
        },
        *,
    };
    use crate::domain::SettingsPatch;

    fn suspend(whom: &str, until: Option<OffsetDateTime>) -> RestrictUser {
        RestrictUser {
            user: user(whom),
            restrictions: Restrictions {
                suspended_until: until,
                tokens_since: None,
            },
        }
    }

    #[test]
    fn a_suspended_user_reads_and_does_not_write() {
        let mut story = Story::default();
        let chat = story.given("jane", create(&["john"]));
        let once = || send_once(draft("jane", "john", "hi"), "k", 1);
        let sent = story.given("jane", once());
        story.given("john", send(draft("john", "jane", "ho")));
        let until = story.now() + Duration::hours(1);
        story.given_application(suspend("jane", Some(until)));
        let suspended = Some(Refusal::Suspended { until });
        assert_eq!(
            story.when("jane", send(draft("jane", "john", "hi"))).err(),
            suspended
        );
        assert_eq!(story.when("jane", edit(&sent, "ho")).err(), suspended);
        assert_eq!(story.when("jane", remove(&sent)).err(), suspended);
        assert_eq!(story.when("jane", create(&[])).err(), suspended);
        assert_eq!(story.when("jane", leave(&chat, "john")).err(), suspended);
        // A request that was carried out before is answered as before.
        assert!(matches!(
            story.when("jane", once()),
            Ok(Decision::Replay(_))
        ));
        // How far it has read, and what it has set for itself, is part of reading.
        let with_john = conversation("jane", "john");
        assert!(story.when("jane", move_to(&with_john, 2)).is_ok());
        let block = SettingsPatch {
            blocked: Some(true),
            ..SettingsPatch::default()
        };
        assert!(story.when("jane", settings(&with_john, &block)).is_ok());

        story.given_application(suspend("jane", None));
        assert!(story.when("jane", create(&[])).is_ok());
    }

    #[test]
    fn a_suspension_ends_by_itself() {
        let mut story = Story::default();
        let until = story.now() + Duration::seconds(3);
        story.given_application(suspend("jane", Some(until)));
        assert!(story.when("jane", create(&[])).is_err());
        assert!(story.when("jane", create(&[])).is_ok());
        let again = story.when_application(suspend("jane", Some(until)));
        assert!(matches!(again, Ok(Decision::Keep(_))));
    }
}
