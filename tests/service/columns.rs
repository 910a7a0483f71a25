//! The columns of the table `messages` and the struct that reads them.

use messages::store::MIGRATIONS;

use crate::support::Database;

/// The struct is decoded by position, and the compiler does not compare its names with those of the
/// table.
#[tokio::test]
async fn the_fields_of_a_message_row_are_the_columns_of_its_table_in_order() {
    let database = Database::fresh().await;
    let mut connection = database.connect().await;
    MIGRATIONS.run(&mut connection).await.unwrap();
    let columns = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name = 'messages'
         ORDER BY ordinal_position",
    );
    let columns: Vec<String> = columns.fetch_all(&mut connection).await.unwrap();
    assert_eq!(fields_of_message_row(), columns);
}

fn fields_of_message_row() -> Vec<String> {
    let source = include_str!("../../src/store/messages.rs");
    let (_, rest) = source.split_once("struct MessageRow {").unwrap();
    let (body, _) = rest.split_once('}').unwrap();
    let fields = body.lines().filter_map(|line| line.trim().split_once(": "));
    fields.map(|(name, _)| name.to_owned()).collect()
}
