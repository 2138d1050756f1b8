//! Decides which attempt to connect an account may send the next request to OwnerRez. A pure state machine without
//! clock, channel or database. It is in front of the budget, which only reports how many permits connecting may take at
//! the moment.
//!
//! Each attempt to connect costs one request of the shared window, and an invented code costs as much as a valid one.
//! The gateway cannot distinguish them before OwnerRez has responded. Three rules prevent invented codes from using up
//! the permits that other users need:
//!
//! 1. Waiting attempts take turns: per network (/48 of IPv6, one address of IPv4), then per source (/64 of IPv6), then
//!    per user. The one that used least of the window goes first.
//! 2. A network without a recent success has one attempt in progress at a time. So it costs one request to find out
//!    that its codes are bad.
//! 3. Networks, sources and users with bad codes go last, get few permits in total, and leave a part of the remaining
//!    permits to others. They are not excluded, because offices and mobile networks share addresses.

mod ahead;
mod attempt;
mod attempt_origin;
mod decision;
mod obstacle;
mod party;
mod place;
mod queue;
mod queue_scope;
mod record;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

pub use self::{
    ahead::Ahead,
    attempt::{Attempt, CodeVerdict},
    attempt_origin::AttemptOrigin,
    decision::Decision,
    obstacle::Obstacle,
    place::PlaceKey,
    queue_scope::QueueScope,
};
use self::{
    party::Party,
    place::{Place, State},
    queue::Queue,
    record::Record,
};
use super::{connecting_permits::ConnectingPermits, period::PERIOD};

/// A place expires if its caller has not asked for this long.
const KEPT: TimeDelta = TimeDelta::seconds(60);
/// The maximum numbers of attempts in progress for one network, before and after a recent success.
const AT_ONCE_UNPROVEN: u32 = 1;
const AT_ONCE_PROVEN: u32 = 4;
/// The interval at which empty records are removed.
const SWEEP_EVERY: TimeDelta = TimeDelta::seconds(10);

/// The state machine.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The maximum number of permits per window for one source, and for all suspects together.
    share: u32,
    queue: Queue,
    /// The times at which the permits of suspects become free, and the number of their attempts in progress.
    suspect_uses: VecDeque<DateTime<Utc>>,
    suspects_busy: u32,
    sweep_at: DateTime<Utc>,
}

impl Admission {
    /// Creates an empty state for a window of `limit` requests.
    pub fn new(limit: u32) -> Self {
        Self {
            share: (limit / 20).max(1),
            queue: Queue::default(),
            suspect_uses: VecDeque::new(),
            suspects_busy: 0,
            sweep_at: DateTime::<Utc>::MIN_UTC,
        }
    }

    /// Handles a caller that asks for the first time, or again with the same key. `permits` is the budget's value at
    /// this moment.
    pub fn request_turn(
        &mut self,
        now: DateTime<Utc>,
        key: PlaceKey,
        origin: AttemptOrigin,
        permits: ConnectingPermits,
    ) -> Decision {
        self.expire_places(now);
        if let Some(place) = self.queue.places.get_mut(&key) {
            place.seen_at = now;
        } else if let Err(scope) = self.queue.insert(now, key, origin) {
            return Decision::Full(scope);
        }
        self.call(now, permits);
        let Some(place) = self.queue.places.get(&key).copied() else { return Decision::Full(QueueScope::Everyone) };
        match place.state {
            State::Called if permits.left > 0 => {
                let attempt = Attempt { origin: place.origin, suspect: self.queue.is_suspect(&place.origin, now) };
                self.queue.set_state(key, State::Admitted);
                for party in place.origin.parties() {
                    self.queue.record(party).busy += 1;
                }
                self.suspects_busy += u32::from(attempt.suspect);
                Decision::Admitted(attempt)
            }
            State::Admitted => Decision::Wait { ahead: Ahead::default(), soon: true },
            State::Called | State::Waiting => {
                // Another account took the permit that was reserved for this place.
                self.queue.set_state(key, State::Waiting);
                let ahead = self.queue.ahead_of(&place, now);
                let soon = self.obstacle(&place.origin, now, Ahead::default(), permits) == Some(Obstacle::UnderWay);
                Decision::Wait { ahead, soon }
            }
        }
    }

    /// Removes an admitted place, because its attempt has its permit or its caller went away.
    pub fn leave(&mut self, key: &PlaceKey) {
        self.queue.remove(key);
    }

    /// Returns an admitted place to the queue, because the budget gave no permit.
    pub fn put_back(&mut self, now: DateTime<Utc>, key: &PlaceKey, attempt: Attempt) {
        self.queue.set_state(*key, State::Waiting);
        self.end(now, attempt, 0);
    }

    /// Records OwnerRez's verdict. A success clears the history of network, source and user.
    pub fn judge(&mut self, now: DateTime<Utc>, origin: AttemptOrigin, verdict: CodeVerdict) {
        for party in origin.parties() {
            let record = self.queue.record(party);
            match verdict {
                CodeVerdict::Good => record.prove(now),
                CodeVerdict::Bad => record.add_bad_code(now),
            }
        }
    }

    /// Ends an attempt that sent this many requests.
    pub fn end(&mut self, now: DateTime<Utc>, attempt: Attempt, requests: u32) {
        let free_at = now + PERIOD;
        for party in attempt.origin.parties() {
            let record = self.queue.record(party);
            record.busy = record.busy.saturating_sub(1);
            for _ in 0..requests {
                record.uses.push_back(free_at);
            }
        }
        if attempt.suspect {
            self.suspects_busy = self.suspects_busy.saturating_sub(1);
            for _ in 0..requests {
                self.suspect_uses.push_back(free_at);
            }
        }
    }

    /// Returns the number of waiting places.
    pub fn waiting(&self) -> usize {
        self.queue.places.values().filter(|place| place.state != State::Admitted).count()
    }

    /// Returns why an attempt waits, and when its turn may come if no others arrive. `forecast` lists the permits for
    /// connecting and the times from which they apply. If there are several reasons, the one that lasts longest is
    /// returned.
    pub fn estimate_turn(
        &self,
        now: DateTime<Utc>,
        key: &PlaceKey,
        origin: AttemptOrigin,
        ahead: Ahead,
        forecast: &[(DateTime<Utc>, ConnectingPermits)],
    ) -> (Obstacle, DateTime<Utc>) {
        // The caller may have moved to another network since it took its place.
        let origin = self.queue.places.get(key).map_or(origin, |place| place.origin);
        let uses = origin.parties().flat_map(|party| &self.queue.seen(party).uses).chain(&self.suspect_uses).copied();
        let mut times: Vec<_> = forecast.iter().map(|(from, _)| *from).chain(uses).filter(|at| *at > now).collect();
        times.push(now);
        times.sort_unstable();
        let mut why = Obstacle::UnderWay;
        let mut last = now;
        for at in times {
            let known = forecast.partition_point(|(from, _)| *from <= at);
            let permits = known.checked_sub(1).and_then(|last| forecast.get(last)).map(|(_, permits)| *permits);
            match self.obstacle(&origin, at, ahead, permits.unwrap_or_default()) {
                // An attempt in progress ends within seconds.
                None | Some(Obstacle::UnderWay) => return (why, at),
                Some(obstacle) => (why, last) = (obstacle, at),
            }
        }
        // All current uses are free by then, and each further period admits as many attempts as its limit allows.
        let periods = (ahead.source / self.share)
            .max(ahead.network / self.share_of_network())
            .max(if why == Obstacle::BadCodes { ahead.suspects / self.share } else { 0 });
        (why, last + PERIOD * i32::try_from(periods).unwrap_or(i32::MAX))
    }

    /// Returns the reason for which this connector may not get a permit at that time, regardless of the order.
    /// `permits` is the budget's value at that time; the attempts ahead take theirs first.
    fn obstacle(
        &self,
        origin: &AttemptOrigin,
        at: DateTime<Utc>,
        ahead: Ahead,
        permits: ConnectingPermits,
    ) -> Option<Obstacle> {
        let source = self.queue.seen(Party::Source(origin.source));
        let network = self.queue.seen(origin.network());
        let left = permits.left.saturating_sub(self.queue.called).saturating_sub(ahead.all);
        let whole = permits.left.saturating_add(permits.used);
        if left == 0 {
            return Some(Obstacle::NoPermit);
        }
        // Many users may connect from behind one address, so valid codes lift its limit while most permits are left.
        let bounded = |party: &Record, ahead: u32, bound: u32| {
            let is_over = party.used(at).saturating_add(ahead) >= bound;
            (is_over && !(party.is_proven(at) && left > whole / 2)).then_some(bound)
        };
        let bound = bounded(source, ahead.source, self.share)
            .or_else(|| bounded(network, ahead.network, self.share_of_network()));
        if let Some(bound) = bound {
            return Some(Obstacle::OwnShare(bound));
        }
        if self.queue.is_suspect(origin, at) {
            let used = self.suspect_uses.len() - self.suspect_uses.partition_point(|free_at| *free_at <= at);
            let used = u32::try_from(used).unwrap_or(u32::MAX).saturating_add(self.suspects_busy);
            if used.saturating_add(ahead.suspects) >= self.share || left <= whole * 2 / 5 {
                return Some(Obstacle::BadCodes);
            }
        } else if network.used(at) > 0 && left <= whole / 5 {
            return Some(Obstacle::NoPermit);
        }
        (!self.has_capacity(origin, at)).then_some(Obstacle::UnderWay)
    }

    /// Returns the maximum number of permits in the window for one network.
    fn share_of_network(&self) -> u32 {
        self.share.saturating_mul(2)
    }

    /// Returns whether the network may begin one more attempt.
    fn has_capacity(&self, origin: &AttemptOrigin, now: DateTime<Utc>) -> bool {
        let network = self.queue.seen(origin.network());
        let at_once = if network.is_proven(now) { AT_ONCE_PROVEN } else { AT_ONCE_UNPROVEN };
        network.busy + network.called < at_once
    }

    /// Calls the next places, as many as there are permits.
    fn call(&mut self, now: DateTime<Utc>, permits: ConnectingPermits) {
        while self.queue.called < permits.left {
            let is_able = |place: &Place| self.obstacle(&place.origin, now, Ahead::default(), permits).is_none();
            let Some(key) = self.queue.next(now, is_able) else { return };
            self.queue.set_state(key, State::Called);
        }
    }

    /// Skips called places whose callers do not ask, and removes places whose callers have not asked for long.
    fn expire_places(&mut self, now: DateTime<Utc>) {
        while self.suspect_uses.front().is_some_and(|at| *at <= now) {
            self.suspect_uses.pop_front();
        }
        let absent = |place: &Place| place.state != State::Admitted && !place.is_present(now);
        let late: Vec<(PlaceKey, Place)> =
            self.queue.places.iter().filter(|(_, place)| absent(place)).map(|(key, place)| (*key, *place)).collect();
        for (key, place) in late {
            if place.seen_at + KEPT <= now {
                self.leave(&key);
            } else if place.state == State::Called {
                self.queue.set_state(key, State::Waiting);
                // Move it to the end, because its reserved permit was not used.
                self.queue.move_to_end(key);
            }
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_EVERY;
            self.queue.records.retain(|_, record| !record.forget(now));
        }
    }
}
