//! The tests' own tools.

use crate::support::{eventually, service};

#[tokio::test]
#[should_panic(expected = "a replica died before: something that never comes")]
async fn a_replica_that_dies_fails_the_test_that_waits() {
    let (_database, replica) = service().await;
    replica.signal("-KILL");
    eventually("something that never comes", async || None::<()>).await;
}
