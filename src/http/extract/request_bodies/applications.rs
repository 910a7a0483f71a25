//! Applications to be created and changed, and what they allow and forbid their users.

use std::num::NonZeroU32;

use serde::Deserialize;
use utoipa::ToSchema;

use super::{collect, named, parse_time_patch, present};
use crate::{
    domain::{
        AddMembers, CreateChats, Invalid, Personal, PolicyPatch, Restrictions, RetentionDays,
        SENDS_PER_MINUTE_MAX, Title,
    },
    http::{
        answer::{
            openapi::schemas::{AddMembersSchema, CreateChatsSchema, PersonalSchema},
            problem::{FieldError, Problem},
        },
        extract::{
            body::{RequestBody, parse},
            media,
        },
    },
};

/// The name of an application to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Name, example = json!({ "name": "shop" }))]
pub struct NameJson {
    /// 1 to 200 characters (in Normalization Form C) after blanks at both ends are removed.
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
}

impl RequestBody for NameJson {
    type Valid = Title;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Title> {
        let name = self.name.ok_or(Invalid("is required"));
        collect(errors, "name", name.and_then(|name| Title::parse(&name)))
    }
}

/// Changes of an application, as a JSON merge patch (RFC 7396).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApplicationPatch, min_properties = 1, example = json!({
    "policy": { "personal": "opened", "createChats": "application" }
}))]
pub struct ApplicationPatchJson {
    /// 1 to 200 characters (in Normalization Form C) after blanks at both ends are removed.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    policy: Option<PolicyPatchJson>,
}

/// What the application allows its users: what is absent stays, and `null` resets.
#[derive(Deserialize, ToSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyPatch)]
pub struct PolicyPatchJson {
    /// Who may write to whom.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<PersonalSchema>)]
    personal: Option<Option<String>>,
    /// Who may create chats.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<CreateChatsSchema>)]
    create_chats: Option<Option<String>>,
    /// Who may add members to a chat, beside those of a higher rank.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<AddMembersSchema>)]
    add_members: Option<Option<String>>,
    /// The most messages that a user may send and edit within a minute on each replica; `null` for no
    /// limit but that of the configuration.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000000)]
    sends_per_minute: Option<Option<i64>>,
    /// After how many days messages expire, where their chat does not say otherwise; `null`: never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 36500)]
    retention_days: Option<Option<i64>>,
}

impl RequestBody for ApplicationPatchJson {
    type Valid = (Option<Title>, PolicyPatch);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON, media::MERGE_PATCH];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Self::Valid> {
        if self.name.is_none() && self.policy.is_none() {
            let nothing = Invalid("must have a name or a policy");
            collect::<()>(errors, "body", Err(nothing));
        }
        let name = self.name.map(|name| Title::parse(&name)).transpose();
        let name = collect(errors, "name", name);
        let policy = self.policy.unwrap_or_default().validate(errors);
        Some((name?, policy?))
    }
}

impl PolicyPatchJson {
    fn validate(self, errors: &mut Vec<FieldError>) -> Option<PolicyPatch> {
        let otherwise = "must be anyone, opened or nobody";
        let personal = named(self.personal, Personal::named, otherwise);
        let personal = collect(errors, "policy.personal", personal);
        let otherwise = "must be users or application";
        let create_chats = named(self.create_chats, CreateChats::named, otherwise);
        let create_chats = collect(errors, "policy.createChats", create_chats);
        let otherwise = "must be moderators, owner or application";
        let add_members = named(self.add_members, AddMembers::named, otherwise);
        let add_members = collect(errors, "policy.addMembers", add_members);
        let sends_per_minute = self.sends_per_minute;
        let sends_per_minute = sends_per_minute.map(|sends| sends.map(parse_sends).transpose());
        let sends_per_minute = sends_per_minute.transpose();
        let sends_per_minute = collect(errors, "policy.sendsPerMinute", sends_per_minute);
        let retention = parse_retention(self.retention_days);
        let retention = collect(errors, "policy.retentionDays", retention);
        Some(PolicyPatch {
            personal: personal?,
            create_chats: create_chats?,
            add_members: add_members?,
            sends_per_minute: sends_per_minute?,
            retention: retention?,
        })
    }
}

/// A retention that is to be set; an inner `None` where it is to be removed.
pub fn parse_retention(
    days: Option<Option<i64>>,
) -> Result<Option<Option<RetentionDays>>, Invalid> {
    let days = days.map(|days| days.map(RetentionDays::parse).transpose());
    days.transpose()
}

fn parse_sends(sends: i64) -> Result<NonZeroU32, Invalid> {
    let sends = u32::try_from(sends).ok();
    let sends = sends.filter(|sends| *sends <= SENDS_PER_MINUTE_MAX);
    sends
        .and_then(NonZeroU32::new)
        .ok_or(Invalid("must be 1 to 1,000,000"))
}

/// What a user is forbidden: what is absent or `null` is not.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewRestrictions, example = json!({ "suspendedUntil": "2026-12-24T18:00:00Z" }))]
pub struct RestrictionsJson {
    /// Until then the user reads and does not write (RFC 3339).
    #[schema(format = DateTime)]
    suspended_until: Option<String>,
    /// Tokens that were issued before do not identify the user any more, nor do tokens that do not say
    /// when they were issued (RFC 3339).
    #[schema(format = DateTime)]
    tokens_since: Option<String>,
}

impl RequestBody for RestrictionsJson {
    type Valid = Restrictions;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Restrictions> {
        let suspended_until = parse_time_patch(Some(self.suspended_until));
        let suspended_until = collect(errors, "suspendedUntil", suspended_until);
        let tokens_since = parse_time_patch(Some(self.tokens_since));
        let tokens_since = collect(errors, "tokensSince", tokens_since);
        Some(Restrictions {
            suspended_until: suspended_until?.flatten(),
            tokens_since: tokens_since?.flatten(),
        })
    }
}
