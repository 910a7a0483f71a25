//! Having a user erased, and noting that it is.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{
    Change, Erasure, ErasureChange, ErasureEvent, OthersMessages, Refusal, UserDigest, UserId,
};

/// Requests that a user is erased. From then on it does nothing and nothing new names it; what is stored of
/// it is erased afterwards, piece by piece. One that is under way stays as it is.
#[derive(Debug, Clone)]
pub struct EraseUser {
    pub erasure: Arc<Erasure>,
    /// The time by the clock of whoever issues tokens. Where that of the database is behind it, this one counts:
    /// no token that was issued by then stays valid.
    pub now: OffsetDateTime,
}

/// Notes that nothing names a user any more who was to be erased.
#[derive(Debug, Clone)]
pub struct FinishErasure {
    pub erasure: Arc<Erasure>,
}

impl EraseUser {
    pub fn new(
        user: UserId,
        digest: UserDigest,
        random: u128,
        others: OthersMessages,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            now,
            erasure: Arc::new(Erasure {
                user,
                digest,
                pseudonym: Erasure::pseudonym(random),
                others,
            }),
        }
    }
}

impl Command for EraseUser {
    type Output = ();

    const ERASES: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs::default()
    }

    fn rows(&self, _: usize) -> usize {
        1
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<()>, Refusal> {
        let otherwise = Refusal::Forbidden("this is for the application itself");
        ensure(context.caller.is_none(), otherwise)?;
        if context.state.erasure(&self.erasure.user).is_some() {
            return Ok(Decision::Keep(()));
        }
        let now = context.next.now.max(self.now);
        Ok(change(
            context,
            &self.erasure,
            ErasureEvent::Requested { now },
        ))
    }
}

impl Command for FinishErasure {
    type Output = ();

    const ERASES: bool = true;

    fn needs(&self) -> Needs<'_> {
        Needs {
            restrictions: Some(&self.erasure.user),
            ..Needs::default()
        }
    }

    fn rows(&self, _: usize) -> usize {
        2
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<()>, Refusal> {
        if !context.is_under_way(&self.erasure) {
            return Ok(Decision::Keep(()));
        }
        let now = context.next.now;
        Ok(change(
            context,
            &self.erasure,
            ErasureEvent::Finished { now },
        ))
    }
}

fn change(context: &Context<'_>, erasure: &Arc<Erasure>, event: ErasureEvent) -> Decision<()> {
    let change = ErasureChange {
        timestamp: context.next.timestamp,
        erasure: Arc::clone(erasure),
        event,
    };
    Decision::Change(Change::Erasure(change), ())
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{
            Story, add, ban, create, draft, erase, erasure, leave, move_to, open, send, send_once,
            settings, user,
        },
        *,
    };
    use crate::{
        domain::{ChangeKind, Conversation, Restrictions, SettingsPatch},
        timeline::commands::RestrictUser,
    };

    fn finish(whom: &str) -> FinishErasure {
        FinishErasure {
            erasure: Arc::new(erasure(whom)),
        }
    }

    #[test]
    fn from_the_request_on_the_user_does_nothing_and_nothing_new_names_it() {
        let mut story = Story::default();
        let once = || send_once(draft("jane", "john", "hi"), "k", 1);
        story.given("jane", once());
        let chat = story.given("jim", create(&["jane"]));
        story.given_application(erase("jane"));
        let with_john = Conversation::between(&user("jane"), &user("john"));
        let forbidden = Some(Refusal::Forbidden("the user is being erased"));
        assert_eq!(story.when("jane", once()).err(), forbidden);
        assert_eq!(story.when("jane", move_to(&with_john, 1)).err(), forbidden);
        assert_eq!(story.when("jane", leave(&chat, "jane")).err(), forbidden);
        let refused = story.when("john", send(draft("john", "jane", "hi"))).err();
        assert_eq!(refused, Some(Refusal::NotAccepted));
        let patch = SettingsPatch::default();
        let refused = story.when("john", settings(&with_john, &patch)).err();
        assert_eq!(refused, Some(Refusal::NotAccepted));
        let refused = story.when_application(open("jane", "jim", true)).err();
        assert_eq!(refused, Some(Refusal::NotAccepted));
        let erased = Some(Refusal::Erased(user("jane")));
        story.given("jim", leave(&chat, "jane"));
        assert_eq!(story.when("jim", add(&chat, "jane")).err(), erased);
        assert_eq!(story.when("jim", ban(&chat, "jane")).err(), erased);
        let restrictions = Restrictions::default();
        let restrict = RestrictUser {
            user: user("jane"),
            restrictions,
        };
        assert_eq!(story.when_application(restrict).err(), erased);
        let again = story.when_application(erase("jane"));
        assert_eq!(again, Ok(Decision::Keep(())));
    }

    #[test]
    fn once_it_is_finished_the_id_is_like_a_new_one() {
        let mut story = Story::default();
        story.given_application(erase("jane"));
        story.given_application(finish("jane"));
        assert_eq!(story.last_kind(), ChangeKind::UserErased);
        let again = story.when_application(finish("jane"));
        assert_eq!(again, Ok(Decision::Keep(())));
        story.given("john", send(draft("john", "jane", "hi")));
        story.given("jane", create(&["john"]));
        // What comes late of the first erasure does nothing to the second one.
        let mut second = erase("jane");
        Arc::make_mut(&mut second.erasure).pseudonym = user("another");
        story.given_application(second);
        let late = story.when_application(finish("jane"));
        assert_eq!(late, Ok(Decision::Keep(())));
    }

    #[test]
    fn users_do_not_erase_each_other() {
        let mut story = Story::default();
        let refused = story.when("john", erase("jane")).err();
        let otherwise = "this is for the application itself";
        assert_eq!(refused, Some(Refusal::Forbidden(otherwise)));
    }
}
