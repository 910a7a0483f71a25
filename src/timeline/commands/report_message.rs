//! Reporting a message to the application.

use std::sync::Arc;

use super::{Command, Context, Decision, Needs, content};
use crate::domain::{Change, MessageId, Refusal, Report, ReportChange, Text, Title};

/// Reports a message that the caller may read. The report that the caller has made before stays as it is,
/// also where the message was deleted since: this comes before "gone" in the order of the checks.
#[derive(Debug, Clone)]
pub struct ReportMessage {
    pub id: MessageId,
    pub reason: Title,
    pub text: Option<Text>,
}

impl Command for ReportMessage {
    type Output = Arc<Report>;

    fn needs(&self) -> Needs<'_> {
        Needs {
            report: true,
            conversation_of_message: true,
            ..Needs::of_message(self.id)
        }
    }

    fn rows(&self, _: usize) -> usize {
        1
    }

    fn decide(&self, context: &Context<'_>) -> Result<Decision<Arc<Report>>, Refusal> {
        let reporter = context.caller.ok_or(Refusal::NotFound)?;
        let (message, _) = context.visible_message(self.id)?;
        if let Some(report) = context.state.report(self.id, reporter) {
            return Ok(Decision::Keep(Arc::clone(report)));
        }
        content(message)?;
        let report = Arc::new(Report {
            timestamp: context.next.timestamp,
            message: self.id,
            reporter: reporter.clone(),
            reason: self.reason.clone(),
            text: self.text.clone(),
            created: context.next.now,
        });
        let change = ReportChange {
            report: Arc::clone(&report),
            message: Arc::clone(message),
        };
        Ok(Decision::Change(Change::Report(change), report))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::story::{Story, create, draft, remove, send},
        *,
    };
    use crate::{domain::Conversation, timeline::commands::Draft};

    fn report(id: MessageId, reason: &str) -> ReportMessage {
        ReportMessage {
            id,
            reason: Title::parse(reason).unwrap(),
            text: None,
        }
    }

    #[test]
    fn who_may_read_a_message_reports_it_once() {
        let mut story = Story::default();
        let sent = story.given("jane", send(draft("jane", "john", "buy this")));
        let first = story.given("john", report(sent.id, "spam"));
        assert_eq!(first.timestamp, story.last_timestamp());
        let again = story.when("john", report(sent.id, "scam"));
        assert_eq!(again, Ok(Decision::Keep(Arc::clone(&first))));
        let stranger = story.when("jim", report(sent.id, "spam")).err();
        assert_eq!(stranger, Some(Refusal::NotFound));

        let chat = story.given("jane", create(&["john"]));
        let draft = Draft {
            conversation: Conversation::Chat(chat.number),
            ..draft("jane", "john", "buy that")
        };
        let posted = story.given("jane", send(draft));
        let other = story.given("john", report(posted.id, "spam"));
        assert_ne!(other.timestamp, first.timestamp);
        let stranger = story.when("jim", report(posted.id, "spam")).err();
        assert_eq!(stranger, Some(Refusal::NotFound));

        // What was reported before stays reported.
        story.given("jane", remove(&sent));
        let again = story.when("john", report(sent.id, "spam"));
        assert_eq!(again, Ok(Decision::Keep(first)));
        let gone = story.when("jane", report(sent.id, "spam")).err();
        assert_eq!(gone, Some(Refusal::Gone));
    }
}
