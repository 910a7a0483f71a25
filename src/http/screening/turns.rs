//! Turns: how many calls of a hook are under way, and whose.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use crate::{domain::UserId, http::answer::problem::Problem};

/// The most calls of an application's hook that are under way at a time.
const CALLS_MAX: usize = 256;

/// The most calls for messages of one user that are under way or wait for their turn: so one user takes a small
/// part of the turns.
const CALLS_PER_USER_MAX: u32 = 16;

/// A failure is written down this long after the one before, or later.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// What is under way at the hook of an application.
pub struct Turns {
    free: Semaphore,
    users: Mutex<HashMap<UserId, u32>>,
    /// When a failure was last written down.
    failed: Mutex<Option<Instant>>,
}

/// The right to one call.
pub struct Turn<'a> {
    _permit: SemaphorePermit<'a>,
    _place: Place<'a>,
}

/// What a user has under way, or waiting. It ends with the value.
struct Place<'a> {
    turns: &'a Turns,
    user: &'a UserId,
}

impl Turns {
    /// Waits for a turn of the user. Fails with 429 if the user has too many, and with 503 if there is none in
    /// that time.
    pub async fn take<'a>(
        &'a self,
        user: &'a UserId,
        time_max: Duration,
    ) -> Result<Turn<'a>, Problem> {
        let place = self.enter(user)?;
        match timeout(time_max, self.free.acquire()).await {
            Ok(Ok(permit)) => Ok(Turn {
                _permit: permit,
                _place: place,
            }),
            Ok(Err(_)) | Err(_) => Err(Problem::too_many_judged()),
        }
    }

    fn enter<'a>(&'a self, user: &'a UserId) -> Result<Place<'a>, Problem> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = users.entry(user.clone()).or_default();
        if *count >= CALLS_PER_USER_MAX {
            return Err(Problem::too_many_requests(CALLS_PER_USER_MAX));
        }
        *count += 1;
        Ok(Place { turns: self, user })
    }

    /// Whether a failure is to be written down now: of those who ask within a second, the first one does.
    pub fn claim_failure(&self) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = failed.is_none_or(|failed| failed.elapsed() >= FAILURE_PAUSE);
        if is_due {
            *failed = Some(Instant::now());
        }
        is_due
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            free: Semaphore::new(CALLS_MAX),
            users: Mutex::default(),
            failed: Mutex::default(),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let users = self.turns.users.lock();
        let mut users = users.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(self.user) {
            *count -= 1;
            if *count == 0 {
                users.remove(self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserId {
        UserId::parse(&format!("user-{number}")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_has_a_small_part_of_the_turns_and_leaves_no_trace() {
        let turns = Turns::default();
        let (one, other) = (user(1), user(2));
        let mut taken = Vec::new();
        for _ in 0..CALLS_PER_USER_MAX {
            taken.push(turns.take(&one, Duration::ZERO).await.ok().unwrap());
        }
        let refused = turns.take(&one, Duration::ZERO).await.err().unwrap();
        assert_eq!(refused.status(), 429);
        assert!(turns.take(&other, Duration::ZERO).await.is_ok());
        taken.pop();
        assert!(turns.take(&one, Duration::ZERO).await.is_ok());
        drop(taken);
        assert!(turns.users.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_turn_in_time_is_refused() {
        let turns = Turns::default();
        let users: Vec<_> = (0..CALLS_MAX).map(user).collect();
        let mut taken = Vec::new();
        for user in &users {
            taken.push(turns.take(user, Duration::ZERO).await.ok().unwrap());
        }
        let late = user(CALLS_MAX);
        let refused = turns
            .take(&late, Duration::from_secs(5))
            .await
            .err()
            .unwrap();
        assert_eq!(refused.status(), 503);
        let waiting = turns.take(&late, Duration::from_secs(5));
        let (waiting, ()) = tokio::join!(waiting, async { drop(taken.pop()) });
        assert!(waiting.is_ok());
    }
}
