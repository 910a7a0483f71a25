//! Chats to be created, and names.

use std::collections::BTreeSet;

use serde::Deserialize;
use utoipa::ToSchema;

use super::collect;
use crate::{
    domain::{Invalid, MEMBERS_MAX, Title, UserId},
    http::{
        answer::{
            openapi::schemas::UserIdSchema,
            problem::{FieldError, Problem},
        },
        extract::{
            body::{RequestBody, parse},
            media,
        },
    },
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
}

impl RequestBody for NewChatJson {
    type Valid = (Title, Vec<UserId>);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<(Title, Vec<UserId>)> {
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
        Some((name?, members?))
    }
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
}

impl RequestBody for MembersPatchJson {
    type Valid = (Vec<UserId>, Vec<UserId>);

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON, media::MERGE_PATCH];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<(Vec<UserId>, Vec<UserId>)> {
        let add = parse_members(&self.add.unwrap_or_default());
        let add = collect(errors, "add", add);
        let remove = parse_members(&self.remove.unwrap_or_default());
        let remove = collect(errors, "remove", remove);
        let (add, remove) = (add?, remove?);
        // Both are sorted.
        let is_in_both = add.iter().any(|user| remove.binary_search(user).is_ok());
        let apart = Invalid("must name nobody who is to be added");
        collect(
            errors,
            "remove",
            if is_in_both { Err(apart) } else { Ok(()) },
        )?;
        Some((add, remove))
    }
}

/// The name of an application or a chat.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Name, example = json!({ "name": "shop" }))]
pub struct NameJson {
    /// 1 to 200 characters (in Normalization Form C) after blanks at both ends are removed.
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// The name of an application to be created.
pub struct NewNameJson(pub NameJson);

impl RequestBody for NewNameJson {
    type Valid = Title;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json).map(Self)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Title> {
        self.0.validate(errors)
    }
}

impl RequestBody for NameJson {
    type Valid = Title;

    const MEDIA_TYPES: &'static [&'static str] = &[media::JSON, media::MERGE_PATCH];

    fn from_json(_: &'static str, json: &[u8]) -> Result<Self, Problem> {
        parse(json)
    }

    fn validate(self, errors: &mut Vec<FieldError>) -> Option<Title> {
        let name = self.name.ok_or(Invalid("is required"));
        collect(errors, "name", name.and_then(|name| Title::parse(&name)))
    }
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
