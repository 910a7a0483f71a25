//! Applications as JSON.

use std::num::NonZeroU32;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{super::instant, ListPage};
use crate::{
    domain::{Policy, Restrictions, RetentionDays},
    http::answer::openapi::schemas::{
        AddMembersSchema, ApplicationIdSchema, CreateChatsSchema, PersonalSchema,
    },
    store::applications::Application,
};

/// An application: a tenant, whose users, chats and messages nobody else sees.
#[derive(Serialize, ToSchema)]
#[schema(as = Application, example = json!({
    "id": 2, "name": "shop", "created": "2026-11-20T09:30:00.000000Z", "chats": 0,
    "policy": { "personal": "anyone", "createChats": "users", "addMembers": "moderators" }
}))]
pub struct ApplicationJson {
    #[schema(value_type = ApplicationIdSchema)]
    id: i64,
    name: String,
    #[serde(serialize_with = "instant::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created: OffsetDateTime,
    /// The number of its chats.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    chats: i64,
    policy: PolicyJson,
    /// The secret token: shown once, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token: Option<String>,
}

/// What an application allows its users.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Policy)]
pub struct PolicyJson {
    /// Who may write to whom.
    #[schema(value_type = PersonalSchema)]
    personal: &'static str,
    /// Who may create chats.
    #[schema(value_type = CreateChatsSchema)]
    create_chats: &'static str,
    /// Who may add members to a chat, beside those of a higher rank.
    #[schema(value_type = AddMembersSchema)]
    add_members: &'static str,
    /// The most messages that a user may send and edit within a minute on each replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 1000000)]
    sends_per_minute: Option<NonZeroU32>,
    /// After how many days messages expire, where their chat does not say otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 36500)]
    retention_days: Option<u16>,
}

/// What an application allows its users, as they see it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UserPolicy)]
pub struct UserPolicyJson {
    /// Who may write to whom.
    #[schema(value_type = PersonalSchema)]
    personal: &'static str,
    /// Who may create chats.
    #[schema(value_type = CreateChatsSchema)]
    create_chats: &'static str,
    /// Who may add members to a chat, beside those of a higher rank.
    #[schema(value_type = AddMembersSchema)]
    add_members: &'static str,
}

impl From<Policy> for UserPolicyJson {
    fn from(policy: Policy) -> Self {
        Self {
            personal: policy.personal.name(),
            create_chats: policy.create_chats.name(),
            add_members: policy.add_members.name(),
        }
    }
}

impl From<Policy> for PolicyJson {
    fn from(policy: Policy) -> Self {
        Self {
            personal: policy.personal.name(),
            create_chats: policy.create_chats.name(),
            add_members: policy.add_members.name(),
            sends_per_minute: policy.sends_per_minute,
            retention_days: policy.retention.map(RetentionDays::get),
        }
    }
}

/// What a user is forbidden; what is absent is not.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Restrictions)]
pub struct UserRestrictionsJson {
    /// In the answer to `GET /users/{user}/restrictions`: what the application allows all its users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = UserPolicyJson, required = false)]
    policy: Option<UserPolicyJson>,
    /// Until then the user reads and does not write.
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    suspended_until: Option<OffsetDateTime>,
    /// Tokens that were issued before do not identify the user any more.
    #[serde(
        serialize_with = "instant::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    tokens_since: Option<OffsetDateTime>,
}

impl From<Restrictions> for UserRestrictionsJson {
    fn from(restrictions: Restrictions) -> Self {
        Self {
            policy: None,
            suspended_until: restrictions.suspended_until,
            tokens_since: restrictions.tokens_since,
        }
    }
}

impl From<(Restrictions, Policy)> for UserRestrictionsJson {
    fn from((restrictions, policy): (Restrictions, Policy)) -> Self {
        Self {
            policy: Some(policy.into()),
            ..restrictions.into()
        }
    }
}

impl ApplicationJson {
    pub fn new(stored: Application, token: Option<String>) -> Self {
        let Application {
            id,
            name,
            created,
            chats,
            policy,
            suspensions_end: _,
            erasing: _,
            expired: _,
        } = stored;
        Self {
            id: id.get(),
            name: name.as_str().to_owned(),
            created,
            chats,
            policy: policy.into(),
            token,
        }
    }
}

/// A page of applications, by id.
#[derive(Serialize, ToSchema)]
#[schema(as = ApplicationList)]
pub struct ApplicationListJson {
    applications: Vec<ApplicationJson>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ApplicationIdSchema, required = false)]
    next: Option<i64>,
}

impl From<ListPage<Application, i64>> for ApplicationListJson {
    fn from(page: ListPage<Application, i64>) -> Self {
        let applications = page.items.into_iter();
        Self {
            applications: applications
                .map(|stored| ApplicationJson::new(stored, None))
                .collect(),
            next: page.next,
        }
    }
}
