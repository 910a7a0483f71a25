//! What the schema and the code must agree on: the columns of `messages` and the struct that reads
//! them, and the blocks of the sequences.

use messages::{domain::DrawnNumbers, store::MIGRATIONS};

use crate::support::{Database, service};

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

/// The service uses up the blocks that the sequences give, and not a number more.
#[tokio::test]
async fn the_sequences_give_blocks_of_the_size_that_the_service_uses() {
    let (database, _replica) = service().await;
    for sequence in ["timeline", "message_ids"] {
        let increment =
            format!("SELECT seqincrement FROM pg_sequence WHERE seqrelid = '{sequence}'::regclass");
        let increment = usize::try_from(database.count(&increment).await).unwrap();
        assert_eq!(DrawnNumbers::blocks_for(increment), 1);
        assert_eq!(DrawnNumbers::blocks_for(increment + 1), 2);
    }
}
