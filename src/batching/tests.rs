//! The tests of queues.

use std::future::Future;

use tokio::task::JoinHandle;

use super::*;

const LIMITS: QueueLimits = QueueLimits {
    name: "test",
    waiting_max: 4,
    batch_max: 3,
    weight_max: 10,
    wait_max: Duration::from_secs(5),
};

type TestQueue = Queue<char, u32, u32>;

/// How many requests wait.
fn waiting(queue: &TestQueue) -> usize {
    queue.shared.waiting().count
}

/// Returns once the request is in the queue.
async fn ask_of(
    queue: &TestQueue,
    key: char,
    request: u32,
    weight: usize,
) -> JoinHandle<Result<u32, QueueError>> {
    let before = waiting(queue);
    let asking = tokio::spawn({
        let queue = queue.clone();
        async move { queue.ask(key, request, weight).await }
    });
    while waiting(queue) == before {
        tokio::task::yield_now().await;
    }
    asking
}

async fn ask(
    queue: &TestQueue,
    request: u32,
    weight: usize,
) -> JoinHandle<Result<u32, QueueError>> {
    ask_of(queue, 'a', request, weight).await
}

fn requests(batch: &[AcceptedRequest<u32, u32>]) -> Vec<u32> {
    batch.iter().map(|accepted| accepted.request).collect()
}

/// The next batch: its key and its requests.
async fn next(batches: &Batches<char, u32, u32>) -> (char, Vec<u32>) {
    let (key, batch) = batches.next().await.unwrap();
    (key, requests(&batch))
}

fn is_pending(future: impl Future) -> bool {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    future.as_mut().poll(&mut context).is_pending()
}

#[tokio::test]
async fn a_batch_is_everything_that_waits_up_to_the_limit_in_order() {
    let (queue, batches) = queue(LIMITS);
    let mut asking = Vec::new();
    for request in 1..=4 {
        asking.push(ask(&queue, request, 1).await);
    }
    let (_, first) = batches.next().await.unwrap();
    assert_eq!(requests(&first), [1, 2, 3]);
    let (_, second) = batches.next().await.unwrap();
    assert_eq!(requests(&second), [4]);
    for accepted in first.into_iter().chain(second) {
        let answer = accepted.request * 10;
        accepted.answer(answer);
    }
    for (request, asking) in (1..).zip(asking) {
        assert_eq!(asking.await.unwrap(), Ok(request * 10));
    }
}

#[tokio::test]
async fn keys_take_turns_and_no_batch_mixes_them() {
    let (queue, batches) = queue(LIMITS);
    let mut asking = Vec::new();
    for request in 1..=4 {
        asking.push(ask_of(&queue, 'a', request, 1).await);
    }
    asking.push(ask_of(&queue, 'b', 5, 1).await);
    asking.push(ask_of(&queue, 'c', 6, 1).await);
    assert_eq!(next(&batches).await, ('a', vec![1, 2, 3]));
    assert_eq!(next(&batches).await, ('b', vec![5]));
    assert_eq!(next(&batches).await, ('c', vec![6]));
    assert_eq!(next(&batches).await, ('a', vec![4]));
}

#[tokio::test]
async fn a_claimed_key_is_for_one_worker_alone() {
    let (queue, batches) = queue(LIMITS);
    let _first = ask_of(&queue, 'a', 1, 1).await;
    let claim = batches.claim().await.unwrap();
    assert_eq!(claim.key(), 'a');
    let _second = ask_of(&queue, 'a', 2, 1).await;
    let _other = ask_of(&queue, 'b', 3, 1).await;
    assert_eq!(next(&batches).await, ('b', vec![3]));
    assert_eq!(requests(&claim.take()), [1, 2]);
    let _third = ask_of(&queue, 'a', 4, 1).await;
    assert_eq!(next(&batches).await, ('a', vec![4]));
}

#[tokio::test]
async fn the_worker_that_came_last_goes_first() {
    let (queue, batches) = queue(LIMITS);
    let claiming = |batches: Batches<char, u32, u32>| {
        tokio::spawn(async move { batches.claim().await.map(|claim| claim.key()) })
    };
    let first = claiming(batches.clone());
    tokio::task::yield_now().await;
    let last = claiming(batches.clone());
    tokio::task::yield_now().await;
    let _asking = ask(&queue, 1, 1).await;
    assert_eq!(last.await.unwrap(), Some('a'));
    // It has taken nothing, so the key is given to the next one.
    assert_eq!(first.await.unwrap(), Some('a'));
}

#[tokio::test]
async fn a_request_that_arrives_before_the_batch_is_taken_is_part_of_it() {
    let (queue, batches) = queue(LIMITS);
    let first = ask(&queue, 1, 1).await;
    let claim = batches.claim().await.unwrap();
    let _second = ask(&queue, 2, 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(requests(&claim.take()), [2], "the first one was withdrawn");
    drop(queue);
    assert!(batches.claim().await.is_none());
}

#[tokio::test]
async fn a_heavy_request_waits_for_the_next_batch_and_goes_alone() {
    let (queue, batches) = queue(LIMITS);
    let _asking = [
        ask(&queue, 1, 6).await,
        ask(&queue, 2, 50).await,
        ask(&queue, 3, 1).await,
    ];
    for request in 1..=3 {
        assert_eq!(next(&batches).await, ('a', vec![request]));
    }
}

#[tokio::test]
async fn one_request_too_many_of_a_key_is_refused_at_once() {
    let (queue, _batches) = queue::<_, u32, u32>(LIMITS);
    for request in 1..=4 {
        ask(&queue, request, 1).await;
    }
    assert_eq!(queue.ask('a', 5, 1).await, Err(QueueError::Full));
    let _other = ask_of(&queue, 'b', 6, 1).await;
}

#[tokio::test]
async fn a_caller_that_has_gone_is_dropped_before_its_batch() {
    let (queue, batches) = queue(LIMITS);
    let gone = ask_of(&queue, 'b', 1, 1).await;
    let _stays = ask(&queue, 2, 1).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(next(&batches).await, ('a', vec![2]));
    assert_eq!(waiting(&queue), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_too_long_is_withdrawn_for_good() {
    let (queue, batches) = queue(LIMITS);
    let overdue = ask(&queue, 1, 1).await;
    assert_eq!(overdue.await.unwrap(), Err(QueueError::Overdue));
    assert!(
        is_pending(batches.next()),
        "the withdrawn request was accepted"
    );
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_an_accepted_request_may_take_any_time() {
    let (queue, batches) = queue(LIMITS);
    let asking = ask(&queue, 1, 1).await;
    let (_, batch) = batches.next().await.unwrap();
    tokio::time::advance(LIMITS.wait_max * 10).await;
    for accepted in batch {
        accepted.answer(7);
    }
    assert_eq!(asking.await.unwrap(), Ok(7));
}

#[tokio::test]
async fn what_waits_when_the_queue_closes_is_still_worked_on() {
    let (queue, batches) = queue(LIMITS);
    let asking = ask(&queue, 1, 1).await;
    asking.abort();
    let _asking = tokio::spawn(async move { queue.ask('a', 2, 1).await });
    tokio::task::yield_now().await;
    assert_eq!(next(&batches).await, ('a', vec![2]));
    assert!(batches.next().await.is_none());
}

#[tokio::test]
async fn a_worker_that_ends_abandons_its_batch_and_closes_the_queue() {
    let (queue, batches) = queue(LIMITS);
    let accepted = ask(&queue, 1, 20).await;
    let waits = ask(&queue, 2, 20).await;
    drop(batches.next().await.unwrap());
    drop(batches);
    assert_eq!(accepted.await.unwrap(), Err(QueueError::Abandoned));
    assert_eq!(waits.await.unwrap(), Err(QueueError::Closed));
    assert_eq!(queue.ask('a', 3, 1).await, Err(QueueError::Closed));
}

#[tokio::test]
async fn a_worker_claims_more_keys_in_their_order_until_one_has_too_many_requests() {
    let (queue, batches) = queue(LIMITS);
    let mut asking = Vec::new();
    for key in ['a', 'b', 'c', 'd', 'd', 'd', 'e', 'a'] {
        asking.push(ask_of(&queue, key, 1, 1).await);
    }
    let first = batches.claim().await.unwrap();
    assert_eq!((first.key(), first.waiting()), ('a', 2));
    let more = batches.claim_more(9, 4);
    let keys: String = more.iter().map(Claim::key).collect();
    assert_eq!(
        keys, "bc",
        "neither the claimed key nor one behind the large one"
    );
    assert!(batches.claim_more(0, 9).is_empty());
    let all = batches.claim_more(1, 9);
    assert_eq!(all[0].key(), 'd');
    assert_eq!(next(&batches).await.0, 'e');
    drop((first, more, all));
    for key in ['a', 'b', 'c', 'd'] {
        assert_eq!(next(&batches).await.0, key);
    }
}

#[tokio::test]
async fn claims_that_are_given_back_keep_their_turns() {
    let (queue, batches) = queue(LIMITS);
    let mut asking = Vec::new();
    for key in ['a', 'b', 'c', 'd'] {
        asking.push(ask_of(&queue, key, 1, 1).await);
    }
    let first = batches.claim().await.unwrap();
    let more = batches.claim_more(2, 2);
    for claim in more.into_iter().rev() {
        claim.give_back();
    }
    drop(first);
    for key in ['b', 'c', 'd', 'a'] {
        assert_eq!(next(&batches).await.0, key);
    }
}

#[tokio::test]
async fn a_claim_that_is_given_back_goes_to_a_worker_that_waits() {
    let (queue, batches) = queue(LIMITS);
    let _asking = ask(&queue, 1, 1).await;
    let claim = batches.claim_more(1, 1).pop().unwrap();
    let mut waiting = std::pin::pin!(batches.claim());
    assert!(is_pending(waiting.as_mut()));
    claim.give_back();
    assert_eq!(waiting.await.unwrap().key(), 'a');
}

#[tokio::test]
async fn a_claim_takes_as_many_as_its_worker_wants_and_leaves_the_rest() {
    let (queue, batches) = queue(LIMITS);
    let mut asking = Vec::new();
    for request in 1..=3 {
        asking.push(ask(&queue, request, 1).await);
    }
    let claim = batches.claim().await.unwrap();
    assert_eq!(requests(&claim.take_first(2)), [1, 2]);
    assert_eq!(next(&batches).await.1, [3]);
}
