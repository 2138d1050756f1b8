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

mod forecast;
mod places;
mod record;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::Ipv6Net;

pub use self::{forecast::Obstacle, places::QueueScope};
use self::{places::Place, record::Record};
use super::budget::{ConnectingPermits, PERIOD};
use crate::domain::UserId;

/// A place expires if its caller has not asked for this long.
const KEPT: TimeDelta = TimeDelta::seconds(60);
/// A place is skipped if its caller has not asked for this long, until the caller asks again. Pages reload more often.
const PRESENT: TimeDelta = TimeDelta::seconds(15);
/// The maximum numbers of attempts in progress for one network, before and after a recent success.
const AT_ONCE_UNPROVEN: u32 = 1;
const AT_ONCE_PROVEN: u32 = 4;
/// The interval at which empty records are removed.
const SWEEP_EVERY: TimeDelta = TimeDelta::seconds(10);

/// Identifies a place in the queue across reloads of the page.
pub type PlaceKey = [u8; 32];

/// The origin of an attempt to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttemptOrigin {
    /// An IPv4 address, or the first address of a /64 of IPv6.
    pub source: IpAddr,
    /// The user, if known before OwnerRez has responded.
    pub user: Option<UserId>,
}

impl AttemptOrigin {
    fn network(&self) -> Party {
        Party::Network(match self.source {
            IpAddr::V4(_) => self.source,
            IpAddr::V6(address) => Ipv6Net::new_assert(address, 48).network().into(),
        })
    }

    fn parties(&self) -> impl Iterator<Item = Party> + use<> {
        [Some(self.network()), Some(Party::Source(self.source)), self.user.map(Party::User)].into_iter().flatten()
    }
}

/// A party that a history is kept for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Party {
    Network(IpAddr),
    Source(IpAddr),
    User(UserId),
}

/// The response to a caller that asks for its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The attempt may begin. [`Admission::end`] must be called when it has ended.
    Admitted(Attempt),
    /// Other attempts go first.
    Wait {
        /// The numbers of places ahead.
        ahead: Ahead,
        /// Whether permits are available and the attempt only waits for another one from the same network to end.
        soon: bool,
    },
    /// The queue is full; there is no place for this attempt.
    Full(QueueScope),
}

/// The number of places that are served before a given one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ahead {
    /// All places.
    pub all: u32,
    /// The places of its network.
    pub network: u32,
    /// The places of its source.
    pub source: u32,
    /// The places with bad codes.
    pub suspects: u32,
}

/// An admitted attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    origin: AttemptOrigin,
    suspect: bool,
}

/// OwnerRez's verdict on a code or personal token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeVerdict {
    /// The code is valid.
    Good,
    /// The code is invalid. An outage gives no verdict.
    Bad,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    /// Its turn has come; a permit is reserved for it.
    Called,
    /// Its attempt is in progress.
    Admitted,
}

/// The order of the places: bad codes of source and user, bad codes of the network, then the permits of the window that
/// network, source and user used, then the order of arrival.
type Rank = (u32, u32, u32, u32, u32, u64);

/// The record of a party without history.
static NOTHING: Record = Record::EMPTY;

/// The state machine.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The maximum number of permits per window for one source, and for all suspects together.
    share: u32,
    places: HashMap<PlaceKey, Place>,
    records: HashMap<Party, Record>,
    arrivals: u64,
    called: u32,
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
            places: HashMap::new(),
            records: HashMap::new(),
            arrivals: 0,
            called: 0,
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
        if let Some(place) = self.places.get_mut(&key) {
            place.seen_at = now;
        } else if let Err(scope) = self.insert_place(now, key, origin) {
            return Decision::Full(scope);
        }
        self.call(now, permits);
        let Some(place) = self.places.get(&key).copied() else { return Decision::Full(QueueScope::Everyone) };
        match place.state {
            State::Called if permits.left > 0 => {
                let attempt = Attempt { origin: place.origin, suspect: self.is_suspect(&place.origin, now) };
                self.set_state(key, State::Admitted);
                for party in place.origin.parties() {
                    self.record(party).busy += 1;
                }
                self.suspects_busy += u32::from(attempt.suspect);
                Decision::Admitted(attempt)
            }
            State::Admitted => Decision::Wait { ahead: Ahead::default(), soon: true },
            State::Called | State::Waiting => {
                // Another account took the permit that was reserved for this place.
                self.set_state(key, State::Waiting);
                let ahead = self.ahead_of(&place, now);
                let soon = self.obstacle(&place.origin, now, Ahead::default(), permits) == Some(Obstacle::UnderWay);
                Decision::Wait { ahead, soon }
            }
        }
    }

    /// Removes an admitted place, because its attempt has its permit or its caller went away.
    pub fn leave(&mut self, key: &PlaceKey) {
        self.set_state(*key, State::Waiting);
        if let Some(place) = self.places.remove(key) {
            for party in place.origin.parties() {
                let record = self.record(party);
                record.places = record.places.saturating_sub(1);
            }
        }
    }

    /// Returns an admitted place to the queue, because the budget gave no permit.
    pub fn put_back(&mut self, now: DateTime<Utc>, key: &PlaceKey, attempt: Attempt) {
        self.set_state(*key, State::Waiting);
        self.end(now, attempt, 0);
    }

    /// Records OwnerRez's verdict. A success clears the history of network, source and user.
    pub fn judge(&mut self, now: DateTime<Utc>, origin: AttemptOrigin, verdict: CodeVerdict) {
        for party in origin.parties() {
            let record = self.record(party);
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
            let record = self.record(party);
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
        self.places.values().filter(|place| place.state != State::Admitted).count()
    }

    fn record(&mut self, party: Party) -> &mut Record {
        self.records.entry(party).or_default()
    }

    fn seen(&self, party: Party) -> &Record {
        self.records.get(&party).unwrap_or(&NOTHING)
    }

    fn rank(&self, place: &Place, now: DateTime<Utc>) -> Rank {
        let origin = &place.origin;
        let (network, source) = (self.seen(origin.network()), self.seen(Party::Source(origin.source)));
        let user = origin.user.map_or(&NOTHING, |user| self.seen(Party::User(user)));
        (
            source.bad_codes(now).max(user.bad_codes(now)),
            network.bad_codes(now),
            network.used(now),
            source.used(now),
            user.used(now),
            place.number,
        )
    }

    fn is_suspect(&self, origin: &AttemptOrigin, now: DateTime<Utc>) -> bool {
        origin.parties().any(|party| self.seen(party).bad_codes(now) > 0)
    }

    /// Returns whether the network may begin one more attempt.
    fn has_capacity(&self, origin: &AttemptOrigin, now: DateTime<Utc>) -> bool {
        let network = self.seen(origin.network());
        let at_once = if network.is_proven(now) { AT_ONCE_PROVEN } else { AT_ONCE_UNPROVEN };
        network.busy + network.called < at_once
    }

    /// Calls the next places, as many as there are permits.
    fn call(&mut self, now: DateTime<Utc>, permits: ConnectingPermits) {
        while self.called < permits.left {
            let able = self.places.iter().filter(|(_, place)| {
                place.state == State::Waiting
                    && is_present(place, now)
                    && self.obstacle(&place.origin, now, Ahead::default(), permits).is_none()
            });
            let Some(key) = able.min_by_key(|(_, place)| self.rank(place, now)).map(|(key, _)| *key) else { return };
            self.set_state(key, State::Called);
        }
    }

    fn set_state(&mut self, key: PlaceKey, state: State) {
        let Some(place) = self.places.get_mut(&key) else { return };
        let (before, origin) = (std::mem::replace(&mut place.state, state), place.origin);
        if before == State::Called {
            self.called = self.called.saturating_sub(1);
        }
        self.called += u32::from(state == State::Called);
        for party in origin.parties() {
            let record = self.record(party);
            if before == State::Called {
                record.called = record.called.saturating_sub(1);
            }
            record.called += u32::from(state == State::Called);
        }
    }

    /// Skips called places whose callers do not ask, and removes places whose callers have not asked for long.
    fn expire_places(&mut self, now: DateTime<Utc>) {
        while self.suspect_uses.front().is_some_and(|at| *at <= now) {
            self.suspect_uses.pop_front();
        }
        let absent = |place: &Place| place.state != State::Admitted && !is_present(place, now);
        let late: Vec<(PlaceKey, Place)> =
            self.places.iter().filter(|(_, place)| absent(place)).map(|(key, place)| (*key, *place)).collect();
        for (key, place) in late {
            if place.seen_at + KEPT <= now {
                self.leave(&key);
            } else if place.state == State::Called {
                self.set_state(key, State::Waiting);
                // Move it to the end, because its reserved permit was not used.
                self.arrivals += 1;
                let number = self.arrivals;
                self.places.entry(key).and_modify(|place| place.number = number);
            }
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_EVERY;
            self.records.retain(|_, record| !record.forget(now));
        }
    }
}

fn is_present(place: &Place, now: DateTime<Utc>) -> bool {
    now < place.seen_at + PRESENT
}
