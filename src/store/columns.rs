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

pub(super) use columns;
