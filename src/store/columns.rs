//! Rows as the parallel arrays that `unnest` takes, and columns that are parsed without a copy of their text.

use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
};

use crate::domain::{ChangeKind, UserId};

/// A user.
pub(super) struct UserColumn(pub UserId);

/// The kind of a change.
pub(super) struct KindColumn(pub ChangeKind);

impl Type<Postgres> for UserColumn {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for UserColumn {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let id = <&str as Decode<Postgres>>::decode(value)?;
        Ok(Self(UserId::trusted(id)))
    }
}

impl Type<Postgres> for KindColumn {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("change_kind")
    }
}

impl<'r> Decode<'r, Postgres> for KindColumn {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let name = <&str as Decode<Postgres>>::decode(value)?;
        let kind = ChangeKind::named(name);
        Ok(Self(kind.ok_or("a kind of changes that is none")?))
    }
}

/// Declares a variable for each column: a `Vec` with the column's value of every row, in the order
/// of the rows.
///
/// ```text
/// columns!(for update in updates => {
///     users: update.user.as_str(),
///     timestamps: update.timestamp.0,
/// });
/// ```
macro_rules! columns {
    (for $row:pat in $rows:expr => { $($column:ident: $value:expr),+ $(,)? }) => {
        $(let mut $column = Vec::new();)+
        for $row in $rows {
            $($column.push($value);)+
        }
    };
}

/// Texts of any kind as the text of a PostgreSQL array (PostgreSQL's manual, 8.15.6).
pub(super) fn text_array_literal<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let escaped: Vec<_> = texts
        .map(|text| text.replace('\\', r"\\").replace('"', r#"\""#))
        .collect();
    array_literal(escaped.iter().map(String::as_str))
}

/// Ids as the text of a PostgreSQL array, because `unnest` would flatten an array of arrays. The ids
/// of users and files have no character that needs escaping within the quotes.
pub(super) fn array_literal<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = ids.map(|id| format!("\"{id}\"")).collect();
    format!("{{{}}}", quoted.join(","))
}

pub(super) use columns;
