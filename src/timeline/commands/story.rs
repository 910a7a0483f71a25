//! Stories for the tests of commands: *given* earlier changes, *when* a command is decided, *then*
//! this follows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use time::{Duration, OffsetDateTime};

use super::{
    AlterMember, Announcement, BanUser, BeginImport, ChangeApplication, ChangeChat, ChangeMembers,
    ChangeSettings, ChatImport, ChatPatch, Command, Context, CreateChat, Decision, DeleteChat,
    DeleteMessage, Draft, EditMessage, EraseUser, Expected, FinishImport, ImportMessage,
    ImportedContent, MarkRead, MessageEdit, MovePosition, OpenConversation, PinMessage, React,
    SendMessage,
};
use crate::{
    domain::{
        Change, ChangeKind, Chat, ChatNumber, Conversation, Created, Digest, Erasure, FileId,
        Files, Idempotency, IdempotencyKey, ImportedReactions, Mentions, Message, MessageChange,
        MessageId, MessageNumber, NextNumbers, OthersMessages, Pair, PersonalConversation, Policy,
        PolicyPatch, ReactionKey, Refusal, Role, SettingsPatch, Text, Timestamp, Title, UserDigest,
        UserId,
    },
    timeline::{BatchState, state::PresentApplication},
};

/// A state, and how many commands were decided.
pub struct Story {
    state: BatchState,
    decided: i64,
    waited: Duration,
    last: Option<Change>,
}

impl Default for Story {
    fn default() -> Self {
        let mut state = BatchState::default();
        state.set_application(Some(PresentApplication {
            name: Title::trusted("default".to_owned()),
            policy: Policy::default(),
            suspensions_end: None,
            erasures: HashMap::new(),
            expired: MessageId::new(0),
        }));
        Self {
            state,
            decided: 0,
            waited: Duration::ZERO,
            last: None,
        }
    }
}

impl Story {
    /// Decides a command of a user. A change is part of the state from then on.
    pub fn when<C: Command>(
        &mut self,
        caller: &str,
        command: C,
    ) -> Result<Decision<C::Output>, Refusal> {
        self.decide(Some(user(caller)), &command)
    }

    /// Decides a command of the application itself.
    pub fn when_application<C: Command>(
        &mut self,
        command: C,
    ) -> Result<Decision<C::Output>, Refusal> {
        self.decide(None, &command)
    }

    /// Decides a command of a user that must change something; returns its output.
    pub fn given<C: Command>(&mut self, caller: &str, command: C) -> C::Output {
        changed(self.when(caller, command))
    }

    pub fn given_application<C: Command>(&mut self, command: C) -> C::Output {
        changed(self.when_application(command))
    }

    /// Sends into a chat; returns the message's number.
    pub fn send_into(
        &mut self,
        caller: Option<&str>,
        chat: &Chat,
    ) -> Result<MessageNumber, Refusal> {
        let sent = self.decide(caller.map(user), &send_to(chat))?;
        Ok(changed(Ok(sent)).number)
    }

    pub fn chat(&self, number: ChatNumber) -> Arc<Chat> {
        Arc::clone(self.state.chat(number).unwrap())
    }

    pub fn personal(&self, one: &str, other: &str) -> &PersonalConversation {
        let pair = Pair::new(&user(one), &user(other));
        self.state.personal(&pair).unwrap()
    }

    pub fn last_message_change(&self) -> &MessageChange {
        match &self.last {
            Some(Change::Message(change)) => change,
            other => panic!("no message was changed: {other:?}"),
        }
    }

    pub fn last_change(&self) -> &Change {
        self.last.as_ref().unwrap()
    }

    /// The timestamp of the last change.
    pub fn last_timestamp(&self) -> Timestamp {
        self.last.as_ref().unwrap().timestamp()
    }

    pub fn last_kind(&self) -> ChangeKind {
        self.last.as_ref().unwrap().kind()
    }

    /// The time of the last command.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(self.decided) + self.waited
    }

    /// Lets some time pass.
    pub fn wait(&mut self, time: Duration) {
        self.waited += time;
    }

    /// The commands after this are of another batch.
    pub fn end_batch(&mut self) {
        self.state.end_batch();
    }

    pub fn add_key(&mut self, creator: &str, idempotency: &Idempotency, created: Created) {
        let creator = Some(user(creator));
        self.state.add_key(creator, idempotency.clone(), created);
    }

    fn decide<C: Command>(
        &mut self,
        caller: Option<UserId>,
        command: &C,
    ) -> Result<Decision<C::Output>, Refusal> {
        let next = self.next();
        let context = Context {
            caller: caller.as_ref(),
            state: &self.state,
            next,
        };
        let decision = context.decide(command)?;
        if let Decision::Change(change, _) = &decision {
            self.apply(change.clone());
            if let (Change::Chat(change), Some(words)) = (change, command.announcement()) {
                let next = self.next();
                let message = words.post(change.after.number, &self.state, next);
                self.apply(message.unwrap());
            }
        }
        Ok(decision)
    }

    fn next(&mut self) -> NextNumbers {
        self.decided += 1;
        NextNumbers {
            timestamp: Timestamp::new(self.decided),
            id: MessageId::new(self.decided + 1000),
            now: self.now(),
        }
    }

    fn apply(&mut self, change: Change) {
        self.state.apply(&change);
        self.last = Some(change);
    }
}

fn changed<T>(decision: Result<Decision<T>, Refusal>) -> T {
    match decision {
        Ok(Decision::Change(_, output)) => output,
        Ok(_) => panic!("nothing was changed"),
        Err(refusal) => panic!("{refusal}"),
    }
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub fn conversation(one: &str, other: &str) -> Conversation {
    Conversation::between(&user(one), &user(other))
}

fn text(text: &str) -> Option<Text> {
    Text::parse_or_empty(text).unwrap()
}

pub fn draft(from: &str, to: &str, words: &str) -> Draft {
    Draft {
        conversation: conversation(from, to),
        text: text(words),
        files: Files::default(),
        attributes: None,
        mentions: Mentions::default(),
        reply_to: None,
    }
}

pub fn with_files(from: &str, to: &str, files: &[&str]) -> Draft {
    let files = Files::new(files.iter().map(|file| FileId::trusted(file)).collect());
    Draft {
        files: files.unwrap(),
        ..draft(from, to, "with files")
    }
}

pub fn send(draft: Draft) -> SendMessage {
    SendMessage {
        draft,
        idempotency: None,
    }
}

pub fn idempotency(key: &str, digest: u8) -> Idempotency {
    Idempotency {
        key: IdempotencyKey::parse(key).unwrap(),
        digest: Digest([digest; 32]),
    }
}

pub fn send_once(draft: Draft, key: &str, digest: u8) -> SendMessage {
    SendMessage {
        draft,
        idempotency: Some(idempotency(key, digest)),
    }
}

fn expected(timestamp: Timestamp) -> Expected {
    Expected(vec![timestamp])
}

pub fn edit(message: &Message, words: &str) -> EditMessage {
    EditMessage {
        id: message.id,
        edit: MessageEdit::text(text(words)),
        expected: expected(message.timestamp),
    }
}

pub fn mark(message: &Message, read: bool) -> MarkRead {
    MarkRead {
        id: message.id,
        read,
        expected: None,
    }
}

pub fn react(message: &Message, key: &str, reacts: bool) -> React {
    React {
        id: message.id,
        key: ReactionKey::parse(key).unwrap(),
        reacts,
    }
}

pub fn pin(chat: &Chat, message: &Message) -> PinMessage {
    PinMessage {
        chat: chat.number,
        id: message.id,
        pinned: true,
    }
}

pub fn unpin(chat: &Chat, message: &Message) -> PinMessage {
    PinMessage {
        pinned: false,
        ..pin(chat, message)
    }
}

pub fn move_to(conversation: &Conversation, number: i64) -> MovePosition {
    MovePosition {
        conversation: conversation.clone(),
        number: MessageNumber::new(number),
        back: false,
    }
}

pub fn move_back(conversation: &Conversation, number: i64) -> MovePosition {
    MovePosition {
        back: true,
        ..move_to(conversation, number)
    }
}

pub fn settings(conversation: &Conversation, patch: &SettingsPatch) -> ChangeSettings {
    ChangeSettings {
        conversation: conversation.clone(),
        patch: patch.clone(),
    }
}

pub fn remove(message: &Message) -> DeleteMessage {
    DeleteMessage {
        id: message.id,
        expected: expected(message.timestamp),
    }
}

pub fn create(members: &[&str]) -> CreateChat {
    CreateChat {
        name: Title::parse("Team").unwrap(),
        members: members.iter().map(|member| user(member)).collect(),
        attributes: None,
        idempotency: None,
        import: None,
    }
}

pub fn send_to(chat: &Chat) -> SendMessage {
    send(Draft {
        conversation: Conversation::Chat(chat.number),
        ..draft("jane", "john", "hi")
    })
}

pub fn change_chat(chat: &Arc<Chat>, patch: ChatPatch) -> ChangeChat {
    ChangeChat {
        chat: chat.number,
        patch,
        expected: expected(chat.timestamp),
        announcement: None,
    }
}

pub fn rename(chat: &Arc<Chat>, name: &str) -> ChangeChat {
    let patch = ChatPatch {
        name: Some(Title::parse(name).unwrap()),
        ..ChatPatch::default()
    };
    change_chat(chat, patch)
}

pub fn delete_chat(chat: &Arc<Chat>) -> DeleteChat {
    DeleteChat {
        chat: chat.number,
        expected: expected(chat.timestamp),
    }
}

pub fn alter(chat: &Arc<Chat>, member: &str, role: Role) -> AlterMember {
    AlterMember {
        chat: chat.number,
        user: user(member),
        role: Some(role),
        muted_until: None,
        announcement: None,
    }
}

pub fn mute(chat: &Arc<Chat>, member: &str, until: Option<OffsetDateTime>) -> AlterMember {
    AlterMember {
        role: None,
        muted_until: Some(until),
        ..alter(chat, member, Role::Member)
    }
}

pub fn ban(chat: &Arc<Chat>, whom: &str) -> BanUser {
    BanUser {
        chat: chat.number,
        user: user(whom),
        banned: true,
    }
}

pub fn unban(chat: &Arc<Chat>, whom: &str) -> BanUser {
    BanUser {
        banned: false,
        ..ban(chat, whom)
    }
}

pub fn open(one: &str, other: &str, opened: bool) -> OpenConversation {
    OpenConversation {
        pair: Pair::new(&user(one), &user(other)),
        opened,
    }
}

/// The erasure of a user. The pseudonym is the same each time.
pub fn erasure(whom: &str) -> Erasure {
    Erasure {
        user: user(whom),
        digest: UserDigest([0; 32]),
        pseudonym: Erasure::pseudonym(7),
        others: OthersMessages::Kept,
    }
}

pub fn erase(whom: &str) -> EraseUser {
    EraseUser {
        erasure: Arc::new(erasure(whom)),
        now: OffsetDateTime::UNIX_EPOCH,
    }
}

pub fn policy(policy: PolicyPatch) -> ChangeApplication {
    ChangeApplication { name: None, policy }
}

pub fn announce(change: ChangeMembers, words: &str) -> ChangeMembers {
    ChangeMembers {
        announcement: Some(Announcement {
            text: text(words),
            attributes: None,
        }),
        ..change
    }
}

pub fn add(chat: &Arc<Chat>, member: &str) -> ChangeMembers {
    change_members(chat, &[member], &[])
}

pub fn leave(chat: &Arc<Chat>, member: &str) -> ChangeMembers {
    change_members(chat, &[], &[member])
}

pub fn change_members(chat: &Arc<Chat>, add: &[&str], remove: &[&str]) -> ChangeMembers {
    ChangeMembers {
        chat: chat.number,
        add: add.iter().map(|member| user(member)).collect(),
        remove: remove.iter().map(|member| user(member)).collect(),
        announcement: None,
    }
}

pub fn imported_chat(members: &[&str]) -> CreateChat {
    CreateChat {
        import: Some(ChatImport::default()),
        ..create(members)
    }
}

pub fn begin_import(one: &str, other: &str) -> BeginImport {
    BeginImport {
        pair: Pair::new(&user(one), &user(other)),
        created: None,
    }
}

pub fn finish_import(conversation: &Conversation) -> FinishImport {
    FinishImport {
        conversation: conversation.clone(),
        read: BTreeMap::new(),
    }
}

/// A message with a text, from a line of this key.
pub fn import(key: &str, conversation: &Conversation, from: Option<&str>) -> ImportMessage {
    ImportMessage {
        line: idempotency(key, 1),
        after: None,
        conversation: conversation.clone(),
        from: from.map(user),
        created: OffsetDateTime::UNIX_EPOCH,
        system: false,
        content: Some(ImportedContent {
            text: Some(Text::parse(key).unwrap()),
            files: Files::default(),
            attributes: None,
            mentions: Mentions::default(),
            reply_to: None,
            edited: None,
        }),
        reactions: ImportedReactions::default(),
    }
}
