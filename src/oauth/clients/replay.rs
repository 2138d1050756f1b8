//! Replay protection: each assertion can be used once (RFC 7523 3, `jti`).
//!
//! The memory belongs to this process and is bounded. Another process would accept the same assertion once more until
//! it expires. The code or refresh token that accompanies it is single-use in the database.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::assertion_problem::AssertionProblem;
use crate::crypto::sha256_hex;

/// The maximum number of unexpired assertions in memory.
const MAX_ENTRIES: usize = 40_000;
/// The maximum per client, so that one client cannot block others.
const MAX_PER_CLIENT: usize = 10_000;
const SWEEP_EVERY: TimeDelta = TimeDelta::minutes(1);

/// The used assertions and their expiry.
#[derive(Debug)]
pub(super) struct JtiCache {
    max_entries: usize,
    max_per_client: usize,
    state: Mutex<State>,
}

impl Default for JtiCache {
    fn default() -> Self {
        Self { max_entries: MAX_ENTRIES, max_per_client: MAX_PER_CLIENT, state: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct State {
    used: HashMap<String, HashMap<String, DateTime<Utc>>>,
    count: usize,
    swept_at: Option<DateTime<Utc>>,
}

impl JtiCache {
    /// Marks an assertion as used; an error if it was used before. From `until` on it is rejected as expired anyway.
    pub(super) fn use_once(
        &self,
        client: &str,
        id: &str,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), AssertionProblem> {
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sweep(now);
        let id = sha256_hex(id);
        let own = state.used.get(client);
        if own.is_some_and(|own| own.get(&id).is_some_and(|until| *until > now)) {
            return Err(AssertionProblem::Replayed);
        }
        if own.is_some_and(|own| own.len() >= self.max_per_client) {
            return Err(AssertionProblem::TooMany);
        }
        if state.count >= self.max_entries {
            state.evict_from_largest_client();
        }
        if state.used.entry(client.to_owned()).or_default().insert(id, until).is_none() {
            state.count += 1;
        }
        Ok(())
    }
}

impl State {
    fn sweep(&mut self, now: DateTime<Utc>) {
        if self.swept_at.is_some_and(|at| now < at + SWEEP_EVERY) {
            return;
        }
        self.swept_at = Some(now);
        for own in self.used.values_mut() {
            own.retain(|_, until| *until > now);
        }
        self.used.retain(|_, own| !own.is_empty());
        self.count = self.used.values().map(HashMap::len).sum();
    }

    /// Drops the assertion that expires soonest, of the client with the most assertions.
    fn evict_from_largest_client(&mut self) {
        let Some(own) = self.used.values_mut().max_by_key(|own| own.len()) else { return };
        let soonest = own.iter().min_by_key(|(_, until)| **until).map(|(id, _)| id.clone());
        if soonest.is_some_and(|id| own.remove(&id).is_some()) {
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_secs(1_790_000_000 + seconds).unwrap()
    }

    #[test]
    fn an_assertion_is_good_once_per_client_until_it_expires() {
        let replays = JtiCache::default();
        assert_eq!(replays.use_once("one", "a", at(60), at(0)), Ok(()));
        assert_eq!(replays.use_once("one", "a", at(60), at(59)), Err(AssertionProblem::Replayed));
        assert_eq!(replays.use_once("one", "a", at(90), at(59)), Err(AssertionProblem::Replayed));
        assert_eq!(replays.use_once("two", "a", at(60), at(0)), Ok(()));
        assert_eq!(replays.use_once("one", "b", at(60), at(0)), Ok(()));
        assert_eq!(replays.use_once("one", "a", at(120), at(60)), Ok(()));
    }

    fn small() -> JtiCache {
        JtiCache { max_entries: 40, max_per_client: 10, ..JtiCache::default() }
    }

    #[test]
    fn a_flood_shuts_out_the_one_who_makes_it() {
        let replays = small();
        assert_eq!(replays.use_once("victim", "a", at(600), at(0)), Ok(()));
        for count in 0..10 {
            assert_eq!(replays.use_once("flood", &count.to_string(), at(600), at(0)), Ok(()));
        }
        assert_eq!(replays.use_once("flood", "more", at(600), at(0)), Err(AssertionProblem::TooMany));
        assert_eq!(replays.use_once("victim", "b", at(600), at(0)), Ok(()));
        assert_eq!(replays.use_once("flood", "more", at(1200), at(601)), Ok(()));
    }

    #[test]
    fn the_memory_is_bounded_and_a_client_that_uses_little_keeps_what_it_used() {
        let replays = small();
        assert_eq!(replays.use_once("victim", "a", at(1), at(0)), Ok(()));
        for client in 0..10 {
            for count in 0..9 {
                assert_eq!(replays.use_once(&client.to_string(), &count.to_string(), at(600), at(0)), Ok(()));
            }
        }
        let state = replays.state.lock().unwrap();
        assert_eq!((state.count, state.used.values().map(HashMap::len).sum()), (40, 40));
        drop(state);
        assert_eq!(replays.use_once("victim", "a", at(1), at(0)), Err(AssertionProblem::Replayed));
    }
}
