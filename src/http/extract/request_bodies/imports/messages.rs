//! Messages to be imported.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    super::{
        collect,
        new_messages::{parse_files, parse_message_id},
        parse_mentions, parse_time,
    },
    ChatNameJson, ImportedPlace,
};
use crate::{
    domain::{
        Attributes, IMPORTED_REACTIONS_MAX, IdempotencyKey, ImportedReactions, Invalid,
        KEYS_OF_MESSAGE_MAX, KEYS_OF_USER_MAX, Pair, ReactionKey, Text, UserId,
    },
    http::answer::{
        openapi::schemas::{FileIdSchema, MessageIdSchema, UserIdSchema, new_attributes},
        problem::FieldError,
    },
    timeline::commands::{ImportedContent, ReplyTo},
};

/// A message to be imported: of a chat, or `from` one user `to` another one. It has at least one of `text`,
/// `files`, `attributes` and `deleted`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ImportedMessage)]
pub struct ImportedMessageJson {
    chat: Option<ChatNameJson>,
    #[schema(value_type = Option<UserIdSchema>)]
    to: Option<String>,
    /// Who has sent it, a member or not; absent in a chat: the application itself.
    #[schema(value_type = Option<UserIdSchema>)]
    from: Option<String>,
    /// When it was sent (RFC 3339, to the microsecond).
    #[schema(value_type = String, format = DateTime)]
    created: String,
    /// When it was edited last.
    #[schema(value_type = Option<String>, format = DateTime)]
    edited: Option<String>,
    #[schema(min_length = 1, max_length = 20000)]
    text: Option<String>,
    #[schema(value_type = Option<Vec<FileIdSchema>>, max_items = 100)]
    files: Option<Vec<String>>,
    #[schema(schema_with = new_attributes, required = false)]
    attributes: Option<Box<RawValue>>,
    /// Users whom it names, members or not.
    #[schema(value_type = Option<Vec<UserIdSchema>>, max_items = 50)]
    mentions: Option<Vec<String>>,
    mentions_all: Option<bool>,
    reply_to: Option<ReplyToJson>,
    /// A message of the system, in a chat: it has no `from`, and is never unread.
    system: Option<bool>,
    /// It is deleted: nothing of it is left but its number and its times.
    deleted: Option<bool>,
    /// The users who have reacted with each key, the first of them first, 1,000 in all at the most. Keys come up
    /// in the order of their characters.
    reactions: Option<BTreeMap<String, Vec<String>>>,
}

/// A message of the same conversation: its id, or the key of the earlier line that it is imported from.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be the id of a message, or a key")]
#[schema(as = ImportedReplyTo)]
enum ReplyToJson {
    #[schema(value_type = MessageIdSchema)]
    Id(i64),
    Key(String),
}

/// A message to be imported.
pub struct NewImportedMessage {
    pub place: ImportedPlace,
    pub from: Option<UserId>,
    pub created: OffsetDateTime,
    pub system: bool,
    pub content: Option<ImportedContent>,
    pub reactions: ImportedReactions,
}

impl ImportedMessageJson {
    pub fn validate(self, errors: &mut Vec<FieldError>) -> Option<NewImportedMessage> {
        let from = self.from.as_deref().map(UserId::parse).transpose();
        let from = collect(errors, "message.from", from)?;
        let created = collect(errors, "message.created", parse_time(&self.created));
        let (system, deleted) = (self.system.unwrap_or(false), self.deleted.unwrap_or(false));
        let is_in_chat = self.chat.is_some();
        let nobody = match system && (from.is_some() || !is_in_chat) {
            true => Err(Invalid("is for messages of chats without from")),
            false => Ok(()),
        };
        collect(errors, "message.system", nobody)?;
        let reactions = parse_reactions(self.reactions.clone().unwrap_or_default());
        let reactions = collect(errors, "message.reactions", reactions);
        let content = match deleted {
            true => self.require_nothing(errors).map(|()| None),
            false => self.content(errors).map(Some),
        };
        let to = self.to.as_deref().map(UserId::parse).transpose();
        let to = collect(errors, "message.to", to)?;
        let place = parse_place(self.chat, to, from.as_ref());
        let place = collect(errors, "message.chat", place);
        let (place, content) = (place?, content?);
        collect(
            errors,
            "message.mentions",
            require_known(&place, content.as_ref()),
        )?;
        Some(NewImportedMessage {
            place,
            from,
            created: created?,
            system,
            content,
            reactions: reactions?,
        })
    }

    fn require_nothing(&self, errors: &mut Vec<FieldError>) -> Option<()> {
        let is_empty = self.text.is_none()
            && self.files.is_none()
            && self.attributes.is_none()
            && self.mentions.is_none()
            && self.mentions_all.is_none()
            && self.reply_to.is_none()
            && self.edited.is_none()
            && self.reactions.is_none();
        let nothing = match is_empty {
            true => Ok(()),
            false => Err(Invalid("leaves nothing else of a message")),
        };
        collect(errors, "message.deleted", nothing)
    }

    fn content(&self, errors: &mut Vec<FieldError>) -> Option<ImportedContent> {
        let files = parse_files(self.files.clone().unwrap_or_default());
        let files = collect(errors, "message.files", files);
        let text = self.text.as_deref().map(Text::parse).transpose();
        let text = collect(errors, "message.text", text);
        let attributes = self.attributes.clone().map(Attributes::parse).transpose();
        let attributes = collect(errors, "message.attributes", attributes);
        let edited = self.edited.as_deref().map(parse_time).transpose();
        let edited = collect(errors, "message.edited", edited);
        let named = self.mentions.as_deref().unwrap_or_default();
        let mentions = parse_mentions(named, self.mentions_all.unwrap_or(false));
        let mentions = collect(errors, "message.mentions", mentions);
        let reply_to = self.reply_to.as_ref().map(ReplyToJson::parse).transpose();
        let reply_to = collect(errors, "message.replyTo", reply_to);
        let (text, files, attributes) = (text?, files?, attributes?);
        let something = match text.is_none() && files.is_empty() && attributes.is_none() {
            true => Err(Invalid("or files, attributes or deleted must be given")),
            false => Ok(()),
        };
        collect(errors, "message.text", something)?;
        Some(ImportedContent {
            text,
            files,
            attributes,
            mentions: mentions?,
            reply_to: reply_to?,
            edited: edited?,
        })
    }
}

impl ReplyToJson {
    fn parse(&self) -> Result<ReplyTo, Invalid> {
        match self {
            Self::Id(id) => parse_message_id(*id).map(ReplyTo::Id),
            Self::Key(key) => IdempotencyKey::parse(key).map(ReplyTo::Key),
        }
    }
}

fn parse_place(
    chat: Option<ChatNameJson>,
    to: Option<UserId>,
    from: Option<&UserId>,
) -> Result<ImportedPlace, Invalid> {
    match (chat, to, from) {
        (Some(chat), None, _) => chat.parse().map(ImportedPlace::Chat),
        (None, Some(to), Some(from)) => Ok(ImportedPlace::Personal(Pair::new(from, &to))),
        _ => Err(Invalid("or from and to must be given")),
    }
}

/// A personal message mentions nobody but its users.
fn require_known(place: &ImportedPlace, content: Option<&ImportedContent>) -> Result<(), Invalid> {
    let mut mentioned = content.into_iter().flat_map(|it| it.mentions.users());
    match place {
        ImportedPlace::Personal(pair) if mentioned.any(|user| !pair.contains(user)) => {
            Err(Invalid("must be the users of the conversation"))
        }
        _ => Ok(()),
    }
}

fn parse_reactions(reactions: BTreeMap<String, Vec<String>>) -> Result<ImportedReactions, Invalid> {
    // The limit bounds what is compared below, too.
    if reactions.values().map(Vec::len).sum::<usize>() > IMPORTED_REACTIONS_MAX {
        return Err(Invalid("must have at most 1,000 users in all"));
    }
    let mut keys: BTreeMap<ReactionKey, Vec<UserId>> = BTreeMap::new();
    let mut of_user: BTreeMap<UserId, usize> = BTreeMap::new();
    for (key, users) in reactions {
        let key = ReactionKey::parse(&key)?;
        for user in users {
            let (user, with_key) = (UserId::parse(&user)?, keys.entry(key.clone()).or_default());
            if !with_key.contains(&user) {
                *of_user.entry(user.clone()).or_default() += 1;
                with_key.push(user);
            }
        }
    }
    if keys.len() > KEYS_OF_MESSAGE_MAX || of_user.values().any(|keys| *keys > KEYS_OF_USER_MAX) {
        return Err(Invalid("must have at most 50 keys, and 20 of a user"));
    }
    Ok(ImportedReactions(keys.into_iter().collect()))
}
