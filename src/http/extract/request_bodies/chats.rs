//! Chats to be created and changed, their members, and what tells of that.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{applications::parse_retention, collect, named, parse_time_patch, present};
use crate::{
    domain::{
        Attributes, History, Invalid, MEMBERS_MAX, Posting, Role, SLOW_MODE_SECONDS_MAX, Text,
        Title, UserId,
    },
    http::{
        answer::{
            openapi::schemas::{
                GivenRoleSchema, HistorySchema, PostingSchema, UserIdSchema, new_attributes,
                patched_attributes,
            },
            problem::{FieldError, Problem},
        },
        extract::{
            body::{RequestBody, parse},
            media,
        },
    },
    timeline::commands::{Announcement, ChatPatch},
};

/// A chat to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChat, example = json!({ "name": "Team", "members": ["john", "jim"] }))]
pub struct NewChatJson {
    /// 1 to 200 characters (in Normalization Form C) after blanks at both ends are removed.
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Its members, beside the user who creates it.
    #[schema(value_type = Option<Vec<UserIdSchema>>, max_items = 1000)]
    members: Option<Vec<String>>,
    #[schema(schema_with = new_attributes, required = false)]
    attributes: Option<Box<RawValue>>,
}

/// A chat to be created.
pub struct NewChat {
    pub name: Title,
    pub members: Vec<UserId>,
    pub attributes: Option<Attributes>,
}

impl RequestBody for NewChatJson {
    type Valid = NewChat;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<NewChat> {
        let name = self
            .name
            .ok_or(Invalid("is required"))
            .and_then(|name| Title::parse(&name));
        let name = collect(errors, "name", name);
        let members = collect(
            errors,
            "members",
            parse_members(&self.members.unwrap_or_default()),
        );
        let attributes = collect(errors, "attributes", parse_attributes(self.attributes));
        Some(NewChat {
            name: name?,
            members: members?,
            attributes: attributes?,
        })
    }
}

/// A message that a change of a chat carries: of no sender, with `system: true`, and never unread.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Announcement, min_properties = 1, example = json!({ "text": "jane has invited jim" }))]
pub struct AnnouncementJson {
    #[schema(min_length = 1, max_length = 20000)]
    text: Option<String>,
    #[schema(schema_with = new_attributes, required = false)]
    attributes: Option<Box<RawValue>>,
}

impl AnnouncementJson {
    /// The message, if there is one.
    fn parse(json: Option<Self>, errors: &mut Vec<FieldError>) -> Option<Option<Announcement>> {
        let Some(json) = json else {
            return Some(None);
        };
        let text = json.text.map(|text| Text::parse(&text)).transpose();
        let text = collect(errors, "message.text", text)?;
        let attributes = json.attributes.map(Attributes::parse).transpose();
        let attributes = collect(errors, "message.attributes", attributes)?;
        let something = match text.is_some() || attributes.is_some() {
            true => Ok(Some(Announcement { text, attributes })),
            false => Err(Invalid("must have a text or attributes")),
        };
        collect(errors, "message", something)
    }
}

/// Changes of a chat, as a JSON merge patch (RFC 7396): what is absent stays, and `null` resets.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ChatPatch, min_properties = 1, example = json!({
    "name": "Crew", "message": { "text": "jane has renamed the chat" }
}))]
pub struct ChatPatchJson {
    /// 1 to 200 characters (in Normalization Form C) after blanks at both ends are removed.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = patched_attributes, required = false)]
    attributes: Option<Option<Box<RawValue>>>,
    /// Who posts: all members but readers, or moderators and the owner.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<PostingSchema>)]
    posting: Option<Option<String>>,
    /// Nobody posts but the application.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    frozen: Option<Option<bool>>,
    /// What members read: everything, or what came after they had joined.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<HistorySchema>)]
    history: Option<Option<String>>,
    /// How many seconds a member waits between two messages; 0 for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 86400)]
    slow_mode: Option<Option<i64>>,
    /// Whether members may add reactions; they may from the start. Those that are there stay.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    reactions: Option<Option<bool>>,
    /// After how many days its messages expire; `null`: as its application says. The application alone sets it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 36500)]
    retention_days: Option<Option<i64>>,
    /// The member to whom the chat is handed on. The former owner has the role that it had before.
    #[schema(value_type = Option<UserIdSchema>)]
    owner: Option<String>,
    message: Option<AnnouncementJson>,
}

impl RequestBody for ChatPatchJson {
    type Valid = (ChatPatch, Option<Announcement>);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON, media::MERGE_PATCH];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Self::Valid> {
        let name = self.name.map(|name| Title::parse(&name)).transpose();
        let name = collect(errors, "name", name);
        let attributes = self
            .attributes
            .map(|raw| raw.map(Attributes::parse).transpose());
        let attributes = collect(errors, "attributes", attributes.transpose());
        let posting = named(
            self.posting,
            Posting::named,
            "must be members or moderators",
        );
        let posting = collect(errors, "posting", posting);
        let history = named(self.history, History::named, "must be all or joined");
        let history = collect(errors, "history", history);
        let slow_mode = self
            .slow_mode
            .map(|seconds| parse_slow_mode(seconds.unwrap_or(0)));
        let slow_mode = collect(errors, "slowMode", slow_mode.transpose());
        let retention = parse_retention(self.retention_days);
        let retention = collect(errors, "retentionDays", retention);
        let owner = self.owner.map(|owner| UserId::parse(&owner)).transpose();
        let owner = collect(errors, "owner", owner);
        let announcement = AnnouncementJson::parse(self.message, errors);
        let patch = ChatPatch {
            name: name?,
            attributes: attributes?,
            posting: posting?,
            frozen: self.frozen.map(Option::unwrap_or_default),
            history: history?,
            slow_mode: slow_mode?,
            reactions: self.reactions.map(|on| on.unwrap_or(true)),
            retention: retention?,
            owner: owner?,
        };
        let something = match patch == ChatPatch::default() {
            true => Err(Invalid("must change something of the chat")),
            false => Ok(()),
        };
        collect(errors, "body", something)?;
        Some((patch, announcement?))
    }
}

pub(super) fn parse_slow_mode(seconds: i64) -> Result<u32, Invalid> {
    let seconds = u32::try_from(seconds).ok();
    let seconds = seconds.filter(|seconds| *seconds <= SLOW_MODE_SECONDS_MAX);
    seconds.ok_or(Invalid("must be 0 to 86,400 seconds"))
}

/// Who is to join a chat and who is to leave it, each in one list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MembersPatch, example = json!({ "add": ["jim", "kim"], "remove": ["john"] }))]
pub struct MembersPatchJson {
    #[schema(value_type = Option<Vec<UserIdSchema>>, max_items = 1000)]
    add: Option<Vec<String>>,
    #[schema(value_type = Option<Vec<UserIdSchema>>, max_items = 1000)]
    remove: Option<Vec<String>>,
    message: Option<AnnouncementJson>,
}

impl RequestBody for MembersPatchJson {
    /// Who is added, who is removed, and what tells of it.
    type Valid = (Vec<UserId>, Vec<UserId>, Option<Announcement>);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON, media::MERGE_PATCH];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Self::Valid> {
        let add = parse_members(&self.add.unwrap_or_default());
        let add = collect(errors, "add", add);
        let remove = parse_members(&self.remove.unwrap_or_default());
        let remove = collect(errors, "remove", remove);
        let announcement = AnnouncementJson::parse(self.message, errors);
        let (add, remove) = (add?, remove?);
        if add.is_empty() && remove.is_empty() && matches!(announcement, Some(Some(_))) {
            let nobody = Invalid("must come with members to be added or removed");
            collect::<()>(errors, "message", Err(nobody));
        }
        // Both are sorted.
        let is_in_both = add.iter().any(|user| remove.binary_search(user).is_ok());
        let apart = Invalid("must name nobody who is to be added");
        collect(
            errors,
            "remove",
            if is_in_both { Err(apart) } else { Ok(()) },
        )?;
        Some((add, remove, announcement?))
    }
}

/// Changes of a member, as a JSON merge patch (RFC 7396): what is absent stays, and `null` resets.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MemberPatch, min_properties = 1, example = json!({ "role": "moderator" }))]
pub struct MemberPatchJson {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<GivenRoleSchema>)]
    role: Option<Option<String>>,
    /// Until then the member does not post (RFC 3339).
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    muted_until: Option<Option<String>>,
    message: Option<AnnouncementJson>,
}

/// Changes of a member.
pub struct MemberPatch {
    pub role: Option<Role>,
    pub muted_until: Option<Option<OffsetDateTime>>,
    pub announcement: Option<Announcement>,
}

impl RequestBody for MemberPatchJson {
    type Valid = MemberPatch;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON, media::MERGE_PATCH];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<MemberPatch> {
        let role = named(
            self.role,
            Role::named,
            "must be reader, member or moderator",
        );
        let role = collect(errors, "role", role);
        let muted_until = parse_time_patch(self.muted_until);
        let muted_until = collect(errors, "mutedUntil", muted_until);
        let announcement = AnnouncementJson::parse(self.message, errors);
        let (role, muted_until) = (role?, muted_until?);
        let something = match role.is_none() && muted_until.is_none() {
            true => Err(Invalid("must have role or mutedUntil")),
            false => Ok(()),
        };
        collect(errors, "body", something)?;
        Some(MemberPatch {
            role,
            muted_until,
            announcement: announcement?,
        })
    }
}

/// The attributes of a chat. Absent means empty.
pub(super) fn parse_attributes(raw: Option<Box<RawValue>>) -> Result<Option<Attributes>, Invalid> {
    let attributes = raw.map(Attributes::parse).transpose()?;
    Ok(attributes.filter(|attributes| !attributes.is_empty()))
}

/// The members in their order by name, each once.
fn parse_members(members: &[String]) -> Result<Vec<UserId>, Invalid> {
    let members = members
        .iter()
        .map(|user| UserId::parse(user))
        .collect::<Result<BTreeSet<_>, _>>()?;
    if members.len() > MEMBERS_MAX {
        return Err(Invalid("must have at most 1,000 entries"));
    }
    Ok(members.into_iter().collect())
}
