//! Files of conversations from elsewhere: a JSON object a line.

mod chats;
mod messages;

use std::collections::BTreeMap;

use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{collect, parse_time};
use crate::{
    domain::{ChatNumber, IdempotencyKey, Invalid, MessageNumber, Pair, UserId},
    http::{
        answer::{
            openapi::schemas::{ChatNumberSchema, UserIdSchema},
            problem::{FieldError, Problem},
        },
        extract::{
            body::{self, RequestBody},
            media,
        },
    },
};
use chats::ImportedChatJson;
pub use chats::NewImportedChat;
use messages::ImportedMessageJson;
pub use messages::NewImportedMessage;

/// The most lines of a request.
pub const IMPORT_LINES_MAX: usize = 1000;

/// The largest request, in bytes.
pub const IMPORT_BYTES_MAX: usize = 1024 * 1024;

/// A line of an import: `chat` or `personal` begins a conversation, `message` adds to one, `done` ends its import.
/// Each line has one of these, and a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportLine, example = json!({
    "key": "m-1",
    "message": {
        "chat": "general", "from": "jane", "created": "2019-03-01T10:00:00Z", "text": "Hello, everybody!"
    }
}))]
pub struct ImportLineJson {
    /// Repeating a line does nothing again. Keys of messages are those of their conversation, keys of chats
    /// those of the application, as `Idempotency-Key` of `POST /chats`; the others are the caller's own.
    #[schema(min_length = 1, max_length = 64, pattern = "^[!-~]+$")]
    key: String,
    chat: Option<ImportedChatJson>,
    /// The two users of a personal conversation.
    #[schema(value_type = Option<Vec<UserIdSchema>>, min_items = 2, max_items = 2)]
    personal: Option<[String; 2]>,
    /// With `personal`: when it began (RFC 3339). Absent is now.
    #[schema(value_type = Option<String>, format = DateTime)]
    created: Option<String>,
    message: Option<ImportedMessageJson>,
    done: Option<ImportedPlaceJson>,
    /// With `done`: the number of the last message that a member has read; 0 for none. Who is not named has
    /// read everything. Of a chat: who is no member is passed over.
    #[schema(value_type = Option<BTreeMap<String, i32>>)]
    read: Option<BTreeMap<String, i64>>,
}

/// The conversation whose import is done: a chat, or a personal one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportedPlace)]
struct ImportedPlaceJson {
    chat: Option<ChatNameJson>,
    #[schema(value_type = Option<Vec<UserIdSchema>>, min_items = 2, max_items = 2)]
    personal: Option<[String; 2]>,
}

/// A chat: its number, or the key of the line that it is imported from.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be the number of a chat, or a key")]
#[schema(as = ImportedChatName)]
enum ChatNameJson {
    #[schema(value_type = ChatNumberSchema)]
    Number(i64),
    Key(String),
}

/// A chat, as a line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatName {
    Number(ChatNumber),
    Key(IdempotencyKey),
}

/// A conversation, as a line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportedPlace {
    Chat(ChatName),
    Personal(Pair),
}

/// A line.
pub struct ImportLine {
    /// Its place in the request, or in the file: 1, 2, 3 …
    pub number: usize,
    pub key: IdempotencyKey,
    /// The line as it was sent.
    pub text: String,
    pub item: ImportItem,
}

/// What a line imports.
pub enum ImportItem {
    Chat(NewImportedChat),
    Personal {
        pair: Pair,
        created: Option<OffsetDateTime>,
    },
    Message(Box<NewImportedMessage>),
    Done {
        place: ImportedPlace,
        read: BTreeMap<UserId, MessageNumber>,
    },
}

/// The lines that are not empty.
pub struct ImportLinesJson(Vec<(usize, String, ImportLineJson)>);

impl RequestBody for ImportLinesJson {
    type Valid = Vec<ImportLine>;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON_LINES];
    const BYTES_MAX: usize = IMPORT_BYTES_MAX;

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        Self::parse(1, json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Vec<ImportLine>> {
        let lines = self.0.into_iter().map(|(number, text, json)| {
            let mut of_line = Vec::new();
            let line = json.validate(&mut of_line);
            let of_line = of_line.into_iter();
            errors.extend(of_line.map(|error| error.inside(&format!("line {number}"))));
            let (key, item) = line?;
            Some(ImportLine {
                number,
                key,
                text,
                item,
            })
        });
        // All of them are looked at.
        let lines: Vec<_> = lines.collect();
        lines.into_iter().collect()
    }
}

impl ImportLinesJson {
    /// Parses lines, the first of which has this number.
    pub fn parse(first: usize, json: &[u8]) -> Result<Self, Problem> {
        let lines = json.split(|byte| *byte == b'\n').zip(first..);
        let lines = lines.filter(|(line, _)| !line.trim_ascii().is_empty());
        let mut parsed = Vec::new();
        for (line, number) in lines {
            let json = body::parse_named(line, &format!("line {number}"));
            let json = json.map_err(|problem| problem.inside(&format!("line {number}")))?;
            // What was parsed is UTF-8.
            parsed.push((number, String::from_utf8_lossy(line).into_owned(), json));
        }
        if parsed.len() > IMPORT_LINES_MAX {
            return Err(Problem::invalid_field(
                "body",
                "must have at most 1,000 lines",
            ));
        }
        Ok(Self(parsed))
    }
}

impl ImportLineJson {
    fn validate(self, errors: &mut Vec<FieldError>) -> Option<(IdempotencyKey, ImportItem)> {
        let key = collect(errors, "key", IdempotencyKey::parse(&self.key));
        let created = self.created.map(|time| parse_time(&time)).transpose();
        let created = collect(errors, "created", created)?;
        let read = self.read.map(parse_read).transpose();
        let read = collect(errors, "read", read)?;
        let (has_created, has_read) = (created.is_some(), read.is_some());
        let item = match (self.chat, self.personal, self.message, self.done) {
            (Some(chat), None, None, None) => chat.validate(errors).map(ImportItem::Chat),
            (None, Some(pair), None, None) => {
                let pair = collect(errors, "personal", parse_pair(&pair));
                pair.map(|pair| ImportItem::Personal { pair, created })
            }
            (None, None, Some(message), None) => {
                let message = message.validate(errors);
                message.map(|message| ImportItem::Message(Box::new(message)))
            }
            (None, None, None, Some(place)) => {
                let place = place.parse(errors, "done");
                let read = read.unwrap_or_default();
                place.map(|place| ImportItem::Done { place, read })
            }
            _ => {
                let one = Invalid("must have one of chat, personal, message and done");
                collect(errors, "body", Err(one))
            }
        }?;
        let begins = matches!(item, ImportItem::Personal { .. });
        collect(
            errors,
            "created",
            belongs(has_created, begins, "belongs to personal"),
        )?;
        let ends = matches!(item, ImportItem::Done { .. });
        collect(errors, "read", belongs(has_read, ends, "belongs to done"))?;
        Some((key?, item))
    }
}

impl ImportedPlaceJson {
    fn parse(self, errors: &mut Vec<FieldError>, field: &str) -> Option<ImportedPlace> {
        let place = match (self.chat, self.personal) {
            (Some(chat), None) => chat.parse().map(ImportedPlace::Chat),
            (None, Some(pair)) => parse_pair(&pair).map(ImportedPlace::Personal),
            _ => Err(Invalid("must have one of chat and personal")),
        };
        collect(errors, field, place)
    }
}

impl ChatNameJson {
    fn parse(self) -> Result<ChatName, Invalid> {
        match self {
            Self::Number(number) if number > 0 => Ok(ChatName::Number(ChatNumber::new(number))),
            Self::Number(_) => Err(Invalid("must be the number of a chat, or a key")),
            Self::Key(key) => IdempotencyKey::parse(&key).map(ChatName::Key),
        }
    }
}

/// Fails if a member of the line is there and may not be.
fn belongs(is_there: bool, may_be: bool, otherwise: &'static str) -> Result<(), Invalid> {
    if is_there && !may_be {
        Err(Invalid(otherwise))
    } else {
        Ok(())
    }
}

fn parse_pair([one, other]: &[String; 2]) -> Result<Pair, Invalid> {
    Ok(Pair::new(&UserId::parse(one)?, &UserId::parse(other)?))
}

fn parse_read(read: BTreeMap<String, i64>) -> Result<BTreeMap<UserId, MessageNumber>, Invalid> {
    let read = read.into_iter().map(|(user, number)| {
        if number < 0 {
            return Err(Invalid("must have numbers of messages, or 0"));
        }
        Ok((UserId::parse(&user)?, MessageNumber::new(number)))
    });
    read.collect()
}
