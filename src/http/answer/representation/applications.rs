//! Applications as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{super::instant, ListPage};
use crate::{
    http::answer::openapi::schemas::ApplicationIdSchema, store::applications::Application,
};

/// An application: a tenant, whose users, chats and messages nobody else sees.
#[derive(Serialize, ToSchema)]
#[schema(as = Application, example = json!({
    "id": 2, "name": "shop", "created": "2026-11-20T09:30:00.000000Z", "chats": 0
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
    /// The secret token: shown once, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token: Option<String>,
}

impl ApplicationJson {
    pub fn new(stored: Application, token: Option<String>) -> Self {
        let Application {
            id,
            name,
            created,
            chats,
        } = stored;
        Self {
            id: id.get(),
            name: name.as_str().to_owned(),
            created,
            chats,
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
