//! Changing an application: its name, and what it allows its users.

use super::{Command, Context, Decision, Needs, ensure};
use crate::domain::{ApplicationChange, Change, Policy, PolicyPatch, Refusal, Title};

/// Changes an application, for itself or for the administrator. What is `None` stays as it is.
#[derive(Debug, Clone)]
pub struct ChangeApplication {
    pub name: Option<Title>,
    pub policy: PolicyPatch,
}

impl Command for ChangeApplication {
    /// The policy, as the command leaves it.
    type Output = Policy;

    fn needs(&self) -> Needs<'_> {
        Needs::default()
    }

    fn rows(&self, _: usize) -> usize {
        1
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Policy>, Refusal> {
        let otherwise = Refusal::Forbidden("this is for the application itself");
        ensure(context.caller.is_none(), otherwise)?;
        let before = context
            .state
            .application()
            .ok_or(Refusal::UnknownApplication)?;
        let name = self.name.clone().unwrap_or_else(|| before.name.clone());
        let policy = before.policy.patched(&self.policy);
        if name == before.name && policy == before.policy {
            return Ok(Decision::Keep(policy));
        }
        let change = ApplicationChange {
            timestamp: context.next.timestamp,
            name,
            policy,
        };
        Ok(Decision::Change(Change::Application(change), policy))
    }
}
