//! The work of each step of an erasure: a piece of it.

use std::sync::Arc;

use super::{AT_ONCE, CHATS_AT_ONCE, Carried, Done, ErasedUsers, Failure, Leading, ROWS_AT_ONCE};
use crate::{
    domain::{MessageId, Timestamp},
    store::{
        Lane, changes,
        erasing::{self, NamingMessage, Place, RunningErasure, Step},
    },
    timeline::commands::{
        DeleteChat, EraseMembership, EraseMessage, EraseReaction, Expected, RenameConversation,
    },
};

impl ErasedUsers {
    pub(super) async fn leave_chats(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        let memberships = erasing::memberships(&mut leading.leader, running, AT_ONCE).await?;
        if memberships.is_empty() {
            return Ok(Done::Step);
        }
        let deletes = running.erasure.others.are_deleted();
        let (alone, others): (Vec<_>, Vec<_>) = memberships
            .into_iter()
            .partition(|membership| membership.is_alone && deletes);
        let deletions = alone.iter().map(|membership| DeleteChat {
            chat: membership.chat,
            expected: Expected(vec![membership.timestamp]),
        });
        let deleted = self.submit_all(running, deletions).await;
        running.erased.conversations += deleted.changed;
        deleted.count(&mut running.erased.memberships)?;
        let leavings = others
            .iter()
            .map(|membership| EraseMembership::new(membership.chat, &running.erasure));
        let left = self.submit_all(running, leavings).await;
        left.count(&mut running.erased.memberships)?;
        Ok(Done::More)
    }

    pub(super) async fn rename_conversations(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        let pairs = erasing::conversations(&mut leading.leader, running, AT_ONCE).await?;
        if pairs.is_empty() {
            return Ok(Done::Step);
        }
        let rename = |pair| RenameConversation {
            pair,
            erasure: Arc::clone(&running.erasure),
        };
        let renamed = self.submit_all(running, pairs.iter().cloned().map(rename));
        renamed.await.count(&mut running.erased.conversations)?;
        // Then the other users learn of the new name, too.
        let pairs = pairs.iter().map(|pair| running.erasure.renamed(pair));
        let noted = self.submit_all(running, pairs.map(rename)).await;
        noted.outcome()?;
        Ok(Done::More)
    }

    pub(super) async fn erase_personal(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        let leader = &mut leading.leader;
        let conversations = erasing::renamed_conversations(leader, running, AT_ONCE).await?;
        let conversations: Vec<_> = conversations.into_iter().map(|(id, _)| id).collect();
        let reading = erasing::personal_messages(leader, running, &conversations, AT_ONCE);
        let Some((place, messages)) = reading.await? else {
            return Ok(Done::Step);
        };
        self.erase_messages(leading, running, messages).await?;
        Ok(Done::At(place))
    }

    pub(super) async fn erase_in_chats(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        let limits = (CHATS_AT_ONCE, AT_ONCE);
        let reading = erasing::chat_messages(&mut leading.leader, running, limits);
        let Some((last, messages)) = reading.await? else {
            return Ok(Done::Step);
        };
        if !messages.is_empty() {
            self.erase_messages(leading, running, messages).await?;
            return Ok(Done::More);
        }
        let naming = erasing::naming_chats(&mut leading.leader, running, last).await?;
        let owned = naming.owned.into_iter();
        let disowned = owned.map(|chat| EraseMembership::new(chat, &running.erasure));
        self.submit_all(running, disowned).await.outcome()?;
        if let Some(chats) = naming.others {
            let forget =
                async |lane: &mut Lane<'_>| erasing::forget_in_chats(lane, running, chats).await;
            leading.in_lane(running, forget).await?;
        }
        Ok(Done::At(Place {
            place: last,
            ..running.at
        }))
    }

    /// Erases the user from messages. Those of them that are tombstones need no change.
    async fn erase_messages(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
        messages: Vec<NamingMessage>,
    ) -> Result<(), Failure> {
        let (tombstones, messages): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.is_deleted);
        let ids = messages.iter().map(|message| message.id);
        let erased = self.erase_from(running, ids, false).await;
        erased.count(&mut running.erased.messages)?;
        if !tombstones.is_empty() {
            let rename = async |lane: &mut Lane<'_>| {
                erasing::rename_tombstones(lane, running, &tombstones).await
            };
            leading.in_lane(running, rename).await?;
        }
        Ok(())
    }

    /// Erases the user from messages with data, which may be announcements of the user.
    async fn erase_from(
        &self,
        running: &RunningErasure,
        messages: impl Iterator<Item = MessageId>,
        is_announcement: bool,
    ) -> Carried {
        let commands = messages.map(|id| EraseMessage {
            id,
            erasure: Arc::clone(&running.erasure),
            is_announcement,
        });
        self.submit_all(running, commands).await
    }

    pub(super) async fn erase_mentions(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        let messages = erasing::mentions(&mut leading.leader, running, AT_ONCE).await?;
        if messages.is_empty() {
            return Ok(Done::Step);
        }
        let erased = self.erase_from(running, messages.into_iter(), false).await;
        erased.count(&mut running.erased.messages)?;
        Ok(Done::More)
    }

    pub(super) async fn erase_reactions(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        let reactions = erasing::reactions(&mut leading.leader, running, AT_ONCE).await?;
        if reactions.is_empty() {
            return Ok(Done::Step);
        }
        let gone = reactions.iter().filter(|reaction| reaction.is_gone);
        let gone: Vec<_> = gone.map(|reaction| reaction.message).collect();
        erasing::delete_reactions(&mut leading.leader, running, &gone).await?;
        let there = reactions.iter().filter(|reaction| !reaction.is_gone);
        let commands = there.map(|reaction| EraseReaction {
            id: reaction.message,
            key: reaction.key.clone(),
            erasure: Arc::clone(&running.erasure),
        });
        let erased = self.submit_all(running, commands).await;
        erased.count(&mut running.erased.reactions)?;
        Ok(Done::More)
    }

    /// Puts the pseudonym into a window of the timeline of somebody with whom the user had a conversation; at
    /// its end, tells that user: nothing that was read of it before is current any more.
    pub(super) async fn rename_updates(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        let next = erasing::renamed_conversations(&mut leading.leader, running, 1).await?;
        let Some((id, pair)) = next.into_iter().next() else {
            return Ok(Done::Step);
        };
        let id = id.get();
        let other = pair.other_of(&running.erasure.pseudonym);
        // Nothing of the conversation was before it.
        let is_begun = running.at.place == id && running.at.within > 0;
        let after = if is_begun { running.at.within } else { id - 1 };
        let window = (other, after);
        let renaming = erasing::rename_updates(&mut leading.leader, running, window, ROWS_AT_ONCE);
        if let Some(within) = renaming.await? {
            return Ok(Done::At(Place {
                place: id,
                within,
                ..running.at
            }));
        }
        let erasure = Arc::clone(&running.erasure);
        self.submit(running, RenameConversation { pair, erasure })
            .await?;
        Ok(Done::At(Place {
            place: id + 1,
            within: 0,
            ..running.at
        }))
    }

    /// Deletes what the user has posted with changes of chats, in a window of the application's timeline, and then
    /// puts the pseudonym into it. It alone says who posted them.
    pub(super) async fn rename_log(
        &self,
        leading: &mut Leading,
        running: &mut RunningErasure,
    ) -> Result<Done, Failure> {
        let leader = &mut leading.leader;
        let end = erasing::end_of_log_window(leader, running, ROWS_AT_ONCE).await?;
        let posted = erasing::announcements(leader, running, end, AT_ONCE).await?;
        if !posted.is_empty() {
            let erased = self.erase_from(running, posted.into_iter(), true).await;
            erased.count(&mut running.erased.messages)?;
            return Ok(Done::More);
        }
        erasing::rename_in_log(leader, running, end).await?;
        Ok(end.map_or(Done::Step, Done::At))
    }

    /// Waits until the index of search has followed the last change of the erasure, which is at or before the end
    /// of the timeline when the step begins; and until nothing is under way that the user had begun before.
    pub(super) async fn wait_to_end(
        &self,
        leading: &mut Leading,
        running: &RunningErasure,
    ) -> Result<Done, Failure> {
        let leader = &mut leading.leader;
        if running.at.place == 0 {
            let end = changes::end(leader.connection(), running.application).await?;
            return Ok(Done::At(Place {
                place: end.get(),
                ..running.at
            }));
        }
        let up_to = Timestamp::new(running.at.place);
        let is_indexed = erasing::is_indexed(leader, running.application, up_to).await?;
        let is_over = is_indexed && erasing::has_lasted(leader, running, self.seconds_min).await?;
        Ok(if is_over { Done::Step } else { Done::Wait })
    }
}

pub(super) async fn delete_own(
    leading: &mut Leading,
    running: &RunningErasure,
) -> Result<Done, Failure> {
    let is_start = running.at == Place::start_of(Step::Own);
    if is_start && erasing::delete_own(&mut leading.leader, running, ROWS_AT_ONCE).await? {
        return Ok(Done::More);
    }
    let next = erasing::delete_updates(&mut leading.leader, running, ROWS_AT_ONCE);
    Ok(next.await?.map_or(Done::Step, Done::At))
}
