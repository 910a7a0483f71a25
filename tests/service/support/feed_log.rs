//! The log of an application, and the checker that compares with it what a follower of the feed has received.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use messages::domain::ChangeKind;
use serde_json::{Value, json};

use super::{Database, load::timestamp_of};

/// The kinds of changes of which no feed tells. They are listed apart from the service's own list: where the service
/// hides another kind, the checker misses its entries.
const HIDDEN: [&str; 6] = [
    "settings-changed",
    "conversation-opened",
    "user-restricted",
    "application-changed",
    "messages-cleared",
    "raised",
];

/// What a follower has received under one id.
#[derive(Debug, Clone)]
pub struct FeedDelivery {
    /// A repeat has the same.
    pub id: String,
    pub entries: Vec<Value>,
}

/// What is wrong with what a follower has received.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// The log has it, and it has not come.
    Missing(i64),
    /// It has come, and the log does not have it so.
    NotInLog(i64),
    /// It has come for the first time after a later one.
    Late(i64),
    /// It has come again under another id.
    Again(i64),
    /// Something else has come again under this id.
    NoRepeat(String),
}

impl FeedDelivery {
    /// The entries of a follower to whom nothing may come twice: each has an id of its own.
    pub fn one_by_one(entries: Vec<Value>) -> Vec<Self> {
        let deliveries = entries.into_iter().enumerate();
        let delivery = |(place, entry): (usize, Value)| Self {
            id: place.to_string(),
            entries: vec![entry],
        };
        deliveries.map(delivery).collect()
    }
}

/// The changes of application 1 that the feed tells of, in their order, without their times.
pub async fn feed_log(database: &Database) -> Vec<Value> {
    let mut connection = database.connect().await;
    let changes: Vec<Value> = sqlx::query_scalar(
        "SELECT json_strip_nulls(json_build_object(
             'timestamp', timestamp, 'kind', kind, 'id', message_id, 'chat', chat_number, 'with', with_user,
             'number', number, 'users', nullif(members, '{}'), 'actor', actor))
         FROM changes WHERE application_id = 1 ORDER BY timestamp",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    changes.into_iter().filter_map(as_entry).collect()
}

/// A change as an entry of the feed; `None` if it is hidden.
fn as_entry(mut change: Value) -> Option<Value> {
    let kind = change["kind"].as_str().unwrap();
    if HIDDEN.contains(&kind) {
        return None;
    }
    let name = ChangeKind::named(kind).and_then(ChangeKind::feed_name);
    let name = name.unwrap_or_else(|| panic!("the feed does not tell of {kind}"));
    change["kind"] = json!(name);
    Some(change)
}

/// The checker: the first deliveries must be the log, entry for entry, and whatever comes again must be a repeat.
pub fn faults(log: &[Value], received: &[FeedDelivery]) -> Vec<Fault> {
    let log: BTreeMap<_, _> = log
        .iter()
        .map(|entry| (timestamp_of(entry), entry))
        .collect();
    let (first, mut faults) = first_deliveries(received);
    let (mut seen, mut newest) = (BTreeSet::new(), 0);
    for entry in first {
        let timestamp = timestamp_of(entry);
        let logged = log.get(&timestamp);
        if logged.is_none_or(|logged| **logged != comparable(entry)) {
            faults.push(Fault::NotInLog(timestamp));
        } else if !seen.insert(timestamp) {
            faults.push(Fault::Again(timestamp));
        } else {
            faults.extend((timestamp < newest).then_some(Fault::Late(timestamp)));
            newest = newest.max(timestamp);
        }
    }
    let missing = log.keys().filter(|timestamp| !seen.contains(*timestamp));
    faults.extend(missing.copied().map(Fault::Missing));
    faults
}

/// The entries without those of repeats, and the deliveries that have the id of an earlier one and other entries.
fn first_deliveries(received: &[FeedDelivery]) -> (Vec<&Value>, Vec<Fault>) {
    let mut by_id: BTreeMap<&str, &[Value]> = BTreeMap::new();
    let mut first: Vec<&Value> = Vec::new();
    let mut faults = Vec::new();
    for FeedDelivery { id, entries } in received {
        match by_id.entry(id) {
            Entry::Vacant(place) => {
                place.insert(entries);
                first.extend(entries);
            }
            Entry::Occupied(before) if *before.get() == entries => {}
            Entry::Occupied(_) => faults.push(Fault::NoRepeat(id.clone())),
        }
    }
    (first, faults)
}

/// An entry as [`feed_log`] has it: without its time, and one member as a list of one.
fn comparable(entry: &Value) -> Value {
    let mut entry = entry.clone();
    let fields = entry.as_object_mut().unwrap();
    fields.remove("created");
    if let Some(user) = fields.remove("user") {
        fields.insert("users".to_owned(), json!([user]));
    }
    entry
}
