//! Chats to be imported.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::{
    chats::{parse_attributes, parse_slow_mode},
    collect, named, parse_time,
};
use crate::{
    domain::{
        Attributes, ChatRules, History, ImportingMember, Invalid, MEMBERS_MAX, MessageNumber,
        Posting, RetentionDays, Role, Title, UserId,
    },
    http::answer::{
        openapi::schemas::{
            GivenRoleSchema, HistorySchema, PostingSchema, UserIdSchema, new_attributes,
        },
        problem::FieldError,
    },
    timeline::commands::ChatImport,
};

/// A chat to be imported.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ImportedChat)]
pub struct ImportedChatJson {
    /// 1 to 200 characters (in Normalization Form C) after blanks at both ends are removed.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// When it was created (RFC 3339). Absent is now.
    #[schema(value_type = Option<String>, format = DateTime)]
    created: Option<String>,
    /// It is a member, too, whether `members` has it or not.
    #[schema(value_type = Option<UserIdSchema>)]
    owner: Option<String>,
    /// Who is a member once the import is done.
    #[schema(max_items = 1000)]
    members: Option<Vec<ImportedMemberJson>>,
    #[schema(schema_with = new_attributes, required = false)]
    attributes: Option<Box<RawValue>>,
    #[schema(value_type = Option<PostingSchema>)]
    posting: Option<String>,
    frozen: Option<bool>,
    #[schema(value_type = Option<HistorySchema>)]
    history: Option<String>,
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 86400)]
    slow_mode: Option<i64>,
    reactions: Option<bool>,
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 36500)]
    retention_days: Option<i64>,
}

/// A member of an imported chat: its id, or more of it.
#[derive(Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "must be the id of a user, or an object of user, role and since"
)]
#[schema(as = ImportedMember)]
enum ImportedMemberJson {
    #[schema(value_type = UserIdSchema)]
    Id(String),
    Described(DescribedMemberJson),
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DescribedMember)]
struct DescribedMemberJson {
    #[schema(value_type = UserIdSchema)]
    user: String,
    /// Absent is `member`.
    #[schema(value_type = Option<GivenRoleSchema>)]
    role: Option<String>,
    /// As `since` of a member of a chat. One beyond the last message counts as the last.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    since: Option<i64>,
}

/// A chat to be imported.
pub struct NewImportedChat {
    pub name: Title,
    pub members: Vec<UserId>,
    pub attributes: Option<Attributes>,
    pub import: ChatImport,
}

impl ImportedChatJson {
    pub fn validate(self, errors: &mut Vec<FieldError>) -> Option<NewImportedChat> {
        let name = collect(errors, "chat.name", Title::parse(&self.name));
        let created = self.created.map(|time| parse_time(&time)).transpose();
        let created = collect(errors, "chat.created", created);
        let owner = self.owner.map(|owner| UserId::parse(&owner)).transpose();
        let owner = collect(errors, "chat.owner", owner);
        let members = parse_members(self.members.unwrap_or_default());
        let members = collect(errors, "chat.members", members);
        let attributes = parse_attributes(self.attributes);
        let attributes = collect(errors, "chat.attributes", attributes);
        let otherwise = "must be members or moderators";
        let posting = named(self.posting.map(Some), Posting::named, otherwise);
        let posting = collect(errors, "chat.posting", posting);
        let otherwise = "must be all or joined";
        let history = named(self.history.map(Some), History::named, otherwise);
        let history = collect(errors, "chat.history", history);
        let slow_mode = parse_slow_mode(self.slow_mode.unwrap_or(0));
        let slow_mode = collect(errors, "chat.slowMode", slow_mode);
        let retention = self.retention_days.map(RetentionDays::parse).transpose();
        let retention = collect(errors, "chat.retentionDays", retention);
        let (members, described) = members?;
        Some(NewImportedChat {
            name: name?,
            members,
            attributes: attributes?,
            import: ChatImport {
                created: created?,
                owner: owner?,
                described,
                rules: ChatRules {
                    posting: posting?.unwrap_or_default(),
                    frozen: self.frozen.unwrap_or(false),
                    history: history?.unwrap_or_default(),
                    slow_mode: slow_mode?,
                    reactions_off: !self.reactions.unwrap_or(true),
                    retention: retention?,
                },
            },
        })
    }
}

/// The members by their ids, each once, and what those are who are described.
fn parse_members(
    members: Vec<ImportedMemberJson>,
) -> Result<(Vec<UserId>, BTreeMap<UserId, ImportingMember>), Invalid> {
    let (mut users, mut described) = (BTreeSet::new(), BTreeMap::new());
    for member in members {
        let (user, member) = member.parse()?;
        if !users.insert(user.clone()) {
            return Err(Invalid("must not name a member twice"));
        }
        if member != ImportingMember::default() {
            described.insert(user, member);
        }
    }
    if users.len() > MEMBERS_MAX {
        return Err(Invalid("must have at most 1,000 entries"));
    }
    Ok((users.into_iter().collect(), described))
}

impl ImportedMemberJson {
    fn parse(self) -> Result<(UserId, ImportingMember), Invalid> {
        match self {
            Self::Id(user) => Ok((UserId::parse(&user)?, ImportingMember::default())),
            Self::Described(member) => member.parse(),
        }
    }
}

impl DescribedMemberJson {
    fn parse(self) -> Result<(UserId, ImportingMember), Invalid> {
        let role = match &self.role {
            Some(role) => {
                Role::named(role).ok_or(Invalid("must have roles reader, member or moderator"))?
            }
            None => Role::default(),
        };
        let since = self.since.unwrap_or(0);
        if since < 0 {
            return Err(Invalid("must have numbers of messages, or 0"));
        }
        let member = ImportingMember {
            role,
            since: MessageNumber::new(since),
        };
        Ok((UserId::parse(&self.user)?, member))
    }
}
