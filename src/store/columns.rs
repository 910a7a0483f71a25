//! Rows as the parallel arrays that `unnest` takes.

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

/// Ids as the text of a PostgreSQL array, because `unnest` would flatten an array of arrays. The ids
/// of users and files have no character that needs escaping within the quotes.
pub(super) fn array_literal<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = ids.map(|id| format!("\"{id}\"")).collect();
    format!("{{{}}}", quoted.join(","))
}

pub(super) use columns;
